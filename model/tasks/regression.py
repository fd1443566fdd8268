"""Regression, one or several targets: the training loss and the parts of a prediction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from model.calibration import (
    CLAIMS,
    Abstention,
    Calibration,
    Quantities,
    Quantity,
    Tuning,
    accepts,
    judged,
    rescaled,
    root_mean_square,
    tuned_noise,
)
from model.data import Target
from model.formulas import conformal, mixture_log_density
from model.options import PredictOptions
from model.passes import USUAL_RATE, USUAL_WIDTHS, Estimate, Passes
from model.tasks.columns import Rows
from model.tasks.predictions import Interval, RegressionPrediction, Value

FEW_ROWS = 1_200  # up to which a weight decay and a dropout rate of one tenth were best
LEAST_SHARE = 0.1  # of that rate, whatever the number of rows
MANY_ROWS = 5_000  # from which three layers are better than two, which are for fewer
SHARE = 2.0  # of the typical std in an interval, beside a row's own; best on validation rows
LOG_VARIANCES = (-12.0, 6.0)  # of standardised targets; beyond, no gradient in the loss
INNER, INNER_REACH = 0.8, 1.282  # coverage of an interval, and half its width in stds if normal
TINY = 1e-9  # a squared error that may be divided by; of standardised targets


@dataclass(frozen=True)
class Regression:
    """The task of predicting numbers; the network's outputs are standardised targets.

    With heteroscedastic noise as many more follow: the logarithms of their noise variances.
    """

    target: Target
    tuning: Tuning = field(default_factory=Tuning)
    calibration: Calibration | None = None

    plain_because: ClassVar[str | None] = None
    joint: ClassVar[bool] = False
    # Chosen, as the weight decay is, on validation rows of six small regressions. Means go on
    # learning long after the likelihood of validation rows has begun to fall, which `tuned` mends:
    # training runs to its end.
    epochs: ClassVar[int] = 400
    retunes: ClassVar[bool] = False
    least_steps: ClassVar[int] = 10_000

    @property
    def linear(self) -> int:
        """The outputs that the reduced estimator is of: one per target."""
        return len(self.target.names)

    @property
    def outputs(self) -> int:
        """One output per target, two with heteroscedastic noise."""
        return self.linear * (2 if self._heteroscedastic else 1)

    @property
    def _heteroscedastic(self) -> bool:
        return self.tuning.noise == "heteroscedastic"

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of outputs [B, O] against standardised targets [B, T].

        With heteroscedastic noise the normal negative log-likelihood, but for its constant (Nix and
        Weigend 1994). Weighting it by the predicted variance (beta-NLL, Seitzer et al. 2022) fits
        means a little better and noise worse; keeping the noise from the hidden layers (Stirn et
        al. 2023) fits noise much worse.
        """
        if not self._heteroscedastic:
            return F.mse_loss(outputs, targets)
        mean, log_variance = outputs.chunk(2, dim=-1)  # [B, T]
        log_variance = log_variance.clamp(*LOG_VARIANCES)
        return 0.5 * (log_variance + (targets - mean).square() / log_variance.exp()).mean()

    def nats_per_loss(self, loss: float) -> float:
        """One per target; of a squared error 1 / (2 variance), the noise taken for all of it."""
        per_target = 1.0 if self._heteroscedastic else 0.5 / max(loss, TINY)
        return self.linear * per_target

    def hidden(self, rows: int) -> tuple[int, ...]:
        """The usual two layers, and a third like the second for many rows."""
        return USUAL_WIDTHS if rows < MANY_ROWS else (*USUAL_WIDTHS, USUAL_WIDTHS[-1])

    def dropout_rate(self, rows: int) -> float:
        """The usual one, of many rows less, as with the weight decay; never none."""
        return round(USUAL_RATE * min(1.0, max(FEW_ROWS / rows, LEAST_SHARE)), 4)

    def weight_decay(self, rows: int) -> float:
        """One tenth, of many rows less: a prior weighs the less the more rows speak.

        So it does in the objective of Gal and Ghahramani 2016, as one over the number of rows.
        """
        return 0.1 * min(1.0, FEW_ROWS / rows)

    def strong_decay(self, rows: int) -> float | None:  # noqa: ARG002  a classifier's
        """None: the number of rows says enough."""
        return None

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss, with heteroscedastic noise after the scale of the noise that makes it least."""
        if not self._heteroscedastic:
            return self.loss(outputs, targets)
        mean, log_variance = outputs.chunk(2, dim=-1)
        scale = ((targets - mean).square() / log_variance.exp()).mean(0)  # [T]
        return 0.5 * (log_variance.mean(0) + scale.log() + 1).mean()

    def values(self, outputs: Tensor) -> Tensor:
        """The standardised targets [..., T], then the logarithms of their noise variances."""
        return outputs

    def quantities(self, estimate: Estimate, passes: int) -> Quantities:  # noqa: ARG002
        """Means, in units of the passes' std, and variances; log-variances have no unit."""
        told = np.arange(estimate.mean.shape[-1]) < self.linear
        unit = np.where(told, estimate.variance, 0)
        return {
            "mean": Quantity(estimate.mean, estimate.mean_error, np.sqrt(unit)),
            "variance": Quantity(estimate.variance, estimate.variance_error, unit),
        }

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """The largest of all targets, [B]."""
        return np.asarray(estimate.relative_error[:, : self.linear].max(-1))

    def tuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The factors of variance and noise that fit the passes' values [P, B, V] best."""
        return tuned_noise(self.tuning.noise, values, actual)

    def retuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:  # noqa: ARG002
        """The same: `rescaled` needs no rows of its own."""
        return self.tuning

    def rescaled(self, predictions: Sequence[RegressionPrediction], actual: np.ndarray) -> Tuning:
        """Total variances, one factor per target, as large as calibration rows say they are."""
        error, std, mean_error = self._errors(predictions, actual)
        return rescaled(self.tuning, error**2 / (std**2 + mean_error**2))

    def error_share(self, predictions: Sequence[RegressionPrediction], actual: np.ndarray) -> float:
        """The mean's Monte-Carlo variance over the variance that 80 % intervals stand for.

        Not the mean square of the errors, which a few make large: the others' intervals are narrow,
        and feel it more. The average over calibration rows, in each of which it counts as 1 at
        most; of the target where it is largest.
        """
        error, std, mean_error = self._errors(predictions, actual)
        wider = std + self._share
        scores = np.sort(conformal.regression_scores(actual, actual + error, wider), axis=0)
        reach = scores[min(math.ceil(INNER * len(scores)), len(scores)) - 1] * wider
        share = np.zeros_like(error)
        np.divide(mean_error * INNER_REACH, reach, out=share, where=reach > 0)
        return float(np.minimum(share**2, 1).mean(0).max())

    def _errors(
        self, predictions: Sequence[RegressionPrediction], actual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Errors of the mean, total stds and the mean's Monte-Carlo errors [B, T], standardised."""
        error = self._standardised([p.mean for p in predictions]) - actual
        std = np.sqrt(_array([p.total_variance for p in predictions])) / self._scale
        return error, std, _array([p.mean_error for p in predictions]) / self._scale

    def scores(
        self, predictions: Sequence[RegressionPrediction], actual: np.ndarray
    ) -> dict[str, np.ndarray]:
        """|actual - mean| over total std + SHARE typical std of calibration rows, [B], by target.

        The typical std is the same for all rows. What a network says of a row is itself uncertain;
        intervals that follow it halfway are shorter than those that follow it and than those that
        do not (Papadopoulos and Haralambous 2011 add a constant likewise).
        """
        error, std, _ = self._errors(predictions, actual)
        scores = conformal.regression_scores(actual, actual + error, std + self._share)
        return dict(zip(self.target.names, scores.T, strict=True))

    def comparisons(
        self, predictions: Sequence[RegressionPrediction], actual: np.ndarray
    ) -> dict[str, dict[str, np.ndarray]]:
        """The errors over the std across the passes alone, and those of the deterministic pass.

        [B] of each target; left out where a std of 0 has missed.
        """
        std = _array([p.std for p in predictions]) / self._scale
        kinds = {
            "epistemic": (self._standardised([p.mean for p in predictions]), std),
            "deterministic": (self._standardised([p.deterministic for p in predictions]), 1.0),
        }
        found = {
            kind: conformal.regression_scores(actual, centre, std)
            for kind, (centre, std) in kinds.items()
        }
        return {
            kind: dict(zip(self.target.names, scores.T, strict=True))
            for kind, scores in found.items()
            if np.isfinite(scores).all()
        }

    def spreads(self, predictions: Sequence[RegressionPrediction]) -> np.ndarray:
        """The total std; of several targets the root of their mean square, standardised."""
        return self._spreads(_array([p.total_variance for p in predictions]))

    def abstention(
        self, predictions: Sequence[RegressionPrediction], actual: np.ndarray
    ) -> Abstention | None:
        """Of rows accepted by their total std: bounds on the RMSE, in the target's unit."""
        if self.linear > 1 or not any(self.tuning.largest_errors):
            return None
        error = (self._standardised([p.mean for p in predictions]) - actual)[:, 0] * self._scale
        std = np.sqrt(_array([p.total_variance for p in predictions]))[:, 0]
        largest = self.tuning.largest_errors[0] * self._scale[0]
        return root_mean_square(std, error, largest=float(largest))

    def log_density(self, values: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Log density [B, T] of the passes' mixture of normals at the standardised actual [B, T].

        In nats, of targets in their own unit; of the passes' values [P, B, V], drawn together
        around their mean by the factor on their variance. Each pass keeps the noise that it claims:
        what they disagree about makes tails that are heavier than a normal's of the total variance,
        and likelier (docs/coverage.md). NaN where nothing is known of the noise.
        """
        if not self.tuning.noise_scales:
            return np.full(actual.shape, np.nan)
        passes, noise = values[..., : self.linear], self._noise(values[..., self.linear :])
        mean, together = passes.mean(0), np.sqrt(self._factor)
        std = np.sqrt(noise) * np.ones_like(passes)  # [P, B, T]
        density = mixture_log_density(mean + together * (passes - mean), std, actual)
        return np.asarray(density - np.log(self._scale))

    def summarise(self, passes: Passes, options: PredictOptions) -> Rows[RegressionPrediction]:
        """One prediction per row; means scale with the target's std, variances with its square."""
        estimate, count, coverage = passes.estimate, self.linear, options.coverage
        mean, deterministic = (
            part[:, :count] * self._scale + self._shift
            for part in (estimate.mean, passes.deterministic)
        )  # [B, T]
        variance, variance_error = (
            part[:, :count] * self._scale**2
            for part in (estimate.variance, estimate.variance_error)
        )
        noise = self._noise(estimate.mean[:, count:]) * self._scale**2 + np.zeros_like(variance)
        total = self._factor * variance + noise
        total_std = np.sqrt(total)
        judging = judged(self.calibration, self._spreads(total), passes.warnings)
        columns: dict[str, Sequence[Any]] = {
            "mean": self._values(mean),
            "variance": self._values(variance),
            "std": self._values(np.sqrt(variance)),
            "mean_error": self._values(estimate.mean_error[:, :count] * self._scale),
            "variance_error": self._values(variance_error),
            "deterministic": self._values(deterministic),
            "noise_variance": self._values(noise),
            "total_variance": self._values(total),
            "interval": self._intervals(mean, total_std, coverage, passes.groups),
            **passes.distances(),
            **judging.column,
            **accepts(self.calibration, options, total_std[:, 0]),
            "passes": passes.counts,
            "warnings": judging.warnings,
            **self._samples(passes),
        }
        return Rows(RegressionPrediction, columns)

    def metrics(
        self, predictions: Sequence[RegressionPrediction], actual: np.ndarray
    ) -> dict[str, float]:
        """RMSE and MAE of the mean, and RMSE of the deterministic pass, in the target's unit.

        Several targets are averaged in units of their training std. `actual` is standardised.
        """
        unit = self._scale if self.linear == 1 else np.ones(1)
        error = (self._standardised([p.mean for p in predictions]) - actual) * unit
        off = (self._standardised([p.deterministic for p in predictions]) - actual) * unit
        return {
            "rmse": float(np.sqrt(np.mean(error**2))),
            "mae": float(np.mean(np.abs(error))),
            "deterministic_rmse": float(np.sqrt(np.mean(off**2))),
        }

    @cached_property
    def _shift(self) -> np.ndarray:
        return np.array(self.target.means)

    @cached_property
    def _scale(self) -> np.ndarray:
        return np.array(self.target.scales)

    @cached_property
    def _share(self) -> np.ndarray:
        """What intervals add to every row's total std, [T], standardised."""
        return SHARE * np.array(self.tuning.typical_stds or [0.0])

    @cached_property
    def _factor(self) -> np.ndarray:
        """What the variance across the passes is times in the total, [T]."""
        return np.array(self.tuning.variance_factors or [1.0])

    def _noise(self, logs: np.ndarray) -> np.ndarray:
        """The noise variances, standardised, that log-variances [..., T] stand for.

        [..., T], or [T] of noise that is the same for all rows; 0 where nothing is known of it.
        """
        scales = np.array(self.tuning.noise_scales or [0.0])
        if not self._heteroscedastic:
            return scales
        return np.asarray(scales * np.exp(logs.clip(*CLAIMS)))

    def _spreads(self, total: np.ndarray) -> np.ndarray:
        """[B] of the total variances [B, T] in the unit squared."""
        return np.asarray(np.sqrt((total / self._scale**2).mean(1)))

    def _intervals(
        self, mean: np.ndarray, std: np.ndarray, coverage: float, groups: Sequence[str]
    ) -> Rows[Interval]:
        """The interval of each row; raises CalibrationError."""
        lower, upper = self._bounds(mean, std, coverage, groups)
        method = self.calibration.method("conformal") if self.calibration else "normal"
        columns: dict[str, Sequence[Any]] = {
            "coverage": [coverage] * len(mean),
            "lower": self._values(lower),
            "upper": self._values(upper),
            "method": [method] * len(mean),
        }
        return Rows(Interval, columns)

    def _bounds(
        self, mean: np.ndarray, std: np.ndarray, coverage: float, groups: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds [B, T], from total stds in the unit; raises CalibrationError."""
        if self.calibration is None:
            reach = -NormalDist().inv_cdf((1 - coverage) / 2)  # finite for coverage next to 1
            return conformal.interval(mean, reach, std)
        reaches = [self.calibration.quantile(name, coverage, groups) for name in self.target.names]
        wider = std + self._share * self._scale
        return conformal.interval(mean, np.array(reaches).T, wider)  # [T] or [B, T]

    def _samples(self, passes: Passes) -> dict[str, Sequence[tuple[Value, ...]]]:
        """The column, where there are samples."""
        if passes.samples is None:
            return {}
        rows = [
            tuple(self._values(row[:, : self.linear].cpu().numpy() * self._scale + self._shift))
            for row in passes.samples  # [P, V]
        ]
        return {"samples": rows}

    def _values(self, column: np.ndarray) -> list[Value]:
        """The rows of [B, T] as numbers, or as objects keyed by target where there are several."""
        if self.linear == 1:
            numbers: list[Value] = column[:, 0].tolist()
            return numbers
        return [dict(zip(self.target.names, row, strict=True)) for row in column.tolist()]

    def _standardised(self, values: Sequence[Value]) -> np.ndarray:
        """[B, T] of numbers in the target's unit."""
        return np.asarray((_array(values) - self._shift) / self._scale)


def _array(values: Sequence[Value]) -> np.ndarray:
    """Numbers, or objects of one number per target, as [B, T]."""
    return np.array([list(v.values()) if isinstance(v, dict) else [v] for v in values])
