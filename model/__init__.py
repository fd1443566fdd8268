"""MC dropout for multilayer perceptrons: train, save, load, predict with uncertainty.

Shape glossary, used in every module: P passes, B rows, D inputs (encoded features), H hidden units,
O network outputs, K classes, V values of one pass. The pass axis comes first.
"""

import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING

if sys.argv[:1] == ["-m"]:  # `python -m model`: Python imports the package before the command
    # Before torch is loaded: threads of OpenMP that wait sleep, and leave busy cores to others.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from model.artifact import Card, LandscapeRecord, read_landscape, save_landscape, shipped
from model.calibration import Acceptance, NoiseKind
from model.data import Encoded, ReadOptions, Split, Table, read_table
from model.errors import ArtifactError, CalibrationError, DataError, Detail, InputError, ModelError
from model.evaluation import Evaluation, evaluate, report_page, report_text
from model.exploration import (
    EXPLAIN_PASSES,
    LINES,
    MARGIN,
    MOST_MARGIN,
    POINTS,
    Axis,
    BackgroundStd,
    Estimated,
    ExplainLimits,
    ExplainRounds,
    ExplainStep,
    Explanation,
    ExplanationPlan,
    FeatureShare,
    Landscape,
    LandscapeOptions,
    LayerShare,
    Lines,
    Sweep,
    check_png,
    explain,
    landscape,
    landscape_page,
    landscape_png,
    landscape_svg,
    line_options,
    lines_of,
    plan_explanation,
    sweep,
    sweep_axis,
    sweep_options,
)
from model.exporting import export_mlflow, export_onnx, export_torch, log_model
from model.importing import import_model, wrap
from model.options import Estimator, LabelSetMethod, MaskScope, PredictOptions, Resolved
from model.passes import COVARIANCE_CLASSES, kernel_name, return_freed_memory
from model.predictions import Predictions
from model.predictor import Predictor, fresh_seed, load, use_threads
from model.scoring import (
    Engine,
    Ranked,
    Score,
    ScoreOptions,
    rank,
    rank_file,
    ranked_as,
    score_file,
)
from model.tasks import (
    ClassificationPrediction,
    Columns,
    Comparison,
    FieldInfo,
    FieldKind,
    Interval,
    LabelSet,
    RegressionPrediction,
    TaskName,
    comparison_in_words,
    field_infos,
)
from model.training import Epoch, TrainOptions, calibrate, train

if TYPE_CHECKING:
    from model.estimators import MCDropoutClassifier, MCDropoutRegressor

__version__ = "0.1.0"

__all__ = [
    "COVARIANCE_CLASSES",
    "EXPLAIN_PASSES",
    "LINES",
    "MARGIN",
    "MOST_MARGIN",
    "POINTS",
    "Acceptance",
    "ArtifactError",
    "Axis",
    "BackgroundStd",
    "CalibrationError",
    "Card",
    "ClassificationPrediction",
    "Columns",
    "Comparison",
    "DataError",
    "Detail",
    "Encoded",
    "Engine",
    "Epoch",
    "Estimated",
    "Estimator",
    "Evaluation",
    "ExplainLimits",
    "ExplainRounds",
    "ExplainStep",
    "Explanation",
    "ExplanationPlan",
    "FeatureShare",
    "FieldInfo",
    "FieldKind",
    "InputError",
    "Interval",
    "LabelSet",
    "LabelSetMethod",
    "Landscape",
    "LandscapeOptions",
    "LandscapeRecord",
    "LayerShare",
    "Lines",
    "MCDropoutClassifier",
    "MCDropoutRegressor",
    "MaskScope",
    "ModelError",
    "NoiseKind",
    "PredictOptions",
    "Predictions",
    "Predictor",
    "Ranked",
    "ReadOptions",
    "RegressionPrediction",
    "Resolved",
    "Score",
    "ScoreOptions",
    "Split",
    "Sweep",
    "Table",
    "TaskName",
    "TrainOptions",
    "calibrate",
    "check_png",
    "comparison_in_words",
    "evaluate",
    "explain",
    "export_mlflow",
    "export_onnx",
    "export_torch",
    "field_infos",
    "fresh_seed",
    "import_model",
    "kernel_name",
    "landscape",
    "landscape_page",
    "landscape_png",
    "landscape_svg",
    "line_options",
    "lines_of",
    "load",
    "log_model",
    "plan_explanation",
    "rank",
    "rank_file",
    "ranked_as",
    "read_landscape",
    "read_table",
    "report_page",
    "report_text",
    "return_freed_memory",
    "save_landscape",
    "score_file",
    "shipped",
    "sweep",
    "sweep_axis",
    "sweep_options",
    "train",
    "use_threads",
    "wrap",
]

if not TYPE_CHECKING:  # the checker would take any name for one of ours

    def __getattr__(name: str) -> object:
        """The estimators; scikit-learn, an extra, is loaded when the first of them is used."""
        if name not in ("MCDropoutClassifier", "MCDropoutRegressor"):
            raise AttributeError(f"module 'model' has no attribute {name!r}")
        try:
            return getattr(import_module("model.estimators"), name)
        except ImportError as error:
            hint = 'pip install "mc-dropout-service[train]"'
            raise ImportError(f"{name} needs scikit-learn 1.6 or newer: {hint}") from error
