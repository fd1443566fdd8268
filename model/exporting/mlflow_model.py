"""A model as one of MLflow: its `python_function` flavor, with the options of a request as params.

The folder of the artifact is kept as it is, so loading verifies it, and nothing is pickled.
"""

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

from model.errors import ArtifactError, ModelError
from model.options import PredictOptions
from model.predictor import Predictor

_CODE = Path(__file__).with_name("mlflow_code.py")
_PARAMS = {  # of a prediction, by their types in MLflow
    "passes": "long",
    "seed": "long",
    "coverage": "double",
    "estimator": "string",
    "masks": "string",
    "tolerance": "double",
    "label_set": "string",
    "largest_error": "double",
}
_HINTS = ".*type hint is inferred"  # at the import of MLflow, about a type of its own


def export_mlflow(predictor: Predictor, folder: str | Path) -> None:
    """Save the model as one of MLflow; raises ArtifactError for a folder that is not empty.

    `mlflow.pyfunc.load_model(folder)` loads it, and `mlflow models serve -m folder` serves it.
    """
    mlflow, folder = _mlflow(), Path(folder)
    try:
        full = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
        if not full:
            with _parts(predictor) as parts:
                mlflow.pyfunc.save_model(str(folder), **parts)
    except OSError as error:
        raise ArtifactError(f"{folder} cannot be written: {error.strerror}") from error
    if full:
        raise ArtifactError(f"{folder} is there already; choose another folder")


def log_model(predictor: Predictor, name: str = "model", **settings: Any) -> Any:
    """MLflow's `ModelInfo` of the model, logged under that name in the active run, or a new one.

    `settings` are more arguments of `mlflow.pyfunc.log_model`, such as `registered_model_name`.
    """
    mlflow = _mlflow()
    with _parts(predictor) as parts:
        return mlflow.pyfunc.log_model(name=name, **(parts | settings))


def _mlflow() -> Any:
    """The package mlflow, an extra; raises ModelError with how to install it."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _HINTS, UserWarning)
            import mlflow
            import mlflow.models
            import mlflow.pyfunc
            import mlflow.types.schema
    except ImportError as error:
        hint = 'pip install "mc-dropout-service[mlflow]"'
        raise ModelError(f"MLflow models need the package mlflow: {hint}") from error
    return mlflow


@contextmanager
def _parts(predictor: Predictor) -> Iterator[dict[str, Any]]:
    """The arguments with which MLflow saves or logs the model."""
    import pandas

    with tempfile.TemporaryDirectory() as folder:
        artifact = Path(folder) / predictor.card.name
        predictor.save(artifact)
        yield {
            "python_model": str(_CODE),
            "artifacts": {"artifact": str(artifact)},
            "signature": _signature(predictor),
            "input_example": pandas.DataFrame([predictor.example()]),
            "pip_requirements": [
                f"{package}=={version(package)}" for package in ("mc-dropout-service", "pandas")
            ],
            "metadata": {key: str(getattr(predictor.card, key)) for key in ("task", "version")},
        }


def _signature(predictor: Predictor) -> Any:
    """Features, columns of the answer, and params.

    The cells of features have any type: the model's own schema reads them, with better messages.
    MLflow would refuse whole numbers for a float.
    """
    mlflow = _mlflow()
    types, any_type = mlflow.types, mlflow.types.schema.AnyType()
    defaults = predictor.resolved(PredictOptions())
    answer = predictor.predict([predictor.example()], PredictOptions(seed=0)).to_pandas()
    return mlflow.models.ModelSignature(
        types.Schema(
            [
                types.ColSpec(any_type, feature.name, required=feature.fill is None)
                for feature in predictor.card.features
            ]
        ),
        types.Schema(
            [
                types.ColSpec("double" if column.dtype.kind == "f" else any_type, name)
                for name, column in answer.items()
            ]
        ),
        types.ParamSchema(
            [types.ParamSpec(name, kind, getattr(defaults, name)) for name, kind in _PARAMS.items()]
        ),
    )
