"""Keys, prefixes, time limits, servers that go and come: by either client."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from mc_dropout_client import (
    Busy,
    Client,
    NotFound,
    TimedOut,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
)
from tests.client.asking import Connect
from tests.client.conftest import KEY
from tests.journeys.proxy import stripping
from tests.journeys.serving import ROW, Served, served


@contextmanager
def answering(status: int, body: bytes, **headers: str) -> Iterator[tuple[str, list[Any]]]:
    """The URL of a server that always answers so, and the headers of all requests to it."""
    seen: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            seen.append(self.headers)
            self.send_response(status)
            for name, value in {"content-length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_wrong_key_is_an_error_and_the_right_one_is_sent(ask: Connect, busy: Served) -> None:
    for key in (None, "a-wrong-key-of-the-tests"):
        with ask(busy.url, key=key) as client, pytest.raises(Unauthorized) as caught:
            client.models()
        assert (caught.value.status, caught.value.code) == (401, "unauthorized")
        assert "wrong-key" not in str(caught.value)
    with ask(busy.url, key=KEY) as client:
        assert client.models().default == "regression"


def test_a_server_behind_a_path_prefix_is_found(ask: Connect, small: Served) -> None:
    with stripping("/mcd", small.url) as url, ask(f"{url}/") as client:
        assert client.ready()
        assert client.model("binary").features[0].name == "area"
        assert len(client.predict([ROW], model="binary")) == 1


def test_a_server_that_restarts_between_requests_is_waited_for(
    ask: Connect, regression_artifact: Path, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ("--model", regression_artifact, "--port", port)

    with served(tmp_path, *options) as server, ask(server.url, concurrency=1) as client:
        expected = client.predict([ROW], seed=1)
        server.process.terminate()
        server.process.wait()
        assert not client.ready()
        started = time.monotonic()
        again = threading.Thread(
            target=serve_again, args=(tmp_path, options, client_done := threading.Event())
        )
        again.start()
        try:
            assert client.predict([ROW], seed=1) == expected
        finally:
            client_done.set()
            again.join()
        assert time.monotonic() - started < 60


def serve_again(folder: Path, options: tuple[Any, ...], until: threading.Event) -> None:
    """A server with these options, as long as the event is not set."""
    with served(folder, *options):
        until.wait()


def test_an_address_without_a_server_is_an_error_at_once(ask: Connect) -> None:
    started = time.monotonic()
    with ask("http://localhost:9") as client:
        assert not client.ready()
        with pytest.raises(Unreachable) as caught:
            client.models()
    assert (caught.value.status, caught.value.code) == (None, "unreachable")
    assert time.monotonic() - started < 5


def test_the_deadline_of_a_call_is_told_to_the_server_and_kept(ask: Connect, small: Served) -> None:
    rows, started = [ROW] * 90_000, time.monotonic()
    with ask(small.url) as client, pytest.raises(TimedOut) as caught:
        client.predict(rows, passes=1_000, timeout_seconds=0.5)
    assert caught.value.code == "deadline_exceeded"
    assert time.monotonic() - started < 10
    with answering(200, b'{"models": [], "default": "a"}') as (url, seen), ask(url) as client:
        client.models()
        assert seen[-1]["x-request-timeout-seconds"] is None
    with answering(200, b'{"models": [], "default": "a"}') as (url, seen):
        with ask(url, timeout_seconds=20) as client:
            client.models()
        assert 19 < float(seen[-1]["x-request-timeout-seconds"]) <= 20


def test_a_server_that_never_answers_is_given_up_at_the_deadline(ask: Connect) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        with ask(url, timeout_seconds=0.3) as client, pytest.raises(TimedOut):
            client.models()


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_until_the_patience_is_over(ask: Connect, status: int) -> None:
    body = b'{"error": "rows wait", "code": "overloaded", "details": []}'
    with answering(status, body) as (url, seen):
        with ask(url, patience_seconds=1) as client, pytest.raises(Busy, match="rows wait"):
            client.models()
        assert len(seen) > 2


def test_a_wait_beyond_the_patience_or_the_deadline_is_not_begun(ask: Connect) -> None:
    body = b'{"error": "later", "code": "rate_limited", "details": []}'
    started = time.monotonic()
    with answering(429, body, **{"retry-after": "90"}) as (url, seen):
        for options in ({"patience_seconds": 20}, {"timeout_seconds": 20}):
            with ask(url, **options) as client, pytest.raises(Busy) as caught:
                client.models()
            assert caught.value.retry_after_seconds == 90
        assert len(seen) == 2
    assert time.monotonic() - started < 10


def test_a_retry_after_is_waited_for(ask: Connect) -> None:
    body = b'{"error": "later", "code": "rate_limited", "details": []}'
    with answering(429, body, **{"retry-after": "1"}) as (url, seen):
        with ask(url, patience_seconds=2.6) as client, pytest.raises(Busy):
            client.models()
        assert len(seen) in (2, 3)  # after 1 to 1.25 seconds each


@pytest.mark.parametrize(
    ("status", "body"), [(502, b"<h1>Bad Gateway</h1>"), (200, b"<h1>Hello</h1>"), (200, b"[]")]
)
def test_an_answer_that_is_not_of_the_service_is_told_apart(
    ask: Connect, status: int, body: bytes
) -> None:
    with answering(status, body) as (url, _), ask(url) as client:
        with pytest.raises(UnexpectedAnswer):
            client.models()
        with pytest.raises(UnexpectedAnswer):
            client.predict([ROW])


def test_connections_are_used_again(ask: Connect, small: Served) -> None:
    made: list[object] = []
    with ask(small.url) as client:
        for _ in range(5):
            client.models()
            made.append(sockets_to(small))
    assert len(set(made)) == 1


def sockets_to(server: Served) -> int:
    """The connections from this process that the server has open."""
    port = httpx.URL(server.url).port
    assert port
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(f":{port:04X} " in line and " 01 " in line for line in lines)


def test_models_sweeps_explanations_and_landscapes_are_typed(ask: Connect, small: Served) -> None:
    with ask(small.url) as client:
        listed = client.models()
        card = client.model()
        swept = client.sweep(ROW, "area", points=5, lines=2, passes=10, seed=1)
        chosen = client.sweep(ROW, "area", values=np.array([50.0, 60.0]), passes=np.int64(10))
        explained = client.explain(ROW, passes=20, seed=1)
        with pytest.raises(NotFound) as caught:
            client.landscape()
        with pytest.raises(NotFound, match="palace"):
            client.predict([ROW], model="palace")
    assert [entry.task for entry in listed.models][:3] == ["regression", "regression", "binary"]
    assert [feature.kind for feature in card.features] == ["numeric", "numeric", "categorical"]
    assert card.whole["version"] == card.version
    assert len(swept.values) == len(swept) == 5
    assert len(swept.lines) == 2
    assert chosen.values == (50.0, 60.0)
    parts = sum(layer.variance for layer in explained.layers)
    assert parts == pytest.approx(explained.variance, rel=1e-6)
    assert caught.value.code == "no_landscape"


def test_a_landscape_has_its_planes() -> None:
    body = Path("model/artifact/pretrained/diabetes/landscape.json").read_bytes()
    with answering(200, body) as (url, _), Client(url) as client:
        landscape = client.landscape("diabetes")
    assert [plane.name for plane in landscape.planes] == ["random", "masks"]
    plane = landscape.planes[0]
    assert len(plane.surfaces[0].z) == len(plane.y)


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://a", "", "http://a?b=1"])
def test_what_is_no_address_is_refused(ask: Connect, url: str) -> None:
    with pytest.raises(ValueError, match="address"), ask(url):
        pass


def test_a_key_that_no_header_may_hold_is_refused_without_being_shown() -> None:
    with pytest.raises(ValueError, match="printable ASCII") as caught:
        Client("http://localhost", key="secret\nline")
    assert "secret" not in str(caught.value)
