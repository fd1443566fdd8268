"""What a load needs, by arithmetic from measured figures, as Markdown."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tests.benchmarks.scaling.simulation import Pace, System, Traffic, poisson, simulate

RATES = (1_000, 10_000, 1_000_000)
WORTH = (5, 9)  # passes of `plain` that one of `reduced` is worth, at least: variance, mean
SIMULATED = 20_000
SCRAPE_SECONDS = 15
PACKET_BYTES = 5 * 66  # heads of packets of a request: two with data, and acknowledgements
TOGETHER = 64  # the requests of a batch, at most, where a load is planned


def _given(default: float, text: str) -> Any:
    return field(default=default, metadata={"help": f"{text} (default: {default:g})"})


@dataclass(frozen=True)
class Prices:
    """What is not measured: an option of the command each."""

    price: float = _given(0.04, "price of a core for an hour")
    utilisation: float = _given(0.6, "share of a process's capacity that is planned")
    gpu_price: float = _given(2.0, "price of a GPU for an hour")
    gpu_rate: float = _given(1e10, "rows x passes per second of a GPU; never measured here")
    machine_cores: float = _given(32, "cores of a machine")
    machine_gbit: float = _given(10, "network of a machine, Gbit/s")
    clients: float = _given(10, "open connections per request per second")
    inserts: float = _given(20_000, "outcomes per second that a database takes; not measured")
    outcome_bytes: float = _given(200, "bytes of a stored outcome")


@dataclass(frozen=True)
class Costs:
    """The measured figures that a plan takes."""

    pace: Pace
    plain: Pace
    proxies: dict[str, float]
    other: dict[str, float]
    memory_mb: float

    @classmethod
    def of(cls, figures: dict[str, Any]) -> "Costs":
        """From the file of figures."""
        reduced, plain = (Pace(**figures["pace"][each]["pace"]) for each in ("reduced", "plain"))
        memory = figures["workers"]["memory_mb"]["2"] / 2
        return cls(reduced, plain, figures["proxies"], figures["costs"], memory)


def cpu(pace: Pace, rows: float, passes: float, together: float) -> float:
    """CPU seconds of a request in a batch of so many requests."""
    return pace.handling(rows) + pace.computing(rows * together, passes) / together


def plan(figures: dict[str, Any], prices: Prices) -> list[str]:
    """Tables, each with what is to be said before it."""
    costs = Costs.of(figures)
    parts = (_paces, _levels, _money, _gpu, _cache, _cheaper)
    return [*(part(costs, prices) for part in parts), checks(figures["check"])]


def checks(compared: Sequence[dict[str, Any]]) -> str:
    """What the simulation predicted beside what servers did."""
    ways = ("measured", "quiet", "at its share")
    lines = [
        [
            f"{each['scenario']}, {each['load']:g}",
            f"{each['offered']:,.0f}",
            f"{each['share']:.0%}",
            *(", ".join(f"{each[way][name]:,.1f}" for way in ways) for name in ("p50", "p99")),
            ", ".join(f"{each[way]['rate']:,.0f}" for way in ways),
            ", ".join(f"{100 * each[way]['refused']:.0f}" for way in ways),
        ]
        for each in compared
    ]
    names = ("p50, ms", "p99, ms", "answers/s", "429, %")
    head = ["part of the capacity", "requests/s", "share of a core", *names]
    return _table(head, lines)


def _paces(costs: Costs, _: Prices) -> str:
    """CPU time of a request, alone and in batches."""
    lines = [
        [f"{rows} rows, {passes} passes"]
        + [
            f"{1e6 * cpu(pace, rows, passes, together):,.0f}"
            for pace in (costs.pace, costs.plain)
            for together in (1, 16, TOGETHER)
        ]
        for rows, passes in ((1, 100), (1, 1_000), (16, 100), (16, 1_000), (256, 100))
    ]
    sides = [f"`{name}`, {n} together" for name in ("reduced", "plain") for n in (1, 16, TOGETHER)]
    return _table(["us of CPU time of a request", *sides], lines)


def _levels(costs: Costs, prices: Prices) -> str:
    """What each rate of requests of one row and 100 passes needs."""
    capacity = 1 / cpu(costs.pace, 1, 100, TOGETHER)
    each = prices.utilisation * capacity
    times = poisson(each, SIMULATED, np.random.default_rng(0))
    simulated = simulate(System(costs.pace), Traffic.of(times))
    size = costs.other["request_bytes"] + costs.other["answer_bytes"] + PACKET_BYTES
    lines = []
    for rate in RATES:
        processes = int(np.ceil(rate / each))
        gbit = 8e-9 * rate * size
        proxies = ", ".join(f"{rate * each:,.1f}" for each in costs.proxies.values())
        scrape = costs.other["scrape"] * processes / SCRAPE_SECONDS
        connections = prices.clients * rate
        lines.append(
            [
                f"{rate:,}",
                f"{processes:,}",
                f"{processes / prices.machine_cores:,.1f}",
                f"{processes * costs.memory_mb / 1000:,.1f}",
                proxies,
                f"{gbit:,.2f}",
                f"{connections:,.0f}, {connections * costs.other['connection_bytes'] / 1e9:,.2f}",
                f"{scrape:,.3f}",
                f"{rate / prices.inserts:,.2f}, {rate * 86_400 * prices.outcome_bytes / 1e12:,.2f}",
            ]
        )
    head = (
        f"A process answers {capacity:,.0f} requests/s at most. At {prices.utilisation:.0%} of "
        f"that it has a p50 of {simulated.milliseconds(50):.1f} ms and a p99 of "
        f"{simulated.milliseconds(99):.1f} ms (simulated, without network).\n\n"
    )
    return head + _table(
        [
            "requests/s",
            "processes",
            f"machines of {prices.machine_cores:g} cores",
            "memory, GB",
            f"cores of proxies: {', '.join(costs.proxies)}",
            "network, Gbit/s",
            "open connections, and their GB",
            f"cores for metrics, every {SCRAPE_SECONDS} s",
            "databases for outcomes, TB a day",
        ],
        lines,
    )


def _money(costs: Costs, prices: Prices) -> str:
    """CPU seconds and money of a million predictions."""
    lines = []
    for name, rows, together in (
        ("one row a request, alone", 1, 1),
        (f"one row a request, {TOGETHER} together", 1, TOGETHER),
        ("256 rows a request", 256, 1),
    ):
        seconds = 1e6 * cpu(costs.pace, rows, 100, together) / rows
        money = seconds / 3_600 * prices.price / prices.utilisation
        lines.append([name, f"{seconds:,.0f}", f"{money:.4f}"])
    return _table(
        ["a million predictions, 100 passes", "CPU seconds", f"at {prices.price:g} per core-hour"],
        lines,
    )


def _gpu(costs: Costs, prices: Prices) -> str:
    """From which rate a GPU computes passes for less than cores do."""
    each = costs.pace.row_pass
    even = prices.gpu_price / prices.price / each
    parts = ", ".join(
        f"{_engine(costs.pace, *cell):.0%} of a request of {cell[0]} rows, {cell[1]} together"
        for cell in ((1, TOGETHER), (256, 1))
    )
    return (
        f"A core computes {1 / each:,.3g} rows x passes per second (`reduced`). A GPU at "
        f"{prices.gpu_price:g} an hour breaks even with cores at {prices.price:g} at {even:.3g}. "
        f"At the assumed {prices.gpu_rate:.3g} it would cost "
        f"{even / prices.gpu_rate:.2f} times as much as cores for passes alone, if it were always "
        f"busy. Only the computation can move to it, at most {parts}."
    )


def _engine(pace: Pace, rows: float, together: float) -> float:
    """The share of a batch's own work in the CPU time of a request of 100 passes."""
    return 1 - pace.handling(rows) / cpu(pace, rows, 100, together)


