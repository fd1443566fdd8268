"""The server under load, with real processes on this machine.

    python tests/benchmarks/serving.py [throughput] [large] [overload] [stop] [kill] [soak]
        [--seconds 5] [--rounds 3] [--times 10] [--requests 20000] [--members 1] [--json]

throughput: requests a second and CPU time a request, beside two plain FastAPI routes on httptools:
one around a single batched call of torch, and one of our schemas that returns constants.
large: 1,000 rows in one request, beside the engine alone. overload: twice the capacity.
stop: SIGTERM under load. kill: kill -9 of one process of two. soak: memory, threads, descriptors.
Those that are compared take turns, round by round, so that all see the same machine. Linux only.
"""

import argparse
import asyncio
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

import model  # noqa: E402
from tests.benchmarks.traffic import Outcome, load, offer, request, stopwatch  # noqa: E402

FEATURES = [f"x{number}" for number in range(8)]
READY_SECONDS = 60


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description="The server under load.")
    parser.add_argument("what", nargs="*", choices=[*BENCHMARKS, []])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--times", type=int, default=10, help="stops or kills under load")
    parser.add_argument("--requests", type=int, default=20_000, help="of the soak")
    parser.add_argument("--members", type=int, default=1, help="networks of the model")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        artifact = train(Path(folder), given.members)
        for name in given.what or ["throughput", "large"]:
            found[name] = BENCHMARKS[name](artifact, given)
            if not given.json:
                print(name, json.dumps(found[name], indent=2))
    if given.json:
        print(json.dumps(found))


