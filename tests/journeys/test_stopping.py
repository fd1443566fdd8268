"""What happens to requests when the server goes down, or a part of it."""

import json
import os
import select
import shutil
import signal
import socket
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journeys.serving import PATIENCE_SECONDS, ROW, Served, children, served, until
from tests.journeys.test_holding import metric
from tests.load import Load

LONG = {"passes": 10_000, "masks": "per_row", "estimator": "plain"}
ASK = {"rows": [ROW]}
BODY = json.dumps(ASK).encode()
ASKED = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


def computes(server: Served) -> bool:
    """Whether it has taken a request of many rows: most of them wait for their turn."""
    return metric(server, "mcd_queue_rows") > 0


def test_a_stop_under_load_loses_no_accepted_request(
    regression_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", regression_artifact) as server, Load(server.url, ASK) as load:
        until(lambda: load.outcomes["200"] > 50)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.ready(), 2)
        assert server.process.wait(PATIENCE_SECONDS) == 0
    assert set(load.outcomes) <= {"200", "503", "refused"}
    assert load.outcomes["503"]


def connected(server: Served) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def test_a_request_that_comes_late_on_a_young_connection_is_refused_with_an_answer(
    regression_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", regression_artifact) as server, connected(server) as kept:
        kept.sendall(ASKED)
        assert kept.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
        server.process.send_signal(signal.SIGTERM)
        with connected(server) as fresh:
            time.sleep(1.2)  # as long as a client takes on a machine that is busy otherwise
            for connection in (kept, fresh):
                connection.sendall(ASKED)
                received = connection.recv(1 << 16)
                assert received.startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
                assert b"\r\nconnection: close\r\n" in received
            started = time.monotonic()
            assert server.process.wait(PATIENCE_SECONDS) == 0
            assert time.monotonic() - started < 1.5  # nobody is left to wait for


def test_a_stop_of_two_processes_under_load_loses_no_connection(
    regression_artifact: Path, tmp_path: Path
) -> None:
    """Most connections are new: each may arrive in the moment in which the listener closes."""
    seen: Counter[bytes] = Counter()

    def ask_until_refused(server: Served) -> None:
        end = time.monotonic() + 2 * PATIENCE_SECONDS
        while time.monotonic() < end:
            try:
                client = connected(server)
            except ConnectionRefusedError:
                return
            with client:
                client.sendall(ASKED)
                seen[client.recv(1 << 16)[9:12]] += 1

    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options) as server, ThreadPoolExecutor(8) as pool:
        until(lambda: len(started(server)) == 2)
        asking = [pool.submit(ask_until_refused, server) for _ in range(8)]
        until(lambda: seen[b"200"] > 50)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0
        for each in asking:
            each.result()  # raises where a connection was reset
    assert seen.keys() == {b"200", b"503"}


