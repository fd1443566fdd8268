"""What validation rows add to the weights: the size of the noise, or a temperature.

Training with squared error and dropout says nothing of the noise in the target, and networks are
too sure of their classes: one number per target, or one in all, fitted on rows that the weights
have not seen, mends most of it. Calibration rows are kept for `model.conformal`.

Shapes: P passes, B rows, T targets, K classes.
"""

import math
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
CLAIMS = (1e-6, 1e6)  # noise variances that a network may claim of a row far from the others
POWERS, POWER_PRIOR = (0.0, 1.5), 0.25  # of predicted variances; std of the power around 1
ROUNDS = 3  # of scale and power in turns


@dataclass(frozen=True, slots=True)
class Tuning:
    """`noise_scales` [T]: homoscedastic noise variances 1/tau of the standardised targets; with a
    heteroscedastic network, factors on the variances that it gives. Empty: the noise is unknown.

    `noise_powers` [T]: what a heteroscedastic network's log-variances were multiplied by before the
    scales; in its weights already. Training errors are smaller than those to come, and most where
    the network has learned rows by heart: what it says of the noise then differs too much from row
    to row. Empty: 1.

    `typical_stds` [T]: the median total std of those rows, in units of the target's std. Intervals
    are made of a row's own and of this, see `Regression.scores`. Empty: of the row's own alone.

    `largest_errors` [T]: the largest |error| of the mean over those rows, in units of the target's
    std, which caps the errors that `model.abstention` counts.

    `temperature` divides a classifier's logits before the softmax. `rank_penalty` beyond the first
    `free_ranks` classes makes its RAPS label sets small.
    """

    noise: NoiseKind = "homoscedastic"
    noise_scales: tuple[float, ...] = ()
    noise_powers: tuple[float, ...] = ()
    typical_stds: tuple[float, ...] = ()
    largest_errors: tuple[float, ...] = ()
    temperature: float = 1.0
    rank_penalty: float = 0.0
    free_ranks: int = 1


def tuned_noise(noise: NoiseKind, outputs: np.ndarray, actual: np.ndarray) -> Tuning:
    """The noise scales of the largest predictive log-likelihood, one per target.

    With heteroscedastic noise the powers too, the most probable ones: a priori normal around 1 with
    std POWER_PRIOR, so that few rows leave what the network says as it is. `outputs` [P, B, T] of
    the passes, or [P, B, 2 T] with their noise variances behind; `actual` [B, T]; all standardised.
    """
    if not len(actual):
        raise CalibrationError("the noise needs held-out rows; there are none")
    count = actual.shape[-1]
    means, scales, powers = outputs[..., :count], list[float](), list[float]()
    spread = np.zeros_like(actual)  # [B, T]: mean noise variances
    for t in range(count):
        if noise == "homoscedastic":
            scales.append(_best_scale(means[..., t], np.ones(()), actual[:, t]))
            spread[:, t] = scales[-1]
        else:
            claimed = outputs[..., count + t].clip(*CLAIMS)
            scale, power = _best_noise(means[..., t], claimed, actual[:, t])
            scales, powers = [*scales, scale], [*powers, power]
            spread[:, t] = scale * (claimed**power).mean(0)
    return Tuning(
        noise=noise,
        noise_scales=tuple(scales),
        noise_powers=tuple(powers),
        typical_stds=tuple(np.median(np.sqrt(means.var(0) + spread), axis=0).tolist()),
        largest_errors=tuple(np.abs(means.mean(0) - actual).max(0).tolist()),
    )


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


def _best_noise(
    means: np.ndarray, variances: np.ndarray, actual: np.ndarray
) -> tuple[float, float]:
    """The scale and the power of one target's noise variances [P, B], found in turns.

    Around their geometric mean a change of the one hardly moves the other.
    """
    logs = np.log(variances)
    centre = float(logs.mean())
    scale, power = math.exp(centre), 1.0
    for _ in range(ROUNDS):
        spread = np.exp(power * (logs - centre))
        scale = _best_scale(means, spread, actual)
        power = _best_power(means, scale, logs - centre, actual)
    return scale * math.exp(-power * centre), power


def _best_power(means: np.ndarray, scale: float, logs: np.ndarray, actual: np.ndarray) -> float:
    def loss(power: float) -> float:
        doubt = ((power - 1) / POWER_PRIOR) ** 2 / 2
        std = np.sqrt(scale * np.exp(power * logs))
        return doubt - len(actual) * mixture_log_likelihood(means, std, actual)

    return least(loss, *POWERS)


def _best_scale(means: np.ndarray, variances: np.ndarray, actual: np.ndarray) -> float:
    def loss(log_scale: float) -> float:
        return -mixture_log_likelihood(means, np.sqrt(variances * np.exp(log_scale)), actual)

    return float(np.exp(least(loss, *LOG_SCALES)))
