"""What stands around Ray's proxy: here a small application answers as that proxy does."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from starlette.responses import PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from app import errors
from app.ray_proxy import LOST, OF_RAY, TOO_LARGE, TOO_SLOW, Front, middleware

pytestmark = pytest.mark.anyio


def client(app: ASGIApp, *, most: int = 10, seconds: float = 5.0) -> httpx.AsyncClient:
    front = Front(app, max_body_bytes=most, arrival_seconds=seconds)
    return httpx.AsyncClient(transport=httpx.ASGITransport(front), base_url="http://test")


def says(status: int, **headers: str) -> Callable[..., Any]:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await PlainTextResponse("of Ray", status, headers)(scope, receive, send)

    return app


async def reads(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers as the application, after the body; nothing if the client has left."""
    body = b""
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        body += message["body"]
        if not message["more_body"]:
            break
    headers = {"x-content-type-options": "nosniff", "x-request-id": "1"}
    response = Response(body, headers=headers)
    response.raw_headers.append((b"X-Request-ID", b"1"))
    await response(scope, receive, send)


def test_the_codes_are_those_of_the_service() -> None:
    rows = {(row.code, row.status) for row in errors.error_rows()}
    assert {(each.code, each.status) for each in (*OF_RAY.values(), TOO_LARGE, TOO_SLOW)} <= rows
    assert (LOST.code, LOST.status, LOST.retry_after) == (
        errors.NotReady.code,
        errors.NotReady.status,
        errors.NotReady.retry_after_seconds,
    )


@pytest.mark.parametrize(
    ("status", "expected", "code"),
    [
        (404, 404, "not_found"),
        (408, 504, "deadline_exceeded"),
        (429, 429, "overloaded"),
        (500, 503, "not_ready"),
        (503, 503, "not_ready"),
    ],
)
async def test_what_ray_says_gets_the_form_of_the_service(
    status: int, expected: int, code: str
) -> None:
    async with client(says(status)) as asked:
        answer = await asked.get("/predict", headers={"x-request-id": "abc"})
    assert (answer.status_code, answer.headers["x-request-id"]) == (expected, "abc")
    error = errors.ErrorBody.model_validate_json(answer.content)
    assert (error.code, error.details) == (code, [])
    assert ("retry-after" in answer.headers) is (expected in (429, 503))


async def test_a_replica_that_ends_before_its_answer_is_a_503() -> None:
    async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
        """What Ray's proxy does then."""

    async with client(nothing) as asked:
        answer = await asked.post("/predict", content=b"{}")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert answer.json()["code"] == "not_ready"
    assert answer.headers["x-request-id"]


async def test_the_proxys_own_paths_are_left_as_they_are() -> None:
    async with client(says(503)) as asked:
        assert (await asked.get("/-/healthz")).text == "of Ray"


async def test_an_answer_of_the_application_passes_with_one_request_id() -> None:
    async with client(reads) as asked:
        answer = await asked.post("/predict", content=b"0123456789")
    assert answer.content == b"0123456789"
    assert answer.headers.get_list("x-request-id") == ["1"]


async def test_a_body_over_the_limit_is_refused_as_it_is_announced_or_when_it_has_come() -> None:
    async def pieces() -> Any:
        for _ in range(3):
            yield b"01234"

    async with client(reads) as asked:
        for content in (b"01234567890", pieces()):
            answer = await asked.post("/predict", content=content)
            assert (answer.status_code, answer.headers["connection"]) == (413, "close")
            assert "10 bytes (MCD_MAX_BODY_BYTES)" in answer.json()["error"]


async def test_a_body_that_does_not_arrive_in_time_is_refused() -> None:
    async def slow() -> Any:
        yield b"0"
        await asyncio.sleep(60)
        yield b"1"

    async with client(reads, seconds=0.05) as asked:
        answer = await asked.post("/predict", content=slow())
    assert (answer.status_code, answer.json()["code"]) == (408, "request_timeout")


def test_the_limits_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCD_MAX_BODY_BYTES", "2048")
    [found] = middleware()
    assert found.cls is Front
    assert found.kwargs == {"max_body_bytes": 2048, "arrival_seconds": 60.0}
