"""A whole `Predictor.predict` beside the naive ways to run as many stochastic passes.

    python -m tests.benchmarks.predict [--nets 8-50] [--rows 1 16] [--passes 100] [--json FILE]
    python -m tests.benchmarks.predict --large 1000000 [--nets 8-50]

`predict` checks and encodes the rows, runs the passes, and has Monte-Carlo errors, distances to the
training rows, noise and calibrated intervals for every row. Up to 16 rows are objects keyed by
feature name, as a request has them; more are an array of numbers. The naive ways (`engine.py` says
which) get tensors that are encoded already, and have mean and variance only.

The networks learn generated rows by `train` for a moment: how good they are does not change the
time. "five" is the network that `train` makes by default: five members that see numbers and their
codes; the naive ways share the passes among the members' modules. One thread, timed by its own CPU
clock; the ways take turns in one run, and the median counts, or with `--best` the least. The naive
ways are timed on as many passes as `--seconds` allow.

`--large` tells how many rows a second one call of so many rows has with 100 passes.
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch

from model import PredictOptions, Predictor, Table, TrainOptions, load, train, use_threads
from tests.benchmarks.engine import NAIVE, Way, affordable, keep, naive_ways, take_turns

FEATURES = {"8-50-50": 8, "13-100-100": 13, "five": 8, "100-512-512": 100, "64-1024x3": 64}
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "8-50-50": {"hidden": (50, 50), "dropout": (0.1,), "noise": "homoscedastic"},
    "13-100-100": {"hidden": (100, 100), "dropout": (0.1,)},
    "five": {"members": 5, "number_encoding": "piecewise", "dropout": (0.02,)},
    "100-512-512": {"hidden": (512, 512), "dropout": (0.5,), "noise": "homoscedastic"},
    "64-1024x3": {"hidden": (1024,) * 3, "dropout": (0.2,), "noise": "homoscedastic"},
}
ROWS_LEARNED, OBJECTS, LARGE_PASSES = 2_000, 16, 100
TARGETS = (  # how the names of nets begin, rows, passes; plain, reduced over the best naive way
    ("8-50", 1, 100, 1.5, 0.8),
    ("13-100", 1, 100, 1.5, 0.8),
    ("8-50", 1, 1000, 4, 2),
    ("13-100", 1, 1000, 4, 2),
    ("8-50", 16, 100, 6, 3),
    ("13-100", 16, 100, 6, 3),
    *(
        (net, rows, passes, 25, 12)
        for net, rows, passes in product(("8-50", "13-100"), (256, 4096), (100, 1000))
    ),
)
LARGE_TARGETS = {"plain": 300_000, "reduced": 120_000}


@dataclass
class Case:
    """Seconds per call of each way."""

    net: str
    rows: int
    passes: int
    seconds: dict[str, float] = field(default_factory=dict)

    def ratio(self, ours: str) -> float:
        """The time of the best naive way over ours."""
        return min(self.seconds[name] for name in NAIVE) / self.seconds[ours]

    @property
    def targets(self) -> dict[str, float]:
        """The least ratio of each estimator, if there is one for this case."""
        for nets, rows, passes, plain, reduced in TARGETS:
            if self.net.startswith(nets) and (self.rows, self.passes) == (rows, passes):
                return {"plain": plain, "reduced": reduced}
        return {}


def learned(net: str, folder: Path) -> Predictor:
    """The network, trained for one epoch on generated rows."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(ROWS_LEARNED, FEATURES[net]))
    y = np.sin(x[:, 0]) + x[:, 1] * x[:, 2] + 0.1 * draw.normal(size=ROWS_LEARNED)
    columns = {f"x{at}": x[:, at] for at in range(x.shape[1])} | {"y": y}
    options = {"members": 1, "number_encoding": "raw", **OPTIONS[net]}
    train(
        Table(net, columns, "0" * 64),
        "y",
        folder / net,
        options=TrainOptions(**options, epochs=1, refit=False),
    )
    return load(folder / net)


def table(predictor: Predictor, rows: int) -> Any:
    """Rows as a caller has them: few are objects, many are an array."""
    features = predictor.card.schema_of_rows.names
    x = np.random.default_rng(1).normal(size=(rows, len(features)))
    if rows > OBJECTS:
        return x
    return [dict(zip(features, row, strict=True)) for row in x.tolist()]


