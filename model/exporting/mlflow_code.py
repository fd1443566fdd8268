"""The code of an MLflow model, which MLflow copies beside the artifact and runs to load the model.

A model from code has no pickle: MLflow would otherwise store the object of `MCDropout` as one.
"""

from typing import Any

import pandas
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from model import PredictOptions, load


class MCDropout(PythonModel):  # type: ignore[misc]
    """A model that predicts a frame for a frame, as `Predictor.predict` does."""

    def load_context(self, context: Any) -> None:
        """Read and verify the artifact."""
        self._predictor = load(context.artifacts["artifact"])

    def predict(
        self,
        context: Any,  # noqa: ARG002  part of MLflow's interface
        model_input: pandas.DataFrame,
        params: dict[str, Any] | None = None,
    ) -> pandas.DataFrame:
        """A row of `Predictions.to_pandas` for every row; `params` are those of `PredictOptions`.

        Raises InputError naming row, feature and value, or the option.
        """
        options = PredictOptions(**(params or {}))
        return self._predictor.predict(model_input, options).to_pandas()


set_model(MCDropout())
