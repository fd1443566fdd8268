"""How far both estimators are off on trained networks, and what it costs to be as near.

    python -m tests.benchmarks.accuracy --data DIR [--sets concrete] [--nets 50-50] [--json FILE]

DIR holds `concrete.csv`, `energy.csv`, `power-plant.csv` and `wine-quality-red.csv`, the target
last. A network is trained on each, and everything is measured on rows that it has not seen:

- gain: how many plain passes give the squared error of one reduced pass, at N = 64;
- bias: the reduced estimates beside as many plain passes, and their difference in standard errors;
- time to accuracy: seconds until the relative standard error of the std is 2 %. The naive ways are
  told how many passes that takes, by the true fourth moment; ours find out for themselves.

An estimate from N passes is one block of a long run. The truth is the reduced estimate from all
passes of two such runs. What the reported errors are worth: `tests.benchmarks.coverage`.
"""

import argparse
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.artifact.folder import read
from model.data.preparation import encode_table, split_rows
from model.data.reading import read_table
from model.passes import keep_freed_memory
from model.passes.chunks import chunk_passes, pieces, run
from model.passes.estimate import Estimate
from model.passes.masks import draw_noise
from model.passes.moments import PlainMoments
from model.passes.network import MLP
from model.passes.reduced import Control, Law, Reduction, Terms
from model.passes.reduced_moments import ReducedMoments
from model.passes.samplers import Batch, ReducedSampler
from model.passes.stopping import sample_until
from model.training.plan import TrainOptions
from model.training.train import train
from tests.benchmarks.engine import Way, affordable, naive_ways, stopwatch, take_turns

SETS = ("concrete", "energy", "power-plant", "wine-quality-red")
NETS = {  # hidden layers, rate, and the targets: gain of the mean, gain of the variance
    "50-50 p=.1": ((50, 50), 0.1, (40, 16)),
    "100-100 p=.5": ((100, 100), 0.5, (20, 10)),
    "64-64-64 p=.1": ((64, 64, 64), 0.1, (12, 5)),
}
BLOCK = 64  # passes of an estimate
SEGMENT = 16_000  # passes that are held at once; a multiple of the block
ROWS, MANY_ROWS, LONE_ROWS = 40, 256, 7
TOLERANCE = 0.02  # of the std, relative
CEILING = 1_000_000  # passes after which ours gives up
SEEN_ROWS = 600_000  # by training, in all its epochs

PER_PASS = ("output", "linear", "quadratic", "linear_variance", "last_variance")  # of `Terms`

