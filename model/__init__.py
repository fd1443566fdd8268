"""MC dropout for multilayer perceptrons: train, save, load, predict with uncertainty.

Shape glossary, used in every module: P passes, B rows, D inputs (encoded features), H hidden units,
O network outputs, K classes, V values of one pass. The pass axis comes first.
"""

from model.artifact import Card, shipped
from model.calibration import Acceptance, NoiseKind
from model.data import ReadOptions, Split, Table, read_table
from model.errors import ArtifactError, CalibrationError, DataError, Detail, InputError, ModelError
from model.evaluation import Evaluation, evaluate, report_page, report_text
from model.exploration import (
    LINES,
    MARGIN,
    MOST_MARGIN,
    POINTS,
    Axis,
    Sweep,
    line_options,
    lines_of,
    sweep,
    sweep_axis,
    sweep_options,
)
from model.importing import import_model
from model.options import Estimator, LabelSetMethod, MaskScope, PredictOptions, Resolved
from model.passes import COVARIANCE_CLASSES, return_freed_memory
from model.predictions import Predictions
from model.predictor import Predictor, fresh_seed, load, use_threads
from model.tasks import (
    ClassificationPrediction,
    Columns,
    FieldInfo,
    FieldKind,
    Interval,
    LabelSet,
    RegressionPrediction,
    TaskName,
    field_infos,
)
from model.training import Epoch, TrainOptions, calibrate, train

__all__ = [
    "COVARIANCE_CLASSES",
    "LINES",
    "MARGIN",
    "MOST_MARGIN",
    "POINTS",
    "Acceptance",
    "ArtifactError",
    "Axis",
    "CalibrationError",
    "Card",
    "ClassificationPrediction",
    "Columns",
    "DataError",
    "Detail",
    "Epoch",
    "Estimator",
    "Evaluation",
    "FieldInfo",
    "FieldKind",
    "InputError",
    "Interval",
    "LabelSet",
    "LabelSetMethod",
    "MaskScope",
    "ModelError",
    "NoiseKind",
    "PredictOptions",
    "Predictions",
    "Predictor",
    "ReadOptions",
    "RegressionPrediction",
    "Resolved",
    "Split",
    "Sweep",
    "Table",
    "TaskName",
    "TrainOptions",
    "calibrate",
    "evaluate",
    "field_infos",
    "fresh_seed",
    "import_model",
    "line_options",
    "lines_of",
    "load",
    "read_table",
    "report_page",
    "report_text",
    "return_freed_memory",
    "shipped",
    "sweep",
    "sweep_axis",
    "sweep_options",
    "train",
    "use_threads",
]
