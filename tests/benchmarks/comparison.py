"""Requests a second beside other servers of the same model, all with one computing process.

    python tests/benchmarks/comparison.py [--litserve PYTHON] [--mlserver PYTHON]
        [--seconds 4] [--rounds 3] [--connections 16 64] [--json]

`loop` is a FastAPI route that loops over the passes; LitServe and MLServer compute all passes of a
batch at once, with their own batching. They are packages with demands of their own, so each lives
in a virtual environment of its own, with this project's dependencies of `model`; PYTHON is that
environment's. (MLServer 1.7.1 does not start with uvicorn 0.54; 0.34 does.) The servers take turns,
round by round, and figures are medians over the rounds.
"""

import argparse
import asyncio
import json
import os
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.benchmarks.serving import FEATURES, row, serving, train  # noqa: E402
from tests.benchmarks.traffic import Outcome, load, request  # noqa: E402

PEERS = Path(__file__).with_name("peers")
PATIENCE_SECONDS = 90


def main() -> None:
    """Measure, and print the rates and how many times the others' ours are."""
    parser = argparse.ArgumentParser(description="Beside other servers of the same model.")
    parser.add_argument("--litserve", help="Python with litserve, torch and numpy")
    parser.add_argument("--mlserver", help="Python with mlserver, torch and numpy")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--connections", type=int, nargs="+", default=[16, 64])
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        artifact = train(Path(folder))
        targets = _targets(artifact, given, stack)
        found = {
            f"{count} connections": _measured(targets, count, given) for count in given.connections
        }
    print(json.dumps(found, indent=None if given.json else 2))


Target = tuple[str, bytes]  # URL and message


def _targets(artifact: Path, given: argparse.Namespace, stack: ExitStack) -> dict[str, Target]:
    """Our server and the others, running."""
    values = [row(0)[name] for name in FEATURES]
    ours = stack.enter_context(serving(artifact)).url
    rows = request("/predict", {"rows": [values]})
    tensor = {"name": "input", "shape": [1, len(values)], "datatype": "FP64", "data": values}
    infer = request("/v2/models/benchmark/infer", {"inputs": [tensor]})
    loop = [sys.executable, str(PEERS / "loop.py"), str(artifact)]
    found = {
        "ours": (ours, rows),
        "ours, v2": (ours, infer),
        "loop": (stack.enter_context(_running(loop, artifact)), rows),
    }
    if given.litserve:
        command = [given.litserve, str(PEERS / "litserve_host.py"), str(artifact)]
        found["LitServe"] = (stack.enter_context(_running(command, artifact)), rows)
    if given.mlserver:
        found["MLServer"] = (stack.enter_context(_mlserver(given.mlserver, artifact)), infer)
    for name in ("litserve", "mlserver"):
        if not getattr(given, name):
            print(f"{name} is left out: --{name} names no Python that has it", file=sys.stderr)
    for name, (url, message) in found.items():
        _wait(name, url, message)
    return found


def _measured(
    targets: dict[str, Target], connections: int, given: argparse.Namespace
) -> dict[str, dict[str, float]]:
    """Rates by server, and ours by either protocol as multiples of each."""
    rates: dict[str, list[float]] = {name: [] for name in targets}
    for _ in range(given.rounds):
        for name, (url, message) in targets.items():
            rates[name].append(_asked(url, message, connections, given.seconds).rate())
    return {
        name: {
            "per_second": statistics.median(each),
            "ours_over_it": _ratio(rates["ours"], each),
            "ours_v2_over_it": _ratio(rates["ours, v2"], each),
        }
        for name, each in rates.items()
    }


def _ratio(ours: list[float], others: list[float]) -> float:
    return statistics.median(mine / other for mine, other in zip(ours, others, strict=True))


def _asked(url: str, message: bytes, connections: int, seconds: float) -> Outcome:
    return asyncio.run(load(url, [message], connections=connections, seconds=seconds))


def _wait(name: str, url: str, message: bytes) -> None:
    """Until it answers a prediction, and has answered some."""
    started = time.perf_counter()
    while not _asked(url, message, 4, 0.5).seconds.get(200):
        if time.perf_counter() - started > PATIENCE_SECONDS:
            raise SystemExit(f"{name} does not answer")
        time.sleep(0.2)


@contextmanager
def _running(command: list[str], artifact: Path, *, port: int | None = None) -> Iterator[str]:
    """The URL of another server; its last argument is the port, unless it has one already."""
    arguments = command if port else [*command, str(port := _free_port())]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PEER_FOLDER": str(artifact)}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            arguments,
            cwd=artifact.parent,
            env=environment,
            stdout=log,
            stderr=log,
            process_group=0,
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            process.wait()


@contextmanager
def _mlserver(python: str, artifact: Path) -> Iterator[str]:
    """It computes in the process that speaks HTTP: 1.7.1 did not come up with one beside it."""
    port = _free_port()
    ports = {"http_port": port, "grpc_port": _free_port(), "metrics_port": _free_port()}
    settings: dict[str, Any] = {**ports, "host": "127.0.0.1", "parallel_workers": 0}
    served = {
        "name": "benchmark",
        "implementation": "tests.benchmarks.peers.mlserver_host.Host",
        "max_batch_size": 64,
        "max_batch_time": 0.002,
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "settings.json").write_text(json.dumps(settings))
        Path(folder, "model-settings.json").write_text(json.dumps(served))
        command = [str(Path(python).with_name("mlserver")), "start", folder]
        with _running(command, artifact, port=port) as url:
            yield url


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


if __name__ == "__main__":
    main()
