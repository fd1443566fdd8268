"""Split conformal prediction on scores: what is near enough to the prediction to be believed.

Calibration rows, used for nothing else, each leave one score: how far the truth was from the
prediction. A region holds everything whose score is at most the quantile of theirs; it holds the
truth of a fresh row with probability `coverage` at least, and coverage + 1 / (n + 1) at most where
no two scores are equal (Vovk et al. 2005; Lei et al. 2018). It knows no model: scores only.

Shapes: B rows, K classes, n calibration scores.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil

import numpy as np

from model.errors import CalibrationError

TIE = 1e-9
"""Relative room at the quantile: a class that scores the same on another machine stays inside."""

UNUSUAL = 0.01  # the share of rows like the data that are called unlike it, at most


def sorted_scores(scores: np.ndarray) -> np.ndarray:
    """The scores [n] in the form that is stored and asked, ascending float64.

    Raises CalibrationError for one that is not a number; infinite ones are legal.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64))
    if np.isnan(ordered).any():
        raise CalibrationError(f"{np.isnan(ordered).sum()} calibration scores are not numbers")
    return ordered


def rows_needed(coverage: float) -> int:
    """The fewest calibration rows that allow `coverage` in (0, 1): ceil(coverage/(1-coverage))."""
    exact = _exact(coverage)
    return ceil(exact / (1 - exact))


def quantile(scores: np.ndarray, coverage: float) -> float:
    """The ceil((n + 1) coverage)-th smallest of n sorted scores.

    Raises CalibrationError where that exceeds n, naming the number of rows needed, and where the
    score found is infinite.
    """
    index = _rank(len(scores), float(coverage))
    if index > len(scores):
        raise CalibrationError(
            f"a coverage of {float(coverage)!r} needs {rows_needed(coverage)} calibration rows; "
            f"there are {len(scores)}"
        )
    if not np.isfinite(scores[index - 1]):
        raise CalibrationError(
            f"a coverage of {float(coverage)!r} takes in calibration rows with a std of 0, "
            "which no finite interval covers; ask for less, or give the scores another scale"
        )
    return float(scores[index - 1])


def p_values(scores: np.ndarray, values: np.ndarray, *, tie: float = TIE) -> np.ndarray:
    """The p-value [B] of each value, (1 + those of n sorted scores at least as large) / (n + 1).

    Of values like the scores, at most a share p has a p-value of p or less; none is below
    1 / (n + 1). `tie`: how much smaller, relatively, a value may be than a score of the same size.
    """
    smaller = scores.searchsorted(values * (1 - tie))
    return np.asarray((1 + len(scores) - smaller) / (1 + len(scores)))


def unusual(scores: np.ndarray) -> float:
    """The largest p-value of a row that is called unlike the rows of n scores.

    UNUSUAL, or, with too few scores for so small a number, that of a value beyond all of them.
    """
    return max(UNUSUAL, 1 / (1 + len(scores)))


