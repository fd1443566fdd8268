"""Our passes beside the naive ways to run them, and beside what their matrix products need alone.

    python -m tests.benchmarks.engine [--quick] [--nets 8-50-50-1] [--threads 1 2] [--json FILE]
    python -m tests.benchmarks.engine --device cuda --rows 256 10000 1000000

Every way gives mean and variance over N stochastic passes of B rows:

- loop: `torch.stack([module(x) for _ in range(N)])`, the equal `nn.Sequential` in train mode;
- batched: `module(x.repeat(N, 1))`; vmap: `torch.func.vmap(..., randomness="different")`;
- plain and reduced: ours from the seed to the estimate, masks shared over the rows; plain/row and
  reduced/row: fresh masks for every row. `exact` stands where a network needs no pass at all. The
  compiled kernel computes them where it is installed and the network is small; plain/torch and
  reduced/torch are the same by torch.

On CUDA the clock is the wall's, after the device has finished, and the kernel is not used.

The floor is the products of the layers behind the first mask, at the rate of a large sgemm, and one
write of every pass's output. The ways of a case take turns, so that all see the same machine, and
the median per pass counts, or with `--best` the least: what else a busy machine does only adds. The
naive ways are timed on as many passes as `--seconds` a turn allow.
One thread is timed by its own CPU clock, several by the wall clock.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.passes import keep_freed_memory
from model.passes.ensemble import Ensemble
from model.passes.fused import kernel_of
from model.passes.network import MLP, MLPConfig
from model.passes.reduced import Reduction
from model.passes.samplers import Batch, PlainSampler, ReducedSampler
from model.passes.stopping import sample
from model.training.fit import initialised

NETS = {
    "8-50-50-1 p=.1": MLPConfig(8, (50, 50), 1, (0.0, 0.1, 0.1)),
    "13-100-100-2 p=.1": MLPConfig(13, (100, 100), 2, (0.0, 0.1, 0.1)),
    "13-50-1 p=.05": MLPConfig(13, (50,), 1, (0.0, 0.05)),
    "100-512-512-1 p=.5": MLPConfig(100, (512, 512), 1, (0.0, 0.5, 0.5)),
    "100-512-512-1 p=.1": MLPConfig(100, (512, 512), 1, (0.0, 0.1, 0.1)),
    "64-1024x3-10 p=.2": MLPConfig(64, (1024, 1024, 1024), 10, (0.0, 0.2, 0.2, 0.2)),
}
SMALL = 100  # widest layer of a small net; only there are fresh masks for every row timed
NAIVE_BYTES = 1 << 28  # of the widest activation of the batched ways: more passes go in pieces
SQUARE, SQUARES = 1024, 2  # the large sgemm
NAIVE = ("loop", "batched", "vmap")  # may be timed on fewer passes: they have no fixed cost
ENOUGH = 4.0  # seconds of a way's turns, after which it takes no more


@dataclass(frozen=True)
class Target:
    """At least this much, for these nets, rows and passes; None where anything counts."""

    nets: str  # how their names begin
    rows: int
    passes: int | None
    loop: float | None = None  # over the loop
    best: float | None = None  # over the best of batched and vmap
    floor: float | None = None  # of the floor

    def applies(self, net: str, rows: int, passes: int) -> bool:
        """Whether it is set for this case."""
        return net.startswith(self.nets) and rows == self.rows and self.passes in (None, passes)


TARGETS = (
    Target("8-50", 1, 1000, loop=40, best=4),
    Target("8-50", 1, 100, best=1.5),
    Target("13-100", 1, 100, best=1.5),
    Target("8-50", 16, 100, best=6),
    Target("8-50", 256, None, best=25),
    Target("13-100", 256, None, best=25),
    Target("13-50", 1, 1000, loop=40, best=4),
    Target("100-512", 1, 1000, loop=25, best=4),
    Target("8-50", 256, 100, loop=8, best=5),
    Target("13-50", 256, 100, loop=8, best=5),
    Target("100-512-512-1 p=.5", 256, 100, loop=4, best=4),
    Target("100-512", 256, None, floor=0.8),
    Target("64-1024", 256, None, floor=0.8),
)


@dataclass
class Result:
    """One case: seconds per pass of every way, the floor's too, and the passes timed per turn."""

    net: str
    rows: int
    passes: int
    threads: int
    device: str = "cpu"
    seconds: dict[str, float] = field(default_factory=dict)
    timed: dict[str, int] = field(default_factory=dict)

    def ratio(self, ours: str, *theirs: str) -> float:
        """How many times faster ours is than the best of theirs."""
        return min(self.seconds[name] for name in theirs) / self.seconds[ours]

    def verdicts(self, ours: str) -> Iterator[tuple[str, float, float]]:
        """Name, target and measured ratio of the targets that are set for this case."""
        for target in TARGETS:
            if not target.applies(self.net, self.rows, self.passes):
                continue
            if target.loop:
                yield "over the loop", target.loop, self.ratio(ours, "loop")
            if target.best:
                best = self.ratio(ours, "batched", "vmap")
                yield "over the best of batched and vmap", target.best, best
            if target.floor:
                yield "of the floor", target.floor, self.seconds["floor"] / self.seconds[ours]


