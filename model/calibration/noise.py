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
from model.formulas import VarianceParts, least

CLAIMS = (-20.0, 14.0)
"""Logarithms of the noise variances of standardised targets are clipped to this, for rows far from
the data. The network's own log-variances are not: scale and power may move them far."""


FACTOR_PRIOR, MEMBER_PRIOR, SCALE_PRIOR, POWER_PRIOR = 0.5, 1.0, 2.0, 0.25
"""Prior stds of log a and log b around 0, of log m around MEMBER_START, and of the power around 1.
"""


MEMBER_START = 1.0
"""Members that learn from the same rows err alike, which the variance between them misses."""


RESCALE_PRIOR = 0.5  # prior std of the log of the factor that corrects both after a refit


STARTS = (0.0, -2.0, -4.0)  # added to the log factors: the likelihood may have several maxima


INSIDE = 3.0  # how far from the ends of CLAIMS the noise of a typical row is at the start


WILD = 1e6  # a log-variance for which a power may still be found


LEVERAGE, FIRST_LEVERAGE, ORDINARY = 0.5, 0.1, 9.0
"""A squared z-score counts in full up to ORDINARY where rows fit the order of the variances, and up
to a leverage times the number of rows, if that is more, where they fit one factor for all: the
first time, and after a refit."""


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


def tuned_noise(
    noise: NoiseKind, outputs: np.ndarray, actual: np.ndarray, members: int = 1
) -> Tuning:
    """The factors a and m, noise scales b and powers that are most probable given held-out rows.

    They are fitted jointly for each target. The error of a row is normal, with the total variance

        a x within + m x between + b x exp(power x mean log-variance)

    of the passes within and between the members, of which pass t asks number t mod `members`. A
    single network has all of its variance within, and no m. Beyond a squared z-score of ORDINARY
    the tails follow a power law: a row with an error far larger than any claim is no sign that the
    claims of all rows say nothing. `rescaled` then sets the level.

    `outputs` are those of the passes [P, B, T], or [P, B, 2 T] with the logarithms of the noise
    variances last; `actual` is [B, T]; all are standardised.
    """
    if not len(actual):
        raise CalibrationError("the noise needs held-out rows; there are none")
    count = actual.shape[-1]
    parts = VarianceParts.of(outputs[..., :count], members)
    error = parts.mean - actual  # [B, T]
    variances = [parts.within] if members == 1 else [parts.within, parts.between]
    logs = None
    if noise == "heteroscedastic":
        logs = outputs[..., count:].clip(-WILD, WILD).mean(0)
    found = [
        _fitted(
            _HeldOut(
                error[:, t],
                np.stack([variance[:, t] for variance in variances]),
                len(outputs),
                None if logs is None else logs[..., t],
            )
        )
        for t in range(count)
    ]
    total = np.stack([fit.total for fit in found], axis=-1)  # [B, T]
    tuning = Tuning(
        noise=noise,
        variance_factors=tuple(fit.factors[0] for fit in found),
        member_factors=tuple(factor for fit in found for factor in fit.factors[1:]),
        noise_scales=tuple(fit.scale for fit in found),
        noise_powers=() if logs is None else tuple(fit.power for fit in found),
        typical_stds=tuple(np.median(np.sqrt(total), axis=0).tolist()),
        largest_errors=tuple(np.abs(error).max(0).tolist()),
    )
    squares = error**2 / (total + parts.within / len(outputs))
    return rescaled(tuning, squares, leverage=FIRST_LEVERAGE)


def rescaled(tuning: Tuning, squares: np.ndarray, leverage: float = LEVERAGE) -> Tuning:
    """The tuning with one factor per target on its total variance, by squared z-scores [B, T].

    The factor is the most probable one, with a prior around 1. It sets the level after the order of
    the variances has been fitted. After a refit it corrects them, because weights that have learned
    from more rows have smaller errors. Errors are normal, with power-law tails beyond a squared
    z-score of max(leverage x rows, ORDINARY). Otherwise one row whose wrong target the network had
    memorised could make the variances of all other rows seven times as large.
    """

    def best(squares: np.ndarray) -> float:
        most = max(leverage * len(squares), ORDINARY)

        def negative_log_posterior(log: float) -> float:
            counted = _counted(squares * np.exp(-log), most)
            likelihood = (log + float(np.mean(counted))) * len(squares) / 2
            return float(likelihood + (log / RESCALE_PRIOR) ** 2 / 2)

        return float(np.exp(least(negative_log_posterior, *LOG_RESCALES)))

    factors = [best(column) for column in squares.T]

    def times(values: tuple[float, ...], power: float = 1.0) -> tuple[float, ...]:
        return tuple(v * f**power for v, f in zip(values, factors, strict=True)) if values else ()

    return replace(
        tuning,
        variance_factors=times(tuning.variance_factors or (1.0,) * len(factors)),
        member_factors=times(tuning.member_factors),
        noise_scales=times(tuning.noise_scales),
        typical_stds=times(tuning.typical_stds, 0.5),
    )


