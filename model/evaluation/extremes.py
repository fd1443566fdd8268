"""The rows of an evaluation that deserve a look: the most uncertain and the most wrong."""

from dataclasses import dataclass

import numpy as np

from model.evaluation.formatting import number, percent
from model.evaluation.outcomes import ClassificationOutcome, Outcome

MOST_ROWS = 10


@dataclass(frozen=True, slots=True)
class RowTable:
    """A few rows, the most extreme one first, and how to read them."""

    title: str
    reading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def extremes(outcome: Outcome, kind: str, numbers: np.ndarray) -> tuple[RowTable, RowTable]:
    """The ten most uncertain and the ten most wrong rows.

    `numbers` [B] are the row numbers that the user knows, and `kind` says what they number.
    """
    if isinstance(outcome, ClassificationOutcome):
        score, error = "entropy", _missed(outcome)
        reading = "The error is 1 minus the probability of the actual class."
    else:
        score, error = "std", outcome.loss
        reading = "The error is the prediction minus the actual value."
    header = (kind, "prediction", "actual", "error", score, "out of range")
    found = []
    for most, values, rank in (
        ("uncertain", outcome.uncertainty, score),
        ("wrong", error, "error"),
    ):
        chosen = np.argsort(-values, kind="stable")[:MOST_ROWS]
        rows = tuple((str(numbers[at]), *_cells(outcome, at)) for at in chosen.tolist())
        said = f"The rows with the largest {rank}, largest first. {reading}"
        found.append(RowTable(f"The most {most} rows", said, header, rows))
    return found[0], found[1]


def _missed(outcome: ClassificationOutcome) -> np.ndarray:
    """1 - probability of the actual class, [B]."""
    rows = np.arange(len(outcome.actual))
    return np.asarray(1 - outcome.probabilities[rows, outcome.actual])


def _cells(outcome: Outcome, at: int) -> tuple[str, ...]:
    """Prediction, actual value, error, uncertainty, and whether a feature is out of range."""
    outside = "yes" if outcome.outside[at] else "no"
    uncertainty = number(float(outcome.uncertainty[at]))
    if isinstance(outcome, ClassificationOutcome):
        predicted = outcome.classes[int(outcome.probabilities[at].argmax())]
        actual = int(outcome.actual[at])
        missed = percent(1 - float(outcome.probabilities[at, actual]))
        return predicted, outcome.classes[actual], missed, uncertainty, outside
    mean, truth = float(outcome.mean[at]), float(outcome.actual[at])
    return number(mean), number(truth), number(mean - truth), uncertainty, outside
