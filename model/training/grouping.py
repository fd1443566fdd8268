"""Which calibration rows are calibrated by themselves, and how many rows each class has."""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.artifact import Card
from model.data import Schema, Target, count_classes
from model.errors import CalibrationError, Detail, InputError
from model.formulas import rows_needed
from model.messages import listed
from model.options import PredictOptions


@dataclass(frozen=True, slots=True)
class Grouping:
    """What is calibrated by itself: each category of a feature, each class, or else all rows."""

    feature: str | None = None
    classes: bool = False

    def __bool__(self) -> bool:
        """Whether there are groups."""
        return self.classes or self.feature is not None

    def __str__(self) -> str:
        """The groups in words."""
        return "by class" if self.classes else f"by {self.feature}"

    def checked(self, schema: Schema, target: Target) -> "Grouping":
        """The same with the feature's name as the model has it.

        Raises InputError if the model has no such feature, or no classes.
        """
        message = None
        if self.classes and self.feature is not None:
            message = f"choose one of them: by class, or by {self.feature}"
        elif self.classes and not target.classes:
            message = "a regression has no classes"
        if message:
            raise InputError(f"by_class: {message}", [Detail("by_class", message)])
        if self.feature is None:
            return self
        return Grouping(schema.categorical(self.feature)[0].name)

    def of_rows(self, card: Card, x: np.ndarray, y: np.ndarray) -> list[str]:
        """The group of each row; raises CalibrationError naming one with too few rows."""
        if self.classes:
            names, groups = card.target.classes, [card.target.classes[at] for at in y.tolist()]
        elif self.feature is not None:
            feature, _ = card.schema_of_rows.categorical(self.feature)
            names, groups = feature.categories, card.schema_of_rows.categories(self.feature, x)
        else:
            return []
        counts, needed = Counter(groups), rows_needed(PredictOptions().coverage)
        for name in names:
            if counts[name] < needed:
                of = "class" if self.classes else self.feature
                few = f"there are {counts[name]} calibration rows; at least {needed} are needed"
                raise CalibrationError(f"{of} {name!r}: {few}")
        return groups


TOGETHER = Grouping()


def class_rows(card: Card, y: np.ndarray) -> dict[str, Any]:
    """The fields of a calibration record about the classes y [B]; none for a regression.

    They are the rows of each class, and a notice that names the classes with too few of them.
    """
    if not card.target.classes:
        return {}
    counts, needed = count_classes(card.target.classes, y), rows_needed(PredictOptions().coverage)
    few = [f"{name} ({rows})" for name, rows in counts.items() if rows < needed]
    said = (
        f"classes with fewer than {needed} calibration rows: {listed(few)}; label sets may hold "
        "them less often than they claim, or never"
    )
    return {"class_rows": counts, "notices": (said,) if few else ()}
