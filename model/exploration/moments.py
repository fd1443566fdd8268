"""The moments of one value of a row, and the parts of its variance.

The moments are those of the prediction by the plain estimator. The parts come from the same passes
and their mixtures: means over pairs of noise, whose sum V' is another estimate of the variance V.
So a part is its mean times V / V'. The ratio has a bias of order 1 / N, far below the error.
"""

import math
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from model.exploration.explanation import Estimated
from model.exploration.layers import Layers
from model.exploration.value import Value
from model.predictions import Predictions
from model.predictor import Predictor


@dataclass(frozen=True, slots=True)
class Moments:
    """The mean, the variance and the std of one value over the passes."""

    value: Value
    mean: Estimated
    variance: Estimated
    std: Estimated

    @classmethod
    def of(cls, predictions: Predictions, at: int | None, predictor: Predictor) -> Self:
        """The moments of that value of a row; without a number, those of the predicted class."""
        columns = predictions.rows.columns
        at = int(columns["label"][0]) if at is None else at

        def number(name: str) -> float:
            return float(columns[name][0, at])

        variance, std = Estimated(number("variance"), number("variance_error")), number("std")
        return cls(
            Value.of(predictor.card, at),
            Estimated(number("mean"), number("mean_error")),
            variance,
            Estimated(std, variance.error / (2 * std) if std else 0.0),
        )

    def part(self, layers: Layers, numbers: np.ndarray) -> Estimated:
        """A part of the variance, from numbers [N] of each pair of noise.

        Its error has the same share of the allowance, which the variance's error may have. All is
        computed in units of V', so that no square of a huge variance overflows.
        """
        whole = float(layers.variance.mean())
        if not whole:
            return Estimated(0.0, 0.0)
        ratio, squares = self.variance.value / whole, self._squares(layers) / whole
        parts, mean = numbers / whole, float(numbers.mean()) / whole
        influence = ratio * parts + mean * (squares - ratio * layers.variance / whole)
        plain, error = float(standard_error(squares)), self.variance.error / whole
        allowed = math.sqrt(max(error**2 - plain**2, 0))
        error = math.hypot(float(standard_error(influence)), mean * allowed)
        return Estimated(ratio * mean * whole, error * whole)

    def _squares(self, layers: Layers) -> np.ndarray:
        """The mean squared deviation [N] of the two passes of each pair."""
        first, second = layers.first - self.mean.value, layers.second - self.mean.value
        return (first**2 + second**2) / 2


def standard_error(values: np.ndarray) -> Any:
    """The standard error of the mean over the first axis."""
    return values.std(0, ddof=1) / math.sqrt(len(values))
