"""The most uncertain and the most wrong rows of an evaluation, as tables."""

from dataclasses import dataclass

import numpy as np

from model.evaluation.formatting import number, percent
from model.evaluation.outcomes import ClassificationOutcome, Outcome

SHOWN_ROWS = 10


@dataclass(frozen=True, slots=True)
class RowTable:
    """A table of a few rows, the most extreme first, and how to read it."""

    title: str
    reading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    texts: tuple[str, ...]  # titles of the columns that hold texts, not numbers

    def cells(self, row: tuple[str, ...]) -> list[tuple[str, str]]:
        """The titles and the cells of a row after its number."""
        return list(zip(self.header, row, strict=True))[1:]


def extremes(outcome: Outcome, numbers: np.ndarray) -> tuple[RowTable, RowTable]:
    """The ten most uncertain and the ten most wrong rows.

    `numbers` [B]: where each row is in the table, counted from 1, as in error messages.
    """
    score, size, told = "std", "absolute error", "the prediction minus the actual value"
    error, texts = outcome.loss, tuple[str, ...]()
    if isinstance(outcome, ClassificationOutcome):
        score, size, told = "entropy", "error", "1 minus the probability of the actual class"
        error, texts = _missed(outcome), ("prediction", "actual")

    def table(title: str, values: np.ndarray, largest: str) -> RowTable:
        chosen = np.argsort(-values, kind="stable")[:SHOWN_ROWS].tolist()
        return RowTable(
            title,
            f"These rows have the largest {largest}. The error is {told}.",
            ("row", "prediction", "actual", "error", score, "out of range"),
            tuple((str(numbers[at]), *_cells(outcome, at)) for at in chosen),
            texts,
        )

    uncertain = table("The most uncertain rows", outcome.uncertainty, score)
    return uncertain, table("The most wrong rows", error, size)


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