Figures = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A trained network and encoded rows that it has not seen."""

    name: str
    network: MLP
    x: Tensor  # [B, D]

    def part(self, start: int, count: int = 1) -> "Case":
        """The case with some of its rows."""
        return replace(self, x=self.x[start : start + count])


def trained(data: Path, name: str, net: str) -> Case:
    """A network trained on a set; the rows after the first 60 % of a random order are unseen."""
    table = read_table(data / f"{name}.csv")
    hidden, rate, _ = NETS[net]
    epochs = min(300, SEEN_ROWS // table.row_count)
    options = TrainOptions(
        members=1,
        number_encoding="raw",
        hidden=hidden,
        dropout=(rate,),
        epochs=epochs,
        noise="homoscedastic",
        patience=max(60, epochs // 6),
        weight_decay=1e-4,
        refit=False,
    )
    with TemporaryDirectory() as folder:
        target = list(table.columns)[-1]
        train(table, target, Path(folder) / "net", name=name, task="regression", options=options)
        card, (network,), *_ = read(Path(folder) / "net")
    split = split_rows(table.row_count, options.seed)
    x = torch.from_numpy(encode_table(table, card.schema_of_rows))
    return Case(f"{net} {name}", network, torch.cat([x[split.test], x[split.calibration]]))


class Plain:
    """Blocks of a long run of the plain estimator."""

    def __init__(self, case: Case, numbers: Tensor | None, seed: int) -> None:
        self._run = (case.network, case.x[:ROWS], seed)
        self._numbers, self._pivot = numbers, case.network(case.x[:ROWS]).double()

    def segment(self, passes: range) -> Tensor:
        """Outputs [P, B, 1]."""
        return torch.cat(list(run(*self._run, passes=passes, row_ids=self._numbers)))

    def moments(self, blocks: int = 1) -> PlainMoments:
        """Of so many blocks, each a value of every row."""
        return PlainMoments(self._pivot.expand(-1, blocks))

    def cut(self, segment: Tensor, size: int) -> Tensor:
        """Blocks [N, B, blocks] of a segment."""
        return cut(segment, size)


class Reduced:
    """The same for the reduced estimator."""

    def __init__(self, case: Case, numbers: Tensor | None, seed: int) -> None:
        self._network, self._seed, self._numbers = case.network, seed, numbers
        self._reduction = Reduction(case.network)
        self._control: Control = self._reduction.control(case.x[:ROWS])

    def segment(self, passes: range) -> Terms:
        """Terms [P, B, 1]."""
        config = self._network.config
        parts = [
            self._reduction.terms(
                self._control, draw_noise(config, self._seed, chunk, self._numbers)
            )
            for chunk in pieces(passes, chunk_passes(config, ROWS))
        ]
        return _each(lambda name: torch.cat([getattr(part, name) for part in parts]))

    def moments(self, blocks: int = 1) -> ReducedMoments:
        """Of so many blocks, each a value of every row."""
        law = self._control.law
        return ReducedMoments(Law(*(part.expand(-1, blocks) for part in law.parts())))

    def cut(self, segment: Terms, size: int) -> Terms:
        """Blocks [N, B, blocks] of a segment."""
        return _each(lambda name: cut(getattr(segment, name), size))


def _each(term: Callable[[str], Tensor]) -> Terms:
    return Terms(*map(term, PER_PASS))


def cut(t: Tensor, size: int) -> Tensor:
    """[P, B, 1] -> [size, B, P / size]: blocks of consecutive passes."""
    count = len(t) // size
    return t[: count * size].view(count, size, -1).permute(1, 2, 0)


def long_run(way: Plain | Reduced, passes: int) -> tuple[Estimate, Estimate]:
    """The estimate from all passes, and those [B, blocks] from each block."""
    whole = way.moments()
    parts: list[Estimate] = []
    for start in range(0, passes, SEGMENT):
        segment: Any = way.segment(range(start, start + SEGMENT))
        whole.add(segment)
        moments = way.moments(SEGMENT // BLOCK)
        moments.add(way.cut(segment, BLOCK))  # type: ignore[arg-type]
        parts.append(moments.estimate())
    return whole.estimate(), _side_by_side(parts)


def _side_by_side(estimates: list[Estimate]) -> Estimate:
    def all_of(name: str) -> np.ndarray:
        return np.concatenate([getattr(each, name) for each in estimates], 1)

    mean, variance, mean_error, variance_error = map(
        all_of, ("mean", "variance", "mean_error", "variance_error")
    )
    return Estimate(mean, variance, mean_error, variance_error)


def accuracy(case: Case, passes: int) -> Figures:
    """Gain and bias of a case."""
    fresh = torch.arange(len(case.x[:ROWS]))
    runs = {
        "plain": long_run(Plain(case, None, 0), passes),
        "reduced": long_run(Reduced(case, None, 1), passes),
        "reduced, per row": long_run(Reduced(case, fresh, 2), passes),
    }
    plain, ours, other = (whole for whole, _ in runs.values())
    truth = {part: (getattr(ours, part) + getattr(other, part)) / 2 for part in PARTS}
    found: Figures = {"gain": {}, "bias": {}, "z": {}}
    for part, value in truth.items():
        few = {name: getattr(runs[name][1], part) for name in ("plain", "reduced")}
        errors = {name: np.square(value - t).mean(1) for name, t in few.items()}
        found["gain"][part] = summary(errors["plain"] / errors["reduced"])
        scale = getattr(plain, part) if part == "variance" else np.sqrt(plain.variance)
        bias = few["reduced"].mean(1, keepdims=True) - getattr(plain, part)
        found["bias"][part] = summary(np.abs(bias / scale))
        error = np.hypot(getattr(plain, f"{part}_error"), getattr(ours, f"{part}_error"))
        z = (getattr(ours, part) - getattr(plain, part)) / error
        found["z"][part] = float(np.sqrt(np.square(z).mean()))
    found["plain_passes"] = (np.square(plain.relative_error / TOLERANCE) * passes).tolist()
    return found


PARTS = ("mean", "variance")


def summary(per_row: np.ndarray) -> dict[str, float]:
    """Median, lower quartile, least and greatest of a figure of every row."""
    quartile = float(np.quantile(per_row, 0.25))
    ends = {"least": float(per_row.min()), "most": float(per_row.max())}
    return {"median": float(np.median(per_row)), "quartile": quartile, **ends}


@dataclass(frozen=True)
class Effort:
    """What a timing may take: turns, seconds of a naive way's turn, and passes of the truth."""

    rounds: int
    seconds: float
    passes: int


def times(case: Case, effort: Effort, *, until: Sequence[str] = ("median", "all")) -> Figures:
    """Seconds until the median row is accurate, and until all rows are."""
    x, rows, passes = case.x, len(case.x), effort.passes
    reduction = Reduction(case.network)
    pilot = run_truth(case, x, passes)
    needed = np.square(pilot.relative_error / TOLERANCE) * passes  # plain passes
    widest = max(case.network.config.hidden)
    naive = naive_ways(case.network.module().train(), x, widest)
    clock = stopwatch(torch.get_num_threads(), x.device.type)
    excess: dict[str, Callable[[Estimate, int], np.ndarray]] = {
        "median": lambda e, _: np.full(rows, np.median(e.relative_error) / TOLERANCE),
        "all": lambda e, _: e.relative_error[:, 0] / TOLERANCE,
    }
    found: Figures = {}
    for which in until:
        off_by = excess[which]
        count = int(np.median(needed) if which == "median" else needed.max()) + 1

        def ours(
            _: int, off_by: Callable[[Estimate, int], np.ndarray] = off_by, seed: int = 0
        ) -> Any:
            sampler = ReducedSampler.of(case.network, Batch(x, seed), reduction)
            return sample_until(off_by, sampler, rows, passes=CEILING)

        ways: dict[str, Way] = {**naive, "ours": ours}
        timed = {name: affordable(way, count, effort.seconds, clock) for name, way in naive.items()}
        took = take_turns(ways, {**timed, "ours": 1}, effort.rounds, clock)
        off = [
            np.sqrt(ours(1, seed=seed)[0].variance / pilot.variance) - 1 for seed in range(1, 17)
        ]
        found[which] = {name: took[name] * count for name in naive} | {
            "ours": took["ours"],
            "plain_passes": count,
            "passes": int(max(ours(1)[1])),
            "rms": float(np.median(np.sqrt(np.square(off).mean(0)))),
        }
    return found


