"""All that is to be known of a device, in one run of less than eight minutes.

    python -m tests.benchmarks.device [--device cuda] [--seconds 380] [--json FILE]

- equal: what `predict` answers on the device beside what it answers on the CPU, for the shipped
  models, both estimators and both scopes of masks, under a seed;
- passes: time per pass of ours and of one batched call, up to 100,000 passes and 1,000,000 rows,
  and the rate of ours as a share of the device's matrix rate (the floor of `engine.py`);
- accuracy: time until the std is known to 2 %, as `accuracy.py` measures it, of 256 rows;
- coverage: how often one and two standard errors hold the truth, as in `coverage.py`;
- memory: the peak of the device's allocator from 100 to 100,000 passes.

Each part has a share of the seconds. A case of which a run would take more multiplications than
`--work`, or for which no time is left, is left out, and the table says so. torch computes
everything; on the CPU, too, where MCD_KERNEL=off in the environment switches the kernel off.
"""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise, product
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch

from model import Estimator, MaskScope, PredictOptions, load, shipped
from model.passes import sample
from model.training.fit import initialised
from tests.benchmarks import accuracy, coverage
from tests.benchmarks.accuracy import Case, Effort
from tests.benchmarks.engine import NETS, Result, measure

SHARES = {"equal": 0.1, "passes": 0.4, "accuracy": 0.2, "coverage": 0.2, "memory": 0.1}
WORK = {"cpu": 2e10, "cuda": 1e13}  # multiplications of one run
ROWS, PASSES = (256, 10_000, 1_000_000), (100, 1_000, 100_000)
NEAR = 1e-4  # of the std: what float32 rounding may do to numbers of the passes

Line = tuple[object, ...]


@dataclass
class Asked:
    """What a part is to measure, and whether there is time for another case of it."""

    device: str
    nets: list[str]
    work: float  # the most multiplications of a run
    seconds: float
    began: float = field(default_factory=time.perf_counter)

    @property
    def left(self) -> bool:
        """Whether some of the time is left."""
        return time.perf_counter() - self.began < self.seconds


def random_case(net: str, rows: int, device: str) -> Case:
    """A network with random weights, and random rows."""
    draw = torch.Generator().manual_seed(0)
    network = initialised(NETS[net], draw).requires_grad_(False).to(device)
    return Case(net, network, torch.randn(rows, NETS[net].inputs, generator=draw).to(device))


def equal(asked: Asked) -> Iterator[Line]:
    """How far the numbers of the device are from those of the CPU, in stds."""
    yield "model", "estimator", "masks", "farthest mean, stds", "farthest std, relative", "equal"
    ways = product(get_args(Estimator), get_args(MaskScope))
    for folder, (estimator, masks) in product(shipped(), ways):
        name = folder.name
        if not asked.left:
            yield name, estimator, masks, "no time is left", "", ""
            continue
        options = PredictOptions(passes=200, seed=5, estimator=estimator, masks=masks)
        found = []
        for at in ("cpu", asked.device):
            predictor = load(folder, device=at)
            x = np.random.default_rng(0).normal(size=(64, len(predictor.card.features)))
            rows = predictor.predict_encoded(x.astype(np.float32), options).rows.columns
            mean = rows["mean"] if "mean" in rows else rows["probabilities"]
            found.append((mean, rows["std"]))
        (mean, std), (other, other_std) = found
        unit = std + 1e-12
        off = float(np.abs(mean - other).max() / unit.max())
        spread = float((np.abs(std - other_std) / unit).max())
        near = off < NEAR and spread < 100 * NEAR
        yield name, estimator, masks, f"{off:.1e}", f"{spread:.1e}", "yes" if near else "NO"


def passes(asked: Asked) -> Iterator[Line]:
    """Microseconds per pass, and the share of the matrix rate."""
    yield "net", "rows", "passes", "batched", "plain", "reduced", "plain, of the matrix rate"
    for net, rows, count in product(asked.nets, ROWS, PASSES):
        config = NETS[net]
        macs = sum(a * b for a, b in pairwise((*config.site_widths, config.outputs)))
        if macs * rows * count > asked.work:
            yield net, rows, count, "too much work", "", "", ""
            continue
        if not asked.left:
            yield net, rows, count, "no time is left", "", "", ""
            continue
        try:
            with torch.inference_mode():
                found = measure(
                    Result(net, rows, count, 1, asked.device), rounds=3, seconds=0.1
                ).seconds
        except torch.OutOfMemoryError:
            yield net, rows, count, "does not fit", "", "", ""
            continue
        reduced = found.get("reduced", found.get("exact", float("nan")))
        times = (found["batched"], found["plain"], reduced)
        share = f"{found['floor'] / found['plain']:.2f}"
        yield net, rows, count, *(f"{each * 1e6:.3g}" for each in times), share


