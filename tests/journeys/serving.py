"""A server process that a test may signal, kill and read the log of."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 60
ROW = {"area": 54.0, "rooms": 2.0, "quarter": "east"}


@dataclass(frozen=True)
class Served:
    """A running `python -m app`."""

    process: subprocess.Popen[str]
    url: str
    log: Path

    def ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/v2/health/ready", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def predict(self, **options: Any) -> httpx.Response:
        sent = {"rows": [ROW], **options}
        return httpx.post(f"{self.url}/predict", json=sent, timeout=PATIENCE_SECONDS)

    def version(self) -> str:
        """The version of the default model."""
        return str(self.predict().json()["model"]["version"])

    def children(self) -> list[int]:
        """The server processes of a supervisor: the forks of its template."""
        return [fork for child in children(self.process.pid) for fork in children(child)]

    def lines(self) -> list[dict[str, Any]]:
        """What it has logged, in whole lines."""
        whole = self.log.read_text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines()]


@contextmanager
def served(folder: Path, *options: str | Path, **settings: str) -> Iterator[Served]:
    """A ready server on a free port that logs to a file in `folder`; killed at the end."""
    log = folder / "log"
    with log.open("w") as stream:
        process = subprocess.Popen(
            [sys.executable, "-m", "app", "--port", "0", *map(str, options)],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
            stdout=subprocess.PIPE,
            stderr=stream,
            text=True,
        )
    assert process.stdout
    try:
        greeting = process.stdout.readline()
        url = re.search(r"http://\S+", greeting)
        assert url, log.read_text()
        server = Served(process, url[0], log)
        until(server.ready)
        yield server
    finally:
        process.terminate()
        try:
            process.communicate(timeout=PATIENCE_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def children(process: int) -> list[int]:
    """The processes that a process has started, in the order of their start."""
    try:
        found = Path(f"/proc/{process}/task/{process}/children").read_text()
    except OSError:  # it has ended
        return []
    return [int(child) for child in found.split()]


def until(condition: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
    """The seconds until the condition is met; fails where that takes too long."""
    started = time.monotonic()
    while not condition():
        assert time.monotonic() - started < seconds
        time.sleep(0.02)
    return time.monotonic() - started
