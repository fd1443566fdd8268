"""Regression, one or several targets: the training loss and the parts of a prediction."""

import math
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from model.calibration import (
    CLAIMS,
    Abstention,
    Calibration,
    Factors,
    NoiseScales,
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
from model.formulas import conformal, scores
from model.options import PredictOptions
from model.passes import Estimate, Passes
from model.tasks import regression_loss
from model.tasks.columns import Column, Columns
from model.tasks.comparison import regression_figures
from model.tasks.defaults import TrainingDefaults, regression_defaults
from model.tasks.intervals import Reach, centred, joint_std
from model.tasks.log_normal import moments
from model.tasks.members import member_columns
from model.tasks.predictions import RegressionPrediction
from model.tasks.scale import Scale

SHARE = 2.0  # an interval has the row's total std + SHARE typical std; best on validation rows
INNER, INNER_REACH = 0.8, 1.282  # coverage of an interval, and half its width in stds if normal
LEAST_SQUARE = 1e-9  # the least squared error of standardised targets to divide by


@dataclass(frozen=True)
class Regression:
    """The task of predicting numbers; the network's outputs are standardised targets.

    With heteroscedastic noise as many more follow: the logarithms of their noise variances. A
    target may be learned by its logarithm: see `log_normal`.
    """

    target: Target
    tuning: Tuning = field(default_factory=Tuning)
    calibration: Calibration | None = None

    joint: ClassVar[bool] = False
    temperature: ClassVar[float | None] = None
    retunes: ClassVar[bool] = False

    @property
    def plain_because(self) -> str | None:
        """The exponential, if a target is learned by its logarithm."""
        why = "the reduced estimator needs a linear output, not the exponential of a logarithm"
        return why if self.target.logs else None

    @property
    def values_are_outputs(self) -> bool:
        """Whether no target is learned by its logarithm."""
        return not self.target.logs

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
        """The loss of `regression_loss`."""
        return regression_loss.loss(outputs, targets)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss [..., B] of each row, of outputs [..., B, O]: the mean over its targets."""
        return regression_loss.losses(outputs, targets)

    @property
    def loss_in_words(self) -> str:
        """The squared error, or the likelihood, of standardised targets."""
        return regression_loss.in_words(self.target, learned_noise=self._heteroscedastic)

    @property
    def loss_name(self) -> str:
        """What the loss is, in a word or two."""
        return "negative log-likelihood" if self._heteroscedastic else "squared error"

    def loss_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [M] of outputs [M, B, O], and its gradient [M, B, O]."""
        return regression_loss.gradient(outputs, targets)

    def nats_per_loss(self, loss: float) -> float:
        """1 per target; with a squared error 1 / (2 variance), where the loss is the variance."""
        per_target = 1.0 if self._heteroscedastic else 0.5 / max(loss, LEAST_SQUARE)
        return self.linear * per_target

    def defaults(self, rows: int) -> TrainingDefaults:
        """Less weight decay and dropout, and a third layer, for many rows."""
        return regression_defaults(rows)

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss; heteroscedastic noise is first scaled by the factor of the least loss."""
        return regression_loss.validation_loss(outputs, targets)

    def values(self, outputs: Tensor) -> Tensor:
        """The standardised targets [..., T], then the logarithms of their noise variances.

        For the L targets that are learned by their logarithms, the mean and the variance of each
        target given the pass follow, in units of `Target.stds`, [..., 2 L].
        """
        if not self.target.logs:
            return outputs
        outputs, at = outputs.double(), np.flatnonzero(self.target.by_log)
        noise = outputs.new_tensor(self._noise_scales[at])
        if self._heteroscedastic:
            logs = noise.log() + outputs[..., self.linear + at]
            noise = logs.clamp(*CLAIMS).exp() * (noise > 0)
        sigma = outputs.new_tensor(np.array(self.target.scales)[at])
        return torch.cat([outputs, moments(outputs[..., at], noise, sigma)], dim=-1)

    def quantities(self, estimate: Estimate, passes: int | np.ndarray) -> Quantities:  # noqa: ARG002
        """Means, in units of the passes' std, and variances; the unit of all else is 0."""
        unit = estimate.variance * self._is_mean
        return {
            "mean": Quantity(estimate.mean, estimate.mean_error, np.sqrt(unit)),
            "variance": Quantity(estimate.variance, estimate.variance_error, unit),
        }

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """The largest relative error [B] of all targets."""
        return np.asarray(estimate.relative_error[:, self._at].max(-1))

    def tuned(self, values: np.ndarray, actual: np.ndarray, members: int) -> Tuning:
        """The factors of variance and noise that fit the passes' values [P, B, V] best."""
        outputs = values[..., : self.outputs].copy()
        tuning = tuned_noise(self.tuning.noise, outputs, actual, members)
        if not self.target.logs:
            return tuning
        outputs[..., self.linear :] *= np.array(tuning.noise_powers)  # later in the weights
        task = replace(self, tuning=tuning)
        mean = task.values(torch.from_numpy(outputs)).mean(0).numpy()[:, self._at]  # [B, T]
        errors = np.abs(mean - self._scale.encoded_in_units(actual)).max(0)
        return replace(tuning, largest_errors=tuple(errors.tolist()))

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
        """Errors, total stds and the mean's Monte-Carlo errors [B, T], of standardised targets."""
        centre, std = centred(predictions, self.target)
        slope = self._scale.slope(predictions.columns["mean"])
        return centre - actual, std, predictions.columns["mean_error"] / slope

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
            "epistemic": (self._scale.in_units(columns["mean"]), columns["std"] / self._scale.unit),
            "deterministic": (self._scale.in_units(columns["deterministic"]), 1.0),
        }
        true = self._scale.encoded_in_units(actual)
        found = {
            kind: conformal.regression_scores(true, centre, std)
            for kind, (centre, std) in kinds.items()
        }
        return {
            kind: dict(zip(self.target.names, scores.T, strict=True))
            for kind, scores in found.items()
            if np.isfinite(scores).all()
        }

    def spreads(self, predictions: Columns[RegressionPrediction]) -> np.ndarray:
        """The standardised total std [B]; of several targets, the root of their mean square.

        Of a target that is learned by its logarithm it is that of the logarithm.
        """
        return joint_std(centred(predictions, self.target)[1])

    def abstention(
        self, predictions: Columns[RegressionPrediction], actual: np.ndarray
    ) -> Abstention | None:
        """Bounds on the RMSE, in the target's unit, of rows that are accepted by total std."""
        if self.linear > 1 or not any(self.tuning.largest_errors):
            return None
        columns, unit = predictions.columns, self._scale.unit[0]
        off = self._scale.in_units(columns["mean"]) - self._scale.encoded_in_units(actual)
        error = off[:, 0] * unit
        std, largest = np.sqrt(columns["total_variance"])[:, 0], self.tuning.largest_errors[0]
        return root_mean_square(std, error, largest=float(largest * unit))

    def log_density(self, values: np.ndarray, actual: np.ndarray, members: int) -> np.ndarray:
        """Log density [B, T] of the passes' mixture of normals at the standardised actual [B, T].

        In nats, of targets in their own unit. The mixture has a normal for each pass of `values`
        [P, B, V], with that pass's own share of the noise; a log-normal, where the logarithm is
        learned. Its variance is the total variance, of which the part between members follows
        Student's law (see `Factors.log_density`). So it has heavier tails than one normal, and a
        higher likelihood (docs/coverage.md). NaN if the noise is unknown.
        """
        if not self.tuning.noise_scales:
            return np.full(actual.shape, np.nan)
        passes, logs = np.split(values[..., : self.outputs], [self.linear], axis=-1)
        noise = self._noise(logs) * np.ones_like(passes)  # [P, B, T]
        if self._heteroscedastic:  # predictions of logarithms have the mean of the passes' noise
            level = self._noise(logs.mean(0)) / noise.mean(0)
            noise *= np.where(self.target.by_log, 1, level)
        density = self._factors.log_density(passes, noise, members, actual)
        return np.asarray(density - np.log(self._scale.slope(self.target.decoded(actual))))

    def summarise(self, passes: Passes, options: PredictOptions) -> Columns[RegressionPrediction]:
        """One prediction per row; means scale with the target's std, variances with its square."""
        estimate, at, unit = passes.estimate, self._at, self._scale.unit
        square = self._scale.square
        variance = estimate.variance[:, at] * square  # [B, T]
        members = member_columns(estimate, at, unit)
        spread, noise = self._spread_and_noise(estimate)
        noise *= square
        total = self._factors.weighted(variance, members.get("member_variance")) + noise
        centre = estimate.mean[:, : self.linear]
        judging = judged(self.calibration, joint_std(spread), passes.warnings)
        columns: dict[str, Column] = {
            "mean": self._scale.own(estimate.mean[:, at]),
            "variance": variance,
            "std": np.sqrt(variance),
            "mean_error": estimate.mean_error[:, at] * unit,
            "variance_error": estimate.variance_error[:, at] * square,
            **members,
            "deterministic": self._scale.own(passes.deterministic[:, at]),
            "noise_variance": noise,
            "total_variance": total,
            "interval": self._reach.intervals(centre, spread, options.coverage, passes.groups),
            **passes.distances(),
            **judging.column,
            **accepts(self.calibration, options, np.sqrt(total[:, 0])),
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
        """RMSE, MAE and R^2 of the mean, and RMSE of the deterministic pass, in the target's unit.

        Several targets are averaged in units of their training std. `actual` is standardised.
        """
        unit = self._scale.unit if self.linear == 1 else np.ones(1)
        true = self._scale.encoded_in_units(actual) * unit
        mean, off = (
            self._scale.in_units(predictions.columns[name]) * unit
            for name in ("mean", "deterministic")
        )
        return regression_figures(mean, true) | {"deterministic_rmse": scores.rmse(off, true)}

    @cached_property
    def _scale(self) -> Scale:
        return Scale(self.target)

    @cached_property
    def _at(self) -> np.ndarray | slice:
        """Where the values of a pass have the mean of each target, [T]."""
        if not self.target.logs:
            return slice(self.linear)  # a view, not a copy
        log = self.target.by_log
        return np.where(log, self.outputs + log.cumsum() - 1, np.arange(self.linear))

    @cached_property
    def _is_mean(self) -> np.ndarray:
        """1 where the values of a pass have the mean of a target, 0 elsewhere, [V]."""
        found = np.zeros(self.outputs + 2 * len(self.target.logs))
        found[self._at] = 1
        return found

    @cached_property
    def _share(self) -> np.ndarray:
        """The constant that intervals add to every row's total std, [T], standardised."""
        return SHARE * np.array(self.tuning.typical_stds or [0.0])

    @cached_property
    def _factors(self) -> Factors:
        return Factors.of(self.tuning)

    @cached_property
    def _noise_law(self) -> NoiseScales:
        return NoiseScales(self._noise_scales)

    @cached_property
    def _reach(self) -> Reach:
        return Reach(self.target, self.calibration, self._share)

    @cached_property
    def _noise_scales(self) -> np.ndarray:
        """The noise scales [T]; 0 if the noise is unknown."""
        return np.array(self.tuning.noise_scales or [0.0] * self.linear)

    def _noise(self, logs: np.ndarray) -> np.ndarray:
        """The standardised noise variances of log-variances [..., T].

        They are [..., T], or [T] for homoscedastic noise; 0 if the noise is unknown.
        """
        if not self._heteroscedastic:
            return self._noise_scales
        return self._noise_law.variances(logs)

    def _spread_and_noise(self, estimate: Estimate) -> tuple[np.ndarray, np.ndarray]:
        """The total stds of standardised targets, and the noise variances in units, [B, T]."""
        count, log = self.linear, self.target.by_log
        noise = np.empty((len(estimate.mean), count))
        noise[:] = self._noise(estimate.mean[:, count : self.outputs])
        between = None if estimate.between is None else estimate.between.variance[:, :count]
        spread = np.sqrt(self._factors.weighted(estimate.variance[:, :count], between) + noise)
        if self.target.logs:
            noise[:, log] = estimate.mean[:, self.outputs + log.sum() :]
        return spread, noise

    def _samples(self, passes: Passes) -> dict[str, list[np.ndarray]]:
        """The column of samples, if there are any: an array [P, T] of each row."""
        rows = passes.samples
        return {} if rows is None else {"samples": [self._scale.own(r[:, self._at]) for r in rows]}

    @property
    def _names(self) -> tuple[str, ...]:
        """The names of a row's values; none if there is one target."""
        return self.target.names if self.linear > 1 else ()
