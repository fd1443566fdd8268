"""Regression and classification: the only place where the two differ."""

from model.tasks.columns import Rows
from model.tasks.predictions import (
    ClassificationPrediction,
    Interval,
    LabelSet,
    RegressionPrediction,
    Value,
)
from model.tasks.task import TASKS, Prediction, Task, TaskName

__all__ = [
    "TASKS",
    "ClassificationPrediction",
    "Interval",
    "LabelSet",
    "Prediction",
    "RegressionPrediction",
    "Rows",
    "Task",
    "TaskName",
    "Value",
]
