"""Scores that compare predictions with actual targets.

Shapes: P passes, B rows, K classes, L levels. A score is a mean over the rows, in the unit that its
docstring names; nan if it is undefined for these rows, as a correlation with a constant is.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

BINS = 15  # of a reliability curve, as in Guo et al. 2017
LEAST_PROBABILITY = 1e-12  # the least probability in a log loss, so that no row costs infinity


def rmse(mean: np.ndarray, actual: np.ndarray) -> float:
    """sqrt(mean((mean - actual)^2)), in the target's unit."""
    return float(np.sqrt(np.mean((mean - actual) ** 2)))


def mae(mean: np.ndarray, actual: np.ndarray) -> float:
    """mean |mean - actual|, in the target's unit."""
    return float(np.mean(np.abs(mean - actual)))


def r_squared(mean: np.ndarray, actual: np.ndarray) -> float:
    """1 - squared error / squared deviation from the mean of the actual targets [B, T].

    0 is what their own mean would reach. Several targets are averaged. nan if one does not vary,
    or so little that no float holds the result.
    """
    deviations = ((actual - actual.mean(0)) ** 2).sum(0)
    if not np.all(deviations > 0):
        return math.nan
    with np.errstate(over="ignore"):
        found = float(np.mean(1 - ((mean - actual) ** 2).sum(0) / deviations))
    return found if math.isfinite(found) else math.nan


def mixture_log_likelihood(
    samples: np.ndarray, noise_std: np.ndarray | float, actual: np.ndarray
) -> float:
    """Mean log density of the passes' mixture at the actual values, in nats; higher is better."""
    return float(np.mean(mixture_log_density(samples, noise_std, actual)))


def mixture_log_density(
    samples: np.ndarray,
    noise_std: np.ndarray | float,
    actual: np.ndarray,
    shares: np.ndarray | None = None,
) -> np.ndarray:
    """Log density of the passes' mixture at the actual values [B], in nats.

    logsumexp_t log N(actual; samples_t, noise_std^2) - log P, for samples [P, B] and a noise of one
    number, [B] or [P, B] (Gal & Ghahramani 2016, appendix 4.4). Passes may have `shares` [P] of the
    mixture, whose sum is 1, in place of 1/P.
    """
    densities = _log_density(samples, np.asarray(noise_std), actual)  # [P, B]
    top = densities.max(axis=0)  # [B]
    relative = np.exp(densities - top)
    mixed = relative.mean(0) if shares is None else np.tensordot(shares, relative, 1)
    return np.asarray(top + np.log(mixed))


def gaussian_crps(mean: np.ndarray, std: np.ndarray, actual: np.ndarray) -> float:
    """Continuous ranked probability score of N(mean, std^2), in the target's unit; lower is better.

    std (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi)), z = (actual - mean) / std (Gneiting & Raftery
    2007, section 4.2). The absolute error where std is 0.
    """
    error = np.abs(actual - mean)
    z = np.divide(error, std, out=np.zeros_like(error), where=std > 0)
    density = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    crps = std * (z * (2 * _phi(z) - 1) + 2 * density - 1 / math.sqrt(math.pi))
    return float(np.mean(np.where(std > 0, crps, error)))


