"""Scale the variance and the noise with a few factors per target, fitted on held-out rows.

Training with squared error and dropout does not estimate the noise in the target, and the variance
across the passes need not have the size of the squared errors. A few factors per target, fitted on
rows that the weights have not seen, correct most of this.

Shapes: P passes, B rows, T targets.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from model.calibration.tuning import NoiseKind, Tuning
from model.errors import CalibrationError
from model.formulas import (
    least,
)

CLAIMS = (-20.0, 14.0)
"""Logarithms of the noise variances of standardised targets are clipped to this, for rows far from
the data. The network's own log-variances are not: scale and power may move them far."""


FACTOR_PRIOR, SCALE_PRIOR, POWER_PRIOR = 0.5, 2.0, 0.25
"""Prior stds of log a and log b around 0, and of the power around 1."""


RESCALE_PRIOR = 0.5  # prior std of the log of the factor that corrects both after a refit


STARTS = (0.0, -2.0, -4.0)  # of log a: the likelihood may have several maxima


INSIDE = 3.0  # how far from the ends of CLAIMS the noise of a typical row is at the start


WILD = 1e6  # a log-variance for which a power may still be found


LEVERAGE, ORDINARY = 0.5, 9.0
"""A squared z-score counts in full up to LEVERAGE times the number of rows, or up to ORDINARY if
that is more."""


LOG_RESCALES = (-3.0, 3.0)


STEPS, STEP_HALVINGS, ENOUGH = 100, 30, 1e-9  # of Fisher scoring


@dataclass(frozen=True, eq=False)
class NoiseScales:
    """The scales [T] of noise variances of standardised targets; 0: the noise is unknown."""

    scales: np.ndarray

    @cached_property
    def _known(self) -> np.ndarray:
        return self.scales > 0

    @cached_property
    def _logs(self) -> np.ndarray:
        return np.log(np.where(self._known, self.scales, 1.0))

    def variances(self, logs: np.ndarray) -> np.ndarray:
        """scale x exp(log-variance) [..., T] of log-variances; 0 where the scale is 0."""
        return np.asarray(np.exp(_claimed(self._logs + logs)) * self._known)


def _claimed(logs: np.ndarray) -> np.ndarray:
    least, most = CLAIMS
    return np.asarray(np.minimum(np.maximum(logs, least), most))


def tuned_noise(noise: NoiseKind, outputs: np.ndarray, actual: np.ndarray) -> Tuning:
    """The factors a, noise scales b and powers that are most probable given held-out rows.

    They are fitted jointly for each target. The error of a row has the density

        mean over passes t of N(error; 0, a x variance + b x exp(power x log-variance_t)).

    Where passes disagree about the noise, its tails are heavier than a normal's, as those of
    `Regression.log_density` are. With one normal, a single row with a large error would suggest
    that the network's noise is wrong, and flatten the power. The means of the passes are still
    treated as one normal, since noise would fill the gaps between a hundred of them. `outputs` are
    those of the passes [P, B, T], or [P, B, 2 T] with the logarithms of the noise variances last;
    `actual` is [B, T]; all are standardised.
    """
    if not len(actual):
        raise CalibrationError("the noise needs held-out rows; there are none")
    count = actual.shape[-1]
    means, error = outputs[..., :count], outputs[..., :count].mean(0) - actual  # [B, T]
    variance = _variance(means)
    logs = outputs[..., count:].clip(-WILD, WILD) if noise == "heteroscedastic" else None
    found = [
        _fitted(
            _HeldOut(
                error[:, t], variance[:, t], len(means), None if logs is None else logs[..., t]
            )
        )
        for t in range(count)
    ]
    total = np.stack([fit.total for fit in found], axis=-1)  # [B, T]
    return Tuning(
        noise=noise,
        variance_factors=tuple(fit.factor for fit in found),
        noise_scales=tuple(fit.scale for fit in found),
        noise_powers=() if logs is None else tuple(fit.power for fit in found),
        typical_stds=tuple(np.median(np.sqrt(total), axis=0).tolist()),
        largest_errors=tuple(np.abs(error).max(0).tolist()),
    )


