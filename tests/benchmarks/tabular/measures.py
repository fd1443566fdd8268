"""What is measured of a method's predictions on test rows, the same for every method.

Shapes: B rows, K classes, L quantile levels.
"""

from dataclasses import dataclass

import numpy as np

from model.formulas import scores
from model.formulas.conformal import interval, quantile, regression_scores, sorted_scores
from model.formulas.minimise import least

COVERAGE = 0.9
LEVELS = np.arange(1, 100) / 100  # of the quantiles whose mean loss is a CRPS
LEAST_STD = 1e-6  # of the largest std, below which none may be


@dataclass(frozen=True)
class Law:
    """What a method says of rows: means and stds [B], and, if it has them, quantiles.

    `std` is all ones where the method has one std for all rows. `lower` and `upper` are the
    quantiles that leave half of 1 - COVERAGE on either side; `quantiles` [L, B] those of LEVELS.
    """

    mean: np.ndarray
    std: np.ndarray
    lower: np.ndarray | None = None
    upper: np.ndarray | None = None
    quantiles: np.ndarray | None = None

    @property
    def spread(self) -> np.ndarray:
        """The stds, none of them 0."""
        return np.asarray(np.maximum(self.std, LEAST_STD * self.std.max()))


@dataclass(frozen=True)
class Regression:
    """A method's answer for test rows [B]: a law, intervals, and log densities in nats."""

    mean: np.ndarray
    std: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    log_density: np.ndarray
    crps: float | None = None  # of the method's own law, if it is not the normal one


Figures = dict[str, float]


def regression_figures(said: Regression, y: np.ndarray) -> Figures:
    """All measures of a regression; those of intervals are of 90 % ones."""
    crps = scores.gaussian_crps(said.mean, said.std, y) if said.crps is None else said.crps
    return {
        "rmse": scores.rmse(said.mean, y),
        "nll": -float(np.mean(said.log_density)),
        "crps": crps,
        "equal_width": equal_width(said.lower, said.upper, y),
        "width": scores.interval_width(said.lower, said.upper),
        "coverage": scores.interval_coverage(said.lower, said.upper, y),
        "rank": scores.rank_correlation(said.std, np.abs(said.mean - y)),
    }


def equal_width(lower: np.ndarray, upper: np.ndarray, y: np.ndarray) -> float:
    """The mean width, once one factor has all intervals hold COVERAGE of these rows.

    No method can choose that factor. It takes the luck of the calibration rows out of a comparison
    of widths, and an interval that holds too little gains nothing by it.
    """
    centre, half = (lower + upper) / 2, (upper - lower) / 2
    needed = np.sort(regression_scores(y, centre, half))
    factor = needed[int(np.ceil(COVERAGE * len(y))) - 1]
    return float(np.mean(2 * factor * half))


def classification_figures(p: np.ndarray, y: np.ndarray) -> Figures:
    """All measures of a classifier's probabilities [B, K]; `rank` is the AUROC of its errors.

    The errors are ranked by the entropy.
    """
    right = p.argmax(axis=-1) == y
    entropy = -np.sum(p * np.log(np.clip(p, scores.LEAST_PROBABILITY, None)), axis=-1)
    return {
        "accuracy": scores.accuracy(p, y),
        "log_loss": scores.log_loss(p, y),
        "ece": scores.reliability(p.max(axis=-1), right).calibration_error,
        "rank": scores.auroc(entropy, ~right),
    }


def calibrated(law: Law, test: Law, y: np.ndarray) -> Regression:
    """The answer for test rows, with what the calibration rows, their law and targets y, say.

    One factor multiplies all stds, that of the greatest normal likelihood: the root mean square of
    the errors over the stds. Intervals are split conformal: mean -+ q std, or the method's own
    quantiles, q further out on both sides (Romano et al. 2019).
    """
    z = (y - law.mean) / law.spread
    std = test.spread * float(np.sqrt(np.mean(z**2)))
    if law.lower is None or test.lower is None:
        reach = quantile(sorted_scores(np.abs(z)), COVERAGE)
        lower, upper = interval(test.mean, reach, test.spread)
    else:
        assert law.upper is not None
        assert test.upper is not None
        beyond = np.maximum(law.lower - y, y - law.upper)
        reach = quantile(sorted_scores(beyond), COVERAGE)
        middle = (test.lower + test.upper) / 2  # which no negative reach may pass
        lower = np.minimum(test.lower - reach, middle)
        upper = np.maximum(test.upper + reach, middle)
    return Regression(test.mean, std, lower, upper, np.zeros(len(std)))


def completed(said: Regression, test: Law, y: np.ndarray) -> Regression:
    """The answer with its log densities at the test rows' targets, and the CRPS of quantiles."""
    z = (y - said.mean) / said.std
    density = -(z**2) / 2 - np.log(said.std) - np.log(2 * np.pi) / 2
    crps = None if test.quantiles is None else quantile_crps(test.quantiles, y)
    return Regression(said.mean, said.std, said.lower, said.upper, density, crps)


def quantile_crps(quantiles: np.ndarray, y: np.ndarray) -> float:
    """The CRPS of a law by its quantiles [L, B]: twice their mean loss (Laio & Tamea 2007)."""
    off = y - quantiles
    return float(2 * np.mean(np.maximum(LEVELS[:, None] * off, (LEVELS[:, None] - 1) * off)))


def law_loss(law: Law, y: np.ndarray) -> float:
    """What chooses among a method's options on validation rows: the negative log-likelihood.

    It is that of normal laws whose stds one factor multiplies, the best one for these rows; in nats
    but for a constant.
    """
    z = (y - law.mean) / law.spread
    return float(np.mean(np.log(law.spread)) + np.log(np.mean(z**2)) / 2)


def temperature(p: np.ndarray, y: np.ndarray) -> float:
    """The power of the probabilities [B, K] that has the least log loss on calibration rows."""
    return float(np.exp(least(lambda log: scores.log_loss(powered(p, np.exp(log)), y), -3, 2)))


def powered(p: np.ndarray, power: float) -> np.ndarray:
    """The probabilities [B, K] to this power, made to add up to 1."""
    logs = power * np.log(np.clip(p, scores.LEAST_PROBABILITY, None))
    raised = np.exp(logs - logs.max(axis=-1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=-1, keepdims=True))
