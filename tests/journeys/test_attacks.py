"""What a small client sends to stop a server; tests/benchmarks/chaos has the figures of it."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journeys.serving import Served, served, until

CELLS = [54, 2, "east"]
IN_FLIGHT_BYTES = 8 << 20


@pytest.fixture(scope="module")
def server(
    artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("attacked")
    with served(folder, "--model", artifacts["regression"]) as server:
        yield server


def connected(server: Served) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=30)


def held(server: Served) -> float:
    """The bytes that the server holds for its requests."""
    lines = httpx.get(f"{server.url}/metrics", timeout=30).text.splitlines()
    (found,) = [line for line in lines if line.startswith("mcd_in_flight_bytes ")]
    return float(found.split()[1])


def many(part: str, count: int) -> str:
    return ",".join([part] * count)


V2 = "/v2/models/regression/infer"
HOSTILE = {
    "unknown keys": ("/predict", '{"rows":[],' + many('"k":0', 900_000) + "}", 422),
    "empty objects": ("/predict", '{"rows":[":",' + many("{}", 900_000) + "]}", 422),
    "nested arrays": (V2, "[" * 900_000 + "]" * 900_000, 400),
    "empty tensors": (V2, '{"inputs":[' + many("{}", 900_000) + "]}", 400),
    "as many tensors as are read": (V2, '{"inputs":[' + many("{}", 20_000) + "]}", 400),
    "arrays for data": (
        V2,
        '{"inputs":[{"name":"area","shape":[1],"datatype":"FP64","data":['
        + many("[]", 900_000)
        + "]}]}",
        400,
    ),
    "wrong rows": ("/predict", json.dumps({"rows": [["x"] * 3] * 9_000}), 422),
    "more than eight megabytes": ("/predict", " " * (9 << 20), 413),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_small_body_of_much_structure_is_refused_while_others_are_served(
    server: Served, name: str
) -> None:
    path, text, status = HOSTILE[name]
    body = gzip.compress(text.encode(), 1)
    assert len(body) < 200_000
    with ThreadPoolExecutor(4) as pool:
        headers = {"content-type": "application/json", "content-encoding": "gzip"}
        sent = [
            pool.submit(httpx.post, server.url + path, content=body, headers=headers, timeout=60)
            for _ in range(4)
        ]
        assert server.predict(passes=2).status_code == 200
        answers = [each.result() for each in sent]
    assert {answer.status_code for answer in answers} == {status}
    for answer in answers:
        assert len(answer.content) < 20_000  # the faults are not listed without end
        assert answer.headers["x-request-id"]


def test_what_all_requests_hold_is_bounded_whoever_does_not_finish_or_read(
    regression_artifact: Path, tmp_path: Path
) -> None:
    options, setting = ("--model", regression_artifact), str(IN_FLIGHT_BYTES)
    with served(tmp_path, *options, MCD_IN_FLIGHT_BYTES=setting) as server:
        fill(server)
        until(lambda: held(server) == 0)
        assert server.predict(passes=2).status_code == 200


def fill(server: Served) -> None:
    """Send what is not finished, and ask for what is not read, until requests are refused."""
    started = b'{"rows":[[' + b"1," * 1_000_000
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 8000000\r\n\r\n"
    samples = {"rows": [CELLS] * 20, "passes": 10_000, "samples": True}
    body = json.dumps(samples).encode()
    request = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    connections = [connected(server) for _ in range(12)]
    refused = 0
    try:
        for number, connection in enumerate(connections):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(request if number % 2 else head + started)
        until(lambda: held(server) > IN_FLIGHT_BYTES / 2)
        time.sleep(1)
        assert held(server) <= IN_FLIGHT_BYTES
        for connection in connections:
            connection.setblocking(False)
            with suppress(BlockingIOError):
                refused += connection.recv(12) == b"HTTP/1.1 429"
    finally:
        for connection in connections:
            connection.close()
    assert refused


def test_a_large_answer_comes_in_chunks_and_is_the_same_as_a_small_one(server: Served) -> None:
    rows = [[50 + row / 50, 2, "east"] for row in range(2_000)]
    sent = {"rows": rows, "passes": 10, "seed": 3}
    whole = httpx.post(f"{server.url}/predict", json=sent, timeout=60)
    assert whole.headers["transfer-encoding"] == "chunked"
    part = httpx.post(f"{server.url}/predict", json={**sent, "rows": rows[:5]})
    assert "transfer-encoding" not in part.headers
    predictions = whole.json()["predictions"]
    assert len(predictions) == 2_000
    for found, expected in zip(predictions, part.json()["predictions"], strict=False):
        assert found["mean"] == pytest.approx(expected["mean"], rel=1e-5)
    data = {
        "inputs": [
            {"name": name, "shape": [2_000], "datatype": kind, "data": [row[at] for row in rows]}
            for at, (name, kind) in enumerate(
                [("area", "FP64"), ("rooms", "FP64"), ("quarter", "BYTES")]
            )
        ],
        "parameters": {"passes": 10, "seed": 3},
    }
    tensors = httpx.post(server.url + V2, json=data, timeout=60)
    assert tensors.headers["transfer-encoding"] == "chunked"
    outputs: dict[str, Any] = {each["name"]: each for each in tensors.json()["outputs"]}
    assert outputs["mean"]["data"] == pytest.approx(
        [each["mean"] for each in predictions], rel=1e-5
    )


def test_a_request_of_one_row_is_answered_while_long_ones_are_computed(
    slow_artifact: Path, tmp_path: Path
) -> None:
    heavy = {"rows": [CELLS] * 400, "passes": 10_000, "masks": "per_row"}
    answered = threading.Event()
    with served(tmp_path, "--model", slow_artifact) as server, ThreadPoolExecutor(2) as pool:
        for _ in range(5):  # until it is known how long it takes
            assert server.predict(passes=20).status_code == 200

        def ask() -> httpx.Response:
            response = httpx.post(f"{server.url}/predict", json=heavy, timeout=120)
            answered.set()
            return response

        busy = [pool.submit(ask) for _ in range(2)]
        time.sleep(0.3)
        for passes in (20, 20, 12):  # the last number was never asked for
            assert server.predict(passes=passes).status_code == 200
        assert not answered.is_set()
        for each in busy:
            assert each.result().status_code == 200


def test_a_body_in_a_million_tiny_chunks_is_refused_at_once(server: Served) -> None:
    head = b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    with connected(server) as connection:
        try:
            connection.sendall(head + b"1\r\n \r\n" * 1_000_000)
        except OSError:
            pass  # the server has closed the connection
        else:
            assert connection.recv(12) == b"HTTP/1.1 400"
    assert server.predict(passes=2).status_code == 200