@dataclass(frozen=True, slots=True)
class _HeldOut:
    """The errors of the mean [B], parts of the variance [C, B], mean log-variances of one target.

    The first part of the variance is that within a network.
    """

    error: np.ndarray
    variances: np.ndarray
    passes: int
    logs: np.ndarray | None  # [B]; None: the noise is the same for all rows

    @property
    def centre(self) -> float:
        """The log-variance around which the power acts, so that it hardly moves the scale."""
        if self.logs is not None:
            return float(np.median(self.logs))
        return float(np.log(max(np.mean(self.error**2), np.exp(CLAIMS[0]))))

    @property
    def centred(self) -> np.ndarray:
        """The log-variances [B] minus the centre."""
        return np.zeros(len(self.error)) if self.logs is None else self.logs - self.centre

    def noise(self, at: np.ndarray) -> np.ndarray:
        """The noise variances [B] for `at` = (log factors, log b, power).

        The unit of b is the network's noise variance, or the mean squared error if noise is
        homoscedastic.
        """
        return np.asarray(np.exp(_claimed(self._log_noise(at))))

    def moves(self, at: np.ndarray) -> np.ndarray:
        """Whether the noise [B] depends on b and the power, and is not at the end of CLAIMS."""
        log = self._log_noise(at)
        return np.asarray(_claimed(log) == log)

    def _log_noise(self, at: np.ndarray) -> np.ndarray:
        return np.asarray(at[-2] + self.centre + at[-1] * self.centred)

    def parts(self, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """factor x variance [C, B], and the noise and the summed variance [B].

        The sum includes within / P, the Monte-Carlo variance of the mean over P passes.
        """
        spread, noise = np.exp(at[:-2])[:, None] * self.variances, self.noise(at)
        return spread, noise, spread.sum(0) + noise + self.variances[0] / self.passes

    @property
    def start(self) -> np.ndarray:
        """The most probable `at` without rows."""
        return np.array([*(0.0, MEMBER_START)[: len(self.variances)], 0.0, 1.0])

    @property
    def precision(self) -> np.ndarray:
        """The precision of each number of `at` in the prior."""
        factors = (FACTOR_PRIOR, MEMBER_PRIOR)[: len(self.variances)]
        return np.array([*factors, SCALE_PRIOR, POWER_PRIOR]) ** -2.0


@dataclass(frozen=True, slots=True)
class _Fit:
    """The factors, the scale b and the power of one target, and its total variances [B]."""

    factors: tuple[float, ...]
    scale: float
    power: float
    total: np.ndarray


def _fitted(held: _HeldOut) -> _Fit:
    least, most = CLAIMS[0] + INSIDE, CLAIMS[1] - INSIDE
    found = []
    for lower in STARTS:
        at = held.start
        at[:-2] += lower
        at[-2] = min(max(at[-2] + held.centre, least), most) - held.centre  # beyond: no slope
        found.append(_most_probable(held, at))
    at = min(found, key=lambda at: _negative_log_posterior(held, at))
    total = np.exp(at[:-2]) @ held.variances + held.noise(at)
    factors, centred, power = tuple(np.exp(at[:-2]).tolist()), float(at[-2]), float(at[-1])
    shift = held.centre * (1.0 if held.logs is None else 1 - power)
    return _Fit(factors, float(np.exp(centred + shift)), power, total)


def _negative_log_posterior(held: _HeldOut, at: np.ndarray) -> float:
    """The negative log of the posterior density, up to a constant."""
    _, _, total = held.parts(at)
    loss = np.log(total) + _counted(held.error**2 / total, ORDINARY)
    return float(loss.sum() + held.precision @ (at - held.start) ** 2) / 2


def _counted(squares: np.ndarray, most: float) -> np.ndarray:
    """Squared z-scores [B] as they count: only their logarithms grow beyond `most`."""
    return np.asarray(np.minimum(squares, most) + most * np.log(np.maximum(squares / most, 1)))


def _most_probable(held: _HeldOut, at: np.ndarray) -> np.ndarray:
    """(log factors, log b, power) at a maximum of the posterior near a start, by Fisher scoring."""
    value = _negative_log_posterior(held, at)
    for _ in range(STEPS):
        step = _step(held, at)
        for _ in range(STEP_HALVINGS):
            tried = at - step
            tried[-1] = max(tried[-1], 0.0)
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
    """The gradient over the expected curvature, [C + 2]; that does not grow with the errors."""
    spread, noise, total = held.parts(at)
    ratio = np.minimum(held.error**2 / total, ORDINARY)
    moves = held.moves(at)
    parts = (*spread, noise * moves, noise * np.where(moves, held.centred, 0.0))
    shares = np.stack([part / total for part in parts])  # [C + 2, B], of log total
    gradient = shares @ (1 - ratio) / 2 + held.precision * (at - held.start)
    curvature = shares @ shares.T / 2 + np.diag(held.precision)
    return np.asarray(np.linalg.solve(curvature, gradient).clip(-2, 2))
