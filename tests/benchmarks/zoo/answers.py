"""What requests of many seeds answer about the same rows, and the truth that they are held against.

Shapes: R requests, B rows, K classes.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from model import Predictions, PredictOptions
from tests.benchmarks.zoo.networks import Case

UNRELIABLE = "unreliable_error"  # how warnings begin that an error bar is not to be relied on
FIRST, TRUTH_SEEDS = 1_000, (7_001, 7_002)  # seeds that nothing else has; calibration has 0
ROWS = 200
SURE = 0.999  # a probability that float32 rounds to a few values, while the others' keep digits
TINY = 1e-300


@dataclass(frozen=True)
class Answers:
    """Values and reported errors by quantity, [R, B]; and where an error bar came with a warning.

    The quantities are `mean` and `variance`: of a classifier those of each row's class with the
    largest variance, and `mutual_information`.
    """

    values: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    warned: np.ndarray
    passes: np.ndarray

    @staticmethod
    def joined(parts: Iterable["Answers"]) -> "Answers":
        """All requests, one after the other."""
        answers = list(parts)
        values, errors = (
            {name: np.concatenate([getattr(a, kind)[name] for a in answers]) for name in first}
            for kind, first in (("values", answers[0].values), ("errors", answers[0].errors))
        )
        warned = np.concatenate([a.warned for a in answers])
        return Answers(values, errors, warned, np.concatenate([a.passes for a in answers]))


@dataclass(frozen=True)
class Truth:
    """What very many passes say of B rows, its own errors, and how well two ways to it agree.

    `z`: root mean square of the difference of both long runs, in standard errors, by quantity.
    `classes` [B] are the classes with the largest variance; None of a regression.
    """

    values: dict[str, np.ndarray]
    errors: dict[str, np.ndarray]
    z: dict[str, float]
    classes: np.ndarray | None


def truth(case: Case, passes: int) -> Truth:
    """Two long runs together, each weighted by its reported errors.

    Of a regression one is plain and the other reduced; an error that both make alike stays hidden,
    and one that they do not make alike shows in `z`.
    """
    ways = ("plain", "reduced") if case.regression else ("plain", "plain")
    asked = [
        predictions(case, seed=seed, passes=passes, estimator=way)
        for seed, way in zip(TRUTH_SEEDS, ways, strict=True)
    ]
    classes = None if case.regression else _telling(asked[0])
    first, second = (answers(found, classes) for found in asked)
    values, errors, z = dict[str, np.ndarray](), dict[str, np.ndarray](), dict[str, float]()
    for name, a in first.values.items():
        b = second.values[name]
        weights = [1 / np.maximum(one.errors[name][0] ** 2, TINY) for one in (first, second)]
        total = weights[0] + weights[1]
        values[name] = (weights[0] * a[0] + weights[1] * b[0]) / total
        errors[name] = np.sqrt(1 / total)
        spread = np.hypot(first.errors[name][0], second.errors[name][0])
        z[name] = float(np.sqrt(np.mean(np.square((a[0] - b[0])[spread > 0] / spread[spread > 0]))))
    return Truth(values, errors, z, classes)


def _telling(found: Predictions) -> np.ndarray:
    """Each row's class with the largest variance; none whose probability rounds to 1."""
    mean, variance = (_column(found, name) for name in ("mean", "variance"))
    return np.asarray(np.where(mean > SURE, 0, variance).argmax(1))


def requests(case: Case, known: Truth, count: int, **options: Any) -> Answers:
    """The answers to so many requests, each of a seed of its own."""
    seeds = range(FIRST, FIRST + count)
    return Answers.joined(
        answers(predictions(case, seed=seed, **options), known.classes) for seed in seeds
    )


def predictions(case: Case, **options: Any) -> Predictions:
    """About the first ROWS rows that the weights have not seen."""
    return case.predictor.predict_encoded(case.unseen[:ROWS], PredictOptions(**options))


def answers(found: Predictions, classes: np.ndarray | None) -> Answers:
    """Of one request, R = 1."""
    columns = found.rows.columns
    values = {name: _column(found, name) for name in ("mean", "variance")}
    errors = {name: _column(found, f"{name}_error") for name in values}
    if classes is not None:
        at = np.arange(len(classes)), classes
        values = {name: value[at] for name, value in values.items()}
        errors = {name: error[at] for name, error in errors.items()}
        if "mutual_information_error" in columns:
            values["mutual_information"] = _column(found, "mutual_information")
            errors["mutual_information"] = _column(found, "mutual_information_error")
    warned = [any(code.startswith(UNRELIABLE) for code in row) for row in columns["warnings"]]
    return Answers(
        {name: value[None] for name, value in values.items()},
        {name: error[None] for name, error in errors.items()},
        np.array(warned)[None],
        np.array(columns["passes"])[None],
    )


def _column(found: Predictions, name: str) -> np.ndarray:
    """A column [B], or of a classifier [B, K]."""
    column = np.asarray(found.rows.columns[name], dtype=np.float64)
    return column[:, 0] if column.ndim == 2 and column.shape[1] == 1 else column
