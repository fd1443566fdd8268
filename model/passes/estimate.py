"""What a set of passes tells, and the uncertainty measures: formulas on tensors, nothing else.

Shapes: P passes, B rows, V values of one pass (targets, or class probabilities and their entropy).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from model.calibration import Allowance, Likeness, Quantities, widened

COVARIANCE_CLASSES = 64
"""Of a classifier with more classes no covariance is kept: it grows with the square of them."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the values of a classifier's passes go together: K probabilities and their entropy.

    `covariance` [B, K + 1, K + 1] float64 over the passes (ddof 1), up to COVARIANCE_CLASSES;
    `votes` [B, K] int64, how many passes put each of the K classes first.
    """

    covariance: np.ndarray | None
    votes: np.ndarray

    def select(self, index: np.ndarray) -> "Agreement":
        """The agreement of some rows."""
        covariance = None if self.covariance is None else self.covariance[index]
        return Agreement(covariance, self.votes[index])

    @staticmethod
    def concatenated(agreements: Sequence["Agreement"]) -> "Agreement":
        """The rows of all, one after the other."""
        found = [a.covariance for a in agreements if a.covariance is not None]
        votes = np.concatenate([a.votes for a in agreements])
        return Agreement(np.concatenate(found) if found else None, votes)


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean and variance over the passes and their Monte-Carlo standard errors, [B, V] float64.

    numpy, as is all that follows: of a few numbers per row, each step costs torch thrice as much.
    """

    mean: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    variance_error: np.ndarray
    agreement: Agreement | None = None

    def select(self, index: np.ndarray) -> "Estimate":
        """The estimate of some rows."""
        mean, variance, mean_error, variance_error = (part[index] for part in self._parts())
        agreement = self.agreement and self.agreement.select(index)
        return Estimate(mean, variance, mean_error, variance_error, agreement)

    @staticmethod
    def concatenated(estimates: Sequence["Estimate"]) -> "Estimate":
        """The rows of all estimates, one after the other."""
        parts = map(np.concatenate, zip(*(e._parts() for e in estimates), strict=True))
        mean, variance, mean_error, variance_error = parts
        found = [e.agreement for e in estimates if e.agreement is not None]
        agreement = Agreement.concatenated(found) if found else None
        return Estimate(mean, variance, mean_error, variance_error, agreement)

    def beside(self, other: "Estimate") -> "Estimate":
        """The same rows' values, followed by those of another estimate."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        mean, variance, mean_error, variance_error = (np.concatenate(p, axis=-1) for p in pairs)
        return Estimate(mean, variance, mean_error, variance_error)

    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.mean, self.variance, self.mean_error, self.variance_error

    @property
    @np.errstate(divide="ignore")  # a variance of 0 that is not exact is infinitely wrong
    def relative_error(self) -> np.ndarray:
        """Relative standard error [B, V] of the std, by the delta method; 0 where it is exact."""
        error, exact = self.variance_error, np.zeros_like(self.variance_error)
        return np.asarray(np.divide(error, 2 * self.variance, out=exact, where=error > 0))


@dataclass(frozen=True, slots=True)
class Passes:
    """Everything that the passes over B rows left behind, before a task gives it meaning."""

    estimate: Estimate
    deterministic: np.ndarray  # [B, V], dropout off
    counts: Sequence[int]  # passes taken by each row
    settled: bool  # whether every row met the tolerance, where one was given
    warnings: Sequence[tuple[str, ...]]  # of each row
    likeness: Likeness | None  # to the training rows, where something is kept of them
    samples: Sequence[np.ndarray] | None = None  # of each row [P, V], where asked for
    groups: Sequence[str] = ()  # of each row, where groups are calibrated each by itself

    def distances(self) -> dict[str, np.ndarray]:
        """The columns of the distance score, where there is one."""
        like = self.likeness
        return {} if like is None else {"distance": like.distance, "distance_p_value": like.p_value}


def entropy(probabilities: Tensor) -> Tensor:
    """Shannon entropy in nats over the last axis, [..., K] -> [...]; 0 log 0 is 0."""
    surprise: Tensor = torch.special.entr(probabilities)
    return surprise.sum(-1)


def wide(estimate: Estimate, quantities: Quantities, allowance: Allowance, passes: int) -> Estimate:
    """The estimate with allowances in the errors of its means and variances."""
    mean, variance = (
        widened(quantities[name], allowance[name], passes) for name in ("mean", "variance")
    )
    return replace(estimate, mean_error=mean, variance_error=variance)


def pooled(blocks: Sequence[Estimate]) -> Estimate:
    """The estimate from all of the blocks, of equally many passes each; its errors mean nothing."""
    mean, variance = (
        np.mean([getattr(block, name) for block in blocks], axis=0) for name in ("mean", "variance")
    )
    return replace(blocks[0], mean=mean, variance=variance)
