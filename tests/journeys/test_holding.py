"""A server that holds: the same numbers from every process, no growth, no work for nobody."""

import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journeys.serving import ROW, Served, served, until

ROUND = 500  # requests


def fresh_connections(server: Served) -> httpx.Client:
    """A client that connects anew for every request, so that any process may answer."""
    limits = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(base_url=server.url, limits=limits, timeout=60)


def metric(server: Served, name: str) -> float:
    """The value of a metric, given with its labels; 0 where it is not there."""
    text = httpx.get(f"{server.url}/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def test_the_same_seed_gives_the_same_numbers_whichever_process_answers_and_beside_whom(
    plain: Served, regression_artifact: Path, tmp_path: Path
) -> None:
    expected = plain.predict(seed=99).json()["predictions"][0]
    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options) as server:
        until(lambda: len(server.children()) == 2)
        time.sleep(2)  # until both are ready
        with ThreadPoolExecutor(8) as pool, fresh_connections(server) as client:

            def ask(seed: int) -> httpx.Response:
                return client.post("/predict", json={"rows": [ROW], "seed": seed})

            answers = [*pool.map(ask, [99, 1, 99, 2, 99, 3, 99, 4, 99, 99] * 3)]
    assert {each.status_code for each in answers} == {200}
    found = [each.json() for each in answers]
    for answer in (each["predictions"][0] for each in found if each["seed"] == 99):
        for name in ("mean", "variance", "mean_error", "variance_error"):
            assert answer[name] == pytest.approx(expected[name], rel=1e-5)


def test_memory_threads_and_descriptors_stay_flat_over_good_and_bad_requests(
    plain: Served,
) -> None:
    bodies = [json.dumps({"rows": [ROW], "passes": 20}).encode()] * 19 + [b'{"rows": [NaN]}']

    def ask(offset: int) -> None:
        with httpx.Client(timeout=60) as client:
            for number in range(offset, ROUND, 4):
                client.post(f"{plain.url}/predict", content=bodies[number % len(bodies)])

    def size() -> tuple[float, int, int]:
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(ask, range(4)))
        process = Path(f"/proc/{plain.process.pid}")
        until(lambda: len(list((process / "fd").iterdir())) <= descriptors)
        status = (process / "status").read_text()
        kilobytes, threads = (
            int(re.search(rf"{name}:\s+(\d+)", status)[1])  # type: ignore[index]
            for name in ("VmRSS", "Threads")
        )
        return kilobytes, threads, len(list((process / "fd").iterdir()))

    descriptors = len(list(Path(f"/proc/{plain.process.pid}/fd").iterdir()))
    size()
    middle, last = size(), size()
    assert last[0] <= 1.02 * middle[0]
    assert last[1:] == middle[1:]


def test_a_client_that_leaves_frees_the_thread_within_a_chunk(plain: Served) -> None:
    rows, passes = 5000, 10_000
    body = json.dumps({"rows": [ROW] * rows, "passes": passes, "masks": "per_row"}).encode()
    address = urlsplit(plain.url)
    cancelled = 'mcd_requests_total{model="regression",outcome="cancelled"}'
    before, left = metric(plain, "mcd_passes_total"), metric(plain, cancelled)
    with socket.create_connection((address.hostname, address.port)) as connection:
        head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        until(lambda: metric(plain, "mcd_queue_rows") > 0)  # the rest of it waits for its turn
    until(lambda: metric(plain, cancelled) == left + 1)
    until(lambda: metric(plain, "mcd_queue_rows") == 0)
    assert plain.predict().status_code == 200
    assert metric(plain, "mcd_passes_total") - before < passes  # of the first slice of rows


def test_who_comes_to_a_full_server_is_told_so_at_once_and_costs_it_no_computing(
    slow_artifact: Path, tmp_path: Path
) -> None:
    """At once: while that is computed which fills the server, and not after it."""
    body = json.dumps({"rows": [ROW] * 1000, "passes": 10_000, "masks": "per_row"}).encode()
    with served(tmp_path, "--model", slow_artifact, MCD_QUEUE_ROWS="10") as server:
        address, passes = urlsplit(server.url), metric(server, "mcd_passes_total")
        with socket.create_connection((address.hostname, address.port)) as connection:
            head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
            connection.sendall(head.encode() + body)
            until(lambda: metric(server, "mcd_queue_rows") > 10)
            with ThreadPoolExecutor(8) as pool:
                answers = [*pool.map(lambda _: server.predict(), range(20))]
            connection.setblocking(False)
            with pytest.raises(BlockingIOError):
                connection.recv(1)
        assert {answer.status_code for answer in answers} == {429}
        assert all(int(answer.headers["retry-after"]) >= 1 for answer in answers)
        until(lambda: metric(server, "mcd_queue_rows") == 0)
        assert metric(server, 'mcd_rejected_total{reason="overloaded"}') == 20
        assert metric(server, "mcd_passes_total") == passes
        assert server.predict(passes=7).status_code == 200  # what is taken is computed
        assert metric(server, "mcd_passes_total") == passes + 7