Way = Callable[[int], object]
"""Runs a number of passes."""


def naive_ways(module: nn.Module, x: Tensor, widest: int) -> dict[str, Way]:
    """The mean and variance over passes of a module in train mode, in three ways."""
    most = max(1, NAIVE_BYTES // (4 * widest * len(x)))

    def in_pieces(piece: Callable[[int], Tensor]) -> Way:
        def way(passes: int) -> object:
            pieces = [piece(min(most, passes - at)) for at in range(0, passes, most)]
            return torch.var_mean(torch.cat(pieces), 0)

        return way

    def loop(passes: int) -> object:
        return torch.var_mean(torch.stack([module(x) for _ in range(passes)]), 0)

    def batched(passes: int) -> Tensor:
        y: Tensor = module(x.repeat(passes, 1))
        return y.view(passes, len(x), -1)

    def vmap(passes: int) -> Tensor:
        y: Tensor = torch.func.vmap(lambda _: module(x), randomness="different")(
            torch.empty(passes)
        )
        return y

    return {"loop": loop, "batched": in_pieces(batched), "vmap": in_pieces(vmap)}


def our_ways(network: MLP, x: Tensor) -> dict[str, Way]:
    """Both estimators with both scopes of masks, from the seed to the estimate."""
    reduction = Reduction(network)
    kernel = kernel_of(Ensemble.of(network), network.config.outputs)

    def compiled(batch: Batch, *, reduced: bool) -> Way:
        assert kernel
        x, ids = batch.x.numpy(), None if batch.row_ids is None else batch.row_ids.numpy()
        run = partial(kernel.estimates, x, batch.seed, reduced=reduced, row_ids=ids)
        return lambda passes: run(passes=passes)

    def plain(batch: Batch) -> Way:
        return lambda passes: sample(PlainSampler.of(network, batch, lambda y: y), passes)

    def reduced(batch: Batch) -> Way:
        if reduction.exact:
            return lambda _: reduction.integrated(batch.x)
        return lambda passes: sample(ReducedSampler.of(network, batch, reduction), passes)

    shared, fresh = Batch(x, 0), Batch(x, 0, torch.arange(len(x), device=x.device))
    ways = {"plain": plain(shared), "exact" if reduction.exact else "reduced": reduced(shared)}
    if max(network.config.hidden) <= SMALL:
        ways["plain/row"] = plain(fresh)
        if not reduction.exact:
            ways["reduced/row"] = reduced(fresh)
    if kernel is None:
        return ways
    for name in [each for each in ways if each != "exact"]:
        ways[f"{name}/torch"] = ways[name]
        batch = fresh if name.endswith("/row") else shared
        ways[name] = compiled(batch, reduced=name.startswith("reduced"))
    return ways


def floor_ways(config: MLPConfig, rows: int, device: str) -> dict[str, Way]:
    """A large sgemm, and one write of the outputs of so many passes."""
    a, b, c = torch.randn(3, SQUARE, SQUARE, device=device)

    def products(_: int) -> None:
        for _ in range(SQUARES):
            torch.mm(a, b, out=c)

    def write(passes: int) -> object:
        return torch.ones(passes, rows, config.outputs, device=device)

    return {"sgemm": products, "write": write}


def stochastic_macs(config: MLPConfig) -> int:
    """Multiplications per pass and row of the layers behind the first mask."""
    widths = (*config.site_widths, config.outputs)
    first = next(site for site, level in enumerate(config.drop_levels) if level)
    return sum(widths[site] * widths[site + 1] for site in range(first, len(widths) - 1))


def stopwatch(threads: int, device: str) -> Callable[[], float]:
    """The clock for so many threads, or for a device, which it waits for."""
    if device != "cpu":

        def finished() -> float:
            torch.cuda.synchronize()
            return time.perf_counter()

        return finished
    return time.process_time if threads == 1 else time.perf_counter


def measure(result: Result, rounds: int, seconds: float, *, best: bool = False) -> Result:
    """The case, its ways taking turns; `seconds` bounds each way's turn."""
    config = NETS[result.net]
    network = initialised(config, torch.Generator().manual_seed(0)).requires_grad_(False)
    network = network.to(result.device)
    x = torch.randn(result.rows, config.inputs, generator=torch.Generator().manual_seed(1))
    x = x.to(result.device)
    widest = max(*config.site_widths, config.outputs)
    ways = {
        **naive_ways(network.module().train(), x, widest),
        **our_ways(network, x),
        **floor_ways(config, result.rows, result.device),
    }
    clock = stopwatch(result.threads, result.device)
    result.timed = {
        name: affordable(way, result.passes, seconds, clock) if name in NAIVE else result.passes
        for name, way in ways.items()
    }
    took = take_turns(ways, result.timed, rounds, clock, best=best)
    per_mac = took.pop("sgemm") * result.passes / (SQUARES * SQUARE**3)
    took["floor"] = stochastic_macs(config) * result.rows * per_mac + took.pop("write")
    result.seconds = took
    return result


def affordable(way: Way, passes: int, seconds: float, clock: Callable[[], float]) -> int:
    """The number of passes, at most `passes`, that fit into the seconds; it warms up on the way."""
    tried = min(4, passes)
    while True:
        way(tried)
        per_pass = timed(way, tried, clock, least=0)
        if tried == passes or per_pass * tried * 4 > seconds:
            return max(2, min(passes, int(seconds / per_pass)))
        tried = min(tried * 4, passes)


def take_turns(
    ways: dict[str, Way],
    passes: dict[str, int],
    rounds: int,
    clock: Callable[[], float],
    *,
    best: bool = False,
) -> dict[str, float]:
    """The median seconds per pass of every way over so many rounds, or the least."""
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            if sum(found[name]) * passes[name] < ENOUGH:
                found[name].append(timed(way, passes[name], clock))
    typical = min if best else statistics.median
    return {name: typical(values) for name, values in found.items()}


def timed(way: Way, passes: int, clock: Callable[[], float], least: float = 0.01) -> float:
    """Seconds per pass; a way that takes less than `least` is repeated, so the clock can tell.

    A run before the clock starts finds caches and memory as its own predecessor would leave them,
    not as the way before it did.
    """
    way(passes)
    runs, start = 0, clock()
    while True:
        way(passes)
        runs += 1
        if (elapsed := clock() - start) > least:
            return elapsed / (runs * passes)


def report(result: Result) -> Iterator[str]:
    """The rows of the table for a case."""
    floor = result.seconds["floor"]
    for name in (name for name in result.seconds if name != "floor"):
        cut = "" if result.timed[name] == result.passes else f" ({result.timed[name]} timed)"
        ratios = [result.ratio(name, "loop"), result.ratio(name, "batched", "vmap")]
        cells = [result.net, result.rows, result.passes, result.threads, name + cut]
        cells += [f"{result.seconds[name] * 1e6:.3g}", *(f"{ratio:.3g}" for ratio in ratios)]
        yield f"| {' | '.join(map(str, cells))} | {floor / result.seconds[name]:.3g} |"


def verdicts(results: list[Result]) -> Iterator[str]:
    """The table of targets."""
    yield "\n| net | rows | passes | threads | ours | target | measured | |"
    yield "| --- | ---: | ---: | ---: | --- | --- | ---: | --- |"
    for case in results:
        for ours in (name for name in ("plain", "reduced", "exact") if name in case.seconds):
            for name, target, ratio in case.verdicts(ours):
                cells = [case.net, case.rows, case.passes, case.threads, ours]
                cells += [f">= {target:g} x {name}", f"{ratio:.3g}"]
                cells += ["met" if ratio >= target else "missed"]
                yield f"| {' | '.join(map(str, cells))} |"


def equal(device: str, rows: int = 256, passes: int = 64) -> Iterator[str]:
    """For each network, how far the seeded numbers of a device are from the CPU's, relative."""
    for name, config in NETS.items():
        network = initialised(config, torch.Generator().manual_seed(0)).requires_grad_(False)
        x = torch.randn(rows, config.inputs, generator=torch.Generator().manual_seed(1))
        with torch.inference_mode():
            found = [
                sample(PlainSampler.of(copy.to(at), Batch(x.to(at), 0), lambda y: y), passes)
                for at, copy in (("cpu", deepcopy(network)), (device, deepcopy(network)))
            ]
        one, other = found
        off = float((abs(one.mean - other.mean) / (abs(one.mean) + one.variance**0.5)).max())
        yield f"{name}: the means of the CPU and of {device} differ by {off:.1e} at most"


def keep(path: Path, cases: Sequence[Any]) -> None:
    """Write the cases, which are dataclasses, and the machine."""
    machine = f"{platform.machine()}, Python {platform.python_version()}, {torch.__version__}"
    document = {"machine": machine, "cases": [asdict(case) for case in cases]}
    path.write_text(json.dumps(document, indent=1))


def arguments() -> argparse.Namespace:
    """What the command line asks for."""
    parser = argparse.ArgumentParser(description="Cost per pass, beside the naive ways.")
    parser.add_argument("--nets", nargs="+", default=[""], help="how their names begin")
    parser.add_argument("--rows", nargs="+", type=int, default=[1, 16, 256])
    parser.add_argument("--passes", nargs="+", type=int, default=[100, 1000])
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.1, help="bound of each way's turn")
    parser.add_argument("--best", action="store_true", help="the best round counts, not the median")
    parser.add_argument("--quick", action="store_true", help="small nets, one thread, 3 rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all values there")
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.nets, chosen.threads, chosen.rounds = ["8-", "13-"], [1], 3
    return chosen


def main() -> None:
    """Measure, and print a table; write JSON where asked."""
    chosen = arguments()
    keep_freed_memory()
    if chosen.device != "cpu":
        print(
            f"{torch.cuda.get_device_name()}, torch {torch.__version__}\n",
            *equal(chosen.device),
            sep="\n",
        )
        chosen.threads = [1]
    nets = [net for net in NETS if net.startswith(tuple(chosen.nets))]
    results = []
    print("| net | rows | passes | threads | way | us/pass | x loop | x best | x floor |")
    print("| --- | ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: |")
    for threads, net, rows, passes in product(chosen.threads, nets, chosen.rows, chosen.passes):
        torch.set_num_threads(threads)
        with torch.inference_mode():
            case = Result(net, rows, passes, threads, chosen.device)
            results.append(measure(case, chosen.rounds, chosen.seconds, best=chosen.best))
        print(*report(case), sep="\n", flush=True)
    print(*verdicts(results), sep="\n")
    if chosen.json:
        keep(chosen.json, results)


if __name__ == "__main__":
    main()
