"""The two parts of the variance of passes that are spread over the members of an ensemble.

Pass k is of member k mod M. With the mean m_j and K_j passes of each member, and their variance v
within the members,

    between = avg_j (m_j - avg m)^2 - (1 - 1/M) avg_j v / K_j.

The second term is what the Monte-Carlo errors of the m_j alone would give. These are the numbers of
`model.passes.ensemble`, where all passes are at hand.

Shapes: P passes, M members, B rows, T targets.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEAST_FREEDOM = 3  # degrees of freedom; Student's law has no variance with two or fewer
GOLDEN = (5**0.5 - 1) / 2


@lru_cache(maxsize=64)
def student_weights(count: int, members: int) -> tuple[float, ...]:
    """Variances whose normals, mixed alike, are Student's law of variance 1; `count` of them.

    Few members tell the variance between them but roughly: it has M - 1 degrees of freedom, so
    that an error in its units follows Student's law. That law mixes normals whose variances follow
    the inverse gamma law. Each number is the mean of one of `count` equally probable parts of it,
    so their mean is 1. Neighbours are of parts far apart. No fewer than LEAST_FREEDOM degrees.
    """
    freedom = max(members - 1, LEAST_FREEDOM)
    logs = np.linspace(-10, 60, 20_001)
    density = np.exp(-freedom / 2 * logs - (freedom - 2) / 2 * np.exp(-logs))
    share, moment = np.cumsum(density), np.cumsum(density * np.exp(logs))
    ends = np.interp(np.arange(1, count) / count, share / share[-1], moment / moment[-1])
    means = count * np.diff(ends, prepend=0, append=1)
    order = np.argsort(np.argsort(np.arange(count) * GOLDEN % 1))
    return tuple(means[order].tolist())


@dataclass(frozen=True, slots=True)
class VarianceParts:
    """The passes of one or several networks as a mean and deviations from it, in two parts.

    `own` [P, B, T] is how far a pass lies from its member's mean, and `apart` [P, B, T] how far
    that mean lies from the mean of all. `within` and `between` [B, T] are estimates of the two
    parts of the variance. Of a single network, or of one pass of each member, `within` is all.
    """

    mean: np.ndarray
    own: np.ndarray
    apart: np.ndarray
    within: np.ndarray
    between: np.ndarray

    @classmethod
    def of(cls, passes: np.ndarray, members: int = 1) -> "VarianceParts":
        """That of passes [P, B, T] of so many members."""
        count = len(passes)
        if members < 2 or count <= members:
            mean = passes.mean(0)
            variance = passes.var(0, ddof=1) if count > 1 else np.zeros_like(mean)
            none = np.zeros_like(mean)
            return cls(mean, passes - mean, np.zeros_like(passes), variance, none)
        member = np.arange(count) % members
        means = np.stack([passes[at::members].mean(0) for at in range(members)])  # [M, B, T]
        mean, own = means.mean(0), passes - means[member]
        within = np.square(own).sum(0) / (count - members)
        errors = within * np.mean(1 / np.bincount(member))  # of the means, squared
        between = np.square(means - mean).mean(0) - (1 - 1 / members) * errors
        return cls(mean, own, means[member] - mean, within, np.maximum(between, 0))

    def scaled(self, within: np.ndarray, between: np.ndarray) -> np.ndarray:
        """Deviations [P, B, T] of passes whose parts of the variance have these factors [T].

        The means of the members are drawn together first: they are farther apart than the members
        themselves, by their Monte-Carlo errors.
        """
        found = np.square(self.apart).mean(0)
        share = np.divide(self.between, found, out=np.zeros_like(found), where=found > 0)
        return np.asarray(np.sqrt(within) * self.own + np.sqrt(between * share) * self.apart)