def ours(predictor: Predictor, rows: Any, estimator: Any) -> Way:
    """Predict the rows under a seed."""
    return lambda passes: predictor.predict(
        rows, PredictOptions(passes=passes, seed=1, estimator=estimator)
    )


def naive(predictor: Predictor, rows: Any) -> dict[str, Way]:
    """The naive ways, which share the passes among the members."""
    x, config = torch.from_numpy(predictor.encode(rows)), predictor.networks.config
    widest = max(*config.site_widths, config.outputs)
    each = [naive_ways(module.train(), x, widest) for module in predictor.modules()]

    def shared(name: str) -> Way:
        def way(passes: int) -> object:
            with torch.inference_mode():
                return [ways[name](max(passes // len(each), 2)) for ways in each]

        return way

    return {name: shared(name) for name in NAIVE}


def measure(case: Case, predictor: Predictor, chosen: argparse.Namespace) -> Case:
    """The case, its ways taking turns."""
    rows, clock = table(predictor, case.rows), time.process_time
    theirs = naive(predictor, rows)
    mine = {name: ours(predictor, rows, name) for name in ("plain", "reduced")}
    timed = {
        name: affordable(way, case.passes, chosen.seconds, clock) for name, way in theirs.items()
    }
    timed |= dict.fromkeys(mine, case.passes)
    took = take_turns(theirs | mine, timed, chosen.rounds, clock, best=chosen.best)
    case.seconds = {name: per_pass * case.passes for name, per_pass in took.items()}
    return case


def report(case: Case) -> str:
    """The row of the table for a case."""
    naive_ms = min(case.seconds[name] for name in NAIVE) * 1e3
    cells = [case.net, case.rows, case.passes, f"{naive_ms:.3g}"]
    for name in ("plain", "reduced"):
        target = case.targets.get(name)
        verdict = "" if target is None else f" ({target:g})"
        cells += [f"{case.seconds[name] * 1e3:.3g}", f"{case.ratio(name):.3g}{verdict}"]
    return f"| {' | '.join(map(str, cells))} |"


def large(predictor: Predictor, rows: int, clock: Callable[[], float]) -> Iterator[str]:
    """How many rows a second a single call of many rows has."""
    given = table(predictor, rows)
    for name, target in LARGE_TARGETS.items():
        start = clock()
        ours(predictor, given, name)(LARGE_PASSES)
        rate = rows / (clock() - start)
        yield f"| {predictor.card.name} | {rows} | {name} | {rate:.0f} ({target}) |"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description="Whole predictions beside the naive ways.")
    add = made.add_argument
    add("--nets", nargs="+", default=["8-50", "13-100", "five"], help="how their names begin")
    add("--rows", nargs="+", type=int, default=[1, 16, 256, 4096])
    add("--passes", nargs="+", type=int, default=[100, 1000])
    add("--rounds", type=int, default=15)
    add("--seconds", type=float, default=0.3, help="bound of a naive way's turn")
    add("--best", action="store_true", help="the best round counts, not the median")
    add("--large", type=int, metavar="ROWS", help="only one call of so many rows")
    add("--json", type=Path, metavar="FILE", help="write all values there")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print a table; write JSON where asked."""
    chosen = parser().parse_args(arguments)
    nets = [net for net in FEATURES if net.startswith(tuple(chosen.nets))]
    use_threads(1)
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        predictors = {net: learned(net, Path(folder)) for net in nets}
        if chosen.large:
            print("| net | rows | estimator | rows/s (target) |\n| --- | ---: | --- | ---: |")
            for predictor in predictors.values():
                print(*large(predictor, chosen.large, time.perf_counter), sep="\n", flush=True)
            return
        print("| net | rows | passes | best naive, ms | plain, ms | times faster (target)", end="")
        print(" | reduced, ms | times faster (target) |")
        print("| --- |" + " ---: |" * 7)
        for net, rows, passes in product(nets, chosen.rows, chosen.passes):
            cases.append(measure(Case(net, rows, passes), predictors[net], chosen))
            print(report(cases[-1]), flush=True)
    if chosen.json:
        keep(chosen.json, cases)


if __name__ == "__main__":
    main()
