"""How often the reported error bars hold the truth, on trained networks and rows unseen by them.

    python -m tests.benchmarks.coverage --data DIR [--seeds 1000] [--passes 64 1000] [--json FILE]

For both estimators and both scopes of masks, every seed gives an estimate as a request would get
it: by the compiled kernel, or by torch without one or with MCD_KERNEL=off in the environment. One
standard error should hold the truth 68 % of the time and two 95 %. The truth is the reduced
estimate from TRUTH passes of another seed: at N = 1,000 its own error is a thirtieth of a reduced
estimate's, less of a plain one's. DIR as for `tests.benchmarks.accuracy`, whose networks these are.
"""

import argparse
import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import torch

from model.passes import Ensemble, Kernel, keep_freed_memory, kernel_name, kernel_of, pooled_numbers
from model.passes.estimate import Estimate
from model.passes.reduced import Reduction
from model.passes.samplers import Batch, PlainSampler, ReducedSampler, Sampler
from model.passes.stopping import sample
from tests.benchmarks.accuracy import NETS, PARTS, SETS, Case, trained

ROWS, TRUTH = 24, 1_000_000
WAYS = tuple(product(("plain", "reduced"), ("shared", "per_row")))
BANDS = {1: (64.0, 72.0), 2: (93.0, 97.0)}  # percent, by the number of standard errors

Shares = dict[str, float]
"""Percent of the seeds, by part and number of errors; the median over the rows."""


def sampler(case: Case, estimator: str, masks: str, seed: int) -> Sampler:
    """A sampler of all rows of a case that has seen no pass."""
    numbers = torch.arange(len(case.x), device=case.x.device) if masks == "per_row" else None
    batch = Batch(case.x, seed, numbers)
    if estimator == "plain":
        return PlainSampler.of(case.network, batch, lambda y: y)
    return ReducedSampler.of(case.network, batch, Reduction(case.network))


def by_kernel(
    kernel: Kernel, case: Case, estimator: str, masks: str, seed: int, passes: int
) -> Estimate:
    """The estimate of the kernel for all rows of a case."""
    ids = np.arange(len(case.x)) if masks == "per_row" else None
    x, reduced = case.x.numpy(), estimator == "reduced"
    found = kernel.estimates(x, seed, passes=passes, reduced=reduced, row_ids=ids)
    return pooled_numbers(found.numbers)


def held(estimate: Estimate, truth: Estimate) -> dict[str, np.ndarray]:
    """Whether so many errors hold the truth, [B], by part and number of errors."""
    return {
        f"{part} {errors} SE": np.abs(getattr(estimate, part) - getattr(truth, part))
        <= errors * getattr(estimate, f"{part}_error")
        for part, errors in product(PARTS, BANDS)
    }


def shares(case: Case, truth: Estimate, way: tuple[str, str], *, passes: int, seeds: int) -> Shares:
    """How often the error bars of one way hold the truth."""
    counts: dict[str, np.ndarray] = {}
    kernel = kernel_of(Ensemble.of(case.network), case.network.config.outputs)
    for seed in range(seeds):
        found = (
            by_kernel(kernel, case, *way, seed, passes)
            if kernel
            else sample(sampler(case, *way, seed), passes)
        )
        for name, holds in held(found, truth).items():
            counts[name] = counts.get(name, np.zeros(len(case.x))) + holds[:, 0]
    return {name: float(np.median(count / seeds * 100)) for name, count in counts.items()}


def summary(found: dict[str, Shares]) -> Iterator[str]:
    """The least and the greatest share of all cases, beside the band."""
    yield "\n| error bars | least | greatest | band | |\n| --- | ---: | ---: | --- | --- |"
    for part, errors in product(PARTS, BANDS):
        name, (low, high) = f"{part} {errors} SE", BANDS[errors]
        values = [share[name] for share in found.values()]
        met = "met" if low <= min(values) and max(values) <= high else "missed"
        yield f"| {name} | {min(values):.1f} | {max(values):.1f} | {low:g} to {high:g} | {met} |"


def main() -> None:
    """Measure, and print a table; write JSON where asked."""
    parser = argparse.ArgumentParser(description="How often error bars hold the truth.")
    parser.add_argument("--data", type=Path, required=True, help="folder of the csv files")
    parser.add_argument("--sets", nargs="+", default=list(SETS))
    parser.add_argument("--nets", nargs="+", default=[""], help="how their names begin")
    parser.add_argument("--passes", nargs="+", type=int, default=[64, 100, 1000])
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    keep_freed_memory()
    torch.set_num_threads(1)
    found: dict[str, Shares] = {}
    names = [f"{part} {errors} SE" for part, errors in product(PARTS, BANDS)]
    print(f"Computed by: {kernel_name()}\n")
    print(f"| net, set, estimator, masks, passes | {' | '.join(names)} |")
    print("| --- " + "| ---: " * len(names) + "|")
    nets = [net for net in NETS if net.startswith(tuple(chosen.nets))]
    for net, name in product(nets, chosen.sets):
        case = trained(chosen.data, name, net).part(0, ROWS)
        with torch.inference_mode():
            truth = sample(sampler(case, "reduced", "shared", chosen.seeds), TRUTH)
            for way, passes in product(WAYS, chosen.passes):
                key = f"{case.name} {' '.join(way)} {passes}"
                found[key] = shares(case, truth, way, passes=passes, seeds=chosen.seeds)
                cells = (f"{found[key][name]:.1f}" for name in names)
                print(f"| {key} | {' | '.join(cells)} |", flush=True)
    print(*summary(found), sep="\n")
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
