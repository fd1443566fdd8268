"""What `POST /predict` refuses, and that whatever is sent has an answer or a reason."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings

from app.errors import ErrorBody
from app.native.schemas import PredictResponse
from tests.app.bodies import native_bodies

pytestmark = pytest.mark.anyio

JSON = {"content-type": "application/json"}
HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
ROW = json.dumps(HOUSE)


async def post(client: httpx.AsyncClient, body: bytes | str) -> httpx.Response:
    return await client.post("/predict", content=body, headers=JSON)


def with_option(option: str) -> str:
    return f'{{"rows": [{ROW}], {option}}}'


def with_row(row: str) -> str:
    return f'{{"rows": [{ROW}, {row}]}}'


NASTY: list[tuple[bytes | str, int, str, str | None]] = [
    # body, status, code, the field that the details name first
    ("", 400, "not_json", None),
    ("rows", 400, "not_json", None),
    (b"\x00\xff\xfe", 400, "not_json", None),
    (b"\x1f\x8b\x08\x00garbage", 400, "not_json", None),
    (b'\xef\xbb\xbf{"rows": []}', 400, "not_json", None),
    ('{"rows": ["\\udc00"]}', 400, "not_json", None),
    ("[" * 50_000, 400, "not_json", None),
    ('{"rows": ' * 900 + "1" + "}" * 900, 422, "invalid_request", "rows"),
    (with_row('{"area": NaN}'), 400, "not_finite", "rows.1.area"),
    (
        with_row('{"rooms": [[1, {}], "a, [\\"b"], "area": -Infinity}'),
        400,
        "not_finite",
        "rows.1.area",
    ),
    (with_row("[1, 1e999]"), 400, "not_finite", "rows.1.1"),
    (with_option('"passes": Infinity'), 400, "not_finite", "passes"),
    ("NaN", 400, "not_finite", "body"),
    (
        with_row('{"area": 1, "area": 2, "rooms": 1, "quarter": "east"}'),
        400,
        "duplicate_key",
        "area",
    ),
    ('{"rows": [], "rows": []}', 400, "duplicate_key", "rows"),
    ("null", 422, "invalid_request", "body"),
    ("[]", 422, "invalid_request", "body"),
    ("7", 422, "invalid_request", "body"),
    ("{}", 422, "invalid_request", "rows"),
    ('{"rows": null}', 422, "invalid_request", "rows"),
    ('{"rows": "all"}', 422, "invalid_request", "rows"),
    ('{"rows": {"area": [1, 2]}}', 422, "invalid_request", "rows"),
    ('{"rows": []}', 422, "invalid_input", "rows"),
    ('{"rows": [null]}', 422, "invalid_input", "rows.0"),
    ('{"rows": [3]}', 422, "invalid_input", "rows.0"),
    ('{"rows": ["area"]}', 422, "invalid_input", "rows.0"),
    ('{"rows": [{}]}', 422, "invalid_input", "rows.0.area"),
    ('{"rows": [[]]}', 422, "invalid_input", "rows.0"),
    ('{"rows": [[54, 2, "east"], [54, 2]]}', 422, "invalid_input", "rows.1"),
    ('{"rows": [[54, 2, "east", 1]]}', 422, "invalid_input", "rows.0"),
    (f'{{"rows": [{ROW}, [54, 2, "east"]]}}', 422, "invalid_input", "rows.1"),
    (with_row('{"area": 54, "quarter": "east"}'), 422, "invalid_input", "rows.1.rooms"),
    (
        with_row('{"area": 5, "rooms": 2, "quarter": "east", "x": 1}'),
        422,
        "invalid_input",
        "rows.1.x",
    ),
    (
        with_row('{"area": "54 m", "rooms": 2, "quarter": "east"}'),
        422,
        "invalid_input",
        "rows.1.area",
    ),
    (
        with_row('{"area": true, "rooms": 2, "quarter": "east"}'),
        422,
        "invalid_input",
        "rows.1.area",
    ),
    (
        with_row('{"area": null, "rooms": 2, "quarter": "east"}'),
        422,
        "invalid_input",
        "rows.1.area",
    ),
    (with_row('{"area": [1], "rooms": 2, "quarter": "east"}'), 422, "invalid_input", "rows.1.area"),
    (
        with_row('{"area": 1e308, "rooms": 2, "quarter": "east"}'),
        422,
        "invalid_input",
        "rows.1.area",
    ),
    (
        with_row('{"area": 54, "rooms": 2, "quarter": "west"}'),
        422,
        "invalid_input",
        "rows.1.quarter",
    ),
    (with_row('{"area": 54, "rooms": 2, "quarter": 5}'), 422, "invalid_input", "rows.1.quarter"),
    (with_row('{"area": 54, "rooms": 2, "quarter": ""}'), 422, "invalid_input", "rows.1.quarter"),
    (with_row('{"area": ' + "[" * 1000 + "]" * 1000 + "}"), 422, "invalid_input", "rows.1.area"),
    (with_option('"pases": 5'), 422, "invalid_request", "pases"),
    (with_option('"": 5'), 422, "invalid_request", ""),
    (with_option('"passes": 1'), 422, "invalid_input", "passes"),
    (with_option('"passes": -9223372036854775808'), 422, "invalid_input", "passes"),
    (with_option('"passes": "5"'), 422, "invalid_request", "passes"),
    (with_option('"passes": true'), 422, "invalid_request", "passes"),
    (with_option('"passes": 2.5'), 422, "invalid_request", "passes"),
    (with_option('"passes": [[' + "1," * 9000 + "1]]"), 422, "invalid_request", "passes"),
    (with_option('"passes": 401'), 422, "limit_exceeded", "passes"),
    (with_option('"passes": 99999999999999999999'), 422, "invalid_request", "passes"),
    (with_option('"seed": -1'), 422, "invalid_input", "seed"),
    (with_option('"seed": 9223372036854775808'), 422, "invalid_input", "seed"),
    (with_option('"seed": 99999999999999999999'), 422, "invalid_request", "seed"),
    (with_option('"seed": 1.0'), 422, "invalid_request", "seed"),
    (with_option('"seed": false'), 422, "invalid_request", "seed"),
    (with_option('"coverage": 0'), 422, "invalid_input", "coverage"),
    (with_option('"coverage": 1'), 422, "invalid_input", "coverage"),
    (with_option('"coverage": -0.5'), 422, "invalid_input", "coverage"),
    (with_option('"coverage": true'), 422, "invalid_request", "coverage"),
    (with_option('"coverage": "0.9"'), 422, "invalid_request", "coverage"),
    (with_option('"estimator": "best"'), 422, "invalid_request", "estimator"),
    (with_option('"masks": 3'), 422, "invalid_request", "masks"),
    (with_option('"tolerance": 0'), 422, "invalid_input", "tolerance"),
    (with_option('"tolerance": "low"'), 422, "invalid_request", "tolerance"),
    (with_option('"samples": 1'), 422, "invalid_request", "samples"),
    (with_option('"samples": null'), 422, "invalid_request", "samples"),
]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"), NASTY, ids=[f"{str(b)[:60]}" for b, *_ in NASTY]
)
async def test_a_nasty_body_is_refused_with_its_reason(
    client: httpx.AsyncClient, body: bytes | str, status: int, code: str, field: str | None
) -> None:
    response = await post(client, body)
    error = ErrorBody.model_validate_json(response.content)
    assert (response.status_code, error.code) == (status, code)
    assert error.error
    assert response.headers["x-request-id"]
    if field is not None:
        assert error.details[0].field == field
        assert len(response.content) < 10_000


@pytest.mark.parametrize(
    "option",
    [
        '"seed": 9223372036854775807',
        '"seed": 0',
        '"seed": null',
        '"tolerance": null',
        '"coverage": 5e-324',
        '"coverage": 0.95',
        '"masks": "per_row"',
        '"passes": null',
        '"estimator": null',
        '"masks": null',
        '"passes": 2',
        '"passes": 400',
    ],
)
async def test_the_edge_of_an_options_domain_is_inside(
    client: httpx.AsyncClient, option: str
) -> None:
    response = await post(client, with_option(option))
    assert response.status_code == 200
    PredictResponse.model_validate_json(response.content)


@pytest.mark.parametrize("area", [1e20, 3e38, -3e38, 1e39, 1e42, 1e308, -1e308])
async def test_a_huge_value_is_refused_or_answered_with_finite_numbers(
    client: httpx.AsyncClient, area: float
) -> None:
    response = await client.post("/predict", json={"rows": [{**HOUSE, "area": area}]})
    if response.status_code == 200:
        PredictResponse.model_validate_json(response.content)  # strict: no null, no infinity
    else:
        assert response.status_code == 422
        assert response.json()["details"][0]["field"].startswith("rows.0")


async def test_rows_and_passes_up_to_their_limits_are_answered(client: httpx.AsyncClient) -> None:
    async def code_of(rows: int, **options: Any) -> str:
        response = await client.post("/predict", json={"rows": [HOUSE] * rows, **options})
        if response.status_code == 200:
            return "ok"
        assert response.status_code == 422
        assert "MCD_MAX_" in response.json()["error"]
        return str(response.json()["code"])

    assert await code_of(50) == "ok"
    assert await code_of(51, passes=2) == "limit_exceeded"
    assert await code_of(50, passes=101) == "limit_exceeded"
    assert await code_of(10, passes=100, samples=True) == "ok"
    assert await code_of(10, passes=101, samples=True) == "limit_exceeded"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"content-type": "application/json"}, 200),
        ({"content-type": "Application/JSON; charset=utf-8"}, 200),
        ({"content-type": "application/vnd.api+json"}, 200),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/jsonish"}, 415),
        ({"content-type": ""}, 415),
        ({"content-type": "\xff\xfe"}, 415),
        ({"content-type": "application/json", "content-encoding": "br"}, 415),
    ],
)
async def test_json_is_taken_when_the_headers_say_json_or_nothing(
    client: httpx.AsyncClient, headers: dict[str, str], status: int
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    response = await client.post("/predict", content=f'{{"rows": [{ROW}]}}', headers=raw)
    assert response.status_code == status
    if status == 415:
        assert ErrorBody.model_validate_json(response.content).code == "unsupported_media_type"


async def test_a_form_as_curl_sends_it_by_default_is_told_which_header_to_add(
    client: httpx.AsyncClient,
) -> None:
    headers = {"content-type": "application/x-www-form-urlencoded"}
    response = await client.post("/predict", content="{}", headers=headers)
    assert "Content-Type: application/json" in response.json()["error"]


async def test_a_body_that_is_too_large_is_refused_before_it_is_read(
    client: httpx.AsyncClient,
) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        while read < 10_000_000:
            read += 10_000
            yield b" " * 10_000

    streamed = await client.post("/predict", content=endless(), headers=JSON)
    assert read <= 120_000
    read = 0
    announced = await client.post(
        "/predict", content=endless(), headers={**JSON, "content-length": "10000000"}
    )
    for response in (streamed, announced):
        assert response.status_code == 413
        assert ErrorBody.model_validate_json(response.content).code == "body_too_large"
        assert "100000 bytes (MCD_MAX_BODY_BYTES)" in response.json()["error"]


async def test_a_body_of_just_the_largest_size_is_read(client: httpx.AsyncClient) -> None:
    body = f'{{"rows": [{ROW}]}}'
    assert (await post(client, body + " " * (100_000 - len(body)))).status_code == 200
    assert (await post(client, body + " " * (100_001 - len(body)))).status_code == 413


async def test_an_unknown_model_is_a_404_that_names_the_known_ones(
    client: httpx.AsyncClient,
) -> None:
    for name in ("nobody", "%ff%00", "x" * 5000):
        for response in (
            await client.get(f"/models/{name}"),
            await client.post(f"/models/{name}/predict", content=b"not read"),
        ):
            error = ErrorBody.model_validate_json(response.content)
            assert (response.status_code, error.code) == (404, "unknown_model")
    error = ErrorBody.model_validate_json((await client.get("/models/nobody")).content)
    assert (
        error.error
        == "there is no model 'nobody'; there are regression, two_targets, binary, multiclass"
    )


@settings(derandomize=True, deadline=None, max_examples=400)
@given(native_bodies)
async def test_any_body_has_a_finite_answer_or_an_error_in_the_one_shape(
    client: httpx.AsyncClient, body: bytes
) -> None:
    response = await post(client, body)
    if response.status_code == 200:
        PredictResponse.model_validate_json(response.content)
    else:
        assert response.status_code in (400, 422)
        ErrorBody.model_validate_json(response.content)


async def test_bad_requests_do_not_disturb_the_good_ones_beside_them(
    client: httpx.AsyncClient,
) -> None:
    good = f'{{"rows": [{ROW}], "seed": 3}}'
    bodies = [good, '{"rows": [[NaN]]}', '{"rows": [{}]}', "[" * 5000] * 10
    responses = await asyncio.gather(*(post(client, body) for body in bodies))
    assert [response.status_code for response in responses] == [200, 400, 422, 400] * 10
    means = [response.json()["predictions"][0]["mean"] for response in responses[::4]]
    assert means == pytest.approx([means[0]] * 10, rel=1e-5)
