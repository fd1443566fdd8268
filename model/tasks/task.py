"""What differs between regression and classification: the one polymorphism of this package."""

from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol, TypeVar

import numpy as np
from torch import Tensor

from model.calibration import Abstention, Calibration, Quantities, Tuning
from model.data import Target
from model.options import PredictOptions
from model.passes import Estimate, Passes
from model.tasks.classification import Classification
from model.tasks.columns import Columns
from model.tasks.defaults import TrainingDefaults
from model.tasks.predictions import ClassificationPrediction, RegressionPrediction
from model.tasks.regression import Regression

TaskName = Literal["regression", "binary", "multiclass"]
Prediction = RegressionPrediction | ClassificationPrediction
P = TypeVar("P", RegressionPrediction, ClassificationPrediction)


class Task(Protocol[P]):
    """The verbs that a task answers; what it knows is its target and what held-out rows fitted."""

    plain_because: ClassVar[str | None]
    """Why the reduced estimator does not apply; None where it does."""

    joint: ClassVar[bool]
    """Whether the values are class probabilities and their entropy: how they agree is asked for."""

    @property
    def calibration(self) -> Calibration | None:
        """What calibration rows left; None where there were none."""
        ...

    @property
    def outputs(self) -> int:
        """Number of network outputs O."""
        ...

    @property
    def linear(self) -> int:
        """How many of them, the first, are values themselves and take the reduced estimator."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The training loss, a scalar, of outputs [B, O] against encoded targets [B, ...]."""
        ...

    def nats_per_loss(self, loss: float) -> float:
        """What a unit of the training loss, near this value, is of a row's log-likelihood."""
        ...

    def defaults(self, rows: int) -> TrainingDefaults:
        """How to train on so many rows, where no option says otherwise."""
        ...

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the best epoch has the least of: the loss after what `tuned` will do, about."""
        ...

    def values(self, outputs: Tensor) -> Tensor:
        """What is averaged over the passes, [..., V], of outputs [..., O]."""
        ...

    def quantities(self, estimate: Estimate, passes: int) -> Quantities:
        """What an estimate from so many passes says, for `model.calibration.error_bars`."""
        ...

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """Relative standard error [B] of the std that matters, which `tolerance` bounds."""
        ...

    def tuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """What the passes' values [P, B, V] of validation rows fit."""
        ...

    retunes: ClassVar[bool]
    """Whether `retuned` makes a difference: whether a part of the calibration rows is for it."""

    def retuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """What is tuned, corrected for weights that have learned from the validation rows as well.

        By the passes' values [P, B, V] of some calibration rows, which then calibrate no more.
        """
        ...

    def rescaled(self, predictions: Columns[P], actual: np.ndarray) -> Tuning:
        """What is tuned, corrected likewise by predictions of all calibration rows.

        In a way that leaves the order of their scores, so that they calibrate all the same.
        """
        ...

    def error_share(self, predictions: Columns[P], actual: np.ndarray) -> float:
        """How much of the squared error is the mean's Monte-Carlo error; see `model.training`."""
        ...

    def scores(self, predictions: Columns[P], actual: np.ndarray) -> dict[str, np.ndarray]:
        """The conformal scores [B] of calibration rows, by name."""
        ...

    def log_density(self, values: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Log density [B, T] of what came true, or its log probability, by values [P, B, V]."""
        ...

    def comparisons(
        self, predictions: Columns[P], actual: np.ndarray
    ) -> dict[str, dict[str, np.ndarray]]:
        """The scores [B] of regions to compare with, by kind and name; see `model.calibration`."""
        ...

    def spreads(self, predictions: Columns[P]) -> np.ndarray:
        """How much the passes and the noise spread over each row, [B]; see `model.calibration`."""
        ...

    def abstention(self, predictions: Columns[P], actual: np.ndarray) -> Abstention | None:
        """What calibration rows promise of rows accepted; None where there are several targets."""
        ...

    def summarise(self, passes: Passes, options: PredictOptions) -> Columns[P]:
        """One prediction per row, in the target's own units; raises CalibrationError."""
        ...

    def metrics(self, predictions: Columns[P], actual: np.ndarray) -> dict[str, float]:
        """Held-out metrics against the actual targets, encoded as `encode_target` does."""
        ...


TASKS: dict[TaskName, Callable[[Target, Tuning, Calibration | None], Task[Any]]] = {
    "regression": Regression,
    "binary": Classification,
    "multiclass": Classification,
}
