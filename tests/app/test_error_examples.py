"""Every example of an error in the document is an answer of the service, word for word."""

import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.error_examples import ERROR_EXAMPLES
from app.errors import error_rows
from app.main import create_app
from app.settings import Settings
from model import shipped

pytestmark = pytest.mark.anyio

KEY = "0123456789abcdef"
ROW = [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]
TENSOR = {"name": "input", "shape": [1, 10], "datatype": "FP64", "data": ROW}

INFER = "/v2/models/diabetes/infer"
ELSEWHERE = {"not_http", "request_timeout", "overloaded", "cross_origin"}  # see their own tests


def text(rows: Any, **options: Any) -> str:
    return json.dumps({"rows": rows, **options})


def tensors(*, data: list[Any] = ROW, shape: tuple[int, int] = (1, 10), **options: Any) -> str:
    tensor = TENSOR | {"data": data, "shape": shape}
    return json.dumps({"inputs": [tensor], "parameters": options})


NATIVE = {
    "not_json": '{"rows": [[1',
    "not_finite": '{"rows": [[59, 2, NaN]]}',
    "duplicate_key": '{"rows": [], "rows": []}',
    "body_too_large": " " * (Settings().max_body_bytes + 1),
    "invalid_request": text([ROW], passes="many"),
    "limit_exceeded": text([ROW], passes=1_000_000),
    "invalid_input": text([[59, 2, "high", *ROW[3:]]]),
    "not_calibrated": text([ROW], coverage=0.9999),
    "unsupported_media_type": "rows",
    "deadline_exceeded": text([ROW] * 1000, passes=10_000),
}
TENSORS = {
    **NATIVE,
    "not_json": '{"inputs": [',
    "not_finite": '{"inputs": [{"name": "input", "data": [59, 2, NaN]}]}'.replace(" ", ""),
    "duplicate_key": '{"inputs": [], "inputs": []}',
    "invalid_request": tensors(shape=(2, 10)),
    "limit_exceeded": tensors(passes=1_000_000),
    "invalid_input": tensors(data=[59, 2, 1e300, *ROW[3:]]),
    "not_calibrated": tensors(coverage=0.9999),
    "deadline_exceeded": tensors(data=ROW * 1000, shape=(1000, 10), passes=10_000),
}


def one_row(row: Any = ROW, **options: Any) -> str:
    return json.dumps({"row": row, "feature": "age", **options})


SWEEP = {
    **NATIVE,
    "not_json": '{"row": [123',
    "not_finite": '{"row": [59, 2, NaN]}',
    "duplicate_key": '{"row": [], "row": []}',
    "invalid_request": one_row(passes="many"),
    "limit_exceeded": one_row(passes=1_000_000),
    "invalid_input": one_row([59, 2, "high", *ROW[3:]]),
    "not_calibrated": one_row(coverage=0.9999),
    "deadline_exceeded": one_row(points=1000, passes=10_000),
}
EXPLAIN = {
    code: body.replace('"feature": "age", ', "").replace(', "feature": "age"', "")
    for code, body in SWEEP.items()
    if code not in ("not_calibrated", "deadline_exceeded")
} | {"deadline_exceeded": json.dumps({"row": ROW, "passes": 10_000, "background_rows": 20})}


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(Settings())
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        yield client


async def answer(client: httpx.AsyncClient, path: str, code: str, body: str) -> httpx.Response:
    sent = {
        "content-type": "text/plain" if code == "unsupported_media_type" else "application/json"
    }
    if code == "deadline_exceeded":
        sent["x-request-timeout-seconds"] = "0.05"
    return await client.post(path, content=body, headers=sent)


def examples(document: dict[str, Any], method: str, path: str) -> Iterator[tuple[str, str, Any]]:
    """Status, code and body of every example of an error of an operation."""
    for status, response in document["paths"][path][method]["responses"].items():
        if status != "200":
            for code, example in response["content"]["application/json"]["examples"].items():
                yield status, code, example["value"]


