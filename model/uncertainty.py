"""What a set of passes tells, and the uncertainty measures: formulas on tensors, nothing else.

Shapes: P passes, B rows, V values of one pass (targets, or class probabilities and their entropy).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean and variance over the passes and their Monte-Carlo standard errors, [B, V] float64."""

    mean: Tensor
    variance: Tensor
    mean_error: Tensor
    variance_error: Tensor

    def rows(self, index: Tensor) -> "Estimate":
        """The estimate of some rows."""
        return Estimate(*(part[index] for part in self._parts()))

    @staticmethod
    def concatenated(estimates: Sequence["Estimate"]) -> "Estimate":
        """The rows of all estimates, one after the other."""
        return Estimate(*map(torch.cat, zip(*(e._parts() for e in estimates), strict=True)))

    def beside(self, other: "Estimate") -> "Estimate":
        """The same rows' values, followed by those of another estimate."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        return Estimate(*(torch.cat(pair, dim=-1) for pair in pairs))

    def _parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        return self.mean, self.variance, self.mean_error, self.variance_error

    @property
    def relative_error(self) -> Tensor:
        """Relative standard error [B, V] of the std, by the delta method; 0 where it is exact."""
        return torch.where(self.variance_error > 0, self.variance_error / (2 * self.variance), 0)


@dataclass(frozen=True, slots=True)
class Passes:
    """Everything that the passes over B rows left behind, before a task gives it meaning."""

    estimate: Estimate
    deterministic: Tensor  # [B, V], dropout off
    counts: Sequence[int]  # passes taken by each row
    settled: bool  # whether every row met the tolerance, where one was given
    warnings: Sequence[tuple[str, ...]]  # of each row
    samples: Sequence[Tensor] | None = None  # of each row [P, V], where asked for


def entropy(probabilities: Tensor) -> Tensor:
    """Shannon entropy in nats over the last axis, [..., K] -> [...]; 0 log 0 is 0."""
    surprise: Tensor = torch.special.entr(probabilities)
    return surprise.sum(-1)
