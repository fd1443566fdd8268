"""The intervals of a regression, made on the scale on which its network works."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.calibration import Calibration
from model.data import Target
from model.formulas import conformal, scores
from model.tasks.columns import Columns
from model.tasks.predictions import Interval, RegressionPrediction


@dataclass(frozen=True, slots=True)
class Reach:
    """How far intervals reach: `extra` [T] is added to each row's total std, if calibrated."""

    target: Target
    calibration: Calibration | None
    extra: np.ndarray

    def intervals(
        self, centre: np.ndarray, std: np.ndarray, coverage: float, groups: Sequence[str]
    ) -> Columns[Interval]:
        """The interval of each row; raises CalibrationError.

        `centre` and `std` [B, T] are the means over the passes and the total stds of standardised
        targets. Where the logarithm is learned, exp maps the ends.
        """
        lower, upper = map(self.target.decoded, self._bounds(centre, std, coverage, groups))
        method = self.calibration.method("conformal") if self.calibration else "normal"
        columns = {
            "coverage": np.full(len(centre), coverage),
            "lower": lower,
            "upper": upper,
            "method": [method] * len(centre),
        }
        return Columns(Interval, columns, self.target.names if len(self.target.names) > 1 else ())

    def _bounds(
        self, centre: np.ndarray, std: np.ndarray, coverage: float, groups: Sequence[str]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper bounds [B, T] of standardised targets."""
        if self.calibration is None:
            return conformal.interval(centre, scores.normal_reach(coverage), std)
        reaches = [self.calibration.quantile(name, coverage, groups) for name in self.target.names]
        return conformal.interval(centre, np.array(reaches).T, std + self.extra)  # [T] or [B, T]


def centred(
    predictions: Columns[RegressionPrediction], target: Target
) -> tuple[np.ndarray, np.ndarray]:
    """The means over the passes and the total stds [B, T], both of standardised targets.

    The predictions are those of a model without calibration, whose intervals are mean +- z x std,
    of the logarithm where that is learned. No other column has its mean and its std.
    """
    interval = predictions.columns["interval"].columns
    lower, upper = (target.standardised(interval[end]) for end in ("lower", "upper"))
    reach = scores.normal_reach(float(interval["coverage"][0]))
    return (lower + upper) / 2, (upper - lower) / (2 * reach)


def joint_std(stds: np.ndarray) -> np.ndarray:
    """The root [B] of the mean square of the stds [B, T]."""
    return np.asarray(stds[:, 0] if stds.shape[1] == 1 else np.sqrt(np.square(stds).mean(1)))
