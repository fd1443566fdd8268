"""What the v2 routes refuse, and that whatever is sent has an answer or a reason."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from starlette.types import Message

from app.errors import ErrorBody
from app.main import create_app
from app.settings import Settings
from app.v2.schemas import InferResponse
from tests.app.bodies import v2_messages
from tests.app.inference import HEADER, HOUSE, NUMBERS, house, refused, request

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def client(limited_v2: httpx.AsyncClient) -> httpx.AsyncClient:
    return limited_v2


@pytest.mark.parametrize(
    ("inputs", "word"),
    [
        ([], "'area' is missing"),
        (house(rooms=None), "'rooms' is missing"),
        ([*house(), house()[0]], "'area' is there 2 times"),
        ([*house(), house()[0] | {"name": "more"}], "'more' is not known"),
        ([house()[0] | {"name": "input"}], "a tensor per feature: area, rooms, quarter"),
        ([*house(), house()[0] | {"name": "input"}], "'input' is not known"),
        (house(quarter={"data": ["west"]}), "unknown category 'west'; known: east"),
        (house(quarter={"data": [5]}), "there is a number"),
        (house(quarter={"datatype": "INT8", "data": [5]}), "unknown category 5"),
        (house(area={"datatype": "BYTES", "data": ["54 m"]}), "not a number"),
        (house(area={"shape": [2], "data": [54, 54]}), "number of rows: [1, 2]"),
        (house(area={"shape": [1, 2], "data": [54, 54]}), "[rows] or [rows, 1]"),
        (house(area={"shape": [1, 1, 2], "data": [54, 54]}), "[rows] or [rows, 1]"),
        (None, "must be an array"),
        ({}, "must be an array"),
        ("area", "must be an array"),
        ([None], "inputs.0"),
        ([[]], "inputs.0"),
        ([{}], "inputs.0.name: is missing"),
        ([{}] * 5000, "inputs.0.name: is missing"),
    ],
)
async def test_wrong_inputs_are_refused_with_what_is_wrong(
    client: httpx.AsyncClient, inputs: Any, word: str
) -> None:
    assert word in (await refused(client, HOUSE, json.dumps({"inputs": inputs}))).error


@pytest.mark.parametrize(
    ("rest", "word"),
    [
        (
            {"outputs": [{"name": "median"}]},
            "there is no 'median' (did you mean 'mean'?); there are",
        ),
        ({"outputs": [{"name": "mean"}, {"name": "label"}]}, "outputs.1: there is no 'label'"),
        ({"outputs": [{"name": "mean"}] * 2}, "'mean' is there 2 times"),
        ({"outputs": [{}]}, "outputs.0.name"),
        ({"outputs": ["mean"]}, "outputs.0"),
        ({"outputs": "mean"}, "outputs"),
        (
            {"outputs": [{"name": "mean", "parameters": {"binary_data": 1}}]},
            "must be true or false",
        ),
        ({"outputs": [{"name": "mean", "parameters": {"classification": 2}}]}, "classification"),
        (
            {"outputs": [{"name": "mean", "parameters": {"shared_memory_region": "x"}}]},
            "shared_memory_region",
        ),
        ({"parameters": {"binary_data_output": "yes"}}, "must be true or false"),
        ({"parameters": {"passes": 1}}, "passes"),
        ({"parameters": {"passes": "7"}}, "passes"),
        ({"parameters": {"passes": 401}}, "MCD_MAX_PASSES"),
        ({"parameters": {"passes": 10**18}}, "MCD_MAX_PASSES"),
        ({"parameters": {"seed": -1}}, "seed"),
        ({"parameters": {"seed": 2**63}}, "seed"),
        ({"parameters": {"coverage": 1}}, "coverage"),
        ({"parameters": {"estimator": "best"}}, "estimator"),
        ({"parameters": {"masks": []}}, "masks"),
        ({"parameters": {"tolerance": 0}}, "tolerance"),
        ({"parameters": {"tolerance": 0.1}, "outputs": [{"name": "samples"}]}, "tolerance"),
        ({"parameters": {"timeout": -1}}, "parameters.timeout"),
        ({"parameters": {"timeout": "1"}}, "parameters.timeout"),
        ({"parameters": [1]}, "parameters"),
        ({"id": 7}, "id"),
    ],
)
async def test_wrong_options_and_outputs_are_refused_by_their_name(
    client: httpx.AsyncClient, rest: dict[str, Any], word: str
) -> None:
    assert word in (await refused(client, HOUSE, request(**rest))).error


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "not_json"),
        (b" \n", "not_json"),
        (b"\xef\xbb\xbf" + request().encode(), "not_json"),
        (request().encode("utf-16"), "not_json"),
        (request().encode()[:-1], "not_json"),
        (request().encode() * 2, "not_json"),
        (request().replace('"east"', '"\\ud800"').encode(), "not_json"),
        (request().replace("east", "\xe9").encode("latin-1"), "not_json"),
        (request().replace("54.0", "NaN").encode(), "not_finite"),
        (request().replace("54.0", "-Infinity").encode(), "not_finite"),
        (request().replace("54.0", "1e999").encode(), "not_finite"),
        (b"[" * 60_000, "not_json"),
        (b"[" * 90_000, "limit_exceeded"),
        (b'{"inputs":' * 9_000, "not_json"),
        (b'{"inputs": ' + b"[" * 900 + b"]" * 900 + b"}", "invalid_request"),
        (request().replace("54.0", "[" * 900 + "]" * 900).encode(), "invalid_request"),
        (b'{"inputs": [], "inputs": []}', "duplicate_key"),
        (request().replace('"shape": [1]', '"shape": [1], "shape": [1]').encode(), "duplicate_key"),
        (b"null", "invalid_request"),
        (b"[]", "invalid_request"),
        (b"7", "invalid_request"),
        (b"{}", "invalid_request"),
    ],
)
async def test_what_is_no_json_request_is_refused(
    client: httpx.AsyncClient, content: bytes, code: str
) -> None:
    assert (await refused(client, HOUSE, content)).code == code


@pytest.mark.parametrize(
    "headers",
    [
        {"content-encoding": "br"},
        {"content-encoding": "gzip, gzip"},
        {"content-type": "text/csv"},
        {"content-type": "multipart/form-data; boundary=x"},
    ],
)
async def test_another_type_or_encoding_is_a_415(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    error = await refused(client, HOUSE, request(), headers, status=415)
    assert error.code == "unsupported_media_type"


@pytest.mark.parametrize(
    "path",
    [
        "/v2/models/nobody",
        "/v2/models/nobody/ready",
        "/v2/models/nobody/versions/1",
        "/v2/models/regression/versions/1",
        "/v2/models/regression/versions/1/ready",
        "/v2/models/%ff%00/versions/%ff",
        "/v2/models/nobody/infer",
        "/v2/models/regression/versions/1/infer",
        "/v2/models/" + "x" * 5000 + "/infer",
    ],
)
async def test_an_unknown_model_or_version_is_a_404(client: httpx.AsyncClient, path: str) -> None:
    method = "POST" if path.endswith("infer") else "GET"
    response = await client.request(method, path, content=b"not read")
    error = ErrorBody.model_validate_json(response.content)
    assert (response.status_code, error.code) == (404, "unknown_model")
    assert "version" in error.error or "regression" not in path


@pytest.mark.parametrize(
    "path", ["/v3", "/v2/model", "/v2/models/regression/", "/v2/models/regression/infer/"]
)
async def test_an_unknown_path_is_a_404(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST"):
        response = await client.request(method, path)
        error = ErrorBody.model_validate_json(response.content)
        assert (response.status_code, error.code) == (404, "not_found")


@pytest.mark.parametrize(
    "path", ["/v2", "/v2/", "/v2/models/regression", "/v2/models/regression/ready", HOUSE]
)
async def test_a_wrong_method_is_a_405(client: httpx.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "PUT", "DELETE", "BREW"):
        if (method == "POST") is (path == HOUSE) and method in ("GET", "POST"):
            continue
        response = await client.request(method, path, content=b"{")
        error = ErrorBody.model_validate_json(response.content)
        assert (response.status_code, error.code) == (405, "method_not_allowed")


@settings(derandomize=True, deadline=None, max_examples=500)
@given(v2_messages())
async def test_any_body_has_an_answer_or_an_error_in_the_one_shape(
    client: httpx.AsyncClient, message: tuple[bytes, dict[bytes, bytes]]
) -> None:
    content, named = message
    for path in (HOUSE, NUMBERS):
        response = await client.post(path, content=content, headers=named)
        if response.status_code == 200:
            at = int(response.headers.get(HEADER, len(response.content)))
            InferResponse.model_validate_json(response.content[:at])
        else:
            assert response.status_code == 400
            ErrorBody.model_validate_json(response.content)


async def test_a_client_waits_no_longer_than_its_timeout(client: httpx.AsyncClient) -> None:
    for microseconds in (1, 50):
        body = request(parameters={"timeout": microseconds, "passes": 400})
        error = await refused(client, HOUSE, body, status=504)
        assert error.code == "deadline_exceeded"
    for microseconds in (0, 30_000_000, 10**18):
        body = request(parameters={"timeout": microseconds})
        assert (await client.post(HOUSE, content=body)).status_code == 200
    body = request(parameters={"timeout": 30_000_000})
    short, wrong = {"x-request-timeout-seconds": "1e-5"}, {"x-request-timeout-seconds": "soon"}
    await refused(client, HOUSE, body, short, status=504)
    await refused(client, HOUSE, body, wrong)


async def test_a_client_that_leaves_while_it_sends_is_no_fault_of_the_server(
    artifacts: dict[str, Path],
) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "http_version": "1.1", "headers": [], "query_string": b""}
    async with app.router.lifespan_context(app):
        path = {"method": "POST", "path": HOUSE, "raw_path": HOUSE.encode()}
        await app({**scope, **path}, receive, send)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            text = (await client.get("/metrics")).text
    assert sent[0]["status"] == 400
    assert 'mcd_requests_total{model="regression",outcome="cancelled"} 1.0' in text


async def test_bad_requests_do_not_disturb_the_good_ones_after_them(
    client: httpx.AsyncClient,
) -> None:
    good = request(parameters={"seed": 3})
    contents = []
    for bad in (b"[", request(outputs=[{"name": "x"}]), good.replace("54.0", "NaN")):
        await refused(client, HOUSE, bad)
        contents.append((await client.post(HOUSE, content=good)).json()["outputs"])
    assert contents[0] == contents[1] == contents[2]
