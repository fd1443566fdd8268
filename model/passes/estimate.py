"""Estimates from a set of passes, and operations on them.

Shapes: P passes, B rows, V values of one pass (targets, or class probabilities and their entropy).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from model.calibration import Allowance, Likeness, Quantities, widened

COVARIANCE_CLASSES = 64
"""With more classes no covariance is kept, because its size is the square of their number."""


@dataclass(frozen=True, slots=True)
class Agreement:
    """How the passes of a classifier agree: the covariance of their values, and their votes.

    `covariance` [B, K + 1, K + 1] float64 is that of the K probabilities and their entropy over the
    passes (ddof 1), up to COVARIANCE_CLASSES; over the passes of one member, on average over the
    members of an ensemble. `votes` [B, K] int64 counts the passes that put each class first.
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
class Between:
    """How the members of an ensemble differ, [B, V] float64 each.

    `variance` is that of the members' means, and `error` its Monte-Carlo standard error. `within`
    is the variance across the passes of one member, on average over the members.
    """

    variance: np.ndarray
    error: np.ndarray
    within: np.ndarray

    def select(self, index: np.ndarray) -> "Between":
        """The differences of some rows."""
        return Between(self.variance[index], self.error[index], self.within[index])

    @staticmethod
    def joined(parts: Sequence["Between"], *, axis: int = 0) -> "Between":
        """The rows of all, one after the other; with axis -1, their values side by side."""
        names = ("variance", "error", "within")
        return Between(*(np.concatenate([getattr(p, n) for p in parts], axis) for n in names))


@dataclass(frozen=True, slots=True)
class Estimate:
    """Mean and variance over the passes and their Monte-Carlo standard errors, [B, V] float64.

    They are numpy arrays: for a few numbers per row, a step of torch takes three times as long.
    Only an ensemble has `between`.
    """

    mean: np.ndarray
    variance: np.ndarray
    mean_error: np.ndarray
    variance_error: np.ndarray
    agreement: Agreement | None = None
    between: Between | None = None

    @property
    def sampled(self) -> np.ndarray:
        """The variance [B, V] that Monte-Carlo errors of averages follow from: that within members.

        The passes are spread evenly over the members, so no error comes from the choice of members.
        """
        return self.variance if self.between is None else self.between.within

    def select(self, index: np.ndarray) -> "Estimate":
        """The estimate of some rows."""
        mean, variance, mean_error, variance_error = (part[index] for part in self._parts())
        agreement = self.agreement and self.agreement.select(index)
        between = self.between and self.between.select(index)
        return Estimate(mean, variance, mean_error, variance_error, agreement, between)

    @staticmethod
    def concatenated(estimates: Sequence["Estimate"]) -> "Estimate":
        """The rows of all estimates, one after the other."""
        parts = map(np.concatenate, zip(*(e._parts() for e in estimates), strict=True))
        mean, variance, mean_error, variance_error = parts
        found = [e.agreement for e in estimates if e.agreement is not None]
        agreement = Agreement.concatenated(found) if found else None
        between = [e.between for e in estimates if e.between is not None]
        rows = Between.joined(between) if between else None
        return Estimate(mean, variance, mean_error, variance_error, agreement, rows)

    def beside(self, other: "Estimate") -> "Estimate":
        """The values of the rows, followed by the values of another estimate of the same rows."""
        pairs = zip(self._parts(), other._parts(), strict=True)
        mean, variance, mean_error, variance_error = (np.concatenate(p, axis=-1) for p in pairs)
        return Estimate(mean, variance, mean_error, variance_error)

    def _parts(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.mean, self.variance, self.mean_error, self.variance_error

    @property
    @np.errstate(divide="ignore")  # a variance of 0 with an error has an infinite relative error
    def relative_error(self) -> np.ndarray:
        """Relative standard error [B, V] of the std, by the delta method; 0 if it is exact."""
        error, exact = self.variance_error, np.zeros_like(self.variance_error)
        return np.asarray(np.divide(error, 2 * self.variance, out=exact, where=error > 0))


@dataclass(frozen=True, slots=True)
class Passes:
    """The results of the passes over B rows, and what else a task says of each row."""

    estimate: Estimate
    deterministic: np.ndarray  # [B, V], dropout off
    counts: np.ndarray  # [B] int64, passes taken by each row
    settled: bool  # whether every row met the tolerance, if one was given
    warnings: Sequence[tuple[str, ...]] = ()  # of each row
    likeness: Likeness | None = None  # to the training rows, if the model keeps reference rows
    samples: Sequence[np.ndarray] | None = None  # of each row [P, V], if requested
    groups: Sequence[str] = ()  # of each row, if groups are calibrated by themselves

    def distances(self) -> dict[str, np.ndarray]:
        """The columns of the distance, if the model keeps reference rows."""
        like = self.likeness
        return {} if like is None else {"distance": like.distance, "distance_p_value": like.p_value}


def entropy(probabilities: Tensor) -> Tensor:
    """Shannon entropy in nats over the last axis, [..., K] -> [...]; 0 log 0 is 0."""
    surprise: Tensor = torch.special.entr(probabilities)
    return surprise.sum(-1)


def wide(
    estimate: Estimate, quantities: Quantities, allowance: Allowance, passes: int | np.ndarray
) -> Estimate:
    """The estimate with the allowances added to the errors of its means and variances.

    `passes` is the number of passes of the estimate: one number, or [B].
    """
    mean, variance = (
        widened(quantities[name], allowance[name], passes) for name in ("mean", "variance")
    )
    return Estimate(
        estimate.mean,
        estimate.variance,
        mean,
        variance,
        estimate.agreement,
        estimate.between,
    )


def pooled(blocks: Sequence[Estimate]) -> Estimate:
    """The average of blocks of about equal numbers of passes; its errors have no meaning."""
    mean, variance = (
        np.mean([getattr(block, name) for block in blocks], axis=0) for name in ("mean", "variance")
    )
    return replace(blocks[0], mean=mean, variance=variance)
