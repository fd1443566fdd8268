"""Accept a row or abstain: bound the risk of accepted rows, from held-out rows.

A row is accepted if its uncertainty is below a threshold. For one threshold per share in
ACCEPTED_SHARES, the held-out rows give an upper bound on the risk of new accepted rows. A request
names the largest risk that it can tolerate. It gets the largest threshold whose bound is at most
that risk. The bounds hold with the stated confidence, over the draw of the held-out rows. All
bounds hold at once (Bonferroni; Learn then Test of Angelopoulos et al. 2021). So a user may choose
the risk after seeing the bounds, and the uncertainty may rank the rows in any way.

The thresholds are quantiles of the same rows, and the bounds hold all the same: given the
(j + 1)-th smallest uncertainty, the rows strictly below it are independent draws of an accepted
row. Two assumptions: new rows come from the same distribution as the held-out rows, and the
held-out rows were not used to train or tune. The risk-coverage curve and the area under it are in
`model.formulas.scores`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log10
from typing import Literal

import numpy as np

from model.errors import CalibrationError
from model.formulas import binomial_bound, mean_bound
from model.messages import shown

Risk = Literal["error_rate", "rmse"]


ACCEPTED_SHARES = (
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    1.0,
)  # a smaller share leaves too few rows for a useful bound


CONFIDENCE = 0.95  # over the draw of the held-out rows


@dataclass(frozen=True, slots=True)
class Level:
    """One threshold: its `risk` among held-out rows, and the `bound` on it for new rows."""

    threshold: float  # rows strictly below it are accepted; infinite if all rows are
    accepted: float  # share of the held-out rows
    risk: float
    bound: float


@dataclass(frozen=True, slots=True)
class Abstention:
    """Bounds on the risk of accepted rows: an error rate, or an RMSE in the target's unit.

    For the RMSE, an absolute error above `largest` counts as `largest`.
    """

    risk: Risk
    confidence: float
    rows: int
    levels: tuple[Level, ...]  # by threshold, ascending
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """The bound on the risk of the rows that an answer accepts.

    Among new rows like the held-out rows, the accepted ones have a `risk` of at most `bound`, and
    `bound` is at most the requested `largest_error`. This holds with probability `confidence` over
    the draw of the held-out rows. `accepted` is the share of held-out rows that was accepted.
    """

    largest_error: float
    risk: Risk
    bound: float
    confidence: float
    accepted: float


def error_rate(
    uncertainty: np.ndarray,
    wrong: np.ndarray,
    *,
    confidence: float = CONFIDENCE,
) -> Abstention:
    """Bounds on the share of wrong predictions, from held-out rows [n].

    The bounds are exact binomial bounds (Clopper and Pearson 1934). `wrong` may be any yes or no: a
    wrong class, or an error that is too large for a user. Raises CalibrationError without rows.
    """

    def bound(wrong: np.ndarray, failure: float) -> float:
        return binomial_bound(int(wrong.sum()), len(wrong), failure)

    loss = np.asarray(wrong, dtype=np.float64)
    levels = _levels(uncertainty, loss, bound, _failure_probability(confidence))
    return Abstention("error_rate", confidence, len(uncertainty), levels)


def root_mean_square(
    uncertainty: np.ndarray,
    error: np.ndarray,
    *,
    largest: float,
    confidence: float = CONFIDENCE,
) -> Abstention:
    """Bounds on the RMSE, from the uncertainty and the errors of held-out rows [n].

    No finite number of rows bounds the mean of unbounded losses. So the caller states `largest`,
    from knowledge or from other rows: absolute errors above it count as `largest`. With n accepted
    rows, every bound is at least about largest sqrt(log(1 / (1 - confidence)) / n), so the range of
    the target would be too large a `largest`. Raises CalibrationError without rows.
    """
    if not 0 < largest < inf:
        raise CalibrationError(
            f"the largest error must be above 0 and finite, not {shown(largest)}"
        )
    loss = np.minimum(np.square(np.asarray(error, dtype=np.float64) / largest), 1)  # in [0, 1]
    levels = tuple(
        Level(
            level.threshold,
            level.accepted,
            float(largest * level.risk**0.5),
            float(largest * level.bound**0.5),
        )
        for level in _levels(uncertainty, loss, mean_bound, _failure_probability(confidence))
    )
    return Abstention("rmse", confidence, len(uncertainty), levels, largest)


def choose(abstention: Abstention, risk: float) -> Level:
    """The level of the largest threshold that is certified for a requested risk.

    If none is, raises CalibrationError naming the smallest risk that is certified.
    """
    level = next((level for level in reversed(abstention.levels) if level.bound <= risk), None)
    if level is None:
        smallest = min(level.bound for level in abstention.levels)
        words = "error rate" if abstention.risk == "error_rate" else "RMSE"
        raise CalibrationError(
            f"{abstention.rows} held-out rows do not certify an {words} of {risk!r} "
            f"with a confidence of {abstention.confidence:.4g}, however few rows are accepted; "
            f"the smallest that they certify is {_rounded_up(smallest)}"
        )
    return level


def acceptance(abstention: Abstention, risk: float) -> Acceptance:
    """The bound on the rows accepted for a requested risk; raises CalibrationError."""
    level = choose(abstention, risk)
    kind, confidence = abstention.risk, abstention.confidence
    return Acceptance(risk, kind, level.bound, confidence, level.accepted)


def accepted(abstention: Abstention, risk: float, uncertainty: np.ndarray) -> np.ndarray:
    """Which rows to accept for a requested risk, bool [B]; raises CalibrationError."""
    return np.asarray(uncertainty < choose(abstention, risk).threshold)


def _rounded_up(number: float) -> str:
    """A number rounded up to four digits."""
    unit = 10.0 ** (floor(log10(number)) - 3) if number > 0 else 1.0
    return f"{ceil(number / unit) * unit:.10g}"


def _failure_probability(confidence: float) -> float:
    """The probability with which the bound of one level may be too small."""
    if not 0 < confidence < 1:
        raise CalibrationError(f"a confidence lies between 0 and 1, not {shown(confidence)}")
    return (1 - confidence) / len(ACCEPTED_SHARES)


def _levels(
    uncertainty: np.ndarray,
    loss: np.ndarray,
    bound: Callable[[np.ndarray, float], float],
    failure: float,
) -> tuple[Level, ...]:
    """A level per threshold, for losses in [0, 1]."""
    if not len(uncertainty):
        raise CalibrationError("accepting or abstaining needs held-out rows; there are none")
    levels = []
    for threshold in _thresholds(np.asarray(uncertainty, dtype=np.float64)):
        accepted = loss[uncertainty < threshold]
        share = len(accepted) / len(loss)
        levels.append(Level(threshold, share, float(accepted.mean()), bound(accepted, failure)))
    return tuple(levels)


def _thresholds(uncertainty: np.ndarray) -> Sequence[float]:
    """The uncertainties below which ACCEPTED_SHARES of the rows lie; fewer if many are equal."""
    ordered = np.append(np.sort(uncertainty), inf)
    found = {float(ordered[int(level * len(uncertainty))]) for level in ACCEPTED_SHARES}
    return sorted(threshold for threshold in found if threshold > ordered[0])
