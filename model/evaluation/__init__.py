"""How good a model is on a table that has the target: figures, pictures, a report."""

from model.evaluation.evaluate import Evaluation, evaluate
from model.evaluation.report import report_page, report_text

__all__ = [
    "Evaluation",
    "evaluate",
    "report_page",
    "report_text",
]
