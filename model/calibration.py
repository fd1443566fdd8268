"""What calibration rows add: how large a region must be to hold the truth as often as it says.

Shapes: B rows, n calibration rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from model.conformal import quantile
from model.options import Estimator


@dataclass(frozen=True)
class Calibration:
    """Sorted conformal scores [n] by name: of each target, or of each kind of label set.

    They belong to the weights and to the `passes` and `estimator` that they were made with.
    """

    passes: int
    estimator: Estimator
    scores: Mapping[str, np.ndarray]

    def quantile(self, name: str, coverage: float) -> float:
        """The score that a region of this coverage reaches; raises CalibrationError."""
        return quantile(self.scores[name], coverage)
