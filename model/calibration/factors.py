"""The factors that make the variance across the passes as large as the squared errors.

Shapes: P passes, B rows, T targets.
"""

from dataclasses import dataclass
from typing import Protocol, Self

import numpy as np

from model.formulas import StudentParts, VarianceParts, mixture_log_density


class Tuned(Protocol):
    """What a tuning says of the factors: a number for each target, or none."""

    @property
    def variance_factors(self) -> tuple[float, ...]: ...
    @property
    def member_factors(self) -> tuple[float, ...]: ...


@dataclass(frozen=True, eq=False)
class Factors:
    """The factors [T] on the variance within networks, and on that between members.

    Without `between` there is a single network, or both parts have the same factors.
    """

    within: np.ndarray
    between: np.ndarray | None

    @classmethod
    def of(cls, tuning: Tuned) -> Self:
        """Those of a tuning; 1 where it has none."""
        between = np.array(tuning.member_factors) if tuning.member_factors else None
        return cls(np.array(tuning.variance_factors or [1.0]), between)

    def weighted(self, variance: np.ndarray, between: np.ndarray | None) -> np.ndarray:
        """The variance [B, T] times its factors; `between` is its part between members, if any."""
        if self.between is None or between is None:
            return np.asarray(self.within * variance)
        return np.asarray(self.within * (variance - between) + self.between * between)

    def deviations(self, passes: np.ndarray, members: int) -> np.ndarray:
        """Deviations from the mean of passes [P, B, T], with the parts of that variance.

        Pass k is of member k mod `members`.
        """
        between = self.within if self.between is None else self.between
        return self._parts(passes, members).scaled(self.within, between)

    def log_density(
        self, passes: np.ndarray, noise: np.ndarray, members: int, actual: np.ndarray
    ) -> np.ndarray:
        """Log density [B, T] of a mixture at the actual targets, with a normal for each pass.

        `noise` [P, B, T] is what each pass claims. The members' own means become one law: those of
        a few members would leave gaps. As few members tell their variance but roughly, it is
        Student's. The mixture has the variance `weighted` plus the mean noise.
        """
        parts = self._parts(passes, members)
        means = parts.mean + np.sqrt(self.within) * parts.own
        if self.between is None:
            return mixture_log_density(means, np.sqrt(noise), actual)
        law, between = StudentParts.of(len(passes), members), self.between * parts.between
        variances = noise[law.passes] + law.variances[:, None, None] * between
        return mixture_log_density(means[law.passes], np.sqrt(variances), actual, law.shares)

    def _parts(self, passes: np.ndarray, members: int) -> VarianceParts:
        return VarianceParts.of(passes, 1 if self.between is None else members)
