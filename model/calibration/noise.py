"""How large variance and noise are: a few factors per target, fitted on held-out rows.

Training with squared error and dropout says nothing of the noise in the target, nor how far the
passes' spread is from the size of the errors. A few numbers per target, fitted on rows that the
weights have not seen, mend most of it.

Shapes: P passes, B rows, T targets.
"""

from dataclasses import dataclass, replace

import numpy as np

from model.calibration.tuning import NoiseKind, Tuning
from model.errors import CalibrationError
from model.formulas import (
    least,
)

CLAIMS = (-14.0, 14.0)
"""Mean log-variances, of standardised targets, that are believed of a row far from the others."""


FACTOR_PRIOR, SCALE_PRIOR, POWER_PRIOR = 0.5, 2.0, 0.25
"""Stds, a priori, of log a and log b around their starts, and of the power around 1."""


RESCALE_PRIOR = 0.5  # std of the log of a factor on both, of weights that were trained again


STARTS = (0.0, -2.0, -4.0)  # of log a: the likelihood may have several maxima


LEVERAGE, ORDINARY = 0.5, 9.0
"""What one row may add to a mean square of about 1, and the square that it may have anyway."""


LOG_RESCALES = (-3.0, 3.0)


STEPS, HALVINGS, ENOUGH = 100, 30, 1e-9  # of Fisher scoring


