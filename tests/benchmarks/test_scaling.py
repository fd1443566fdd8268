"""The simulation agrees with the queues whose answers are known."""

import json
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from tests.benchmarks.scaling.closed_forms import (
    batching,
    sharing,
    waiting_mdc,
    waiting_mg1,
    waiting_mm1,
    waiting_mmc,
)
from tests.benchmarks.scaling.measuring import DESIGN, fitted
from tests.benchmarks.scaling.planning import Prices, cpu, plan
from tests.benchmarks.scaling.simulation import (
    Pace,
    System,
    Traffic,
    bursts,
    poisson,
    simulate,
)

DOCS = Path(__file__).parents[2] / "docs"
SEEDS = 20
REQUESTS = 2_000
WARM_UP = REQUESTS // 10
CONFIDENCE = 0.999

Draw = Callable[[np.random.Generator], np.ndarray]
ALONE = {"routing": "least work", "batch_rows": 1}


def constant(_: np.random.Generator) -> np.ndarray:
    return np.ones(REQUESTS)


def exponential(random: np.random.Generator) -> np.ndarray:
    return random.exponential(1, REQUESTS)


def two_kinds(random: np.random.Generator) -> np.ndarray:
    return random.choice([0.2, 3.0], REQUESTS, p=[0.8, 0.2])


def agrees(measured: list[float], known: float, *, within: float) -> None:
    """The mean over the seeds lies in its confidence bound around what is known, a narrow one."""
    error = np.std(measured, ddof=1) / math.sqrt(len(measured))
    bound = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(measured) - 1) * error)
    assert bound < within * known
    assert abs(np.mean(measured) - known) < bound


def times_in_system(system: System, rate: float, draw: Draw) -> list[float]:
    """The mean time of a request, for each seed; `draw` gives the CPU milliseconds of each."""
    found = []
    for seed in range(SEEDS):
        random = np.random.default_rng(seed)
        traffic = Traffic(poisson(rate, REQUESTS, random), np.ones(REQUESTS), draw(random))
        found.append(float(np.mean(simulate(system, traffic).latency[WARM_UP:])))
    return found


@pytest.mark.parametrize(
    ("servers", "load", "draw", "wait"),
    [
        (1, 0.6, exponential, waiting_mm1(600, 0.001)),
        (1, 0.6, constant, waiting_mg1(600, 0.001, 1e-6)),
        (1, 0.6, two_kinds, waiting_mg1(600, 0.00076, 1.832e-6)),
        (3, 0.7, exponential, waiting_mmc(2100, 0.001, 3)),
        (3, 0.7, constant, waiting_mdc(2100, 0.001, 3)),
    ],
    ids=["M/M/1", "M/D/1", "M/G/1", "M/M/3", "M/D/3"],
)
def test_waits_are_those_of_the_closed_form(
    servers: int, load: float, draw: Draw, wait: float
) -> None:
    system = System(Pace(row_pass=0.001), servers, **ALONE)  # type: ignore[arg-type]
    times = times_in_system(system, load * servers * 1000, draw)
    service = 0.00076 if draw is two_kinds else 0.001
    agrees(times, service + wait, within=0.12)


def test_batches_are_those_of_the_closed_form() -> None:
    seconds, size = batching(1500, 0.0005, 0.0004)
    system = System(Pace(turn=0.0005, row_pass=0.000004))
    found, sizes = [], []
    for seed in range(SEEDS):
        traffic = Traffic.of(poisson(1500, REQUESTS, np.random.default_rng(seed)))
        simulated = simulate(system, traffic)
        found.append(float(np.mean(simulated.latency[WARM_UP:])))
        sizes.append(sum(n * n for n in simulated.batches) / REQUESTS)
    agrees(found, seconds, within=0.12)
    agrees(sizes, size, within=0.12)


def test_one_core_of_many_processes_is_shared() -> None:
    idle_first = {**ALONE, "routing": "least connections"}
    system = System(Pace(row_pass=0.001), 40, cores=1, **idle_first)  # type: ignore[arg-type]
    agrees(times_in_system(system, 600, exponential), sharing(600, 0.001), within=0.12)


def test_crommelins_wait_for_one_server_is_that_of_pollaczek() -> None:
    assert waiting_mdc(700, 0.001, 1) == pytest.approx(waiting_mg1(700, 0.001, 1e-6), rel=1e-6)
    assert waiting_mmc(700, 0.001, 1) == pytest.approx(waiting_mm1(700, 0.001), rel=1e-12)


