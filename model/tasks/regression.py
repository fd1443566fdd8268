"""Regression, one or several targets: the training loss and the parts of a prediction."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from statistics import NormalDist
from typing import ClassVar

import numpy as np
import torch
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
from model.formulas import conformal, mixture_log_density, scores
from model.options import PredictOptions
from model.passes import Estimate, Passes
from model.tasks.columns import Column, Columns
from model.tasks.defaults import USUAL_RATE, USUAL_WIDTHS, TrainingDefaults
from model.tasks.predictions import Interval, RegressionPrediction

SMALL_TABLE = 1_200  # rows up to which a weight decay and a dropout rate of 0.1 were best
LEAST_SHARE = 0.1  # of that rate: the least rate for many rows
LARGE_TABLE = 5_000  # rows from which three layers are better than two
SHARE = 2.0  # an interval has the row's total std + SHARE typical std; best on validation rows
LOG_VARIANCES = (-12.0, 6.0)  # of standardised targets; beyond them the loss has no gradient
INNER, INNER_REACH = 0.8, 1.282  # coverage of an interval, and half its width in stds if normal
LEAST_SQUARE = 1e-9  # the least squared error of standardised targets to divide by


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
    retunes: ClassVar[bool] = False

    @property
    def linear(self) -> int:
        """The number of targets: the reduced estimator estimates one output for each."""
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

        With heteroscedastic noise it is the normal negative log-likelihood, up to a constant (Nix
        and Weigend 1994). Two alternatives were worse: weights by the predicted variance (beta-NLL,
        Seitzer et al. 2022) fit means a little better and noise worse; no gradient of the noise to
        the hidden layers (Stirn et al. 2023) fits noise much worse.
        """
        if not self._heteroscedastic:
            return F.mse_loss(outputs, targets)
        return self.losses(outputs, targets).mean()

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss [..., B] of each row, of outputs [..., B, O]: the mean over its targets."""
        if not self._heteroscedastic:
            return (targets - outputs).square().mean(-1)
        mean, log_variance = outputs.chunk(2, dim=-1)  # [..., B, T]
        log_variance = log_variance.clamp(*LOG_VARIANCES)
        normal = log_variance + (targets - mean).square() / log_variance.exp()
        return 0.5 * normal.mean(-1)

    @property
    def loss_in_words(self) -> str:
        """The squared error, or the likelihood, of standardised targets."""
        names = self.target.names
        of = names[0] if len(names) == 1 else f"{len(names)} targets (their mean)"
        if self._heteroscedastic:
            return f"negative log-likelihood of {of}, standardised, in nats, without its constant"
        unit = f"; 1 is {self.target.scales[0]:.4g} squared" if len(names) == 1 else ""
        return f"mean squared error of {of}, standardised{unit}"

    def loss_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [M] of outputs [M, B, O], and its gradient [M, B, O]."""
        share = 1 / (targets.shape[1] * targets.shape[2])  # of a number in the average
        if not self._heteroscedastic:
            off = outputs - targets
            return off.square().mean((1, 2)), off.mul(2 * share)
        mean, logs = outputs.chunk(2, dim=-1)  # [M, B, T]
        log_variance = logs.clamp(*LOG_VARIANCES)
        off, precision = targets - mean, (-log_variance).exp()
        weighted = off * precision
        square = off * weighted
        inside = logs == log_variance
        slopes = -share * weighted, 0.5 * share * (1 - square) * inside
        return 0.5 * (log_variance + square).mean((1, 2)), torch.cat(slopes, -1)

    def nats_per_loss(self, loss: float) -> float:
        """1 per target; with a squared error 1 / (2 variance), where the loss is the variance."""
        per_target = 1.0 if self._heteroscedastic else 0.5 / max(loss, LEAST_SQUARE)
        return self.linear * per_target

    def defaults(self, rows: int) -> TrainingDefaults:
        """Less weight decay and dropout, and a third layer, for many rows.

        The more rows there are, the less the prior weighs: in the objective of Gal and Ghahramani
        2016 the weight decay is proportional to 1 / rows. The values were chosen on validation rows
        of six small regressions. Training does not stop early: means improve long after the
        likelihood of validation rows has begun to fall, and `tuned` corrects the noise.
        """
        share = min(1.0, SMALL_TABLE / rows)
        deep = rows >= LARGE_TABLE
        return TrainingDefaults(
            hidden=(*USUAL_WIDTHS, USUAL_WIDTHS[-1]) if deep else USUAL_WIDTHS,
            dropout=round(USUAL_RATE * max(share, LEAST_SHARE), 4),  # never none
            weight_decays=(0.1 * share,),
            epochs=400,
            least_steps=10_000,
        )

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss; heteroscedastic noise is first scaled by the factor of the least loss."""
        if not self._heteroscedastic:
            return self.loss(outputs, targets)
        mean, log_variance = outputs.chunk(2, dim=-1)
        scale = ((targets - mean).square() / log_variance.exp()).mean(0)  # [T]
        return 0.5 * (log_variance.mean(0) + scale.log() + 1).mean()

    def values(self, outputs: Tensor) -> Tensor:
        """The standardised targets [..., T], then the logarithms of their noise variances."""
        return outputs

    def quantities(self, estimate: Estimate, passes: int | np.ndarray) -> Quantities:  # noqa: ARG002
        """Means, in units of the passes' std, and variances; the unit of log-variances is 0."""
        is_target = np.arange(estimate.mean.shape[-1]) < self.linear
        unit = np.where(is_target, estimate.variance, 0)
        return {
            "mean": Quantity(estimate.mean, estimate.mean_error, np.sqrt(unit)),
            "variance": Quantity(estimate.variance, estimate.variance_error, unit),
        }

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """The largest relative error [B] of all targets."""
        return np.asarray(estimate.relative_error[:, : self.linear].max(-1))

    def tuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The factors of variance and noise that fit the passes' values [P, B, V] best."""
        return tuned_noise(self.tuning.noise, values, actual)

    def retuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:  # noqa: ARG002
        """The tuning unchanged: a regression corrects with `rescaled`, on all calibration rows."""
        return self.tuning

    def rescaled(self, predictions: Columns[RegressionPrediction], actual: np.ndarray) -> Tuning:
        """The tuning with total variances rescaled to the squared errors of calibration rows."""
        error, std, mean_error = self._errors(predictions, actual)
        return rescaled(self.tuning, error**2 / (std**2 + mean_error**2))

    def error_share(self, predictions: Columns[RegressionPrediction], actual: np.ndarray) -> float:
        """The mean's Monte-Carlo variance over the variance that 80 % intervals imply.

        It is the average over calibration rows, with at most 1 for each, and the largest of all
        targets. The mean squared error would be a worse denominator: a few errors make it large,
        and the intervals of the other rows are narrow.
        """
        error, std, mean_error = self._errors(predictions, actual)
        wider = std + self._share
        scores = np.sort(conformal.regression_scores(actual, actual + error, wider), axis=0)
        reach = scores[min(math.ceil(INNER * len(scores)), len(scores)) - 1] * wider
        share = np.zeros_like(error)
        np.divide(mean_error * INNER_REACH, reach, out=share, where=reach > 0)
        return float(np.minimum(share**2, 1).mean(0).max())

    def _errors(
        self, predictions: Columns[RegressionPrediction], actual: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Errors of the mean, total stds and the mean's Monte-Carlo errors [B, T], standardised."""
        columns = predictions.columns
        error = self._standardised(columns["mean"]) - actual
        std = np.sqrt(columns["total_variance"]) / self._scale
        return error, std, columns["mean_error"] / self._scale

    def scores(
        self, predictions: Columns[RegressionPrediction], actual: np.ndarray
    ) -> dict[str, np.ndarray]:
        """|actual - mean| / (total std + SHARE typical std) of calibration rows, [B], by target.

        The typical std is the same for all rows. A row's total std is itself uncertain, so such
        intervals are shorter than intervals by the total std alone, and shorter than intervals of
        equal width (Papadopoulos and Haralambous 2011 add a constant too).
        """
        error, std, _ = self._errors(predictions, actual)
        scores = conformal.regression_scores(actual, actual + error, std + self._share)
        return dict(zip(self.target.names, scores.T, strict=True))

    def comparisons(
        self, predictions: Columns[RegressionPrediction], actual: np.ndarray
    ) -> dict[str, dict[str, np.ndarray]]:
        """|error| / std across the passes, and |error| of the deterministic pass, [B] by target.

        A kind is left out if one of its scores is infinite: a row with std 0 and an error.
        """
        columns = predictions.columns
        kinds = {
            "epistemic": (self._standardised(columns["mean"]), columns["std"] / self._scale),
            "deterministic": (self._standardised(columns["deterministic"]), 1.0),
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

    def spreads(self, predictions: Columns[RegressionPrediction]) -> np.ndarray:
        """The standardised total std [B]; of several targets, the root of their mean square."""
        return self._spreads(predictions.columns["total_variance"])

    def abstention(
        self, predictions: Columns[RegressionPrediction], actual: np.ndarray
    ) -> Abstention | None:
        """Bounds on the RMSE, in the target's unit, of rows that are accepted by total std."""
        if self.linear > 1 or not any(self.tuning.largest_errors):
            return None
        error, _, _ = self._errors(predictions, actual)
        std = np.sqrt(predictions.columns["total_variance"])[:, 0]
        largest = self.tuning.largest_errors[0] * self._scale[0]
        return root_mean_square(std, error[:, 0] * self._scale, largest=float(largest))

    def log_density(self, values: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Log density [B, T] of the passes' mixture of normals at the standardised actual [B, T].

        In nats, of targets in their own unit. The mixture has a normal for each pass of `values`
        [P, B, V], with that pass's own noise. The means are scaled around their average by the root
        of the factor on the variance. The mixture has heavier tails than one normal of the total
        variance, and a higher likelihood (docs/coverage.md). NaN if the noise is unknown.
        """
        if not self.tuning.noise_scales:
            return np.full(actual.shape, np.nan)
        passes, noise = values[..., : self.linear], self._noise(values[..., self.linear :])
        mean, factor = passes.mean(0), np.sqrt(self._factor)
        std = np.sqrt(noise) * np.ones_like(passes)  # [P, B, T]
        density = mixture_log_density(mean + factor * (passes - mean), std, actual)
        return np.asarray(density - np.log(self._scale))

    def summarise(self, passes: Passes, options: PredictOptions) -> Columns[RegressionPrediction]:
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
        columns: dict[str, Column] = {
            "mean": mean,
            "variance": variance,
            "std": np.sqrt(variance),
            "mean_error": estimate.mean_error[:, :count] * self._scale,
            "variance_error": variance_error,
            **self._between(estimate),
            "deterministic": deterministic,
            "noise_variance": noise,
            "total_variance": total,
            "interval": self._intervals(mean, total_std, coverage, passes.groups),
            **passes.distances(),
            **judging.column,
            **accepts(self.calibration, options, total_std[:, 0]),
            "passes": passes.counts,
            "warnings": judging.warnings,
            **self._samples(passes),
        }
        return Columns(RegressionPrediction, columns, self._names)

    def recall(
        self,
        predictions: Columns[RegressionPrediction],  # noqa: ARG002
        actual: np.ndarray,  # noqa: ARG002
    ) -> dict[str, float]:
        """None: a regression has no classes."""
        return {}

    def metrics(
        self, predictions: Columns[RegressionPrediction], actual: np.ndarray
    ) -> dict[str, float]:
        """RMSE and MAE of the mean, and RMSE of the deterministic pass, in the target's unit.

        Several targets are averaged in units of their training std. `actual` is standardised.
        """
        unit = self._scale if self.linear == 1 else np.ones(1)
        true = actual * unit
        mean, off = (
            self._standardised(predictions.columns[name]) * unit
            for name in ("mean", "deterministic")
        )
        return {
            "rmse": scores.rmse(mean, true),
            "mae": scores.mae(mean, true),
            "deterministic_rmse": scores.rmse(off, true),
        }

    @cached_property
    def _shift(self) -> np.ndarray:
        return np.array(self.target.means)

    @cached_property
    def _scale(self) -> np.ndarray:
        return np.array(self.target.scales)

    @cached_property
    def _share(self) -> np.ndarray:
        """The constant that intervals add to every row's total std, [T], standardised."""
        return SHARE * np.array(self.tuning.typical_stds or [0.0])

    @cached_property
    def _factor(self) -> np.ndarray:
        """The factor [T] of the variance across the passes in the total variance."""
        return np.array(self.tuning.variance_factors or [1.0])

    def _noise(self, logs: np.ndarray) -> np.ndarray:
        """The standardised noise variances of log-variances [..., T].

        They are [..., T], or [T] for homoscedastic noise; 0 if the noise is unknown.
        """
        scales = np.array(self.tuning.noise_scales or [0.0])
        if not self._heteroscedastic:
            return scales
        return np.asarray(scales * np.exp(logs.clip(*CLAIMS)))

    def _spreads(self, total: np.ndarray) -> np.ndarray:
        """The spreads [B] of the total variances [B, T] in the unit squared."""
        return np.asarray(np.sqrt((total / self._scale**2).mean(1)))

    def _intervals(
        self, mean: np.ndarray, std: np.ndarray, coverage: float, groups: Sequence[str]
    ) -> Columns[Interval]:
        """The interval of each row; raises CalibrationError."""
        lower, upper = self._bounds(mean, std, coverage, groups)
        method = self.calibration.method("conformal") if self.calibration else "normal"
        columns = {
            "coverage": np.full(len(mean), coverage),
            "lower": lower,
            "upper": upper,
            "method": [method] * len(mean),
        }
        return Columns(Interval, columns, self._names)

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

    def _between(self, estimate: Estimate) -> dict[str, np.ndarray]:
        """The columns of the variance between members; none for a single network."""
        if estimate.between is None:
            return {}
        variance, error = (
            part[:, : self.linear] * self._scale**2
            for part in (estimate.between.variance, estimate.between.error)
        )
        return {"member_variance": variance, "member_variance_error": error}

    def _samples(self, passes: Passes) -> dict[str, list[np.ndarray]]:
        """The column of samples, if there are any: an array [P, T] of each row."""
        if passes.samples is None:
            return {}
        units = [row[:, : self.linear] * self._scale + self._shift for row in passes.samples]
        return {"samples": units}

    @property
    def _names(self) -> tuple[str, ...]:
        """The names of a row's values; none if there is one target."""
        return self.target.names if self.linear > 1 else ()

    def _standardised(self, values: np.ndarray) -> np.ndarray:
        """Numbers in the target's unit, standardised, [B, T]."""
        return np.asarray((values - self._shift) / self._scale)