def tuned_noise(noise: NoiseKind, outputs: np.ndarray, actual: np.ndarray) -> Tuning:
    """The factors, noise scales and powers that are most probable given held-out rows.

    Jointly, target by target, for an error that is normal with the total variance of a pass, every
    pass as likely as another: mean over t of N(error; 0, a x variance + b x exp(power x
    log-variance_t)). Where passes disagree about the noise its tails are heavier than a normal's,
    as those of `Regression.log_density` are: one normal would take a row far off for a sign that
    what the network says of the noise is wrong, and flatten the power. The means of the passes stay
    a normal all the same, since noise would fill the gaps between some hundred of them. `outputs`
    [P, B, T] of the passes, or [P, B, 2 T] with the logarithms of their noise variances behind;
    `actual` [B, T]; all standardised.
    """
    if not len(actual):
        raise CalibrationError("the noise needs held-out rows; there are none")
    count = actual.shape[-1]
    means, error = outputs[..., :count], outputs[..., :count].mean(0) - actual  # [B, T]
    variance = _variance(means)
    logs = outputs[..., count:].clip(*CLAIMS) if noise == "heteroscedastic" else None
    found = [
        _fitted(
            _Held(error[:, t], variance[:, t], len(means), None if logs is None else logs[..., t])
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

    The most probable one, a priori about 1. Weights that have learned from more rows err less than
    those that the rest was fitted to. Normal errors, but for a tail that is a power of the error
    from where a row alone would add LEVERAGE to the mean square: one row that the network had
    learned by heart, and wrongly, must not make all the others' variances seven times as large.
    In few rows a square of ORDINARY counts in full.
    """

    def best(squares: np.ndarray) -> float:
        most = max(LEVERAGE * len(squares), ORDINARY)

        def doubt(log: float) -> float:
            scaled = squares * np.exp(-log)
            counted = np.minimum(scaled, most) + most * np.log(np.maximum(scaled / most, 1))
            likelihood = (log + float(np.mean(counted))) * len(squares) / 2
            return float(likelihood + (log / RESCALE_PRIOR) ** 2 / 2)

        return float(np.exp(least(doubt, *LOG_RESCALES)))

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
class _Held:
    """One target of held-out rows: the mean's error and the passes' variance [B], log-variances."""

    error: np.ndarray
    variance: np.ndarray
    passes: int
    logs: np.ndarray | None  # [P, B]; None: the noise is the same for all rows and passes

    @property
    def centre(self) -> float:
        """Around which a change of the power hardly moves the scale."""
        if self.logs is not None:
            return float(self.logs.mean())
        return float(np.log(max(np.mean(self.error**2), np.exp(CLAIMS[0]))))

    @property
    def centred(self) -> np.ndarray:
        """The log-variances [P, B] around the centre; [1, B] where all passes have the same."""
        return np.zeros((1, len(self.error))) if self.logs is None else self.logs - self.centre

    def noise(self, at: np.ndarray, centred: np.ndarray) -> np.ndarray:
        """The noise variances at (log a, log b, power), of log-variances around the centre.

        `b` is in units of what the network says or, of homoscedastic noise, of the squared error.
        """
        return np.asarray(np.exp(at[1] + self.centre + at[2] * centred))

    def parts(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """a x variance [B], and of every pass its noise and all of the variance, [P, B].

        The mean of P passes has an error of its own, variance / P, which is no part of the total.
        """
        spread, noise = np.exp(at[0]) * self.variance, self.noise(at, self.centred)
        return spread, noise, spread + noise + self.variance / self.passes


@dataclass(frozen=True, slots=True)
class _Fit:
    """What one target's rows fit, and their total variances [B]."""

    factor: float
    scale: float
    power: float
    total: np.ndarray


def _fitted(held: _Held) -> _Fit:
    found = [_most_probable(held, np.array([start, 0.0, 1.0])) for start in STARTS]
    at = min(found, key=lambda at: _doubt(held, at))
    total = np.exp(at[0]) * held.variance + held.noise(at, held.centred.mean(0))
    factor, centred, power = float(np.exp(at[0])), float(at[1]), float(at[2])
    shift = held.centre * (1.0 if held.logs is None else 1 - power)
    return _Fit(factor, float(np.exp(centred + shift)), power, total)


_START = np.array([0.0, 0.0, 1.0])


_PRECISION = np.array([FACTOR_PRIOR, SCALE_PRIOR, POWER_PRIOR]) ** -2.0


def _doubt(held: _Held, at: np.ndarray) -> float:
    """Minus the log of the posterior density, but for a constant."""
    _, _, total = held.parts(at)
    loss = np.log(total) + held.error**2 / total  # [P, B]
    least = loss.min(0)
    density = np.log(np.exp((least - loss) / 2).mean(0)) - least / 2
    return float(_PRECISION @ (at - _START) ** 2 / 2 - density.sum())


def _most_probable(held: _Held, at: np.ndarray) -> np.ndarray:
    """(log a, log b, power) of the least doubt near a start, by Fisher scoring."""
    doubt = _doubt(held, at)
    for _ in range(STEPS):
        step = _step(held, at)
        for _ in range(HALVINGS):
            tried = at - step
            tried[2] = max(tried[2], 0.0)
            lower = _doubt(held, tried)
            if lower <= doubt:
                break
            step = step / 2
        else:
            return at
        gain, at, doubt = doubt - lower, tried, lower
        if gain < ENOUGH:
            break
    return at


def _step(held: _Held, at: np.ndarray) -> np.ndarray:
    """The gradient over the expected curvature, [3].

    Of each row the passes count by how probable they make its error. The curvature is that of a
    normal with their shares' mean, which does not grow with the size of an error.
    """
    spread, noise, total = held.parts(at)
    ratio = held.error**2 / total
    loss = np.log(total) + ratio
    weight = np.exp((loss.min(0) - loss) / 2)
    weight /= weight.sum(0)  # [P, B]
    parts = (spread, noise, noise * held.centred)
    shares = np.stack([part / total for part in parts])  # [3, P, B], of log total
    gradient = (shares * weight * (1 - ratio)).sum((1, 2)) / 2 + _PRECISION * (at - _START)
    shares = (shares * weight).sum(1)
    curvature = shares @ shares.T / 2 + np.diag(_PRECISION)
    return np.asarray(np.linalg.solve(curvature, gradient).clip(-2, 2))


def _variance(means: np.ndarray) -> np.ndarray:
    """Over the passes, ddof 1; 0 of a single one."""
    return means.var(0, ddof=1) if len(means) > 1 else np.zeros(means.shape[1:])
