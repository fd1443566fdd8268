"""The unit in which a regression averages the values of its passes, and the target's own unit."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from model.data import Target


@dataclass(frozen=True)
class Scale:
    """Numbers [..., T] in the targets' own units, and the same in units of `Target.stds`.

    The latter are standardised targets, or those that are learned by their logarithms divided by
    their stds alone.
    """

    target: Target

    @cached_property
    def unit(self) -> np.ndarray:
        """The unit of each target, [T]."""
        return self.target.stds

    @cached_property
    def square(self) -> np.ndarray:
        """The unit of variances, [T]."""
        return self.unit**2

    @cached_property
    def _shift(self) -> np.ndarray:
        return np.where(self.target.by_log, 0.0, self.target.means)

    def own(self, values: np.ndarray) -> np.ndarray:
        """Values in units, in the targets' own units."""
        return np.asarray(values * self.unit + self._shift)

    def in_units(self, own: np.ndarray) -> np.ndarray:
        """The inverse of `own`."""
        return np.asarray((own - self._shift) / self.unit)

    def encoded_in_units(self, actual: np.ndarray) -> np.ndarray:
        """Targets as `encode_target` encodes them, in units."""
        return self.in_units(self.target.decoded(actual)) if self.target.logs else actual

    def slope(self, own: np.ndarray) -> np.ndarray:
        """How much targets of these own values change per unit of the network's output."""
        return np.asarray(np.where(self.target.by_log, own, 1.0) * np.array(self.target.scales))