def test_bursts_have_the_rate_and_wait_longer() -> None:
    random = np.random.default_rng(0)
    even, burst = poisson(500, 40_000, random), bursts(500, 40_000, random)
    assert 40_000 / burst[-1] == pytest.approx(500, rel=0.2)
    counts = [np.histogram(each, np.arange(0, each[-1], 0.1))[0] for each in (even, burst)]
    assert np.var(counts[0]) / np.mean(counts[0]) == pytest.approx(1, abs=0.3)
    assert np.var(counts[1]) / np.mean(counts[1]) > 10
    system = System(Pace(row_pass=1e-5))
    waits = [simulate(system, Traffic.of(each[:5_000])).milliseconds(99) for each in (even, burst)]
    assert waits[1] > 3 * waits[0]


def test_a_full_queue_refuses_what_the_server_cannot_compute() -> None:
    """Twice the capacity: half is answered, no later than the queue and two batches take."""
    system = System(Pace(row_pass=1e-5), queue_rows=100, batch_rows=16)
    traffic = Traffic.of(poisson(2_000, 8_000, np.random.default_rng(0)))
    simulated = simulate(system, traffic)
    assert simulated.rate() == pytest.approx(1_000, rel=0.03)
    assert np.mean(simulated.refused) == pytest.approx(0.5, abs=0.03)
    assert simulated.milliseconds(100) < 100 + 2 * 16 + 1


def test_short_requests_do_not_wait_for_long_ones() -> None:
    seconds = np.arange(200) / 100
    passes = np.where(np.arange(200) % 20, 100.0, 50_000.0)  # 1 ms, and half a second
    system = System(Pace(row_pass=1e-5), cores=2)
    latency = simulate(system, Traffic(seconds, np.ones(200), passes)).latency
    assert np.max(latency[passes == 100]) < 0.004
    assert np.min(latency[passes > 100]) >= 0.5


def test_a_large_request_is_cut_so_that_another_advances() -> None:
    """Each of two takes turns with the other: the small one need not wait for all of the large."""
    pace = Pace(row_pass=1e-5)
    traffic = Traffic(np.array([0.0, 0.01]), np.array([1_000.0, 100.0]), np.full(2, 100.0))
    large, small = simulate(System(pace, batch_rows=1_024), traffic).latency
    assert large == pytest.approx(1.1, rel=0.01)
    assert small < 0.4


def test_fewest_unanswered_waits_less_than_turns_and_fixed_connections() -> None:
    """Kernel accept leaves connections where they are; turns ignore how long a request takes."""
    random = np.random.default_rng(0)
    passes = random.choice([50.0, 900.0], REQUESTS, p=[0.9, 0.1])
    traffic = Traffic(poisson(2_000, REQUESTS, random), np.ones(REQUESTS), passes)
    waits = {
        routing: float(
            np.mean(simulate(System(Pace(row_pass=1e-5), 4, routing=routing), traffic).latency)
        )
        for routing in ("accept", "round robin", "least connections", "least work")
    }
    assert waits["least work"] < waits["least connections"] < waits["round robin"]
    assert waits["round robin"] < waits["accept"]


def test_a_busy_neighbour_takes_its_share_of_the_core() -> None:
    traffic = Traffic.of(np.array([0.0]), passes=100)
    alone, beside = (
        simulate(System(Pace(row_pass=1e-5), cores=1, background=others), traffic).latency[0]
        for others in (0, 1)
    )
    assert beside == pytest.approx(2 * alone)


def test_a_proxy_handles_one_request_at_a_time() -> None:
    traffic = Traffic.of(np.zeros(3))
    system = System(Pace(row_pass=1e-5), 3, routing="round robin", proxy=0.001)
    assert simulate(system, traffic).latency == pytest.approx([0.002, 0.003, 0.004])


def test_costs_are_found_in_cpu_times_that_are_a_little_off() -> None:
    pace = Pace(turn=2e-4, request=1e-4, row=4e-6, draw=1e-7, row_pass=1e-8)
    random = np.random.default_rng(0)
    found = [
        (cpu(pace, rows, passes, together) * random.uniform(0.99, 1.01), together, 0.0)
        for (together, rows, passes) in DESIGN
    ]
    measured = fitted(DESIGN, found)
    for name in ("turn", "request", "row", "draw", "row_pass"):
        assert getattr(measured, name) == pytest.approx(getattr(pace, name), rel=0.15)


def test_the_page_has_the_tables_of_its_figures() -> None:
    """`docs/img/scaling.json` has what was measured, and the command makes the tables of it."""
    figures = json.loads((DOCS / "img" / "scaling.json").read_text())
    page = (DOCS / "scaling.md").read_text()
    for table in plan(figures, Prices()):
        assert table in page
