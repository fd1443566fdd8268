"""One value of a pass: a target, or the probability of a class."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from model.artifact import Card


@dataclass(frozen=True, slots=True)
class Value:
    """The number of a value among those of a pass, and its unit: a target's std and mean."""

    at: int
    name: str
    scale: float
    shift: float

    @classmethod
    def of(cls, card: Card, at: int) -> Self:
        """The value of that number among the card's targets or classes."""
        target, name = card.target_of_rows, value_names(card)[at]
        if target.classes:
            return cls(at, name, 1.0, 0.0)
        shift = 0.0 if target.by_log[at] else target.means[at]
        return cls(at, name, float(target.stds[at]), shift)

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Values of passes in the unit of the target; probabilities as they are."""
        return values * self.scale + self.shift


def value_names(card: Card) -> tuple[str, ...]:
    """The names of the values that can be explained: the classes, or the targets."""
    return card.target.classes or card.target.names
