"""The use cases, without HTTP: list the models, and predict with one of them."""

from app.service.exploring import (
    ExplanationAnswer,
    Points,
    PreparedSweep,
    Question,
    SweepAnswer,
    prepare_explanation,
    prepare_sweep,
    run_explanation,
    run_sweep,
)
from app.service.in_flight import Holding
from app.service.models import WARM_UP, Answer
from app.service.options import CommonFields, OptionFields
from app.service.service import Prepared, Service

__all__ = [
    "WARM_UP",
    "Answer",
    "CommonFields",
    "ExplanationAnswer",
    "Holding",
    "OptionFields",
    "Points",
    "Prepared",
    "PreparedSweep",
    "Question",
    "Service",
    "SweepAnswer",
    "prepare_explanation",
    "prepare_sweep",
    "run_explanation",
    "run_sweep",
]