def rescaled(tuning: Tuning, squares: np.ndarray) -> Tuning:
    """The tuning with one factor per target on its total variance, by squared z-scores [B, T].

    The factor is the most probable one, with a prior around 1. After a refit it corrects the
    variances, because weights that have learned from more rows have smaller errors. Errors are
    normal, with power-law tails beyond a squared z-score of max(LEVERAGE x rows, ORDINARY).
    Otherwise one row whose wrong target the network had memorised could make the variances of all
    other rows seven times as large.
    """

    def best(squares: np.ndarray) -> float:
        most = max(LEVERAGE * len(squares), ORDINARY)

        def negative_log_posterior(log: float) -> float:
            scaled = squares * np.exp(-log)
            counted = np.minimum(scaled, most) + most * np.log(np.maximum(scaled / most, 1))
            likelihood = (log + float(np.mean(counted))) * len(squares) / 2
            return float(likelihood + (log / RESCALE_PRIOR) ** 2 / 2)

        return float(np.exp(least(negative_log_posterior, *LOG_RESCALES)))

    factors = [best(column) for column in squares.T]

    def times(values: tuple[float, ...], power: float = 1.0) -> tuple[float, ...]:
        return tuple(v * f**power for v, f in zip(values, factors, strict=True)) if values else ()

    return replace(
        tuning,
        variance_factors=times(tuning.variance_factors or (1.0,) * len(factors)),
        noise_scales=times(tuning.noise_scales),
        typical_stds=times(tuning.typical_stds, 0.5),
    )


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The errors of the mean [B], variances of the passes [B] and log-variances of one target."""

    error: np.ndarray
    variance: np.ndarray
    passes: int
    logs: np.ndarray | None  # [P, B]; None: the noise is the same for all rows and passes

    @property
    def centre(self) -> float:
        """The log-variance around which the power acts, so that it hardly moves the scale."""
        if self.logs is not None:
            return float(np.median(self.logs))
        return float(np.log(max(np.mean(self.error**2), np.exp(CLAIMS[0]))))

    @property
    def centred(self) -> np.ndarray:
        """The log-variances [P, B] minus the centre; [1, B] if all passes have the same noise."""
        return np.zeros((1, len(self.error))) if self.logs is None else self.logs - self.centre

    def noise(self, at: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """The noise variances for `at` = (log a, log b, power) and centred log-variances.

        The unit of b is the network's noise variance, or the mean squared error if noise is
        homoscedastic.
        """
        return np.asarray(np.exp(_claimed(self._log_noise(at, centred))))

    def moves(self, at: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """Whether the noise depends on b and the power, and is not at the end of CLAIMS."""
        log = self._log_noise(at, centred)
        return np.asarray(_claimed(log) == log)

    def _log_noise(self, at: np.ndarray, centred: np.ndarray) -> np.ndarray:
        return np.asarray(at[1] + self.centre + at[2] * centred)

    def parts(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """a x variance [B], and the noise and the summed variance of every pass, [P, B].

        The sum includes variance / P, the Monte-Carlo variance of the mean over P passes.
        """
        spread, noise = np.exp(at[0]) * self.variance, self.noise(at, self.centred)
        return spread, noise, spread + noise + self.variance / self.passes


@dataclass(frozen=True, slots=True)
class _Fit:
    """The factor a, the scale b and the power of one target, and its total variances [B]."""

    factor: float
    scale: float
    power: float
    total: np.ndarray


def _fitted(held: _HeldOut) -> _Fit:
    least, most = CLAIMS[0] + INSIDE, CLAIMS[1] - INSIDE
    scale = min(max(held.centre, least), most) - held.centre  # without a slope it would stay there
    found = [_most_probable(held, np.array([start, scale, 1.0])) for start in STARTS]
    at = min(found, key=lambda at: _negative_log_posterior(held, at))
    total = np.exp(at[0]) * held.variance + held.noise(at, held.centred.mean(0))
    factor, centred, power = float(np.exp(at[0])), float(at[1]), float(at[2])
    shift = held.centre * (1.0 if held.logs is None else 1 - power)
    return _Fit(factor, float(np.exp(centred + shift)), power, total)


_START = np.array([0.0, 0.0, 1.0])


_PRECISION = np.array([FACTOR_PRIOR, SCALE_PRIOR, POWER_PRIOR]) ** -2.0


def _negative_log_posterior(held: _HeldOut, at: np.ndarray) -> float:
    """The negative log of the posterior density, up to a constant."""
    _, _, total = held.parts(at)
    loss = np.log(total) + held.error**2 / total  # [P, B]
    least = loss.min(0)
    density = np.log(np.exp((least - loss) / 2).mean(0)) - least / 2
    return float(_PRECISION @ (at - _START) ** 2 / 2 - density.sum())


def _most_probable(held: _HeldOut, at: np.ndarray) -> np.ndarray:
    """(log a, log b, power) at a maximum of the posterior near a start, by Fisher scoring."""
    value = _negative_log_posterior(held, at)
    for _ in range(STEPS):
        step = _step(held, at)
        for _ in range(STEP_HALVINGS):
            tried = at - step
            tried[2] = max(tried[2], 0.0)
            lower = _negative_log_posterior(held, tried)
            if lower <= value:
                break
            step = step / 2
        else:
            return at
        gain, at, value = value - lower, tried, lower
        if gain < ENOUGH:
            break
    return at


def _step(held: _HeldOut, at: np.ndarray) -> np.ndarray:
    """The gradient over the expected curvature, [3].

    In each row, the weight of a pass is the posterior probability of that pass. The curvature is
    that of one normal with the weighted mean of the shares. It does not grow with the error.
    """
    spread, noise, total = held.parts(at)
    ratio = held.error**2 / total
    loss = np.log(total) + ratio
    weight = np.exp((loss.min(0) - loss) / 2)
    weight /= weight.sum(0)  # [P, B]
    moves = held.moves(at, held.centred)
    parts = (spread, noise * moves, noise * np.where(moves, held.centred, 0.0))
    shares = np.stack([part / total for part in parts])  # [3, P, B], of log total
    gradient = (shares * weight * (1 - ratio)).sum((1, 2)) / 2 + _PRECISION * (at - _START)
    shares = (shares * weight).sum(1)
    curvature = shares @ shares.T / 2 + np.diag(_PRECISION)
    return np.asarray(np.linalg.solve(curvature, gradient).clip(-2, 2))


def _variance(means: np.ndarray) -> np.ndarray:
    """The variance over the passes, with ddof 1; 0 for a single pass."""
    return means.var(0, ddof=1) if len(means) > 1 else np.zeros(means.shape[1:])
