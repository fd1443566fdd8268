"""The files of the playground as the server sends them."""

import re
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI, Request

from app.pages.static_file import StaticFile
from model import load, shipped
from model.data.examples import example

pytestmark = pytest.mark.anyio

STATIC = Path(__file__).parents[3] / "app/pages/static"
FILES = sorted(path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file())
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize("prefix", ["", "/mcd"])
async def test_every_file_is_found_below_any_prefix_with_its_type(
    app: FastAPI, prefix: str
) -> None:
    transport = httpx.ASGITransport(app, root_path=prefix)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        page = await client.get(f"{prefix}/?from=elsewhere")
        assert page.content == (STATIC / "index.html").read_bytes()
        assert page.headers["content-type"].startswith("text/html")
        for path in FILES:
            answer = await client.get(f"{prefix}/static/{path}")
            assert answer.content == (STATIC / path).read_bytes(), path
            kind = answer.headers["content-type"].partition(";")[0]
            assert (
                kind
                == {
                    "css": "text/css",
                    "html": "text/html",
                    "js": "text/javascript",
                    "json": "application/json",
                    "svg": "image/svg+xml",
                    "txt": "text/plain",
                }[path.rpartition(".")[2]]
            )


async def test_the_page_has_the_policy_and_nothing_that_the_policy_would_stop(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/")
    assert page.headers["content-security-policy"] == POLICY
    assert not re.findall(r"<script(?![^>]* src=)|<style|style=|\son\w+=|https?://", page.text)
    for path in FILES:
        if path.endswith(".js") and not path.startswith("vendor/"):
            code = (STATIC / path).read_text()
            assert not re.findall(r"innerHTML|insertAdjacentHTML|\beval\(|new Function", code), path
            assert not re.findall(r"[\"'`]https?://(?!www\.w3\.org/)", code), path


async def test_a_browser_that_has_a_file_is_not_sent_it_again(client: httpx.AsyncClient) -> None:
    for path in ("/", "/static/js/app.js"):
        first = await client.get(path)
        tag = first.headers["etag"]
        assert first.headers["cache-control"] == "no-cache"
        for sent in (tag, f'"other", {tag.removeprefix("W/")}', "*"):
            again = await client.get(path, headers={"if-none-match": sent})
            assert again.status_code == 304
            assert not again.content
            for name in ("etag", "cache-control", "content-security-policy", "vary"):
                assert again.headers[name] == first.headers[name], name
        other = await client.get(path, headers={"if-none-match": '"other"'})
        assert other.status_code == 200
        head = await client.head(path)
        assert not head.content
        assert (head.status_code, head.headers["etag"]) == (200, tag)


async def test_a_file_is_compressed_for_a_browser_that_takes_that(
    client: httpx.AsyncClient,
) -> None:
    path = "/static/vendor/uPlot.iife.min.js"
    for encoding in ("gzip", "deflate"):
        answer = await client.get(path, headers={"accept-encoding": encoding})
        assert answer.headers["content-encoding"] == encoding
        assert answer.headers["vary"] == "Accept-Encoding"
        assert int(answer.headers["content-length"]) < len(answer.content) / 2
    plain = await client.get(path, headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers


def test_a_file_is_compressed_once() -> None:
    """And not for every request, on the event loop: two answers have the same bytes in memory."""
    file = StaticFile.of(b"let dropout = 0.1;\n" * 10_000, ".js")
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
    request = Request({**scope, "headers": [(b"accept-encoding", b"gzip")]})
    first, second = file.answer(request), file.answer(request)
    assert first.headers["content-encoding"] == "gzip"
    assert first.body is second.body


@pytest.mark.parametrize(
    "path", ["", "nothing.js", "../playground.py", "..%2fplayground.py", "js", "js/", "/etc/passwd"]
)
async def test_there_is_nothing_else_below_static(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.get(f"/static/{path}")
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


async def test_the_example_rows_are_rows_of_the_data_that_the_shipped_models_learned_from() -> None:
    text = (STATIC / "js/examples.js").read_text()
    for folder in shipped():
        card = load(folder).card
        (rows,) = re.findall(rf'"{card.training.data}": \[\n(.*?)\n  \]', text, re.S)
        table = example(card.training.data)
        columns = [table.columns[feature.name] for feature in card.features]
        real = {tuple(map(float, row)) for row in zip(*columns, strict=True)}
        shown = [tuple(map(float, row.split(","))) for row in re.findall(r"\[(.*)\]", rows)]
        assert len(shown) > 3
        assert set(shown) <= real
