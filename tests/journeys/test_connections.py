"""Connections that bring no whole request."""

import json
import resource
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from app.errors import ErrorBody
from tests.fuzzing import faults
from tests.journeys.serving import Served, served, until

ARRIVAL_SECONDS = 1.0
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"rows": [[54, 2, "east"]], "passes": 5}'


@pytest.fixture(scope="module")
def server(
    artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server that waits for a request no longer than a second."""
    folder, seconds = tmp_path_factory.mktemp("wire"), str(ARRIVAL_SECONDS)
    model = ("--model", artifacts["regression"])
    with served(folder, *model, MCD_REQUEST_TIMEOUT_SECONDS=seconds) as server:
        yield server


def connected(server: Served) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


@pytest.fixture
def connection(server: Served) -> Iterator[socket.socket]:
    with connected(server) as connection:
        yield connection


def rest(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    received = b""
    while part := connection.recv(1 << 16):
        received += part
    return received


def error(received: bytes) -> ErrorBody:
    assert not faults(received)
    return ErrorBody.model_validate_json(received.partition(b"\r\n\r\n")[2])


def answer(connection: socket.socket) -> bytes:
    """One whole answer: its parts may come one by one."""
    received = b""
    while b"\r\n\r\n" not in received:
        received += connection.recv(1 << 16)
    head, _, body = received.partition(b"\r\n\r\n")
    (length,) = (
        int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
    )
    while len(body) < length:
        body += connection.recv(1 << 16)
    return head + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET /v2\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
        b"GET /v2 HTTP/1.1\r\nHost: x\r\nA : b\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: x\r\n\r\n",
        HEAD + b"Content-Length: -1\r\n\r\n",
        HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcdef",
        HEAD + b"X: " + b"a" * 100_000,
    ],
    ids=lambda sent: repr(sent[-30:]),
)
def test_what_is_no_http_is_told_so_in_the_one_shape(
    connection: socket.socket, sent: bytes
) -> None:
    connection.sendall(sent)
    received = connection.recv(1 << 16)
    assert received.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"\r\nconnection: close\r\n" in received
    assert error(received).code == "not_http"


@pytest.mark.parametrize(
    "sent", [b"GET /v2 HTTP/1.1\r\nHost: ", HEAD + b"Content-Length: 99\r\n\r\n[", b""]
)
def test_a_request_that_does_not_arrive_is_given_up_however_slowly_it_drips(
    server: Served, sent: bytes
) -> None:
    started, received = time.monotonic(), b""  # the server begins when it accepts the connection
    with connected(server) as connection:
        connection.settimeout(0.1)
        connection.sendall(sent)
        while not received:
            try:
                received = connection.recv(1 << 16)
            except TimeoutError:
                connection.sendall(b"x" if sent else b"")
            assert time.monotonic() - started < 10 * ARRIVAL_SECONDS
    assert time.monotonic() - started >= 0.9 * ARRIVAL_SECONDS
    assert received.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
    assert error(received).code == "request_timeout"


def test_a_request_in_pieces_that_arrives_in_time_is_answered_and_the_next_one_too(
    connection: socket.socket,
) -> None:
    for _ in range(3):
        sent = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
        for at in range(0, len(sent), 30):
            connection.sendall(sent[at : at + 30])
            time.sleep(0.1)
        assert answer(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_connection_may_be_idle_between_requests(connection: socket.socket) -> None:
    for pause in (2 * ARRIVAL_SECONDS, 0):
        connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
        assert answer(connection).startswith(b"HTTP/1.1 200 OK\r\n")
        time.sleep(pause)


def test_damage_behind_a_good_request_takes_nothing_from_its_answer(
    connection: socket.socket,
) -> None:
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY + b"\0\r\n\r\n")
    received = rest(connection)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"HTTP/1.1 400 Bad Request\r\n" in received
    assert not faults(received)


def test_the_head_of_an_answer_is_followed_by_the_next_answer(connection: socket.socket) -> None:
    connection.sendall(b"HEAD /models HTTP/1.1\r\nHost: x\r\n\r\n")
    head = connection.recv(1 << 16)
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert head.endswith(b"\r\n\r\n")
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY)
    assert answer(connection).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_client_that_does_not_read_its_answers_is_let_go(connection: socket.socket) -> None:
    body = b'{"rows": [[54, 2, "east"]], "passes": 10000, "samples": true}'
    request = HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.settimeout(10 * ARRIVAL_SECONDS)
    with pytest.raises(ConnectionResetError):  # noqa: PT012
        while True:
            connection.sendall(request)
            time.sleep(0.05)


def test_a_client_that_reads_a_large_answer_too_slowly_is_let_go(
    server: Served, connection: socket.socket
) -> None:
    """An answer that trickles would otherwise hold its memory for hours."""

    def held() -> bool:
        text = httpx.get(f"{server.url}/metrics", timeout=20).text
        return "mcd_in_flight_bytes 0.0" not in text.splitlines()

    rows = [[54, 2, "east"]] * 20
    body = json.dumps({"rows": rows, "passes": 10_000, "samples": True}).encode()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    until(held)
    received = b""
    for _ in range(round(100 * ARRIVAL_SECONDS)):
        received += connection.recv(50)
        if not held():
            break
        time.sleep(0.1)
    assert not held()
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert server.predict(passes=2).status_code == 200


def test_more_connections_than_descriptors_are_refused_and_harm_nobody_once_they_are_gone(
    server: Served,
) -> None:
    before = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        with ExitStack() as stack:
            clients = [stack.enter_context(connected(server)) for _ in range(400)]
            codes = [error(client.recv(1 << 16)).code for client in clients[150:]]
            assert codes.count("overloaded") > 100  # others came in when the first had waited
            assert set(codes) <= {"overloaded", "request_timeout"}
        until(server.ready)
        assert server.predict(passes=2).status_code == 200
    finally:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, before)
    assert not [line for line in server.lines() if line["level"] == "error"]
