"""The interface of regression and classification, which the other packages use."""

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
    """The methods of a task, which knows its target and the results of held-out rows."""

    @property
    def plain_because(self) -> str | None:
        """The reason why the reduced estimator does not apply; None if it does."""
        ...

    joint: ClassVar[bool]
    """Whether the values are class probabilities and their entropy; then passes have agreement."""

    @property
    def values_are_outputs(self) -> bool:
        """Whether `values` returns the network's outputs as they are."""
        ...

    @property
    def temperature(self) -> float | None:
        """The temperature of the softmax in `values`; None for a regression."""
        ...

    @property
    def calibration(self) -> Calibration | None:
        """The calibration; None if the model has none."""
        ...

    @property
    def outputs(self) -> int:
        """Number of network outputs O."""
        ...

    @property
    def linear(self) -> int:
        """The number of outputs, the first ones, that the reduced estimator estimates."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The training loss, a scalar, of outputs [B, O] against encoded targets [B, ...]."""
        ...

    def loss_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [M] of each member's outputs [M, B, O], and its gradient in them [M, B, O]."""
        ...

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The training loss [..., B] of each row, of outputs [..., B, O]; `loss` is their mean."""
        ...

    @property
    def loss_in_words(self) -> str:
        """What the training loss is, and its unit."""
        ...

    @property
    def loss_name(self) -> str:
        """What the training loss is, in a word or two."""
        ...

    def nats_per_loss(self, loss: float) -> float:
        """The nats of a row's negative log-likelihood per unit of training loss, near `loss`."""
        ...

    def defaults(self, rows: int) -> TrainingDefaults:
        """The training options for a number of rows, where the user gives none."""
        ...

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss that chooses the best epoch: about the loss after `tuned`."""
        ...

    def values(self, outputs: Tensor) -> Tensor:
        """The values [..., V] that are averaged over the passes, of outputs [..., O]."""
        ...

    def quantities(self, estimate: Estimate, passes: int | np.ndarray) -> Quantities:
        """The quantities of an estimate from so many passes, for `model.calibration.error_bars`."""
        ...

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """The relative standard error [B] of each row's std, which `tolerance` bounds."""
        ...

    def tuned(self, values: np.ndarray, actual: np.ndarray, members: int) -> Tuning:
        """The tuning that fits the passes' values [P, B, V] of validation rows.

        Pass k is of member k mod `members`.
        """
        ...

    retunes: ClassVar[bool]
    """Whether `retuned` changes the tuning; if so, a part of the calibration rows is for it."""

    def retuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The tuning corrected for weights that have learned from the validation rows too.

        It uses the passes' values [P, B, V] of some calibration rows, which then do not calibrate.
        """
        ...

    def rescaled(self, predictions: Columns[P], actual: np.ndarray) -> Tuning:
        """The tuning corrected for the same reason by predictions of all calibration rows.

        The correction keeps the order of their scores, so the rows may calibrate too.
        """
        ...

    def error_share(self, predictions: Columns[P], actual: np.ndarray) -> float:
        """The mean's Monte-Carlo variance as a share of the squared error; see `serving_passes`."""
        ...

    def scores(self, predictions: Columns[P], actual: np.ndarray) -> dict[str, np.ndarray]:
        """The conformal scores [B] of calibration rows, by name."""
        ...

    def log_density(self, values: np.ndarray, actual: np.ndarray, members: int) -> np.ndarray:
        """Log density [B, T], or log probability, of the actual targets under values [P, B, V].

        Pass k is of member k mod `members`.
        """
        ...

    def comparisons(
        self, predictions: Columns[P], actual: np.ndarray
    ) -> dict[str, dict[str, np.ndarray]]:
        """The scores [B] of regions to compare with, by kind and name; see `Calibration`."""
        ...

    def spreads(self, predictions: Columns[P]) -> np.ndarray:
        """The spread of each row, [B]: the total std, or the mutual information."""
        ...

    def abstention(self, predictions: Columns[P], actual: np.ndarray) -> Abstention | None:
        """Bounds on the risk of accepted rows; None if there are several targets."""
        ...

    def summarise(self, passes: Passes, options: PredictOptions) -> Columns[P]:
        """One prediction per row, in the target's own units; raises CalibrationError."""
        ...

    def metrics(self, predictions: Columns[P], actual: np.ndarray) -> dict[str, float]:
        """Held-out metrics against the actual targets, encoded as `encode_target` does."""
        ...

    def recall(self, predictions: Columns[P], actual: np.ndarray) -> dict[str, float]:
        """The recall of each class that has rows; empty for a regression."""
        ...


TASKS: dict[TaskName, Callable[[Target, Tuning, Calibration | None], Task[Any]]] = {
    "regression": Regression,
    "binary": Classification,
    "multiclass": Classification,
}
