"""Tables of what `tests.benchmarks.uci` measured, beside the published columns and the targets."""

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.benchmarks.bookkeeping import Cells, aligned, mean_and_error

Figures = dict[str, Any]

LEVELS = (0.8, 0.9, 0.95)
BAND = 0.999  # of the beta-binomial law

COLUMNS = ("Gal & Ghahramani 2016", "10x epochs", "2 layers", "grid search 2018", "ensemble of 5")
PUBLISHED = {  # test RMSE and log-likelihood by column
    "bostonHousing": ((2.97, -2.46), (2.80, -2.39), (2.80, -2.34), (2.90, -2.40), (3.28, -2.41)),
    "concrete": ((5.23, -3.04), (4.81, -2.94), (4.50, -2.82), (4.83, -2.94), (6.03, -3.06)),
    "energy": ((1.66, -1.99), (1.09, -1.72), (0.47, -1.48), (0.54, -1.21), (2.09, -1.38)),
    "power-plant": ((4.02, -2.80), (4.00, -2.79), (3.63, -2.67), (4.01, -2.81), (4.11, -2.79)),
    "wine-quality-red": ((0.62, -0.93), (0.61, -0.92), (0.60, -0.90), (0.62, -0.93), (0.64, -0.94)),
    "yacht": ((1.11, -1.55), (0.72, -1.38), (0.66, -1.37), (0.67, -1.25), (1.58, -1.18)),
}
TARGETS: dict[str, tuple[float, float, float | None]] = {  # RMSE, log-likelihood, rank correlation
    "bostonHousing": (2.80, -2.34, None),
    "concrete": (4.50, -2.82, 0.45),
    "energy": (0.47, -0.77, 0.70),
    "power-plant": (3.63, -2.67, 0.25),
    "wine-quality-red": (0.60, -0.89, 0.30),
    "yacht": (0.66, -0.98, 0.70),
}


def text(lines: Sequence[Figures]) -> str:
    """The tables for a terminal."""
    return "\n\n".join(aligned(table) for _, table in _tables(lines))


def markdown(lines: Sequence[Figures]) -> str:
    """The same tables as a page."""
    parts = ["# Six published experiments\n", *_paragraphs()]
    for title, table in _tables(lines):
        head, *rows = (f"| {' | '.join(cells)} |" for cells in table)
        rule = "|" + " --- |" * len(table[0])
        parts.append("\n".join([f"## {title}\n", head, rule, *rows, ""]))
    return "\n".join(parts)


def document(lines: Sequence[Figures]) -> str:
    """Every split's figures, and the means, as JSON."""
    means = {name: summary(found) for name, found in _by_set(lines).items()}
    return json.dumps({"means": means, "splits": list(lines)}, indent=1)


def summary(lines: Sequence[Figures]) -> dict[str, tuple[float, float]]:
    """Mean and standard error over the splits of every figure that is a number."""
    names = [name for name, value in lines[0].items() if isinstance(value, int | float)]
    return {name: mean_and_error(lines, name) for name in names if name not in ("set", "split")}


def inside_band(line: Figures, level: float) -> bool:
    """Whether a split's coverage lies in the band that the law of split conformal allows it."""
    low, high = band(line["calibration_rows"], line["test_rows"], level)
    return bool(low <= line[f"covered_{level}"] <= high)


def band(calibration: int, test: int, level: float) -> tuple[int, int]:
    """The least and most test rows covered, in the middle 99.9 % of their beta-binomial law.

    The k-th smallest of n scores, k = ceil((n + 1) level), covers Beta(k, n + 1 - k) of fresh rows.
    """
    k = math.ceil((calibration + 1) * level - 1e-9)
    tail = np.cumsum(
        [math.exp(_log_mass(hit, test, k, calibration + 1 - k)) for hit in range(test)]
    )
    aside = (1 - BAND) / 2
    return int(np.searchsorted(tail, aside)), int(np.searchsorted(tail, 1 - aside))


