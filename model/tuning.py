"""What validation rows add to the weights: the size of the noise, or a temperature.

Training with squared error and dropout says nothing of the noise in the target, and networks are
too sure of their classes: one number per target, or one in all, fitted on rows that the weights
have not seen, mends most of it. Calibration rows are kept for `model.conformal`.

Shapes: P passes, B rows, T targets, K classes.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from model.agreement import fit_temperature, least
from model.conformal import label_sets, quantile, raps, rows_needed, sorted_scores, true_scores
from model.errors import CalibrationError
from model.scores import mixture_log_likelihood

NoiseKind = Literal["homoscedastic", "heteroscedastic"]
SET_COVERAGE = 0.9  # of the label sets that RAPS makes smallest
PENALTIES = (0.0, 0.001, 0.01, 0.1, 0.2, 0.5)
LOG_SCALES = (-20.0, 10.0)  # of the noise variance, in units of the target's variance


@dataclass(frozen=True, slots=True)
class Tuning:
    """`noise_scales` [T]: homoscedastic noise variances 1/tau of the standardised targets; with a
    heteroscedastic network, factors on the variances that it gives. Empty: the noise is unknown.

    `largest_errors` [T]: the largest |error| of the mean over those rows, in units of the target's
    std, which caps the errors that `model.abstention` counts.
    `temperature` divides a classifier's logits before the softmax. `rank_penalty` beyond the first
    `free_ranks` classes makes its RAPS label sets small.
    """

    noise: NoiseKind = "homoscedastic"
    noise_scales: tuple[float, ...] = ()
    largest_errors: tuple[float, ...] = ()
    temperature: float = 1.0
    rank_penalty: float = 0.0
    free_ranks: int = 1


def tuned_noise(noise: NoiseKind, outputs: np.ndarray, actual: np.ndarray) -> Tuning:
    """The noise scales of the largest predictive log-likelihood, one per target.

    `outputs` [P, B, T] of the passes, or [P, B, 2 T] with their noise variances behind; `actual`
    [B, T]; all standardised.
    """
    if not len(actual):
        raise CalibrationError("the noise needs held-out rows; there are none")
    targets = actual.shape[-1]
    variances = outputs[..., targets:] if noise == "heteroscedastic" else np.ones_like(outputs)
    scales = tuple(
        _best_scale(outputs[..., t], variances[..., t], actual[:, t]) for t in range(targets)
    )
    largest = np.abs(outputs[..., :targets].mean(0) - actual).max(0)
    return Tuning(noise=noise, noise_scales=scales, largest_errors=tuple(largest.tolist()))


def tuned_classes(logits: np.ndarray, labels: np.ndarray) -> Tuning:
    """The temperature of the least log loss of the passes' average, and RAPS's two numbers for it.

    Logits [P, B, K] and class indices [B] of the same held-out rows.
    """
    temperature = fit_temperature(logits, labels)
    penalty, free = _smallest_sets(_averaged(logits / temperature), labels)
    return Tuning(temperature=temperature, rank_penalty=penalty, free_ranks=free)


def _averaged(logits: np.ndarray) -> np.ndarray:
    """The mean over the passes of the softmax of logits [P, B, K], [B, K]."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray((odds / odds.sum(-1, keepdims=True)).mean(0))


def _smallest_sets(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    """The rank penalty and the free ranks of the smallest label sets (Angelopoulos et al. 2021).

    As many ranks are free as the true classes need at SET_COVERAGE; of PENALTIES, the first with
    the least mean size of sets on the same rows. No penalty where the rows are too few to tell.
    """
    if len(labels) < rows_needed(SET_COVERAGE):
        return 0.0, 1
    place = np.argsort(np.argsort(-probabilities, axis=-1, kind="stable"), axis=-1) + 1  # [B, K]
    free = int(quantile(sorted_scores(true_scores(place, labels)), SET_COVERAGE))

    def size(penalty: float) -> float:
        scores = raps(probabilities, penalty=penalty, free=free)
        reach = quantile(sorted_scores(true_scores(scores, labels)), SET_COVERAGE)
        return float(label_sets(scores, reach).sum(-1).mean())

    return min(PENALTIES, key=size), free


def _best_scale(means: np.ndarray, variances: np.ndarray, actual: np.ndarray) -> float:
    def loss(log_scale: float) -> float:
        return -mixture_log_likelihood(means, np.sqrt(variances * np.exp(log_scale)), actual)

    return float(np.exp(least(loss, *LOG_SCALES)))
