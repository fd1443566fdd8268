"""What held-out rows fit beside the weights: factors of variance and noise, or a temperature."""

from dataclasses import dataclass
from typing import Literal

NoiseKind = Literal["homoscedastic", "heteroscedastic"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """Of each target, total variance = a x variance of the passes + noise variance.

    `variance_factors` [T]: a. Dropout trains the passes' spread to be small, and not to be the size
    of the errors. Empty: 1.

    `noise_scales` [T]: homoscedastic noise variances 1/tau of the standardised targets; with a
    heteroscedastic network, b in b x exp(mean log-variance). Empty: the noise is unknown.

    `noise_powers` [T]: what a heteroscedastic network's log-variances were multiplied by before the
    scales; in its weights already. Training errors are smaller than those to come, and most where
    the network has learned rows by heart: what it says of the noise then differs too much from row
    to row. Empty: 1.

    `typical_stds` [T]: the median total std of those rows, in units of the target's std. Intervals
    are made of a row's own and of this, see `Regression.scores`. Empty: of the row's own alone.

    `largest_errors` [T]: the largest |error| of the mean over those rows, in units of the target's
    std, which caps the errors that `model.calibration.abstention` counts.

    `temperature` divides a classifier's logits before the softmax. `rank_penalty` beyond the first
    `free_ranks` classes makes its RAPS label sets small.
    """

    noise: NoiseKind = "homoscedastic"
    variance_factors: tuple[float, ...] = ()
    noise_scales: tuple[float, ...] = ()
    noise_powers: tuple[float, ...] = ()
    typical_stds: tuple[float, ...] = ()
    largest_errors: tuple[float, ...] = ()
    temperature: float = 1.0
    rank_penalty: float = 0.0
    free_ranks: int = 1
