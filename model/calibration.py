"""What calibration rows add: how large a region must be to hold the truth as often as it says.

Shapes: B rows, n calibration rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.abstention import Abstention, Acceptance, acceptance, accepted
from model.conformal import quantile
from model.errors import CalibrationError
from model.options import Estimator, PredictOptions


@dataclass(frozen=True)
class Calibration:
    """Sorted conformal scores [n] by name: of each target, or of each kind of label set.

    `abstention`: what those rows say of the errors of rows that are accepted; of one target only.
    They belong to the weights and to the `passes` and `estimator` that they were made with.
    """

    passes: int
    estimator: Estimator
    scores: Mapping[str, np.ndarray]
    abstention: Abstention | None = None

    def quantile(self, name: str, coverage: float) -> float:
        """The score that a region of this coverage reaches; raises CalibrationError."""
        if name not in self.scores:
            raise CalibrationError(
                f"the calibration has no scores for {name}; run python -m model calibrate again"
            )
        return quantile(self.scores[name], coverage)


def promise(calibration: Calibration | None, options: PredictOptions) -> Acceptance | None:
    """What is promised of the rows that are accepted; None where the options name no error.

    Raises CalibrationError where that cannot be promised.
    """
    if options.largest_error is None:
        return None
    return acceptance(_abstention(calibration), options.largest_error)


def accepts(
    calibration: Calibration | None, options: PredictOptions, uncertainty: np.ndarray
) -> Sequence[bool | None]:
    """Whether to accept each row [B], by what its task abstains by; None as in `promise`."""
    if options.largest_error is None:
        return [None] * len(uncertainty)
    found: list[bool | None] = accepted(
        _abstention(calibration), options.largest_error, uncertainty
    ).tolist()
    return found


def _abstention(calibration: Calibration | None) -> Abstention:
    if calibration is None:
        raise CalibrationError("largest_error needs calibration rows; the model has none")
    if calibration.abstention is None:
        raise CalibrationError(
            "largest_error is for models of one target, trained or calibrated with rows that show "
            "how large errors are"
        )
    return calibration.abstention