def _cache(costs: Costs, _: Prices) -> str:
    """From which share of hits a cache of answers by a hash of the row takes less CPU time."""
    lines = []
    for name, lookup in (
        ("in the process", costs.other["hash"]),
        ("another process, our part", costs.other["hash"] + costs.other["round_trip"]),
    ):
        for rows, passes, together in ((1, 100, 1), (1, 100, TOGETHER), (1, 1_000, TOGETHER)):
            engine = cpu(costs.pace, rows, passes, together) - costs.pace.handling(rows)
            whole = cpu(costs.pace, rows, passes, together)
            lines.append(
                [
                    f"{name}; {passes} passes, {together} together",
                    f"{1e6 * lookup:.1f}",
                    f"{1e6 * engine:.0f} of {1e6 * whole:.0f}",
                    f"{min(lookup / engine, 9.99):.0%}",
                    f"{(0.5 * engine - lookup) / whole:.0%}",
                ]
            )
    return _table(
        [
            "cache",
            "hash and lookup, us",
            "engine, us of a request",
            "hits to break even",
            "CPU time saved at 50 % hits",
        ],
        lines,
    )


def _cheaper(costs: Costs, _: Prices) -> str:
    """What fewer passes, the other estimator and a tolerance save."""
    reduced, plain = costs.pace, costs.plain
    usual = cpu(reduced, 1, 100, TOGETHER)
    lines = [
        [f"`reduced`, {passes} passes", *_beside(cpu(reduced, 1, passes, TOGETHER), usual)]
        for passes in (50, 100, 200, 1_000)
    ]
    lines += [
        [f"`plain`, {100 * worth} passes", *_beside(cpu(plain, 1, 100 * worth, TOGETHER), usual)]
        for worth in (1, *WORTH)
    ]
    alone = costs.other["tolerance"] / costs.other["no_tolerance"]
    lines.append(["a tolerance of 0.05, alone", f"{1e6 * costs.other['tolerance']:,.0f}"])
    lines[-1].append(f"{alone:.2f} of a request without, alone")
    return _table(["one row", "us of CPU time", "over `reduced` with 100 passes"], lines)


def _beside(seconds: float, usual: float) -> tuple[str, str]:
    return f"{1e6 * seconds:,.0f}", f"{seconds / usual:.2f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rows = [head, ["---"] + ["---:"] * (len(head) - 1), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