def _log_mass(hit: int, of: int, a: int, b: int) -> float:
    choose = math.lgamma(of + 1) - math.lgamma(hit + 1) - math.lgamma(of - hit + 1)
    return choose + _log_beta(hit + a, of - hit + b) - _log_beta(a, b)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _tables(lines: Sequence[Figures]) -> Iterator[tuple[str, list[Cells]]]:
    sets = _by_set(lines)
    for at, figure, title in ((0, "rmse", "RMSE"), (1, "log_likelihood", "Log-likelihood")):
        head = ("set", "splits", f"{title}, here", "target", "met", *COLUMNS)
        rows = [_compared(name, found, figure, at) for name, found in sets.items()]
        yield title, [head, *rows]
    yield (
        "Does the uncertainty rank the errors?",
        [
            (
                *("set", "Spearman of total std and error's size", "target", "met"),
                *("of std alone", "RMS of error / total std"),
            ),
            *(_ranked(name, found) for name, found in sets.items()),
        ],
    )
    yield (
        "Conformal intervals",
        [
            (
                "set",
                *(f"coverage at {level:.0%}" for level in LEVELS),
                "splits inside their band",
                "seeds apart",
            ),
            *(_covered(name, found) for name, found in sets.items()),
            *([_covered("all", lines)] if len(sets) > 1 else []),
        ],
    )
    yield (
        "Mean width of 90 % intervals",
        [
            ("set", "ours", "deterministic, absolute error", "ratio", "calibration rows"),
            *(_widths(name, found) for name, found in sets.items()),
        ],
    )
    yield (
        "Test rows that stand among the train rows",
        [
            ("set", "share", "seconds of a split"),
            *(
                (
                    name,
                    f"{mean_and_error(f, 'seen_before')[0]:.1%}",
                    f"{mean_and_error(f, 'seconds')[0]:.0f}",
                )
                for name, f in sets.items()
            ),
        ],
    )


def _compared(name: str, lines: Sequence[Figures], figure: str, at: int) -> Cells:
    mean, error = mean_and_error(lines, figure)
    target = TARGETS[name][at]
    assert target is not None
    sign = 1 if figure == "rmse" else -1
    allowed = 0 if math.isnan(error) or figure != "rmse" else error
    met = sign * (mean - target) <= allowed
    published = (f"{column[at]:.2f}" for column in PUBLISHED[name])
    here = f"{mean:.3f} +- {error:.3f}"
    return (name, str(len(lines)), here, f"{target:.2f}", _yes(met), *published)


def _ranked(name: str, lines: Sequence[Figures]) -> Cells:
    (mean, error), target = mean_and_error(lines, "spearman"), TARGETS[name][2]
    goal = ("none", "") if target is None else (f"{target:.2f}", _yes(mean >= target))
    alone, _ = mean_and_error(lines, "spearman_epistemic")
    z = np.mean([line.get("z_rms", math.nan) for line in lines])
    return (name, f"{mean:.3f} +- {error:.3f}", *goal, f"{alone:.3f}", f"{z:.2f}")


def _covered(name: str, lines: Sequence[Figures]) -> Cells:
    shares = [np.mean([f[f"covered_{level}"] / f["test_rows"] for f in lines]) for level in LEVELS]
    inside = [sum(inside_band(line, level) for line in lines) for level in LEVELS]
    counts = ", ".join(f"{count} of {len(lines)}" for count in inside)
    apart = max(line.get(f"seeds_apart_{level}", math.nan) for line in lines for level in LEVELS)
    return (name, *(f"{share:.1%}" for share in shares), counts, f"{apart:.1%}")


def _widths(name: str, lines: Sequence[Figures]) -> Cells:
    ours, theirs = (mean_and_error(lines, f"{kind}width_0.9")[0] for kind in ("", "deterministic_"))
    rows = str(lines[0]["calibration_rows"])
    return (name, f"{ours:.3f}", f"{theirs:.3f}", f"{ours / theirs:.2f}", rows)


def _by_set(lines: Sequence[Figures]) -> dict[str, list[Figures]]:
    found = {name: [line for line in lines if line["set"] == name] for name in PUBLISHED}
    return {name: lines for name, lines in found.items() if lines}


def _yes(met: bool) -> str:
    return "yes" if met else "no"


def _paragraphs() -> Iterator[str]:
    yield (
        "What `python -m tests.benchmarks.uci` measured (its head says how; "
        "`tests/benchmarks/uci/measured.jsonl` has every split): the defaults of `train`, the same "
        "for all sets, on published splits. The first table has their number. "
        "Figures are means over the splits +- their standard errors. The published columns are "
        "test figures of networks with dropout, most of them with rates chosen set by set, and of "
        "ensembles of five. A target for the RMSE counts as met within one standard error.\n"
    )
    yield (
        "Log-likelihoods are in nats, of the mixture of 10,000 passes. Means and standard "
        "deviations are those of the reduced estimator. Its 1,000 passes are worth more than "
        "10,000 plain ones. A band is the middle 99.9 % of the beta-binomial law that split "
        "conformal intervals obey for any model. `seeds apart` is the largest difference between "
        "five seeds in the share of a split's rows that is held; none of them is the seed of the "
        "calibration. Widths are in the unit of the target. The column beside them has intervals "
        "of the same network with dropout off, whose scores are its absolute errors on the same "
        "calibration rows.\n"
    )
    yield (
        "Some test rows occur among the train rows, too: the last table says how many. A network "
        "that memorises profits from these, so RMSE and log-likelihood of such a set flatter every "
        "method.\n"
    )
