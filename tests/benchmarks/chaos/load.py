"""Attacks by many requests: long ones beside short ones, stops under load, a soak."""

import gzip
import random
import signal
import subprocess
import sys
import threading
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from tests.benchmarks.chaos.client import (
    ROW,
    answer,
    ask,
    connect,
    mebibytes,
    post,
    probing,
)
from tests.benchmarks.chaos.finding import Finding
from tests.benchmarks.chaos.messages import GZIP, Attack, many, options, warmed
from tests.journeys.serving import Served, served


def pace(place: Path, models: list[Path], _: Namespace) -> Iterator[Finding]:
    """Requests of many passes beside requests of one row, which must not wait for them."""
    heavy = post("/predict", {"rows": [ROW] * 40, "passes": 10_000, "masks": "per_row"})
    light = post("/predict", {"rows": [ROW]})
    with served(place, *options(models)) as server:
        warmed(server)
        alone = _latencies(server, light, 100)
        yield Finding("pace", "one row alone, p50, ms", float(np.percentile(alone, 50)), 1e9)
        ended = threading.Event()

        def keep_asking() -> int:
            count = 0
            while not ended.is_set():
                count += ask(server, heavy)[0] == 200
            return count

        with ThreadPoolExecutor(26) as pool:
            busy = [pool.submit(keep_asking) for _ in range(26)]
            time.sleep(2)
            beside = _latencies(server, light, 300)
            other = _latencies(
                server, post("/predict", {"rows": [ROW], "passes": 50, "seed": 3}), 30
            )
            ended.set()
        yield Finding(
            "pace",
            "one row beside 26 heavy requests, p50, ms",
            float(np.percentile(beside, 50)),
            250,
        )
        yield Finding("pace", "the same, p99, ms", float(np.percentile(beside, 99)), 250)
        yield Finding("pace", "options never asked before, slowest, ms", max(other), 500)
        yield Finding(
            "pace", f"heavy requests without an answer (of {sum(b.result() for b in busy)})", 0.0, 0
        )


def stops(place: Path, models: list[Path], asked: Namespace) -> Iterator[Finding]:
    """Stops of two workers under load: no accepted request is lost, no connection is reset.

    Other processes take the processors meanwhile, so that the server's are interrupted anywhere.
    """
    seen: Counter[str] = Counter()
    codes: Counter[int] = Counter()
    for _ in range(asked.stops):
        with served(place, *options(models[:1]), "--workers", "2") as server:
            time.sleep(1.5)  # until both are ready
            with ThreadPoolExecutor(8) as pool, _crowded(asked.burners):
                asking = [pool.submit(_ask_until_refused, server) for _ in range(8)]
                time.sleep(0.3)
                server.process.send_signal(signal.SIGTERM)
                codes[server.process.wait(60)] += 1
                for each in asking:
                    seen.update(each.result())
    answered = seen.pop("200", 0) + seen.pop("503", 0)
    yield Finding(
        "stops",
        f"lost or reset in {asked.stops} stops, of {answered:,} answered {dict(seen)}",
        sum(seen.values()),
        0,
    )
    yield Finding("stops", "exit codes other than 0", asked.stops - codes[0], 0)


def _ask_until_refused(server: Served) -> Counter[str]:
    """What comes of one request per connection, until nobody listens or a request is lost."""
    seen: Counter[str] = Counter()
    light = post("/predict", {"rows": [ROW]})
    while True:
        try:
            connection = connect(server, 30)
        except ConnectionRefusedError:
            return seen  # the listener is closed: nothing was accepted
        except OSError as error:
            seen[f"{type(error).__name__} of connect"] += 1
            return seen
        with connection:
            try:
                connection.sendall(light)
                status = answer(connection)[0]
            except OSError as error:
                seen[type(error).__name__] += 1
                return seen
        seen[str(status or "no answer")] += 1
        if status not in (200, 503):
            return seen


@contextmanager
def _crowded(count: int) -> Iterator[None]:
    """So many processes compute all the time while the block runs."""
    command = [sys.executable, "-S", "-c", "while True: pass"]
    burners = [subprocess.Popen(command) for _ in range(count)]
    try:
        yield
    finally:
        for burner in burners:
            burner.kill()
            burner.wait()


def soak(place: Path, models: list[Path], asked: Namespace) -> Iterator[Finding]:
    """Many requests, one in twenty bad and one in a hundred hostile."""
    good = [post("/predict", {"rows": [ROW] * rows}) for rows in (1, 1, 1, 2, 8)]
    good.append(post("/models/digits/predict", {"rows": [[0.0] * 61]}))
    bad = [
        post("/predict", b'{"rows": [[NaN]]}'),
        post("/predict", {"rows": [["x"] * 10]}),
        post("/predict", {"rows": [ROW], "passes": 1}),
        post("/nowhere", {}),
        post("/predict", b"{"),
    ]
    hostile = [
        post("/predict", gzip.compress(b'{"rows":[":",' + many(b"{}", 200_000) + b"]}"), GZIP),
        post("/v2/models/diabetes/infer", gzip.compress(b"[" * 10**6), GZIP),
        post("/predict", gzip.compress(b" " * (9 << 20)), GZIP),
        post("/predict", {"rows": [ROW] * 40, "passes": 10_000, "masks": "per_row"}),
        post("/models/hundred/predict", {"rows": [[0.5] * 4] * 200}),
    ]
    statuses: Counter[int] = Counter()
    sizes: list[float] = []

    def work(server: Served, seed: int, count: int) -> Counter[int]:
        chance, seen = random.Random(seed), Counter[int]()
        connection = connect(server, 120)
        for _ in range(count):
            kind = chance.random()
            message = chance.choice(hostile if kind < 0.01 else bad if kind < 0.06 else good)
            try:
                connection.sendall(message)
                status, _ = answer(connection)
            except OSError:
                status = 0
            seen[status] += 1
            if status in (0, 413):  # the connection may be closed
                connection.close()
                connection = connect(server, 120)
        connection.close()
        return seen

    with served(place, *options(models)) as server, probing(server) as took:
        for third in range(3):
            each = asked.requests // 3 // 8
            with ThreadPoolExecutor(8) as pool:
                for seen in pool.map(
                    lambda at, e=each, t=third: work(server, 100 * t + at, e), range(8)
                ):
                    statuses.update(seen)
            time.sleep(3)
            sizes.append(mebibytes(server))
    total, failed = sum(statuses.values()), sum(n for s, n in statuses.items() if s >= 500)
    yield Finding(
        "soak",
        f"statuses >= 500 or none in {total:,} requests {dict(statuses)}",
        failed + statuses[0],
        0,
    )
    yield Finding(
        "soak",
        f"memory of the last third over the second ({sizes[1]:.0f} MiB)",
        sizes[2] / sizes[1],
        1.01,
    )
    yield Finding(
        "soak",
        f"liveness p99.9, ms, of {len(took)} probes",
        1e3 * float(np.percentile(took, 99.9)),
        50,
    )


ATTACKS: dict[str, Attack] = {
    "pace": pace,
    "stops": stops,
    "soak": soak,
}


def _latencies(server: Served, message: bytes, count: int) -> list[float]:
    """Milliseconds of requests one after the other on one connection."""
    found = []
    with connect(server) as connection:
        for _ in range(count):
            started = time.perf_counter()
            connection.sendall(message)
            assert answer(connection)[0] == 200
            found.append(1e3 * (time.perf_counter() - started))
    return found
