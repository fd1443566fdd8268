"""What differs between regression and classification: the one polymorphism of this package."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from torch import Tensor

from model.classification import Classification, ClassificationPrediction
from model.regression import Regression, RegressionPrediction
from model.table import Target
from model.uncertainty import Estimate, Passes

TaskName = Literal["regression", "binary", "multiclass"]
Prediction = RegressionPrediction | ClassificationPrediction
P = TypeVar("P", RegressionPrediction, ClassificationPrediction)


class Task(Protocol[P]):
    """The verbs that a task answers; it holds no state, what it needs to know is the target."""

    plain_because: str | None
    """Why the reduced estimator does not apply; None where it does."""

    def outputs(self, target: Target) -> int:
        """Number of network outputs O."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The training loss, a scalar, of outputs [B, O] against encoded targets [B, ...]."""
        ...

    def values(self, outputs: Tensor) -> Tensor:
        """What is averaged over the passes, [..., V], of outputs [..., O]."""
        ...

    def relative_error(self, estimate: Estimate) -> Tensor:
        """Relative standard error [B] of the std that matters, which `tolerance` bounds."""
        ...

    def summarise(self, passes: Passes, target: Target, coverage: float) -> Sequence[P]:
        """One prediction per row, in the target's own units."""
        ...

    def metrics(
        self, predictions: Sequence[P], actual: np.ndarray, target: Target
    ) -> dict[str, float]:
        """Held-out metrics against the actual targets, encoded as `encode_target` does."""
        ...


TASKS: dict[TaskName, Task[Any]] = {
    "regression": Regression(),
    "binary": Classification(),
    "multiclass": Classification(),
}
