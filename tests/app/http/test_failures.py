from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from app.errors import ErrorBody
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

PATHS = (
    "/predict",
    "/models",
    "/models/regression",
    "/models/regression/predict",
    "/v2/health/live",
    "/v2/health/ready",
    "/metrics",
    "/docs",
    "/docs/swagger-ui.css",
    "/openapi.json",
    "/",
    "/static/js/app.js",
)


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/nowhere",
        "/predict/",
        "/models/",
        "http://test//predict",  # without the host, httpx would take `predict` for one
        "/docs/setup.py",
        "/%ff%00",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "BREW"])
async def test_an_unknown_path_is_a_404_in_the_one_shape(
    client: httpx.AsyncClient, path: str, method: str
) -> None:
    response = await client.request(method, path, content=b"\xff" * 100)
    error = ErrorBody.model_validate_json(response.content)
    if path == "/docs/setup.py" and method != "GET":
        assert (response.status_code, error.code) == (405, "method_not_allowed")
    else:
        assert (response.status_code, error.code) == (404, "not_found")
    assert response.headers["x-request-id"]


@pytest.mark.parametrize("path", PATHS)
async def test_a_wrong_method_is_a_405_that_says_which_are_right(
    client: httpx.AsyncClient, path: str
) -> None:
    right = ("POST",) if path.endswith("/predict") else ("GET", "HEAD")
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"):
        response = await client.request(method, path, content=b"[")
        if method in right:
            assert response.status_code == (400 if method == "POST" else 200)
            continue
        assert response.status_code == 405
        assert response.headers["allow"] == ", ".join(right)
        if method != "HEAD":  # whose answers have no body
            assert ErrorBody.model_validate_json(response.content).code == "method_not_allowed"


async def test_a_sane_request_id_is_returned_and_any_other_replaced(
    client: httpx.AsyncClient,
) -> None:
    async def id_of(sent: bytes | None, path: str = "/models") -> str:
        headers = [(b"x-request-id", sent)] if sent is not None else []
        return (await client.get(path, headers=headers)).headers["x-request-id"]

    assert await id_of(b"abc-123") == "abc-123"
    assert await id_of(b"abc-123", "/nowhere") == "abc-123"
    made = [await id_of(sent) for sent in (None, b"", b"a b", b"\xff", b"x" * 129, b"{}")]
    assert len(set(made)) == len(made)
    assert all(len(each) == 32 for each in made)


@pytest.mark.parametrize(
    "header",
    [
        (b"host", b"["),
        (b"host", b"\xff:x"),
        (b"cookie", b'a="\\777; =; \xff'),
        (b"accept", b"\x01"),
        (b"x-forwarded-for", b"'"),
        (b"content-length", b"-1"),
        (b"content-length", b"9" * 5000),
        (b"content-encoding", b"\xff"),
        (b"content-type", b"application/json;" * 500),
    ],
)
@pytest.mark.parametrize("path", ["/predict", "/nowhere", "/models?a=%ff&&=&a", "/docs/x"])
async def test_no_header_and_no_query_breaks_a_route(
    client: httpx.AsyncClient, path: str, header: tuple[bytes, bytes]
) -> None:
    for method in ("GET", "POST"):
        response = await client.request(method, path, headers=[header], content=b"{")
        if response.status_code != 200:
            assert 400 <= response.status_code < 500
            ErrorBody.model_validate_json(response.content)


@pytest.fixture
async def breaking(artifacts: dict[str, Path]) -> AsyncIterator[httpx.AsyncClient]:
    """An application with a route that fails in a way that nobody foresaw."""
    app = create_app(Settings(models=(artifacts["regression"],)))

    @app.get("/break")
    async def fail() -> None:
        raise ZeroDivisionError("the password is swordfish")

    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def test_what_nobody_foresaw_is_a_500_in_the_one_shape_that_tells_nothing(
    breaking: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    response = await breaking.get("/break", headers={"x-request-id": "abc"})
    error = ErrorBody.model_validate_json(response.content)
    assert (response.status_code, error.code) == (500, "internal_error")
    assert response.headers["x-request-id"] == "abc"
    assert "swordfish" not in response.text
    assert "abc" in error.error
    assert any("abc" in record.getMessage() for record in caplog.records)
    assert "swordfish" not in caplog.text


async def test_a_client_that_leaves_while_it_sends_breaks_nothing(app: FastAPI) -> None:
    left: Message = {"type": "http.disconnect"}
    assert (await raw(app, left, method="POST", path="/predict"))["status"] == 400


async def test_bytes_that_are_no_text_break_no_route(app: FastAPI) -> None:
    nothing: Message = {"type": "http.request", "body": b""}
    for path, status in (
        ("/nowhere", 404),
        ("/predict", 405),
        ("/models", 422),
        ("/metrics", 200),
    ):
        start = await raw(app, nothing, method="GET", path=path, query_string=b"\xff=\x00&%")
        assert start["status"] == status


async def raw(app: FastAPI, received: Message, **scope: Any) -> Message:
    """The start of the answer to a request that no HTTP client would send."""
    sent: list[Message] = []

    async def receive() -> Message:
        return received

    async def send(message: Message) -> None:
        sent.append(message)

    fixed = {"type": "http", "http_version": "1.1", "headers": [], "query_string": b""}
    await app({**fixed, "raw_path": scope["path"].encode(), **scope}, receive, send)
    return sent[0]
