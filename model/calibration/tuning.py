"""The numbers that held-out rows fit: factors of variance and noise, or a temperature."""

from dataclasses import dataclass
from typing import Literal

NoiseKind = Literal["homoscedastic", "heteroscedastic"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """The numbers in total variance = a x variance + noise variance, of each target.

    `variance_factors` [T] are the factors a. Training with dropout makes the variance across the
    passes small; it does not make it the size of the squared errors. Empty: 1.

    `member_factors` [T] are those of the part of the variance that lies between the members of an
    ensemble; `variance_factors` are then of the part within them. Where the members disagree, most
    of them err. Empty: there is a single network, or both parts have the same factors.

    `noise_scales` [T] are the homoscedastic noise variances 1/tau of the standardised targets, or
    b in b x exp(mean log-variance) of a heteroscedastic network. Empty: the noise is unknown.

    `noise_powers` [T] have multiplied the log-variances of a heteroscedastic network, and are in
    its weights already. Training errors are smaller than the errors on new rows, above all where
    the network has memorised rows. Its log-variances then differ too much between rows. Empty: 1.

    `typical_stds` [T] are the median total stds of held-out rows, in units of the target's std. An
    interval is made of the row's total std and of this; see `Regression.scores`. Empty: 0.

    `largest_errors` [T] are the largest |error| of the mean over held-out rows, in units of the
    target's std. `model.calibration.abstention` counts larger errors as this.

    `temperature` divides a classifier's logits before the softmax. `rank_penalty` beyond the first
    `free_ranks` classes makes its RAPS label sets small.
    """

    noise: NoiseKind = "homoscedastic"
    variance_factors: tuple[float, ...] = ()
    member_factors: tuple[float, ...] = ()
    noise_scales: tuple[float, ...] = ()
    noise_powers: tuple[float, ...] = ()
    typical_stds: tuple[float, ...] = ()
    largest_errors: tuple[float, ...] = ()
    temperature: float = 1.0
    rank_penalty: float = 0.0
    free_ranks: int = 1
