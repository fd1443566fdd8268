"""Evaluate a model on a table that has the target: metrics, pictures and a report."""

from model.evaluation.evaluate import Evaluation, evaluate
from model.evaluation.report import report_page, report_text

__all__ = [
    "Evaluation",
    "evaluate",
    "report_page",
    "report_text",
]
