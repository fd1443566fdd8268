"""What the simulation predicts, beside what servers do."""

import asyncio
import os
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from tests.benchmarks.scaling.measuring import Fit, Kind, Machine, Target, named, scheduled, used
from tests.benchmarks.scaling.simulation import (
    Pace,
    System,
    Traffic,
    bursts,
    poisson,
    simulate,
)
from tests.benchmarks.serving import pinned, serving, take_other_cores
from tests.benchmarks.traffic import offer
from tests.deploy.proxies import COUNT, PROXIES, Fleet, certified

ONE, SOME = Kind(), Kind(16, 1_000)
CONNECTIONS = 64  # that are open before the first request; more are opened where these are busy
QUEUE_ROWS = 400  # of the overload: a queue that a few seconds fill


@dataclass(frozen=True)
class Scenario:
    """A load on a system: a part of what the system can answer, and how requests come."""

    name: str
    kind: Kind
    load: float
    bursty: bool = False


SCENARIOS = [
    *(Scenario("one row", ONE, load) for load in (0.3, 0.6)),
    Scenario("one row, bursts", ONE, 0.3, bursty=True),
    *(Scenario("16 rows", SOME, load) for load in (0.3, 0.6, 0.8)),
    Scenario("16 rows, bursts", SOME, 0.5, bursty=True),
    Scenario("16 rows, overload", SOME, 1.5),
]


@dataclass(frozen=True)
class Figures:
    """Latencies in ms, answers per second, and the share of requests that got 429."""

    p50: float
    p99: float
    rate: float
    refused: float


def check_one(artifact: Path, fit: Fit, seconds: float, seed: int) -> Iterator[dict[str, Any]]:
    """One process on one core, the load generator on another, for every scenario."""
    with pinned(), serving(artifact, MCD_QUEUE_ROWS=str(QUEUE_ROWS)) as served:
        take_other_cores()
        system = System(fit.pace, queue_rows=QUEUE_ROWS)
        for scenario in SCENARIOS:
            yield _compared(Target.of(served), system, fit.away, scenario, (seconds, seed))


def check_two(artifact: Path, fit: Fit, seconds: float, seed: int) -> Iterator[dict[str, Any]]:
    """Two processes that accept from one listener, beside the load generator on the same cores."""
    with serving(artifact, MCD_WORKERS="2") as served:
        system = System(fit.pace, 2, cores=2)
        for load in (0.3, 0.6):
            scenario = Scenario("16 rows, two workers", SOME, load)
            yield _compared(Target.of(served), system, fit.away, scenario, (seconds, seed))


def check_proxies(
    artifact: Path, folder: Path, fit: Fit, seconds: float, seed: int
) -> Iterator[dict[str, Any]]:
    """Three processes behind nginx and HAProxy with TLS, as `deploy/proxy` configures them."""
    for name, target, cost in fleets(artifact, folder):
        scenario = Scenario(f"16 rows, three behind {name}", SOME, 0.4)
        system = System(fit.pace, COUNT, cores=2, routing="least connections", proxy=cost)
        yield _compared(target, system, fit.away, scenario, (seconds, seed))


def fleets(artifact: Path, folder: Path) -> Iterator[tuple[str, Target, float]]:
    """Each proxy by name, three servers behind it, and its CPU seconds of a request."""
    os.environ["MCD_MODELS"] = str(artifact)
    try:
        with ExitStack() as stack:
            tls = certified(folder)
            fleet = stack.enter_context(Fleet(folder))
            processes = tuple(each.process.pid for each in fleet.servers)
            servers = tuple(each.url for each in fleet.servers)
            for name, proxy in PROXIES.items():
                with proxy(folder, fleet.ports) as url:
                    target = Target(url, processes, servers, tls)
                    used(target, ONE.message(), connections=16, seconds=1)
                    before = scheduled(named(name))[0]
                    outcome, _ = used(target, ONE.message(), connections=16, seconds=2)
                    cost = scheduled(named(name))[0] - before
                    yield name, target, cost / len(outcome.seconds[200])
    finally:
        del os.environ["MCD_MODELS"]


def _compared(
    target: Target,
    system: System,
    away: float,
    scenario: Scenario,
    lengths: tuple[float, int],
) -> dict[str, Any]:
    """Measured and predicted figures of one load; the same times of arrival in both.

    The load is a part of what the servers can answer now: on a machine that others use, that
    changes from minute to minute. The servers also learn from it how long batches take.
    """
    seconds, seed = lengths
    message = scenario.kind.message()
    peak, _ = used(target, message, connections=16, seconds=seconds / 2)
    rate = scenario.load * peak.rate()
    random = np.random.default_rng(seed)
    arrivals = (bursts if scenario.bursty else poisson)(rate, int(rate * seconds), random)
    machine, before, started = Machine(), target.usage(), perf_counter()
    outcome = asyncio.run(
        offer(
            target.url,
            message,
            arrivals.tolist(),
            connections=CONNECTIONS,
            tls=target.tls,
        )
    )
    elapsed = perf_counter() - started
    took, count = target.usage().since(before), len(outcome.sent)
    answered = len(outcome.seconds.get(200, ()))
    measured = Figures(
        outcome.milliseconds(50),
        outcome.milliseconds(99),
        answered / elapsed,
        len(outcome.seconds.get(429, ())) / count,
    )
    sent = np.array(outcome.sent)
    # The cores that the servers got while they wanted them; how busy others are is no prediction.
    had = {"quiet": 1.0, "at its share": took.share}
    return {
        "scenario": scenario.name,
        "load": scenario.load,
        "peak": peak.rate(),
        "offered": count / arrivals[-1],
        "measured": asdict(measured),
        **{
            name: asdict(_predicted(system, scenario.kind, sent, (share, away)))
            for name, share in had.items()
        },
        "share": took.share,
        "others": machine.others(),
        "late_p99_ms": 1000 * float(np.percentile(sent - arrivals[:count], 99)),
        "lost": dict(outcome.lost),
    }


def _predicted(
    system: System, kind: Kind, sent: np.ndarray, conditions: tuple[float, float]
) -> Figures:
    share, away = conditions
    pace = Pace(*(seconds / share for seconds in asdict(system.pace).values()))
    slower = System(**{**vars(system), "pace": pace})
    simulated = simulate(slower, Traffic.of(sent, kind.rows, kind.passes))
    return Figures(
        simulated.milliseconds(50) + 1000 * away,
        simulated.milliseconds(99) + 1000 * away,
        simulated.rate(),
        float(simulated.refused.mean()),
    )
