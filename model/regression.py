"""Regression, one or several targets: the training loss and the parts of a prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.table import Target
from model.uncertainty import Estimate, Passes

Value = float | dict[str, float]  # a number, or one number per target where there are several


@dataclass(frozen=True, slots=True)
class Interval:
    """`lower` to `upper` holds the target with probability `coverage`, as far as `method` goes.

    `normal`: mean +- z std, the credible interval of the passes. It knows nothing of the noise in
    the target, so the target itself falls outside more often than `coverage` says.
    """

    coverage: float
    lower: Value
    upper: Value
    method: str


@dataclass(frozen=True, slots=True)
class RegressionPrediction:
    """One row's prediction in the target's unit; variances in the unit squared."""

    mean: Value
    variance: Value  # across the passes: epistemic
    std: Value
    mean_error: Value  # Monte-Carlo standard errors
    variance_error: Value
    deterministic: Value  # dropout off
    interval: Interval
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[Value, ...] | None


class Regression:
    """The task of predicting numbers; the network's outputs are standardised targets."""

    plain_because: str | None = None

    def outputs(self, target: Target) -> int:
        """One output per target."""
        return len(target.names)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean squared error of outputs [B, O] against standardised targets [B, O]."""
        return F.mse_loss(outputs, targets)

    def values(self, outputs: Tensor) -> Tensor:
        """The outputs themselves, still standardised."""
        return outputs

    def relative_error(self, estimate: Estimate) -> Tensor:
        """The largest of all targets, [B]."""
        return estimate.relative_error.amax(-1)

    def summarise(
        self, passes: Passes, target: Target, coverage: float
    ) -> Sequence[RegressionPrediction]:
        """One prediction per row; means scale with the target's std, variances with its square."""
        shift = torch.tensor(target.means, dtype=torch.float64, device=passes.deterministic.device)
        scale = torch.tensor(target.scales, dtype=torch.float64, device=shift.device)
        estimate = passes.estimate
        mean = estimate.mean * scale + shift  # [B, V]
        variance = estimate.variance * scale.square()
        std = variance.sqrt()
        reach = -NormalDist().inv_cdf((1 - coverage) / 2) * std  # finite for coverage next to 1
        names = target.names
        columns = (
            mean,
            variance,
            std,
            estimate.mean_error * scale,
            estimate.variance_error * scale.square(),
            passes.deterministic * scale + shift,
        )
        numbers = zip(*(_values(column, names) for column in columns), strict=True)
        bounds = zip(_values(mean - reach, names), _values(mean + reach, names), strict=True)
        intervals = [Interval(coverage, lower, upper, "normal") for lower, upper in bounds]
        samples: Sequence[tuple[Value, ...] | None] = [None] * len(mean)
        if passes.samples is not None:
            by_row = (row.double() * scale + shift for row in passes.samples)  # [P, V]
            samples = [tuple(_values(row, names)) for row in by_row]
        rows = zip(numbers, intervals, passes.counts, passes.warnings, samples, strict=True)
        return [_prediction(*row) for row in rows]

    def metrics(
        self, predictions: Sequence[RegressionPrediction], actual: np.ndarray, target: Target
    ) -> dict[str, float]:
        """RMSE and MAE of the mean, and RMSE of the deterministic pass, in the target's unit.

        Several targets are averaged in units of their training std.
        """
        scales = np.asarray(target.scales if len(target.names) > 1 else [1.0])
        truth = actual * target.scales + np.asarray(target.means)  # [B, V]
        error = (_array([p.mean for p in predictions]) - truth) / scales
        off = (_array([p.deterministic for p in predictions]) - truth) / scales
        return {
            "rmse": float(np.sqrt(np.mean(error**2))),
            "mae": float(np.mean(np.abs(error))),
            "deterministic_rmse": float(np.sqrt(np.mean(off**2))),
        }


def _prediction(
    numbers: tuple[Value, ...],
    interval: Interval,
    passes: int,
    warnings: tuple[str, ...],
    samples: tuple[Value, ...] | None,
) -> RegressionPrediction:
    mean, variance, std, mean_error, variance_error, deterministic = numbers
    return RegressionPrediction(
        mean=mean,
        variance=variance,
        std=std,
        mean_error=mean_error,
        variance_error=variance_error,
        deterministic=deterministic,
        interval=interval,
        passes=passes,
        warnings=warnings,
        samples=samples,
    )


def _values(column: Tensor, names: tuple[str, ...]) -> list[Value]:
    """The rows of [B, V] as numbers, or as objects keyed by target where there are several."""
    if len(names) == 1:
        numbers: list[Value] = column[:, 0].tolist()
        return numbers
    return [dict(zip(names, row, strict=True)) for row in column.tolist()]


def _array(values: Sequence[Value]) -> np.ndarray:
    """The inverse of `_values`, [B, V]."""
    return np.array([list(v.values()) if isinstance(v, dict) else [v] for v in values])
