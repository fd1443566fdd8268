"""MC dropout for multilayer perceptrons: train, save, load, predict with uncertainty.

Shape glossary, used in every module: P passes, B rows, D inputs (encoded features), H hidden units,
O network outputs, K classes, V values of one pass. The pass axis comes first.
"""

from model.abstention import Acceptance
from model.card import Card
from model.errors import (
    ArtifactError,
    CalibrationError,
    DataError,
    Detail,
    InputError,
    ModelError,
)
from model.evaluation import Evaluation, evaluate
from model.held_out import calibrate
from model.importing import import_model
from model.options import Estimator, LabelSetMethod, MaskScope, PredictOptions, Resolved
from model.predictions import (
    ClassificationPrediction,
    Interval,
    LabelSet,
    RegressionPrediction,
)
from model.predictor import Predictions, Predictor, load, use_threads
from model.preparation import Split
from model.pretrained import shipped
from model.reading import read_table
from model.recipe import train
from model.report import report_page, report_text
from model.rows import Rows
from model.table import Table
from model.task import TaskName
from model.training import Epoch, TrainOptions
from model.tuning import NoiseKind
from model.uncertainty import COVARIANCE_CLASSES

__all__ = [
    "COVARIANCE_CLASSES",
    "Acceptance",
    "ArtifactError",
    "CalibrationError",
    "Card",
    "ClassificationPrediction",
    "DataError",
    "Detail",
    "Epoch",
    "Estimator",
    "Evaluation",
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
    "RegressionPrediction",
    "Resolved",
    "Rows",
    "Split",
    "Table",
    "TaskName",
    "TrainOptions",
    "calibrate",
    "evaluate",
    "import_model",
    "load",
    "read_table",
    "report_page",
    "report_text",
    "shipped",
    "train",
    "use_threads",
]
