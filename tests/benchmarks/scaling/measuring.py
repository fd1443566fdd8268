"""The CPU time of a request, measured at a running server."""

import asyncio
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from ssl import SSLContext
from time import perf_counter
from typing import Any, NamedTuple
from urllib.request import urlopen

import numpy as np
from scipy.optimize import nnls

from tests.benchmarks.scaling.simulation import Pace
from tests.benchmarks.serving import Served, row
from tests.benchmarks.traffic import Outcome, load, request

REFUSED = "/models/none/predict"  # refused before its body is read, as where the queue is full


class Kind(NamedTuple):
    """What a request asks for."""

    rows: int = 1
    passes: int = 100
    estimator: str = "reduced"
    tolerance: float | None = None

    def message(self, path: str = "/predict") -> bytes:
        """The request as it goes over the wire."""
        document: dict[str, Any] = {
            "rows": [row(number) for number in range(self.rows)],
            "passes": self.passes,
            "estimator": self.estimator,
        }
        if self.tolerance is not None:
            document["tolerance"] = self.tolerance
        return request(path, document)


# Connections, rows and passes. Each cost dominates somewhere.
DESIGN = [
    *((connections, 1, 100) for connections in (1, 4, 16, 64)),
    *((1, 1, passes) for passes in (1_000, 4_000)),
    *((1, rows, 100) for rows in (16, 64, 256)),
    *((1, rows, 1_000) for rows in (16, 64)),
    (16, 16, 100),
    (16, 4, 1_000),
]


@dataclass(frozen=True)
class Target:
    """Where requests go, and the processes that answer them."""

    url: str
    processes: tuple[int, ...]  # of the servers, without those that they have started
    servers: tuple[str, ...]  # an address for each, which has its metrics
    tls: SSLContext | None = None

    @classmethod
    def of(cls, served: Served) -> "Target":
        """One server, asked directly."""
        return cls(served.url, (served.process.pid,), (served.url,))

    def usage(self) -> "Usage":
        """What the servers have used so far."""
        cpu = waited = 0.0
        for process in self.processes:
            ran, delayed = scheduled(process)
            cpu, waited = cpu + ran, waited + delayed
        return Usage(cpu, waited, sum(map(_batches, self.servers)))


class Usage(NamedTuple):
    """What servers have used, and the batches that they have computed."""

    cpu: float  # seconds
    waited: float  # seconds in which they wanted a core and had none
    batches: float

    def since(self, before: "Usage") -> "Usage":
        return Usage(*(now - then for now, then in zip(self, before, strict=True)))

    @property
    def share(self) -> float:
        """The share of a core that they got while they wanted one."""
        return self.cpu / (self.cpu + self.waited)


def scheduled(process: int) -> tuple[float, float]:
    """CPU seconds of a process and its children, and the seconds that they waited for a core."""
    cpu = waited = 0
    for each in family(process):
        for task in Path(f"/proc/{each}/task").iterdir():
            ran, delayed, _ = map(int, (task / "schedstat").read_text().split())
            cpu, waited = cpu + ran, waited + delayed
    return cpu / 1e9, waited / 1e9


def family(process: int) -> list[int]:
    """The process, its children, and theirs."""
    found = [process]
    for each in found:
        for task in Path(f"/proc/{each}/task").iterdir():
            found += map(int, (task / "children").read_text().split())
    return found


def named(name: str) -> int:
    """The first process that we have started from a program of that name."""
    for each in family(os.getpid()):
        if Path(f"/proc/{each}/comm").read_text().strip() == name:
            return each
    raise LookupError(f"no process {name}")


def memory_mb(process: int) -> float:
    """The proportional set size of a process and its children: shared pages count once."""
    texts = [Path(f"/proc/{each}/smaps_rollup").read_text() for each in family(process)]
    return sum(int(re.findall(r"^Pss:\s+(\d+)", text, re.M)[0]) for text in texts) * 1024 / 1e6


def used(
    target: Target, message: bytes, *, connections: int = 1, seconds: float = 1.0
) -> tuple[Outcome, Usage]:
    """Load the servers, and say what they used for that."""
    before = target.usage()
    outcome = asyncio.run(
        load(target.url, [message], connections=connections, seconds=seconds, tls=target.tls)
    )
    return outcome, target.usage().since(before)


