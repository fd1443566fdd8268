"""All promises on one network, by name, and the table of all networks."""

from collections.abc import Iterator, Mapping, Sequence
from time import process_time

from tests.benchmarks.zoo import held_out, monte_carlo
from tests.benchmarks.zoo.answers import truth
from tests.benchmarks.zoo.findings import Effort, Finding
from tests.benchmarks.zoo.networks import Case

PROMISES = {  # what a cell has
    "coverage": "points off 80, 90, 95 %, mean of the seeds; seed farthest off (standard error)",
    "zero": "share of variances that are 0 or not finite though dropout is on",
    "equal N": "squared error over plain's, mean and variance at 32, then at 100 passes",
    "equal time": "squared error x CPU time over plain's, the worst of 1, 64 and 256 rows",
    "error bars": "failing rows of 200; two errors hold: worst row, least median; warned rows",
    "tolerance": "rows within .02, worst row, bias; the same for .05",
    "total std": "RMS of z-scores; rank correlation with |error|, log-likelihood",
    "noise": "noise variance over the truth; misfit may come on top",
    "p-values": "percent of fresh rows up to .01, .05 and .1",
    "ECE": "beyond a calibrated model's own (its standard deviation); confidence - accuracy",
    "log loss": "nats: over the base rates, over logistic regression",
    "agreement": "RMS z of two long runs, plain and reduced",
}

Findings = Mapping[str, Finding]


def judged(case: Case, effort: Effort) -> Iterator[tuple[str, Finding]]:
    """Every promise that applies to a network."""
    yield "coverage", held_out.coverage(case, effort)
    yield "p-values", held_out.p_values(case)
    if case.regression:
        yield "total std", held_out.total_std(case)
    else:
        yield "ECE", held_out.confidence(case)
        yield "log loss", held_out.log_loss(case)
    if case.regression and case.truth is not None:
        yield "noise", held_out.noise(case)
    yield from _of_passes(case, effort)


def _of_passes(case: Case, effort: Effort) -> Iterator[tuple[str, Finding]]:
    known = truth(case, effort.truth)
    runs = monte_carlo.sampled(case, known, effort)
    yield "agreement", monte_carlo.agreement(known)
    yield "zero", monte_carlo.never_zero(case, runs)
    if case.regression:
        yield "equal N", monte_carlo.equal_passes(runs, known)
        if case.network.default and case.raw is not None:
            yield "equal time", monte_carlo.equal_time(case, runs, known, effort)
    yield "error bars", monte_carlo.error_bars(runs, known)
    yield "tolerance", monte_carlo.tolerances(case, known, effort)


def timed(case: Case, effort: Effort) -> tuple[dict[str, Finding], float]:
    """The findings of a network, and the processor seconds that they took."""
    start = process_time()
    return dict(judged(case, effort)), process_time() - start


def table(zoo: Mapping[str, Findings]) -> Iterator[str]:
    """Networks by promises; what is missed is marked, and counted below."""
    yield "\n| network | " + " | ".join(PROMISES) + " |"
    yield "| --- |" + " --- |" * len(PROMISES)
    for name, found in zoo.items():
        cells = (_cell(found.get(promise)) for promise in PROMISES)
        yield f"| {name} | " + " | ".join(cells) + " |"
    counts = (_count([f[promise] for f in zoo.values() if promise in f]) for promise in PROMISES)
    yield "| **kept** | " + " | ".join(counts) + " |"
    yield ""
    yield from (f"- {promise}: {what}" for promise, what in PROMISES.items())
    yield from _together(zoo)


def _cell(finding: Finding | None) -> str:
    if finding is None:
        return ""
    return finding.cell if finding.met else f"**{finding.cell}**"


def _count(findings: Sequence[Finding]) -> str:
    return f"{sum(finding.met for finding in findings)} of {len(findings)}"


def _together(zoo: Mapping[str, Findings]) -> Iterator[str]:
    """Coverage over all networks, where the chance of single calibration rows averages out."""
    for level in ("0.8", "0.9", "0.95"):
        found = [f["coverage"].figures[level] for f in zoo.values() if "total std" in f]
        if found:
            off = sum(f["off"] for f in found) / len(found)
            error = sum(f["error"] ** 2 for f in found) ** 0.5 / len(found)
            yield (
                f"- coverage {level}, all regressions: {100 * off:+.2f} points "
                f"(standard error {100 * error:.2f}), seed farthest off "
                f"{100 * max(f['worst'] for f in found):.1f}"
            )