def by_group(scores: np.ndarray, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """The sorted scores of each group of rows: coverage then holds in every group (Mondrian)."""
    names = np.asarray(groups, dtype=object)
    return {name: sorted_scores(scores[names == name]) for name in sorted(set(groups))}


def group_quantiles(
    scores: Mapping[str, np.ndarray], groups: Sequence[str], coverage: float
) -> np.ndarray:
    """Each row's quantile [B], from the scores of its own group.

    Raises CalibrationError naming a group that is unknown, or too small for the coverage.
    """
    found = {group: _group_quantile(scores, group, coverage) for group in dict.fromkeys(groups)}
    return np.array([found[group] for group in groups], dtype=np.float64)


def regression_scores(
    actual: np.ndarray, mean: np.ndarray, std: np.ndarray | float = 1.0
) -> np.ndarray:
    """|actual - mean| / std, of any one shape; a std of 1 makes it the absolute error.

    Where the std is 0 the score is 0 for a hit and infinite for a miss.
    """
    error = np.abs(np.asarray(actual, dtype=np.float64) - mean)
    scale = np.broadcast_to(np.asarray(std, dtype=np.float64), error.shape)
    missed = np.where(error > 0, np.inf, 0.0)
    return np.asarray(np.divide(error, scale, out=missed, where=scale > 0))


def interval(
    mean: np.ndarray, quantile: np.ndarray | float, std: np.ndarray | float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """The lower and upper bounds of all values whose regression score is at most the quantile."""
    reach = np.asarray(quantile) * np.asarray(std)
    return np.asarray(mean - reach), np.asarray(mean + reach)


def lac(probabilities: np.ndarray) -> np.ndarray:
    """1 - p of every class, [B, K]: the smallest sets on average (Sadinle et al. 2019, LAC)."""
    return 1 - np.asarray(probabilities, dtype=np.float64)


def aps(probabilities: np.ndarray, *, uniforms: np.ndarray | float = 1.0) -> np.ndarray:
    """The probability of all classes more likely than each one, [B, K] (Romano et al. 2020, APS).

    Of the class's own p, the part 1 - u is added. u = 1, the default, is deterministic: the most
    probable class scores 0, so that no set is empty, and a classifier that is right more often
    than `coverage` covers more. u uniform in [0, 1], one per row [B] (`uniforms`), for calibration
    rows and new ones alike, leaves no ties and makes the coverage exact, but for sets it empties.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-p, axis=-1, kind="stable")  # [B, K], most probable class first
    ranked = np.take_along_axis(p, order, -1)
    own = (1 - np.reshape(uniforms, (-1, 1))) * ranked
    before = np.cumsum(ranked, axis=-1) - ranked
    return _unranked(before + own, order)


def raps(
    probabilities: np.ndarray,
    *,
    penalty: float,
    free: int,
    uniforms: np.ndarray | float = 1.0,
) -> np.ndarray:
    """APS plus `penalty` for each rank beyond the first `free`, [B, K]: no long tails of classes.

    Angelopoulos et al. 2021. Both numbers are chosen on rows that are not calibration rows.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-p, axis=-1, kind="stable")
    beyond = np.maximum(0, np.arange(1, p.shape[-1] + 1) - free)  # [K], by rank
    extra = _unranked(np.broadcast_to(penalty * beyond, p.shape), order)
    return np.asarray(aps(p, uniforms=uniforms) + extra)


def uniforms(rows: int, seed: int) -> np.ndarray:
    """One number in [0, 1) per row, [B]: the same for the same seed, row by row."""
    return np.random.default_rng(seed).random(rows)


def true_scores(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Each row's score of its true class [B], of the scores [B, K] and class indices [B]."""
    return np.asarray(np.take_along_axis(scores, np.asarray(labels)[:, None], -1)[:, 0])


def label_sets(scores: np.ndarray, quantile: np.ndarray | float) -> np.ndarray:
    """Which classes have a score within the quantile, [B, K] bool; never none.

    Where all are beyond it the set is the best-scoring class, the most probable one: that can only
    raise the coverage. The quantile is one number, or one per row [B].
    """
    limit = np.reshape(np.asarray(quantile, dtype=np.float64), (-1, 1))
    inside: np.ndarray = scores <= limit + TIE * np.maximum(1, np.abs(limit))
    best = np.arange(scores.shape[-1]) == np.argmin(scores, axis=-1)[:, None]
    return np.asarray(inside | best)


def _unranked(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Values by rank [B, K] put back at the classes that `order` ranked."""
    scores = np.empty(values.shape)
    np.put_along_axis(scores, order, values, -1)
    return scores


@lru_cache(256)  # arithmetic with fractions takes as long as a layer of a small network
def _rank(rows: int, coverage: float) -> int:
    """ceil((n + 1) coverage), by the decimal number that was meant."""
    return ceil((rows + 1) * _exact(coverage))


def _exact(coverage: float) -> Fraction:
    """The decimal number that was meant: (9 + 1) * 0.9 is 9, whatever binary makes of 0.9."""
    exact = Fraction(repr(float(coverage)))
    if not 0 < exact < 1:
        raise CalibrationError(f"a coverage lies between 0 and 1, not {coverage!r}")
    return exact


def _group_quantile(scores: Mapping[str, np.ndarray], group: str, coverage: float) -> float:
    if group not in scores:
        known = ", ".join(scores)
        raise CalibrationError(f"group {group!r} has no calibration rows; those of {known} have")
    try:
        return quantile(scores[group], coverage)
    except CalibrationError as error:
        raise CalibrationError(f"group {group!r}: {error}") from error