def run_truth(case: Case, x: Tensor, passes: int) -> Estimate:
    """The plain estimate from many passes."""
    moments = PlainMoments(case.network(x).double())
    for y in run(case.network, x, 99, passes=range(passes)):
        moments.add(y)
    return moments.estimate()


def single_rows(case: Case, effort: Effort) -> Figures:
    """Seconds until a row that comes alone is accurate: the median over some rows, way by way."""
    alone = [times(one, effort, until=["all"])["all"] for one in map(case.part, range(LONE_ROWS))]
    return {
        name: torch.tensor([float(row[name]) for row in alone]).median().item() for name in alone[0]
    }


def report(name: str, found: Figures) -> Iterator[str]:
    """The lines of a case."""
    gain, bias, z = found["gain"], found["bias"], found["z"]
    yield f"\n{name}"
    for part in PARTS:
        least = f"quartile {gain[part]['quartile']:.3g}, least {gain[part]['least']:.2g}"
        yield (
            f"  {part}: gain {gain[part]['median']:.3g} ({least}); bias "
            f"{bias[part]['median']:.2%} (most {bias[part]['most']:.2%}), rms z {z[part]:.2f}"
        )
    for what, took in found["times"].items():
        naive = [took[way] for way in ("loop", "batched", "vmap")]
        yield (
            f"  {what}: ours {took['ours'] * 1e3:.3g} ms, {took['passes']:.0f} passes, off by "
            f"{took['rms']:.2%}; loop {naive[0]:.3g} s, batched {naive[1]:.3g} s, vmap "
            f"{naive[2]:.3g} s for {took['plain_passes']:.0f}: x {min(naive) / took['ours']:.3g} "
            f"over the best, x {naive[0] / took['ours']:.3g} over the loop"
        )


def medians(results: dict[str, Figures]) -> Iterator[str]:
    """The medians over the sets, beside the targets."""
    yield "\n| net | figure | target | median over sets | |\n| --- | --- | ---: | ---: | --- |"
    for net, (_, _, gains) in NETS.items():
        cases = [found for name, found in results.items() if name.startswith(net)]
        if not cases:
            continue
        goals = [
            (f"gain of the {p}", g, [c["gain"][p]["median"] for c in cases])
            for p, g in zip(PARTS, gains, strict=True)
        ]
        if net.startswith("50-50"):
            for what, best, loop in (("1 row", 8, 200), (f"{MANY_ROWS} rows, median", 60, 200)):
                took = [c["times"][what] for c in cases]
                best_of = [min(t["loop"], t["batched"], t["vmap"]) / t["ours"] for t in took]
                goals.append((f"time, {what}, over the best", best, best_of))
                over = [t["loop"] / t["ours"] for t in took]
                goals.append((f"time, {what}, over the loop", loop, over))
        for figure, goal, values in goals:
            median = torch.tensor(values).quantile(0.5).item()
            met = "met" if median >= goal else "missed"
            yield f"| {net} | {figure} | {goal} | {median:.3g} | {met} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found; write JSON where asked."""
    parser = argparse.ArgumentParser(description="Accuracy of the estimators, and its price.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the csv files")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--nets", nargs="+", default=[""], help="how their names begin")
    parser.add_argument("--passes", type=int, default=400_000, help="of each long run")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.2, help="bound of a way's turn")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args(arguments)
    keep_freed_memory()
    torch.set_num_threads(chosen.threads)
    effort = Effort(chosen.rounds, chosen.seconds, chosen.passes // 2)
    results: dict[str, Figures] = {}
    nets = [net for net in NETS if net.startswith(tuple(chosen.nets))]
    for net, name in product(nets, chosen.sets):
        case = trained(chosen.data, name, net)
        with torch.inference_mode():
            found = accuracy(case, chosen.passes)
            many = times(case.part(0, MANY_ROWS), effort)
            found["times"] = {
                "1 row": single_rows(case, effort),
                **{f"{MANY_ROWS} rows, {which}": took for which, took in many.items()},
            }
        results[case.name] = found
        print(*report(case.name, found), sep="\n", flush=True)
    print(*medians(results), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