def log_normal(mean: np.ndarray, std: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and std of the logarithm, for the log-normal law of this mean, above 0, and this std."""
    square = np.log1p((std / mean) ** 2)
    return np.asarray(np.log(mean) - square / 2), np.asarray(np.sqrt(square))


def log_normal_crps(mean: np.ndarray, std: np.ndarray, actual: np.ndarray) -> float:
    """The CRPS of the log-normal law of this mean and std, in the target's unit; lower is better.

    y (2 Phi(w) - 1) - 2 mean (Phi(w - s) + Phi(s / sqrt(2)) - 1), with m and s the mean and the std
    of the logarithm, and w = (log y - m) / s (Baran & Lerch 2015). The absolute error where std is
    0.
    """
    middle, spread = log_normal(mean, std)
    w = np.divide(np.log(actual) - middle, spread, out=np.zeros_like(mean), where=spread > 0)
    inside = _phi(w - spread) + _phi(spread / math.sqrt(2)) - 1
    crps = actual * (2 * _phi(w) - 1) - 2 * mean * inside
    return float(np.mean(np.where(spread > 0, crps, np.abs(actual - mean))))


def sample_crps(samples: np.ndarray, actual: np.ndarray) -> float:
    """The CRPS of the distribution that samples [P, B] are drawn from; lower is better.

    mean_t |samples_t - actual| - mean_{s != t} |samples_s - samples_t| / 2: the fair form, unbiased
    for every P >= 2 (Ferro 2014).
    """
    passes = len(samples)
    weights = 2 * np.arange(1, passes + 1) - passes - 1  # sum_{s<t} |x_s - x_t| of sorted x
    spread = np.sort(samples, axis=0).T @ weights / (passes * (passes - 1))  # [B]
    return float(np.mean(np.mean(np.abs(samples - actual), axis=0) - spread))


def interval_score(
    lower: np.ndarray, upper: np.ndarray, actual: np.ndarray, coverage: float
) -> float:
    """Mean of width + 2 / (1 - coverage) x distance of the actual value outside the interval.

    In the target's unit; lower is better (Gneiting & Raftery 2007, equation 43).
    """
    beyond = np.maximum(lower - actual, 0) + np.maximum(actual - upper, 0)
    return float(np.mean(upper - lower + 2 / (1 - coverage) * beyond))


def interval_coverage(lower: np.ndarray, upper: np.ndarray, actual: np.ndarray) -> float:
    """The share of actual values inside their intervals, bounds included, in [0, 1]."""
    return float(np.mean((lower <= actual) & (actual <= upper)))


def interval_width(lower: np.ndarray, upper: np.ndarray) -> float:
    """mean(upper - lower), the sharpness, in the target's unit."""
    return float(np.mean(upper - lower))


def coverage_by_level(
    mean: np.ndarray, std: np.ndarray, actual: np.ndarray, levels: Sequence[float]
) -> np.ndarray:
    """The share of actual values inside the central interval of N(mean, std^2), for each level [L].

    `levels` are the nominal shares, in (0, 1): where std is right, the two agree.
    """
    error = np.abs(actual - mean)
    return np.array([np.mean(error <= normal_reach(level) * std) for level in levels])


def normal_reach(level: float) -> float:
    """The z for which N(0, 1) lies in [-z, z] with probability `level`."""
    return -NormalDist().inv_cdf((1 - level) / 2)


def accuracy(probabilities: np.ndarray, actual: np.ndarray) -> float:
    """The share of rows [B, K] whose most probable class is the actual one, in [0, 1]."""
    return float(np.mean(probabilities.argmax(axis=-1) == actual))


def recall(probabilities: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """The share of the rows of each class whose most probable class it is, [K]."""
    return share_by_class(
        np.argmax(probabilities, axis=-1) == actual, actual, probabilities.shape[-1]
    )


def share_by_class(holds: np.ndarray, actual: np.ndarray, classes: int) -> np.ndarray:
    """The share of the rows of each class for which `holds` [B] is true, [K]; nan without rows."""
    rows = np.bincount(actual, minlength=classes).astype(np.float64)
    held = np.bincount(actual, weights=holds, minlength=classes)
    return np.asarray(np.divide(held, rows, out=np.full(classes, np.nan), where=rows > 0))


def log_loss(probabilities: np.ndarray, actual: np.ndarray) -> float:
    """-mean log p(actual), in nats: the negative log-likelihood; lower is better."""
    likelihood = probabilities[np.arange(len(actual)), actual]
    return float(-np.mean(np.log(np.clip(likelihood, LEAST_PROBABILITY, None))))


def brier(probabilities: np.ndarray, actual: np.ndarray) -> float:
    """mean sum_k (p_k - [k = actual])^2, in [0, 2]; lower is better (Brier 1950)."""
    truth = np.eye(probabilities.shape[-1])[actual]  # [B, K]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=-1)))


def set_coverage(sets: np.ndarray, actual: np.ndarray) -> float:
    """The share of rows whose set of labels, bool [B, K], holds the actual class, in [0, 1]."""
    return float(np.mean(sets[np.arange(len(actual)), actual]))


def set_size(sets: np.ndarray) -> float:
    """The mean number of labels in a set, bool [B, K]; lower is sharper."""
    return float(np.mean(np.sum(sets, axis=-1)))


@dataclass(frozen=True, slots=True)
class Reliability:
    """A reliability curve: mean confidence and accuracy of each bin that has rows."""

    count: np.ndarray
    confidence: np.ndarray  # mean
    accuracy: np.ndarray

    @property
    def calibration_error(self) -> float:
        """sum_bins count / B |accuracy - confidence|, in [0, 1] (ECE; Naeini et al. 2015)."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float(np.average(gaps, weights=self.count))


def reliability(
    confidence: np.ndarray, correct: np.ndarray, *, bins: int = BINS, equal_mass: bool = False
) -> Reliability:
    """The reliability curve of confidences in [0, 1] and whether each row was right, both [B].

    The bins are equally wide, (i / bins, (i + 1) / bins], or hold equally many rows.
    """
    if equal_mass:
        order = np.argsort(confidence, kind="stable")
        right = _mean_of_ties(confidence, correct)
        groups = np.array_split(order, bins)
    else:
        right = np.asarray(correct, dtype=np.float64)
        index = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
        groups = [np.flatnonzero(index == at) for at in range(bins)]
    groups = [group for group in groups if len(group)]
    return Reliability(
        count=np.array([len(group) for group in groups]),
        confidence=np.array([confidence[group].mean() for group in groups]),
        accuracy=np.array([right[group].mean() for group in groups]),
    )


def ranks(values: np.ndarray) -> np.ndarray:
    """The rank of each value, from 1; equal values share the mean of their ranks."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[inverse]


def rank_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Spearman's rho in [-1, 1]: the correlation of the ranks; nan where one side is constant."""
    a, b = ranks(first), ranks(second)
    a, b = a - a.mean(), b - b.mean()
    norm = math.sqrt(float(a @ a) * float(b @ b))
    return float(a @ b) / norm if norm else math.nan


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """The probability that a positive row has a higher score than a negative one; ties count 1/2.

    The Mann-Whitney statistic over its maximum, in [0, 1]; nan if all rows are of one kind.
    """
    positive = positive.astype(bool)
    count = int(positive.sum())
    others = len(positive) - count
    if not count or not others:
        return math.nan
    wins = float(ranks(scores)[positive].sum()) - count * (count + 1) / 2
    return wins / (count * others)


def risk_coverage(uncertainty: np.ndarray, loss: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coverage and risk, both [B]: the mean loss of the k least uncertain rows, for every k.

    The risk is the expectation over random orders of rows with equal uncertainty.
    """
    taken = np.arange(1, len(loss) + 1)
    order = np.argsort(uncertainty, kind="stable")
    return taken / len(loss), np.cumsum(_mean_of_ties(uncertainty, loss)[order]) / taken


def aurc(uncertainty: np.ndarray, loss: np.ndarray) -> float:
    """The mean risk over all coverages, in the loss's unit; lower is better (Geifman & al. 2019).

    The best order, `uncertainty = loss`, gives the least value; a random order gives the mean loss.
    """
    _, risk = risk_coverage(uncertainty, loss)
    return float(np.mean(risk))


def _phi(z: np.ndarray) -> np.ndarray:
    """The distribution function of the normal law."""
    return np.array([(1 + math.erf(value)) / 2 for value in (z / math.sqrt(2)).tolist()])


def _log_density(mean: np.ndarray, std: np.ndarray, actual: np.ndarray) -> np.ndarray:
    """log N(actual; mean, std^2)."""
    density: np.ndarray = -((actual - mean) ** 2) / (2 * std**2) - np.log(std)
    return density - math.log(2 * math.pi) / 2


def _mean_of_ties(keys: np.ndarray, values: np.ndarray) -> np.ndarray:
    """The mean value of all rows with the same key, for each row; ties then have no order."""
    _, inverse, counts = np.unique(keys, return_inverse=True, return_counts=True)
    return (np.bincount(inverse, weights=values) / counts)[inverse]