def test_a_process_that_is_stopped_alone_is_replaced_and_no_connection_is_turned_away(
    regression_artifact: Path, tmp_path: Path
) -> None:
    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options) as server:
        until(lambda: len(started(server)) == 2)
        victim = server.children()[0]
        os.kill(victim, signal.SIGTERM)
        until(lambda: victim not in server.children() and len(server.children()) == 2, 20)
        assert server.predict().status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_request_whose_body_is_on_its_way_gets_a_refusal_and_not_a_reset(
    regression_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", regression_artifact) as server, connected(server) as client:
        client.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n{")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        until(lambda: bool(select.select([client], [], [], 0)[0]), 5)
        client.sendall(bytes(999_999))  # a client may read only once it has sent everything
        assert client.recv(1 << 16).startswith(b"HTTP/1.1 503 Service Unavailable\r\n")
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_connections_that_have_been_idle_delay_no_stop(
    regression_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", regression_artifact) as server, connected(server) as idle:
        time.sleep(2.1)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        assert time.monotonic() - started < 1.9
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_long_computation_is_finished_while_new_work_is_refused(
    slow_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", slow_artifact) as server:
        answers: list[httpx.Response] = []
        rows = [ROW] * 400
        thread = threading.Thread(target=lambda: answers.append(server.predict(rows=rows, **LONG)))
        thread.start()
        until(lambda: computes(server))
        server.process.send_signal(signal.SIGTERM)
        until(lambda: not server.ready(), 2)
        refused = server.predict()
        assert refused.status_code == 503
        assert int(refused.headers["retry-after"]) > 0
        assert refused.headers["connection"] == "close"
        thread.join(PATIENCE_SECONDS)
        assert [answer.status_code for answer in answers] == [200]
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_what_is_not_finished_in_time_is_told_so_and_the_server_ends(
    slow_artifact: Path, tmp_path: Path
) -> None:
    settings = {"MCD_DRAIN_SECONDS": "2", "MCD_MAX_ROW_PASSES": "100000000"}
    with served(tmp_path, "--model", slow_artifact, **settings) as server:
        answers: list[httpx.Response] = []
        rows = [ROW] * 9000
        thread = threading.Thread(target=lambda: answers.append(server.predict(rows=rows, **LONG)))
        thread.start()
        until(lambda: computes(server))
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert time.monotonic() - started < 4
        thread.join(PATIENCE_SECONDS)
        assert [answer.status_code for answer in answers] == [503]
        assert answers[0].json()["code"] == "not_ready"


def test_a_killed_process_of_two_is_replaced_while_the_other_serves(
    regression_artifact: Path, tmp_path: Path
) -> None:
    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options) as server:
        until(lambda: len(server.children()) == 2)
        time.sleep(2)  # until both are ready
        with Load(server.url, ASK) as load:
            until(lambda: load.outcomes["200"] > 50)
            victim = server.children()[0]
            os.kill(victim, signal.SIGKILL)
            served_before = load.outcomes["200"]
            until(lambda: victim not in server.children() and len(server.children()) == 2, 10)
            until(lambda: load.outcomes["200"] > served_before + 20, 10)
        failed = sum(load.outcomes.values()) - load.outcomes["200"]
        assert failed <= 4  # a request per client at most: those that the victim had
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_process_of_two_whose_event_loop_stands_still_is_replaced(
    regression_artifact: Path, tmp_path: Path
) -> None:
    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options, MCD_HANG_SECONDS="4") as server:
        until(lambda: len(server.children()) == 2)
        time.sleep(3)  # until both are ready, and have sent a heartbeat
        victim, other = server.children()
        os.kill(victim, signal.SIGSTOP)
        until(lambda: victim not in server.children() and len(server.children()) == 2, 20)
        assert other in server.children()
        assert any("does not answer" in line["message"] for line in server.lines())
        until(server.ready)
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0


def started(server: Served) -> set[int]:
    """The processes that have begun to serve."""
    lines = [line for line in server.lines() if "startup complete" in line["message"]]
    return {line["process"] for line in lines}


def test_a_process_that_cannot_be_replaced_for_now_takes_no_other_with_it(
    regression_artifact: Path, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(regression_artifact, models / "houses")
    settings = {"MCD_MODELS_DIR": str(models), "MCD_WORKERS": "2"}
    with served(tmp_path, **settings) as server:
        until(lambda: len(server.children()) == 2)
        time.sleep(6)  # until both serve, and are known to
        models.rename(tmp_path / "away")
        os.kill(server.children()[0], signal.SIGKILL)
        until(lambda: any("ended with 3" in line["message"] for line in server.lines()))
        assert server.predict().status_code == 200
        (tmp_path / "away").rename(models)
        until(lambda: len(serving := server.children()) == 2 and set(serving) <= started(server))
        assert {server.predict().status_code for _ in range(8)} == {200}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_the_template_may_be_killed_and_a_server_after_it(
    regression_artifact: Path, tmp_path: Path
) -> None:
    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options) as server:
        until(lambda: len(started(server)) == 2)
        victim, other = server.children()
        template = next(each for each in children(server.process.pid) if children(each))
        os.kill(template, signal.SIGKILL)
        time.sleep(1)
        assert {server.predict().status_code for _ in range(8)} == {200}
        os.kill(victim, signal.SIGKILL)
        until(lambda: len(started(server)) == 3)
        assert {server.predict().status_code for _ in range(8)} == {200}
        time.sleep(3)  # in which the other one would notice that it had lost its supervisor
        assert len(started(server)) == 3
        assert other not in server.children()  # but it serves, and ends with the rest
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0
        until(lambda: not Path(f"/proc/{other}/cmdline").exists(), 5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_that_all_processes_get_loses_no_request(
    number: signal.Signals, slow_artifact: Path, tmp_path: Path
) -> None:
    """As a service manager or a terminal stops them."""
    options = ("--model", slow_artifact, "--workers", "2")
    with served(tmp_path, *options) as server, ThreadPoolExecutor(1) as pool:
        until(lambda: len(started(server)) == 2)
        long = pool.submit(server.predict, rows=[ROW] * 400, **LONG)
        until(lambda: computes(server))
        helpers = children(server.process.pid)
        for each in (*server.children(), *helpers, server.process.pid):
            os.kill(each, number)
        assert server.process.wait(PATIENCE_SECONDS) == 0
        assert long.result().status_code == 200
        assert "Traceback" not in server.log.read_text()


def test_processes_whose_parent_is_killed_end_too(
    regression_artifact: Path, tmp_path: Path
) -> None:
    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options) as server:
        until(lambda: len(server.children()) == 2)
        children = server.children()
        server.process.kill()
        until(lambda: not any(Path(f"/proc/{child}/cmdline").exists() for child in children), 15)
