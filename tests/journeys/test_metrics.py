"""The metrics of several processes, whatever happens to a disk, a folder or a process."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.journeys.serving import PATIENCE_SECONDS, ROOT, Served, served, until

ANSWERED = 'mcd_requests_total{model="regression",outcome="ok"}'


def counted(server: Served) -> set[str]:
    """What the processes say that all of them have answered."""
    responses = [httpx.get(f"{server.url}/metrics") for _ in range(8)]
    assert {response.status_code for response in responses} == {200}
    lines = [line for each in responses for line in each.text.splitlines()]
    return {line.rpartition(" ")[2] for line in lines if line.startswith(ANSWERED)}


def ask(server: Served, times: int) -> None:
    for _ in range(times):  # each on a connection of its own
        assert server.predict(passes=2).status_code == 200


def kill_one(server: Served) -> None:
    """Kill a process, and wait for the one that replaces it."""
    victim = server.children()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: victim not in server.children() and len(server.children()) == 2)
    until(lambda: all(server.ready() for _ in range(8)))


def test_any_process_tells_the_metrics_of_all_though_temporary_files_vanish_and_processes_die(
    regression_artifact: Path, tmp_path: Path
) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    options = ("--model", regression_artifact, "--workers", "2")
    with served(tmp_path, *options, TMPDIR=str(temporary)) as server:
        until(lambda: len(server.children()) == 2)
        ask(server, 20)
        assert counted(server) == {"20.0"}
        shutil.rmtree(temporary)
        kill_one(server)
        ask(server, 10)
        assert counted(server) == {"30.0"}
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(PATIENCE_SECONDS) == 0
    assert not temporary.exists()
    assert "Traceback" not in server.log.read_text()


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_that_can_write_nowhere_serves_and_shows_what_it_can(
    regression_artifact: Path, tmp_path: Path, workers: str
) -> None:
    """A limit of 0 for files is what a full disk is: every write fails, of shared memory too."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = ["--model", str(regression_artifact), "--port", str(port), "--workers", workers]
    with open("/dev/full", "w") as full:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", *command],
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path,
            stdout=full,
            stderr=full,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
        )
    server = Served(process, f"http://127.0.0.1:{port}", tmp_path / "none")
    try:
        until(server.ready)
        if workers == "2":
            until(lambda: len(server.children()) == 2)
            kill_one(server)
        ask(server, 10)
        shown = {float(value) for value in counted(server)}
        assert shown == {10.0} if workers == "1" else sum(shown) <= 10
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_SECONDS) == 0
    finally:
        process.kill()
        process.wait()