@dataclass(frozen=True)
class Fit:
    """A pace, and each measurement with what it says of it."""

    pace: Pace
    cells: list[dict[str, float]]
    away: float  # seconds of a latency outside the server: network and client

    def worst(self) -> float:
        """The largest relative error of the fit."""
        return max(abs(cell["fitted_us"] / cell["measured_us"] - 1) for cell in self.cells)


def measure_pace(
    target: Target, *, estimator: str = "reduced", seconds: float = 1.0, rounds: int = 3
) -> Fit:
    """Fit the five costs of a request to its CPU time, by least squares of the relative errors.

    The cells of the design take turns; each counts with the round of least CPU time, in which
    other processes of the machine disturbed the caches least.
    """
    found: dict[tuple[int, int, int], list[tuple[float, float, float]]] = {}
    for at in range(rounds + 1):  # the first one warms up
        for cell in DESIGN:
            connections, rows, passes = cell
            outcome, took = used(
                target,
                Kind(rows, passes, estimator).message(),
                connections=connections,
                seconds=seconds if at else 0.3,
            )
            count = len(outcome.seconds[200])
            if at:
                cpu = took.cpu / count
                away = outcome.milliseconds(50) / 1000 - cpu / took.share
                found.setdefault(cell, []).append((cpu, count / took.batches, away))
    best = {cell: min(rounds) for cell, rounds in found.items()}
    pace = fitted(list(best), list(best.values()), _refusal(target, seconds))
    cells = [
        {
            "connections": cell[0],
            "rows": cell[1],
            "passes": cell[2],
            "requests_per_batch": together,
            "measured_us": 1e6 * cpu,
            "fitted_us": 1e6
            * (pace.handling(cell[1]) + pace.computing(cell[1] * together, cell[2]) / together),
        }
        for cell, (cpu, together, _) in best.items()
    ]
    return Fit(pace, cells, max(best[1, 1, 100][2], 0.0))


def fitted(
    cells: Sequence[tuple[int, int, int]],
    found: Sequence[tuple[float, float, float]],
    refusal: float = 0.0,
) -> Pace:
    """The pace with the least relative squared errors, none of its costs below zero.

    `cells` has connections, rows and passes, `found` CPU seconds of a request, requests in a batch,
    and what is not looked at here.
    """
    terms = np.array(
        [
            [1 / together, 1, rows, passes / together, rows * passes]
            for (_, rows, passes), (_, together, _) in zip(cells, found, strict=True)
        ]
    )
    cpu = np.array([each[0] for each in found])
    scale = terms.mean(0)  # so that each of the unknowns is of about the same size
    solved, _ = nnls(terms / scale / cpu[:, None], np.ones(len(cpu)))
    return replace(Pace(*(float(each) for each in solved / scale)), refusal=refusal)


def _refusal(target: Target, seconds: float) -> float:
    outcome, took = used(target, Kind().message(REFUSED), connections=16, seconds=seconds)
    return took.cpu / len(outcome.seconds[404])


def _batches(url: str) -> float:
    with urlopen(f"{url}/metrics", timeout=30) as answer:
        text = answer.read().decode()
    found = re.search(r"^mcd_batch_rows_count (\S+)", text, re.M)
    return float(found[1]) if found else 0.0


class Machine:
    """How busy the cores are with other processes than ours, from now on."""

    def __init__(self) -> None:
        self._since = perf_counter(), _busy_seconds(), scheduled(os.getpid())[0]

    def others(self) -> float:
        """The cores that other processes took on average."""
        seconds, busy, ours = self._since
        elapsed = perf_counter() - seconds
        taken = _busy_seconds() - busy - (scheduled(os.getpid())[0] - ours)
        return max(taken / elapsed, 0.0)


def _busy_seconds() -> float:
    fields = list(map(int, Path("/proc/stat").read_text().splitlines()[0].split()[1:9]))
    idle = fields[3] + fields[4]
    return (sum(fields) - idle) / os.sysconf("SC_CLK_TCK")