def throughput(artifact: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Requests of one row and 100 passes, `reduced`, by connections; medians over the rounds."""
    message = request("/predict", {"rows": [row(0)], "passes": 100})
    found: dict[str, Any] = {}
    with serving(artifact) as ours, _peer("batched", artifact) as batched, _constant() as constant:
        sides = {"service": ours, "batched": batched, "constant": constant}
        for connections in (1, 16, 64):
            rounds = [
                {
                    name: _loaded(side, message, connections=connections, seconds=given.seconds)
                    for name, side in sides.items()
                }
                for _ in range(given.rounds + 1)  # the first one warms up
            ]
            found[f"{connections} connections"] = _compare(rounds[1:])
    return found


def _loaded(
    served: "Served", message: bytes, *, connections: int, seconds: float
) -> tuple[Outcome, float]:
    """The outcome, and the CPU time in ms that the server took for a request."""
    before = _cpu_seconds(served.process.pid)
    outcome = asyncio.run(load(served.url, [message], connections=connections, seconds=seconds))
    used = _cpu_seconds(served.process.pid) - before
    return outcome, 1000 * used / max(1, len(outcome.seconds.get(200, ())))


def _cpu_seconds(process: int) -> float:
    """The CPU time of a process so far, of all its threads."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def large(artifact: Path, given: argparse.Namespace) -> dict[str, Any]:
    """1,000 rows and 100 passes in one request, over the engine alone on the same rows."""
    rows = [row(number) for number in range(1000)]
    message = request("/predict", {"rows": rows, "passes": 100})
    predictor = model.load(artifact)
    model.use_threads(1)
    options = model.PredictOptions(passes=100)
    alone: list[float] = []
    served: list[float] = []
    with serving(artifact) as ours:
        for _ in range(10 * given.rounds):
            with stopwatch(alone):
                predictor.predict_encoded(predictor.encode(rows), options)
            outcome = asyncio.run(load(ours.url, [message], connections=1, seconds=9, count=1))
            served.extend(outcome.seconds[200])
    ours_ms, alone_ms = (1000 * statistics.median(each[5:]) for each in (served, alone))
    return {"served_ms": ours_ms, "engine_ms": alone_ms, "ratio": ours_ms / alone_ms}


def overload(artifact: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Requests of 20 rows and 1,000 passes: all that can be served, and then twice as many.

    The server has one core and we the others: what it cannot do then, it does not do for us. The
    peak is that of before and after, as the machine is not the same for two minutes.
    """
    rows = [row(number) for number in range(20)]
    sent = {"rows": rows, "passes": 1000, "estimator": "plain", "masks": "per_row"}
    message = request("/predict", sent)
    with pinned(), serving(artifact, MCD_QUEUE_ROWS="400") as ours:
        take_other_cores()
        asyncio.run(load(ours.url, [message], connections=8, seconds=1))
        half = given.seconds / 2
        peak = asyncio.run(load(ours.url, [message], connections=8, seconds=half)).rate()
        times = np.arange(int(2 * peak * given.seconds)) / (2 * peak)
        twice = asyncio.run(offer(ours.url, message, times.tolist()))
        again = asyncio.run(load(ours.url, [message], connections=8, seconds=half)).rate()
    return {
        "peaks_per_second": [peak, again],
        "goodput_ratio": twice.rate() / statistics.mean([peak, again]),
        "rejected_p99_ms": twice.milliseconds(99, 429),
        "served_p99_ms": twice.milliseconds(99),
        "statuses": twice.statuses(),
    }


def stop(artifact: Path, given: argparse.Namespace) -> dict[str, Any]:
    """SIGTERM under load, again and again: how the requests ended, and the exit codes."""
    message = request("/predict", {"rows": [row(0)]})
    statuses: dict[str, int] = {}
    exits: list[int] = []
    seconds: list[float] = []
    for _ in range(given.times):
        with serving(artifact) as ours:
            outcome = asyncio.run(_stop_under_load(ours, message, seconds))
            exits.append(ours.process.wait(60))
        for status, count in outcome.statuses().items():
            statuses[status] = statuses.get(status, 0) + count
    lost = {name: count for name, count in statuses.items() if name.endswith("Error")}
    return {
        "statuses": statuses,
        "lost": sum(lost.values()),
        "exit_codes": sorted(set(exits)),
        "seconds_to_exit": max(seconds),
    }


@contextmanager
def pinned() -> Iterator[None]:
    """What is started inside runs on our first core."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def take_other_cores() -> None:
    """Leave the cores on which `pinned` runs what it starts."""
    everywhere = set(range(os.cpu_count() or 1))
    os.sched_setaffinity(0, everywhere - os.sched_getaffinity(0) or everywhere)


async def _stop_under_load(ours: "Served", message: bytes, seconds: list[float]) -> Outcome:
    traffic = asyncio.create_task(load(ours.url, [message], connections=16, seconds=2.5))
    await asyncio.sleep(0.7)
    started = time.perf_counter()
    ours.process.terminate()
    await asyncio.to_thread(ours.process.wait, 60)
    seconds.append(time.perf_counter() - started)
    return await traffic


def kill(artifact: Path, given: argparse.Namespace) -> dict[str, Any]:
    """kill -9 of one process of two under load: what was lost, and the time until both serve."""
    message = request("/predict", {"rows": [row(0)]})
    lost: list[int] = []
    seconds: list[float] = []
    for _ in range(given.times):
        with serving(artifact, MCD_WORKERS="2") as ours:
            _until(lambda: len(_ready_processes(ours.log)) == 2)
            outcome = asyncio.run(_kill_under_load(ours, message, seconds))
            lost.append(sum(outcome.lost.values()))
            answered = set(outcome.seconds)
    return {"lost": lost, "statuses": sorted(answered), "recovery_seconds": max(seconds)}


async def _kill_under_load(ours: "Served", message: bytes, seconds: list[float]) -> Outcome:
    traffic = asyncio.create_task(load(ours.url, [message], connections=16, seconds=12))
    await asyncio.sleep(1)
    before = _ready_processes(ours.log)
    started = time.perf_counter()
    os.kill(before[0], signal.SIGKILL)
    await asyncio.to_thread(_until, lambda: len(_ready_processes(ours.log)) == len(before) + 1)
    seconds.append(time.perf_counter() - started)
    return await traffic


def soak(artifact: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Many requests, one of twenty bad: means of the middle and the last third of the time."""
    good = [request("/predict", {"rows": [row(n)] * (1 + n % 3)}) for n in range(19)]
    bad = request("/predict", b'{"rows": [[NaN]]}')
    samples: list[tuple[int, int, int]] = []
    with serving(artifact) as ours:
        thirds = 12
        for _ in range(3 * thirds):
            asyncio.run(
                load(
                    ours.url,
                    [*good, bad],
                    connections=16,
                    seconds=600,
                    count=given.requests // (3 * thirds),
                )
            )
            time.sleep(0.1)  # until the connections are closed
            samples.append(_weight(ours.process.pid))
    middle, last = np.mean(samples[thirds:-thirds], 0), np.mean(samples[-thirds:], 0)
    names = ("rss_kib", "threads", "descriptors")
    return {
        name: {"middle": middle[i], "last": last[i], "growth": last[i] / middle[i] - 1}
        for i, name in enumerate(names)
    }


BENCHMARKS = {
    "throughput": throughput,
    "large": large,
    "overload": overload,
    "stop": stop,
    "kill": kill,
    "soak": soak,
}


def _compare(rounds: list[dict[str, tuple[Outcome, float]]]) -> dict[str, float]:
    """Rates, tails and CPU times of each side, and our rate over those of the others."""
    found: dict[str, float] = {}
    for name in rounds[0]:
        outcomes = [each[name][0] for each in rounds]
        found[f"{name}_per_second"] = statistics.median(each.rate() for each in outcomes)
        found[f"{name}_p99_ms"] = statistics.median(each.milliseconds(99) for each in outcomes)
        found[f"{name}_cpu_ms"] = statistics.median(each[name][1] for each in rounds)
        found[f"over_{name}"] = statistics.median(
            each["service"][0].rate() / each[name][0].rate() for each in rounds
        )
    del found["over_service"]
    return found


def row(number: int) -> dict[str, float]:
    """A row that the model of `train` accepts."""
    return {name: round(((number * 7 + at) % 13) / 6 - 1, 3) for at, name in enumerate(FEATURES)}


def train(folder: Path, members: int = 1) -> Path:
    """A model of 8 inputs, two layers of 50 and one output; how good it is does not matter."""
    random = np.random.default_rng(0)
    columns = {name: random.normal(size=400) for name in FEATURES}
    columns["y"] = sum(columns.values()) + random.normal(size=400)
    table = model.Table("benchmark", columns, "0" * 64)
    options = model.TrainOptions(
        members=members,
        number_encoding="raw",
        hidden=(50, 50),
        dropout=(0.1,),
        epochs=3,
        noise="homoscedastic",
    )
    model.train(table, ["y"], folder / "benchmark", options=options)
    return folder / "benchmark"


@dataclass(frozen=True)
class Served:
    """A running server."""

    process: subprocess.Popen[str]
    url: str
    log: Path


@contextmanager
def serving(artifact: Path, **settings: str) -> Iterator[Served]:
    """Our server with that model, ready; `settings` are environment variables."""
    command = ["-m", "app", "--port", "0", "--model", str(artifact)]
    with _process(command, settings) as served:
        _until(lambda: _ready(served.url))
        yield served


@contextmanager
def _constant() -> Iterator[Served]:
    with _process([str(Path(__file__).with_name("constant.py"))], {}) as served:
        yield served


@contextmanager
def _peer(name: str, artifact: Path) -> Iterator[Served]:
    """Another way to serve the same model."""
    command = [str(Path(__file__).parent / "peers" / f"{name}.py"), str(artifact)]
    with _process(command, {}) as served:
        yield served


@contextmanager
def _process(command: list[str], settings: dict[str, str]) -> Iterator[Served]:
    with tempfile.NamedTemporaryFile("w") as log:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert process.stdout
        try:
            url = re.search(r"http://\S+", process.stdout.readline())
            if url is None:
                raise SystemExit(f"the server did not start: {Path(log.name).read_text()}")
            yield Served(process, url[0], Path(log.name))
        finally:
            process.terminate()
            process.wait(60)


def _until(true: Callable[[], bool]) -> None:
    started = time.perf_counter()
    while not true():
        if time.perf_counter() - started > READY_SECONDS:
            raise SystemExit("the service is not ready after a minute")
        time.sleep(0.02)


def _ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/v2/health/ready", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _ready_processes(log: Path) -> list[int]:
    """The processes that have said that they serve, in that order."""
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.endswith("}")]
    return [each["process"] for each in lines if each["message"].startswith("Application startup")]


def _weight(process: int) -> tuple[int, int, int]:
    """Resident KiB, threads and open descriptors."""
    status = Path(f"/proc/{process}/status").read_text()
    rss, threads = (
        int(re.search(rf"{name}:\s+(\d+)", status)[1])  # type: ignore[index]
        for name in ("VmRSS", "Threads")
    )
    return rss, threads, len(list(Path(f"/proc/{process}/fd").iterdir()))


if __name__ == "__main__":
    main()
