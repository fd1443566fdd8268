"""What every answer has, whoever asks and whatever happens."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message

from app.logs import JsonFormatter, configure
from app.main import create_app
from app.settings import Settings

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
PATHS = ("/models", "/nowhere", "/predict", "/v2/health/live", "/docs", "/docs/swagger-ui.css")


async def client_of(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client,
    ):
        yield client


@pytest.mark.parametrize("path", PATHS)
async def test_every_answer_has_the_security_headers(client: httpx.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    if headers["content-type"] == "application/json":  # of which no browser makes a page
        return
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe-eval" not in policy
    scripts = policy.partition("script-src")[2].partition(";")[0]
    assert "unsafe-inline" not in scripts
    assert "http" not in policy


@pytest.mark.parametrize("path", PATHS)
async def test_a_header_is_there_once_however_often_one_asks(
    client: httpx.AsyncClient, path: str
) -> None:
    names = [name for name, _ in (await client.get(path)).headers.multi_items()]
    again = [name for name, _ in (await client.get(path)).headers.multi_items()]
    assert again == names
    assert len(set(names)) == len(names)


async def test_other_origins_are_not_let_in_by_default(client: httpx.AsyncClient) -> None:
    sent = {"origin": "https://example.org", "access-control-request-method": "POST"}
    response = await client.options("/predict", headers=sent)
    assert response.status_code == 405
    for answer in (response, await client.get("/models", headers=sent)):
        assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_a_time_that_is_over_is_a_504_and_one_that_is_no_time_a_422(
    client: httpx.AsyncClient,
) -> None:
    sent = {"rows": [HOUSE] * 12, "passes": 400}

    async def status(seconds: str) -> int:
        headers = {"x-request-timeout-seconds": seconds}
        return (await client.post("/predict", json=sent, headers=headers)).status_code

    assert await status("20") == 200
    assert await status("1e-6") == 504
    for wrong in ("0", "-1", "soon", "nan", "inf", ""):
        assert await status(wrong) == 422


async def test_head_is_answered_as_get_is_without_a_body(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    (version, *_) = (await client.get("/v2/models/regression")).json()["versions"]
    names = {"name": "regression", "version": version}
    paths = [path for path, methods in app.openapi()["paths"].items() if "get" in methods]
    for path in [*paths, "/", "/learn", "/docs", "/openapi.json", "/static/css/page.css"]:
        asked = path.format(**names)
        got, head = await client.get(asked), await client.head(asked)
        stored = not path.endswith("/landscape")  # these models have none
        assert head.status_code == got.status_code == (200 if stored else 404), asked
        assert head.content == b""
        assert head.headers["content-type"] == got.headers["content-type"]
        if path != "/metrics":  # which counts the time of the process
            assert head.headers["content-length"] == got.headers["content-length"]


async def test_a_client_that_leaves_frees_the_thread(slow_artifact: Path) -> None:
    app = create_app(Settings(models=(slow_artifact,)))
    async for client in client_of(app):
        body = json.dumps({"rows": [HOUSE] * 900, "passes": 10_000, "masks": "per_row"}).encode()
        received: asyncio.Queue[Message] = asyncio.Queue()
        received.put_nowait({"type": "http.request", "body": body, "more_body": False})
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)  # noqa: B023

        scope = {
            "type": "http",
            "method": "POST",
            "path": "/predict",
            "raw_path": b"/predict",
            "headers": [],
            "query_string": b"",
            "http_version": "1.1",
        }
        leaving = asyncio.create_task(app(scope, received.get, send))
        await asyncio.sleep(0.1)
        received.put_nowait({"type": "http.disconnect"})
        async with asyncio.timeout(1):
            await leaving
            assert (await client.post("/predict", json={"rows": [HOUSE]})).status_code == 200
        assert not sent
        text = (await client.get("/metrics")).text
        assert 'outcome="cancelled"} 1.0' in text


async def test_a_request_is_logged_with_its_id_and_nothing_of_its_content(
    artifacts: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    app = create_app(Settings(models=(artifacts["regression"],)))
    caplog.set_level(logging.DEBUG)
    async for client in client_of(app):
        secret = {**HOUSE, "quarter": "swordfish"}
        await client.post(
            "/predict?q=swordfish",
            json={"rows": [secret]},
            headers={"x-request-id": "id-1", "cookie": "swordfish", "x-api-key": "swordfish"},
        )
        await client.get("/models", headers={"x-request-id": "id-2"})
    lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
    lines = [line for line in lines if line["logger"].startswith("app")]  # not the test's client
    assert not [line for line in lines if "swordfish" in json.dumps(line)]
    ours = {line["request_id"]: line for line in lines if line["logger"] == "app.access"}
    assert (ours["id-1"]["path"], ours["id-1"]["status"]) == ("/predict", 422)
    assert (ours["id-2"]["method"], ours["id-2"]["status"]) == ("GET", 200)
    assert ours["id-1"]["milliseconds"] > 0


def test_log_lines_are_json_objects_or_text_as_the_settings_say(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        for form in ("json", "text"):
            configure(Settings(log_format=form))  # type: ignore[arg-type]
            logging.getLogger("app").warning("two\nlines")
            logging.getLogger("app.access").info("request")
            text = capsys.readouterr().err
            if form == "json":
                line = json.loads(text)
                assert (line["level"], line["message"]) == ("warning", "two\nlines")
                assert text.count("\n") == 1
            else:
                assert text == "WARNING app: two\nlines\n"
    finally:
        logging.basicConfig(handlers=handlers, level=level, force=True)
        logging.getLogger("app.access").setLevel(logging.NOTSET)
