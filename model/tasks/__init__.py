"""Regression and classification; nothing outside of this package depends on which it is."""

from model.tasks.baselines import baselines
from model.tasks.columns import Columns, FieldInfo, FieldKind, field_infos
from model.tasks.comparison import (
    Comparison,
    compared,
    comparison_in_words,
    point_figures,
)
from model.tasks.defaults import ENSEMBLE_RATE, USUAL_RATE, USUAL_WIDTHS, BriefTraining
from model.tasks.flat import FlatColumn, flat
from model.tasks.log_normal import MOST_NOISE
from model.tasks.predictions import (
    ClassificationPrediction,
    Interval,
    LabelSet,
    RegressionPrediction,
    Value,
)
from model.tasks.task import TASKS, Prediction, Task, TaskName

__all__ = [
    "ENSEMBLE_RATE",
    "MOST_NOISE",
    "TASKS",
    "USUAL_RATE",
    "USUAL_WIDTHS",
    "BriefTraining",
    "ClassificationPrediction",
    "Columns",
    "Comparison",
    "FieldInfo",
    "FieldKind",
    "FlatColumn",
    "Interval",
    "LabelSet",
    "Prediction",
    "RegressionPrediction",
    "Task",
    "TaskName",
    "Value",
    "baselines",
    "compared",
    "comparison_in_words",
    "field_infos",
    "flat",
    "point_figures",
]
