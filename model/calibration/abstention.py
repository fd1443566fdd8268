"""Accept a row or abstain: how large the error among accepted rows can be, from held-out rows.

A row is accepted where its uncertainty is below a threshold. For each of ACCEPTED_SHARES
thresholds the held-out rows give an upper bound on the risk of fresh accepted rows. A request names
the largest risk that it can tolerate, and gets the largest threshold that is within it with the
stated confidence, over the draw of the held-out rows. All bounds hold at once (Bonferroni; Learn
then Test of Angelopoulos et al. 2021), so the risk may be chosen after looking, and the uncertainty
may rank the rows in any way.

That the thresholds are quantiles of the same rows does no harm: given the (j + 1)-th smallest
uncertainty, the rows strictly below it are independent draws of an accepted row.
Assumed: fresh rows come from where the held-out rows come from, and none was used to train or tune.
The risk-coverage curve and the area under it are in `model.formulas.scores`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log10
from typing import Literal

import numpy as np

from model.errors import CalibrationError
from model.formulas import binomial_bound, mean_bound

Risk = Literal["error_rate", "rmse"]


ACCEPTED_SHARES = (
    0.5,
    0.6,
    0.7,
    0.8,
    0.9,
    0.95,
    1.0,
)  # fewer rows say little


CONFIDENCE = 0.95  # over the draw of the held-out rows


@dataclass(frozen=True, slots=True)
class Level:
    """One threshold; `risk` is the held-out rows', `bound` the most it is for fresh ones."""

    threshold: float  # accepted is what lies strictly below; infinite where all rows are
    accepted: float  # share of the held-out rows
    risk: float
    bound: float


@dataclass(frozen=True, slots=True)
class Abstention:
    """What held-out rows promise of accepted ones: an error rate, or an RMSE in the target's unit.

    `largest` is the largest absolute error that counts, for the RMSE; a larger one counts as that.
    """

    risk: Risk
    confidence: float
    rows: int
    levels: tuple[Level, ...]  # by threshold, ascending
    largest: float | None = None


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What an answer promises of the rows that it accepts.

    Of fresh rows like the held-out ones, those accepted have a `risk` of `bound` at most, which is
    within the `largest_error` asked for; with probability `confidence` over the draw of the
    held-out rows, of which `accepted` is the share that was accepted.
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
    """Bounds on the share of wrong predictions, of the held-out rows' [n] uncertainty and faults.

    Exact binomial ones (Clopper and Pearson 1934). `wrong` may be any yes or no: a wrong class, or
    an error above what a user tolerates. Raises CalibrationError without rows.
    """

    def bound(wrong: np.ndarray, doubt: float) -> float:
        return binomial_bound(int(wrong.sum()), len(wrong), doubt)

    loss = np.asarray(wrong, dtype=np.float64)
    levels = _levels(uncertainty, loss, bound, _doubt(confidence))
    return Abstention("error_rate", confidence, len(uncertainty), levels)


def root_mean_square(
    uncertainty: np.ndarray,
    error: np.ndarray,
    *,
    largest: float,
    confidence: float = CONFIDENCE,
) -> Abstention:
    """Bounds on the RMSE, of the held-out rows' [n] uncertainty and errors.

    No finite number of rows bounds the mean of losses that have no bound themselves, so `largest`
    is stated, from knowledge or other rows: absolute errors above it count as `largest`, and the
    bound is as true as that. With n accepted rows no bound is below
    largest sqrt(log(1 / (1 - confidence)) / n), nearly: the target's range is wasteful.
    Raises CalibrationError without rows.
    """
    if not 0 < largest < inf:
        raise CalibrationError(f"the largest error must be above 0 and finite, not {largest!r}")
    loss = np.minimum(np.square(np.asarray(error, dtype=np.float64) / largest), 1)  # in [0, 1]
    levels = tuple(
        Level(
            level.threshold,
            level.accepted,
            float(largest * level.risk**0.5),
            float(largest * level.bound**0.5),
        )
        for level in _levels(uncertainty, loss, mean_bound, _doubt(confidence))
    )
    return Abstention("rmse", confidence, len(uncertainty), levels, largest)


def choose(abstention: Abstention, risk: float) -> Level:
    """The level of the largest threshold that is certified for a requested risk.

    Raises CalibrationError naming the smallest risk that is certified, where that is larger.
    """
    level = next((level for level in reversed(abstention.levels) if level.bound <= risk), None)
    if level is None:
        smallest = min(level.bound for level in abstention.levels)
        words = "error rate" if abstention.risk == "error_rate" else "RMSE"
        raise CalibrationError(
            f"{abstention.rows} held-out rows do not certify an {words} of {risk!r} "
            f"with a confidence of {abstention.confidence:.4g}, however few rows are accepted; "
            f"the smallest that they do is {_rounded_up(smallest)}"
        )
    return level


def acceptance(abstention: Abstention, risk: float) -> Acceptance:
    """What is promised of the rows accepted for a requested risk; raises CalibrationError."""
    level = choose(abstention, risk)
    kind, confidence = abstention.risk, abstention.confidence
    return Acceptance(risk, kind, level.bound, confidence, level.accepted)


def accepted(abstention: Abstention, risk: float, uncertainty: np.ndarray) -> np.ndarray:
    """Which rows to accept for a requested risk, bool [B]; raises CalibrationError."""
    return np.asarray(uncertainty < choose(abstention, risk).threshold)


def _rounded_up(number: float) -> str:
    """A number to four digits, never below it."""
    unit = 10.0 ** (floor(log10(number)) - 3) if number > 0 else 1.0
    return f"{ceil(number / unit) * unit:.4g}"


def _doubt(confidence: float) -> float:
    """The probability with which one level's bound may be too small."""
    if not 0 < confidence < 1:
        raise CalibrationError(f"a confidence lies between 0 and 1, not {confidence!r}")
    return (1 - confidence) / len(ACCEPTED_SHARES)


def _levels(
    uncertainty: np.ndarray,
    loss: np.ndarray,
    bound: Callable[[np.ndarray, float], float],
    doubt: float,
) -> tuple[Level, ...]:
    """The levels of losses in [0, 1]."""
    if not len(uncertainty):
        raise CalibrationError("accepting or abstaining needs held-out rows; there are none")
    levels = []
    for threshold in _thresholds(np.asarray(uncertainty, dtype=np.float64)):
        accepted = loss[uncertainty < threshold]
        share = len(accepted) / len(loss)
        levels.append(Level(threshold, share, float(accepted.mean()), bound(accepted, doubt)))
    return tuple(levels)


def _thresholds(uncertainty: np.ndarray) -> Sequence[float]:
    """Uncertainties below which the ACCEPTED_SHARES of rows lie; fewer where many are equal."""
    ordered = np.append(np.sort(uncertainty), inf)
    found = {float(ordered[int(level * len(uncertainty))]) for level in ACCEPTED_SHARES}
    return sorted(threshold for threshold in found if threshold > ordered[0])