def to_accuracy(asked: Asked) -> Iterator[Line]:
    """Milliseconds until the std of the median row, and of all rows, is known to 2 %."""
    yield "net", "until", "ours, ms", "passes", "best naive way, ms", "times faster"
    effort = Effort(rounds=3, seconds=0.1, passes=min(200_000, max(2_000, int(asked.work / 1e6))))
    for net in asked.nets:
        if not asked.left:
            yield net, "", "no time is left", "", "", ""
            continue
        with torch.inference_mode():
            found = accuracy.times(random_case(net, 256, asked.device), effort)
        for until, took in found.items():
            naive = min(took[name] for name in ("loop", "batched", "vmap"))
            cells = [f"{took['ours'] * 1e3:.3g}", took["passes"], f"{naive * 1e3:.3g}"]
            yield net, until, *cells, f"{naive / took['ours']:.3g}"


def error_bars(asked: Asked) -> Iterator[Line]:
    """Percent of the seeds whose error bars hold the truth."""
    yield "net", "estimator, masks, passes", "mean, 1 and 2 errors", "variance, 1 and 2 errors"
    seeds, truth_passes = (300, 1_000_000) if asked.work >= WORK["cuda"] else (40, 20_000)
    for net in asked.nets[::3]:
        case = random_case(net, 24, asked.device)
        with torch.inference_mode():
            truth = None
            for way in coverage.WAYS:
                if not asked.left:
                    yield net, f"{way[0]}, {way[1]}, 100", "no time is left", ""
                    continue
                if truth is None:
                    sampler = coverage.sampler(case, "reduced", "shared", seeds)
                    truth = sample(sampler, truth_passes)
                found = coverage.shares(case, truth, way, passes=100, seeds=seeds)
                cells = [
                    f"{found[f'{part} 1 SE']:.0f}, {found[f'{part} 2 SE']:.0f}"
                    for part in ("mean", "variance")
                ]
                yield net, f"{way[0]}, {way[1]}, 100", *cells


def memory(asked: Asked) -> Iterator[Line]:
    """The peak of the device's memory in one prediction; on the CPU it is not counted here."""
    yield "net", "rows", "passes", "peak, MiB"
    if asked.device == "cpu":
        yield "any", "", "", "python -m tests.benchmarks.memory counts it"
        return
    net = "8-50-50-1 p=.1"
    case = random_case(net, 64, asked.device)
    for count in (100, 1_000, 10_000, 100_000):
        if not asked.left:
            yield net, 64, count, "no time is left"
            continue
        torch.cuda.reset_peak_memory_stats()
        with torch.inference_mode():
            sample(coverage.sampler(case, "reduced", "shared", 0), count)
        yield net, 64, count, f"{torch.cuda.max_memory_allocated() / (1 << 20):.1f}"


PARTS: dict[str, Callable[[Asked], Iterator[Line]]] = {
    "equal": equal,
    "passes": passes,
    "accuracy": to_accuracy,
    "coverage": error_bars,
    "memory": memory,
}


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description="A device, in less than eight minutes.")
    add = made.add_argument
    add("--device", default="cuda", help="cuda or cpu (default: cuda)")
    add("--seconds", type=float, default=380, help="of all parts (default: 380)")
    add("--work", type=float, help="the most multiplications of a run")
    add("--nets", nargs="+", default=[""], help="how their names begin")
    add("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    add("--json", type=Path, metavar="FILE", help="write the tables there")
    return made


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print the tables; write JSON where asked."""
    chosen = parser().parse_args(arguments)
    if chosen.device != "cpu" and not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here")
    torch.set_num_threads(1)
    name = "CPU" if chosen.device == "cpu" else torch.cuda.get_device_name()
    print(f"{name}, torch {torch.__version__}")
    whole = sum(SHARES[part] for part in chosen.parts)
    nets = [net for net in NETS if net.startswith(tuple(chosen.nets))]
    work, found = chosen.work or WORK[chosen.device], dict[str, Any]()
    for part in chosen.parts:
        seconds = chosen.seconds * SHARES[part] / whole
        head, *lines = PARTS[part](Asked(chosen.device, nets, work, seconds))
        print(f"\n## {part}\n")
        found[part] = [dict(zip(map(str, head), line, strict=True)) for line in lines]
        for line in (head, ["---"] * len(head), *lines):
            print(f"| {' | '.join(map(str, line))} |", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps({"device": name, **found}, indent=1))


if __name__ == "__main__":
    main()
