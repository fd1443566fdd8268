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
from model.errors import CalibrationError
from model.scores import mixture_log_likelihood

NoiseKind = Literal["homoscedastic", "heteroscedastic"]
LOG_SCALES = (-20.0, 10.0)  # of the noise variance, in units of the target's variance


@dataclass(frozen=True, slots=True)
class Tuning:
    """`noise_scales` [T]: homoscedastic noise variances 1/tau of the standardised targets; with a
    heteroscedastic network, factors on the variances that it gives. Empty: the noise is unknown.

    `largest_errors` [T]: the largest |error| of the mean over those rows, in units of the target's
    std, which caps the errors that `model.abstention` counts.
    `temperature` divides a classifier's logits before the softmax.
    """

    noise: NoiseKind = "homoscedastic"
    noise_scales: tuple[float, ...] = ()
    largest_errors: tuple[float, ...] = ()
    temperature: float = 1.0


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


def tuned_temperature(logits: np.ndarray, labels: np.ndarray) -> Tuning:
    """The temperature of the least log loss of the passes' average; logits [P, B, K]."""
    return Tuning(temperature=fit_temperature(logits, labels))


def _best_scale(means: np.ndarray, variances: np.ndarray, actual: np.ndarray) -> float:
    def loss(log_scale: float) -> float:
        return -mixture_log_likelihood(means, np.sqrt(variances * np.exp(log_scale)), actual)

    return float(np.exp(least(loss, *LOG_SCALES)))
