"""Split conformal prediction: regions that hold the truth with a given coverage, from scores.

Each calibration row has one score: how far the truth was from the prediction. Calibration rows
serve nothing else. A region holds all values whose score is at most a quantile of these scores. It
holds the truth of a new row with a probability of at least `coverage`, and of at most
coverage + 1 / (n + 1) if no two scores are equal (Vovk et al. 2005; Lei et al. 2018). The method
needs the scores only, and not the model.

Shapes: B rows, K classes, n calibration scores.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import ceil, isfinite

import numpy as np

from model.errors import CalibrationError

TIE = 1e-9
"""Relative tolerance at the quantile, so that rounding on another machine does not drop a class."""

UNUSUAL = 0.01  # at most this share of rows like the calibration rows is called unusual


def sorted_scores(scores: np.ndarray) -> np.ndarray:
    """The scores [n] in ascending order, float64, as the other functions need them.

    Raises CalibrationError for a score that is not a number; infinite scores are allowed.
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

    Raises CalibrationError if that number exceeds n, naming the number of rows needed, and if the
    score is infinite.
    """
    index = _rank(len(scores), float(coverage))
    if index > len(scores):
        raise CalibrationError(
            f"a coverage of {float(coverage)!r} needs {rows_needed(coverage)} calibration rows; "
            f"there are {len(scores)}"
        )
    found = float(scores[index - 1])
    if not isfinite(found):
        raise CalibrationError(
            f"a coverage of {float(coverage)!r} includes calibration rows with a std of 0, "
            "which no finite interval covers; ask for a smaller coverage, or use other scores"
        )
    return found


def p_values(scores: np.ndarray, values: np.ndarray, *, tie: float = TIE) -> np.ndarray:
    """The p-value [B] of each value: (1 + number of the n sorted scores >= value) / (n + 1).

    If values are like the scores, a share of at most p has a p-value of p or less. The smallest is
    1 / (n + 1). `tie` is the relative difference below which a value and a score are equal.
    """
    smaller = scores.searchsorted(values * (1 - tie))
    return np.asarray((1 + len(scores) - smaller) / (1 + len(scores)))


def unusual(scores: np.ndarray) -> float:
    """The largest p-value at which a row is called unusual: UNUSUAL, or 1 / (n + 1) if larger."""
    return max(UNUSUAL, 1 / (1 + len(scores)))


def by_group(scores: np.ndarray, groups: Sequence[str]) -> dict[str, np.ndarray]:
    """The sorted scores of each group of rows: coverage then holds in every group (Mondrian)."""
    names = np.asarray(groups, dtype=object)
    return {name: sorted_scores(scores[names == name]) for name in sorted(set(groups))}


def group_quantiles(
    scores: Mapping[str, np.ndarray], groups: Sequence[str], coverage: float
) -> np.ndarray:
    """The quantile of each group named [B], from the scores of that group.

    Raises CalibrationError naming a group that is unknown, or has too few rows for the coverage.
    """
    found = {group: _group_quantile(scores, group, coverage) for group in dict.fromkeys(groups)}
    return np.array([found[group] for group in groups], dtype=np.float64)


def regression_scores(
    actual: np.ndarray, mean: np.ndarray, std: np.ndarray | float = 1.0
) -> np.ndarray:
    """|actual - mean| / std, in any shape; with a std of 1 it is the absolute error.

    If the std is 0, the score is 0 without an error, and infinite with one.
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
    """The summed probability of all more probable classes, [B, K] (Romano et al. 2020, APS).

    (1 - u) times the probability of the class itself is added. u = 1, the default, is
    deterministic: the most probable class has the score 0, so no set is empty, and a classifier
    with an accuracy above `coverage` covers more than `coverage`. A random u in [0, 1] for each row
    [B] (`uniforms`), of calibration rows and new rows, leaves no ties and makes the coverage exact,
    but may make sets empty.
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
    """APS plus `penalty` for each rank beyond the first `free`, [B, K], which shortens large sets.

    Angelopoulos et al. 2021. Both numbers must be chosen on rows that are not calibration rows.
    """
    p = np.asarray(probabilities, dtype=np.float64)
    order = np.argsort(-p, axis=-1, kind="stable")
    beyond = np.maximum(0, np.arange(1, p.shape[-1] + 1) - free)  # [K], by rank
    extra = _unranked(np.broadcast_to(penalty * beyond, p.shape), order)
    return np.asarray(aps(p, uniforms=uniforms) + extra)


def uniforms(rows: int, seed: int) -> np.ndarray:
    """One random number in [0, 1) per row, [B]; the same for the same seed and row."""
    return np.random.default_rng(seed).random(rows)


def true_scores(scores: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The score of each row's true class [B], from scores [B, K] and class indices [B]."""
    return np.asarray(np.take_along_axis(scores, np.asarray(labels)[:, None], -1)[:, 0])


def label_sets(scores: np.ndarray, quantile: np.ndarray | float) -> np.ndarray:
    """Whether the score of each class is at most the quantile, [B, K] bool; no set is empty.

    If all scores exceed the quantile, the set has the class of the least score, the most probable
    one. That can only raise the coverage. The quantile is one number, one per row [B], or one per
    class [1, K]: then the rows of each class have the coverage (Mondrian).
    """
    limit = np.asarray(quantile, dtype=np.float64)
    limit = limit if limit.ndim == 2 else np.reshape(limit, (-1, 1))
    inside: np.ndarray = scores <= limit + TIE * np.maximum(1, np.abs(limit))
    best = np.arange(scores.shape[-1]) == np.argmin(scores, axis=-1)[:, None]
    return np.asarray(inside | best)


def _unranked(values: np.ndarray, order: np.ndarray) -> np.ndarray:
    """Values in the order of ranks [B, K], put back in the order of classes."""
    scores = np.empty(values.shape)
    np.put_along_axis(scores, order, values, -1)
    return scores


@lru_cache(256)  # arithmetic with fractions takes as long as a layer of a small network
def _rank(rows: int, coverage: float) -> int:
    """ceil((n + 1) coverage), with the exact decimal number of the coverage."""
    return ceil((rows + 1) * _exact(coverage))


def _exact(coverage: float) -> Fraction:
    """The exact decimal number of a coverage, so that (9 + 1) * 0.9 is 9 without rounding."""
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
