"""Where a server listens, how long it keeps a connection, and under which prefix it answers."""

import json
import os
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from tests.journeys.serving import PATIENCE_SECONDS, ROOT, ROW, Served, served

ASKED = b"GET /v2 HTTP/1.1\r\nHost: x\r\n\r\n"


@contextmanager
def on_path(path: Path, *options: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that listens on a path, and what it prints; killed at the end."""
    process = subprocess.Popen(
        [sys.executable, "-m", "app", "--uds", str(path), *map(str, options)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    try:
        yield process, "".join(process.stdout.readline() for _ in range(5))
    finally:
        process.kill()
        process.communicate()


def asks(path: Path) -> httpx.Client:
    transport = httpx.HTTPTransport(uds=str(path))
    return httpx.Client(transport=transport, base_url="http://localhost", timeout=PATIENCE_SECONDS)


def stopped(process: subprocess.Popen[str]) -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(PATIENCE_SECONDS)


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_on_a_path_answers_anyone_who_may_enter_its_folder_and_leaves_nothing(
    regression_artifact: Path, tmp_path: Path, workers: str
) -> None:
    path, options = tmp_path / "a server.sock", ("--model", regression_artifact)
    with on_path(path, *options, "--workers", workers) as (process, printed), asks(path) as client:
        assert stat.S_IMODE(path.stat().st_mode) == 0o666
        assert client.get("/v2/health/ready").status_code == 200
        answer = client.post("/predict", json={"rows": [ROW]})
        assert answer.json()["model"]["name"] == "regression"
        assert f"Serving regression on {path} as http://localhost\n" in printed
        if shutil.which("curl"):
            command = printed.splitlines()[-1]
            pasted = subprocess.run(command, shell=True, capture_output=True, check=True)
            assert json.loads(pasted.stdout)["model"] == answer.json()["model"]
        assert stopped(process) == 0
    assert not path.exists()


def test_a_path_in_use_is_refused_and_one_that_a_killed_server_left_is_taken(
    regression_artifact: Path, tmp_path: Path
) -> None:
    path, options = tmp_path / "sock", ("--model", regression_artifact)
    with on_path(path, *options) as (first, _), asks(path) as client:
        assert client.get("/v2/health/ready").status_code == 200
        with on_path(path, *options) as (second, printed):
            _, said = second.communicate(timeout=PATIENCE_SECONDS)
            assert (second.returncode, printed) == (2, "")
            assert "in use" in said
        assert client.get("/v2/health/ready").status_code == 200
        first.kill()
        first.wait()
    assert path.exists()
    with on_path(path, *options) as (third, _), asks(path) as client:
        assert client.get("/v2/health/ready").status_code == 200
        assert stopped(third) == 0


def test_a_path_that_cannot_be_listened_on_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("mine")
    for path, part in (
        (file, "no socket"),
        (tmp_path / "nowhere" / "sock", "No such file"),
        (tmp_path / ("x" * 200), "too long"),
    ):
        with on_path(path) as (process, _):
            _, said = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 2
            assert said.count("\n") == 1
            assert part in said
    assert file.read_text() == "mine"


def test_a_host_that_is_no_name_is_one_line_and_exit_code_2() -> None:
    for host in ("x" * 300, "a b", "[::1]"):
        command = [sys.executable, "-m", "app", "--host", host, "--port", "0"]
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert ended.returncode == 2
        assert "cannot listen on" in ended.stderr
        assert ended.stderr.count("\n") == 1


def test_a_server_on_every_address_is_reached_by_either_version_of_the_protocol(
    regression_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", regression_artifact, "--host", "::") as server:
        port = urlsplit(server.url).port
        for host in ("127.0.0.1", "[::1]"):
            answer = httpx.get(f"http://{host}:{port}/v2/health/live")
            assert answer.status_code == 200


@pytest.fixture(scope="module")
def edge(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server behind a prefix that keeps idle connections for a second."""
    folder = tmp_path_factory.mktemp("edge")
    settings = {"MCD_ROOT_PATH": "/models", "MCD_KEEP_ALIVE_SECONDS": "1"}
    with served(folder, "--model", artifacts["regression"], **settings) as server:
        yield server


def connected(server: Served) -> socket.socket:
    address = urlsplit(server.url)
    return socket.create_connection((address.hostname, address.port), timeout=20)


def test_an_idle_connection_is_kept_for_the_time_of_the_setting(edge: Served) -> None:
    with connected(edge) as connection:
        for pause in (0.3, 0.3, 0.3, 0.3, 0.0):  # together longer than the setting
            started = time.monotonic()  # before the answer, from which the server counts
            connection.sendall(ASKED)
            assert connection.recv(1 << 16).startswith(b"HTTP/1.1 200 OK\r\n")
            time.sleep(pause)
        assert connection.recv(1) == b""
        assert 0.9 < time.monotonic() - started < 3


def test_routes_of_predictions_have_the_prefix_that_all_routes_have(edge: Served) -> None:
    """The prefix is the beginning of some routes too; a proxy has stripped it only once."""
    document = httpx.get(f"{edge.url}/openapi.json").json()
    assert document["servers"] == [{"url": "/models"}]
    version = edge.version()
    for path, methods in document["paths"].items():
        asked = path.format(name="regression", version=version)
        for method in methods:
            found = httpx.request(method, edge.url + asked)
            of_get = 404 if path.endswith("/landscape") else 200  # the model has no landscape
            assert found.status_code == (of_get if method == "get" else 400), asked
            beyond = httpx.request(method, f"{edge.url}/models{asked}")
            assert beyond.status_code in (404, 405), asked
            assert beyond.json()["code"] in ("not_found", "method_not_allowed", "unknown_model")


def test_idle_connections_make_room_where_too_many_are_open(
    regression_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", regression_artifact) as server, ExitStack() as stack:
        _, hard = resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (256, hard))
        clients = [stack.enter_context(connected(server)) for _ in range(127)]
        for client in clients:
            client.sendall(ASKED)
            assert b" 200 OK" in client.recv(1 << 16)[:20]
        extra = stack.enter_context(connected(server))
        refused = stack.enter_context(connected(server))
        assert b" 429 " in refused.recv(1 << 16)[:20]  # all others have just been answered
        time.sleep(5.5)
        extra.sendall(ASKED)
        assert b" 200 OK" in extra.recv(1 << 16)[:20]
        for _ in range(3):
            last = stack.enter_context(connected(server))
            last.sendall(ASKED)
            assert b" 200 OK" in last.recv(1 << 16)[:20]
        assert clients[0].recv(1) == b""


def test_a_stop_does_not_wait_for_idle_connections(
    regression_artifact: Path, tmp_path: Path
) -> None:
    with served(tmp_path, "--model", regression_artifact) as server, connected(server) as idle:
        idle.sendall(ASKED)
        assert b" 200 OK" in idle.recv(1 << 16)[:20]
        time.sleep(2.2)
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        assert time.monotonic() - started < 2
        assert server.process.wait(PATIENCE_SECONDS) == 0


def test_a_limit_below_the_models_own_passes_is_told(
    regression_artifact: Path, tmp_path: Path
) -> None:
    options = ("--model", regression_artifact)
    with served(tmp_path, *options, MCD_MAX_PASSES="5", MCD_MAX_ROW_PASSES="50") as server:
        warnings = [line["message"] for line in server.lines() if line["level"] == "warning"]
    assert [re.findall(r"MCD_\w+=\d+", line) for line in warnings] == [
        ["MCD_MAX_PASSES=5"],
        ["MCD_MAX_ROW_PASSES=50"],
    ]
