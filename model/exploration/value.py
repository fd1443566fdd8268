"""One value of a pass: a target, or the probability of a class."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from model.artifact import Card


@dataclass(frozen=True, slots=True)
class Value:
    """The number of a value among those of a pass, and its unit: a target's scale and mean."""

    at: int
    name: str
    scale: float
    shift: float

    @classmethod
    def of(cls, card: Card, at: int) -> Self:
        """The value of that number among the card's targets or classes."""
        target = card.target
        scale, shift = (target.scales[at], target.means[at]) if target.scales else (1.0, 0.0)
        return cls(at, value_names(card)[at], scale, shift)

    def in_units(self, values: np.ndarray) -> np.ndarray:
        """Standardised values in the unit of the target; probabilities as they are."""
        return values * self.scale + self.shift


def value_names(card: Card) -> tuple[str, ...]:
    """The names of the values that can be explained: the classes, or the targets."""
    return card.target.classes or card.target.names
