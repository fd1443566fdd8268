"""What a set of passes tells, and the uncertainty measures: formulas on tensors, nothing else.

Shapes: P passes, B rows, V values of one pass (targets, or class probabilities and their entropy).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from model.similarity import Likeness

COVARIANCE_CLASSES = 64
"""Of a classifier with more classes no covariance is kept: it grows with the square of them."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the values of a classifier's passes go together: K probabilities and their entropy.

    `covariance` [B, K + 1, K + 1] float64 over the passes (ddof 1), up to COVARIANCE_CLASSES;
    `votes` [B, K] int64, how many passes put each of the K classes first.
    """

    covariance: Tensor | None
    votes: Tensor

    def rows(self, index: Tensor) -> "Agreement":
        """The agreement of some rows."""
        covariance = None if self.covariance is None else self.covariance[index]
        return Agreement(covariance, self.votes[index])

    @staticmethod
    def concatenated(agreements: Sequence["Agreement"]) -> "Agreement":
        """The rows of all, one after the other."""
        found = [a.covariance for a in agreements if a.covariance is not None]
        votes = torch.cat([a.votes for a in agreements])
        return Agreement(torch.cat(found) if found else None, votes)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean and variance over the passes and their Monte-Carlo standard errors, [B, V] float64."""

    mean: Tensor
    variance: Tensor
    mean_error: Tensor
    variance_error: Tensor
    agreement: Agreement | None = None

    def rows(self, index: Tensor) -> "Estimate":
        """The estimate of some rows."""
        mean, variance, mean_error, variance_error = (part[index] for part in self._parts())
        agreement = self.agreement and self.agreement.rows(index)
        return Estimate(mean, variance, mean_error, variance_error, agreement)

    @staticmethod
    def concatenated(estimates: Sequence["Estimate"]) -> "Estimate":
        """The rows of all estimates, one after the other."""
        parts = (torch.cat(same) for same in zip(*(e._parts() for e in estimates), strict=True))
        mean, variance, mean_error, variance_error = parts
        found = [e.agreement for e in estimates if e.agreement is not None]
        agreement = Agreement.concatenated(found) if found else None
        return Estimate(mean, variance, mean_error, variance_error, agreement)

    def beside(self, other: "Estimate") -> "Estimate":
        """The same rows' values, followed by those of another estimate."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        mean, variance, mean_error, variance_error = (torch.cat(pair, dim=-1) for pair in pairs)
        return Estimate(mean, variance, mean_error, variance_error)

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
    likeness: Sequence[Likeness]  # of each row to the training rows
    samples: Sequence[Tensor] | None = None  # of each row [P, V], where asked for
    groups: Sequence[str] = ()  # of each row, where groups are calibrated each by itself


def entropy(probabilities: Tensor) -> Tensor:
    """Shannon entropy in nats over the last axis, [..., K] -> [...]; 0 log 0 is 0."""
    surprise: Tensor = torch.special.entr(probabilities)
    return surprise.sum(-1)