async def test_every_status_of_every_operation_has_its_own_examples(
    client: httpx.AsyncClient,
) -> None:
    document = (await client.get("/openapi.json")).json()
    statuses = {row.code: str(row.status) for row in error_rows()}
    for path, methods in document["paths"].items():
        for method in methods:
            found = list(examples(document, method, path))
            assert {each[0] for each in found} == {*methods[method]["responses"]} - {"200"}
            for status, code, body in found:
                of_v2 = "400" if path.startswith("/v2/") or path == "/v2" else "422"
                own = of_v2 if statuses[code] == "422" else statuses[code]
                assert status in (own, "default"), (path, code)
                assert body["code"] == code
    assert ERROR_EXAMPLES.keys() == statuses.keys()


@pytest.mark.parametrize(
    ("path", "asked", "bodies"),
    [
        ("/predict", "/predict", NATIVE),
        ("/models/{name}/predict", "/models/diabetes/predict", NATIVE),
        ("/v2/models/{name}/infer", INFER, TENSORS),
        ("/sweep", "/sweep", SWEEP),
        ("/models/{name}/explain", "/models/diabetes/explain", EXPLAIN),
    ],
)
async def test_the_examples_of_predictions_are_what_the_service_answers(
    client: httpx.AsyncClient, path: str, asked: str, bodies: dict[str, str]
) -> None:
    document = (await client.get("/openapi.json")).json()
    for status, code, example in examples(document, "post", path):
        if code in bodies:
            response = await answer(client, asked, code, bodies[code])
            assert (str(response.status_code), response.json()) == (status, example)


async def test_the_other_examples_are_what_the_service_answers(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    document = (await client.get("/openapi.json")).json()
    version = "/v2/models/{name}/versions/{version}"
    shown = {
        (method, path, code): body
        for path, methods in document["paths"].items()
        for method in methods
        for _, code, body in examples(document, method, path)
    }
    for method, path, code, asked in (
        ("get", "/models", "invalid_request", "/models?rows=1"),
        ("get", "/models/{name}", "unknown_model", "/models/diabetis"),
        ("get", "/v2", "invalid_request", "/v2?rows=1"),
        ("get", version, "unknown_model", "/v2/models/diabetes/versions/1"),
        ("post", f"{version}/infer", "unknown_model", "/v2/models/diabetes/versions/1/infer"),
        ("post", "/predict", "not_found", "/predictions"),
    ):
        assert (await client.request(method, asked)).json() == shown[method, path, code]
    assert (await client.put("/predict")).json() == shown["get", "/models", "method_not_allowed"]
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    guarded = create_app(Settings(api_keys_file=keys, rate_limit=1))
    transport = httpx.ASGITransport(guarded)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as other:
        found = (await other.get("/v2/health/ready")).json()
        assert found == shown["get", "/v2/health/ready", "not_ready"]
        for code, sent in (
            ("unauthorized", {}),
            ("not_found", {"x-api-key": KEY}),
            ("rate_limited", {"x-api-key": KEY}),
        ):
            found = (await other.get("/predictions", headers=sent)).json()
            assert found == shown["get", "/metrics", code]


async def test_a_landscape_that_is_missing_is_said_as_shown(
    client: httpx.AsyncClient, tmp_path: Path
) -> None:
    document = (await client.get("/openapi.json")).json()
    path = "/models/{name}/landscape"
    shown = {code: body for _, code, body in examples(document, "get", path)}
    folder = tmp_path / "diabetes"
    shutil.copytree(shipped()[0], folder, ignore=lambda *_: ["landscape.json"])
    app = create_app(Settings(models=(folder,)))
    transport = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as other,
    ):
        found = await other.get("/models/diabetes/landscape")
    assert (found.status_code, found.json()) == (404, shown["no_landscape"])
    for other_path, methods in document["paths"].items():
        for method in methods:
            codes = {code for _, code, _ in examples(document, method, other_path)}
            assert ("no_landscape" in codes) is (other_path == path)


async def test_every_error_is_provoked_here_or_elsewhere() -> None:
    here = {*NATIVE, "unknown_model", "not_found", "method_not_allowed"}
    here |= {"unauthorized", "rate_limited", "not_ready", "no_landscape"}
    assert here | ELSEWHERE == {row.code for row in error_rows()}
