"""The two parts of the variance of passes that are spread over the members of an ensemble.

Pass k is of member k mod M. With the mean m_j and K_j passes of each member, and their variance v
within the members,

    between = avg_j (m_j - avg m)^2 - (1 - 1/M) avg_j v / K_j.

The second term is what the Monte-Carlo errors of the m_j alone would give. These are the numbers of
`model.passes.ensemble`, where all passes are at hand, but for one thing: `between` is at least
1/(M + 1) of the first term. With a few passes the difference is often 0 or less, and 0 times any
factor would claim that the members are sure. By squared error that is as good an estimate as 0
where the members are equal (2 % worse), and a better one elsewhere.

Shapes: P passes, M members, B rows, T targets.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

LEAST_FREEDOM = 3  # degrees of freedom; Student's law has no variance with two or fewer
HALVINGS = 40  # of the last part of Student's law, which alone reaches its tails
GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False, slots=True)
class StudentParts:
    """Normals around passes whose mixture is Student's law: as many as passes, and its tails.

    Few members tell the variance between them but roughly: it has M - 1 degrees of freedom, so
    that an error in its units follows Student's law, here that of variance 1 and with no fewer than
    LEAST_FREEDOM degrees. It mixes normals whose variances follow the inverse gamma law. That is
    cut into one part for each pass, all of them equally probable, and the part of the largest
    variances is halved again and again, so that the tails do not depend on the number of passes.

    Of each normal [C], `passes` has the pass, `variances` the mean variance of its part, `shares`
    the part's probability. A pass has the share 1/P. Passes of neighbouring numbers have parts far
    apart.
    """

    passes: np.ndarray
    variances: np.ndarray
    shares: np.ndarray

    @classmethod
    @lru_cache(maxsize=64)
    def of(cls, count: int, members: int) -> "StudentParts":
        """Those of so many passes of so many members."""
        freedom = max(members - 1, LEAST_FREEDOM)
        logs = np.linspace(-10, 60, 20_001)[::-1]  # of the variance
        density = np.exp(-freedom / 2 * logs - (freedom - 2) / 2 * np.exp(-logs))
        above, moment = np.cumsum(density), np.cumsum(density * np.exp(logs))
        tail = 0.5 ** np.arange(HALVINGS, 0, -1) / count
        ends = np.concatenate([[0.0], tail, np.arange(1, count + 1) / count])
        shares = np.diff(ends)
        means = np.diff(np.interp(ends, above / above[-1], moment / moment[-1])) / shares
        spread = np.argsort(np.arange(count) * GOLDEN % 1)  # pass of each part, but the tail's
        return cls(np.concatenate([np.repeat(spread[:1], HALVINGS), spread]), means, shares)


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
        found = np.square(means - mean).mean(0)
        between = np.maximum(found - (1 - 1 / members) * errors, found / (members + 1))
        return cls(mean, own, means[member] - mean, within, between)

    def scaled(self, within: np.ndarray, between: np.ndarray) -> np.ndarray:
        """Deviations [P, B, T] of passes whose parts of the variance have these factors [T].

        The means of the members are drawn together first: they are farther apart than the members
        themselves, by their Monte-Carlo errors.
        """
        found = np.square(self.apart).mean(0)
        share = np.divide(self.between, found, out=np.zeros_like(found), where=found > 0)
        return np.asarray(np.sqrt(within) * self.own + np.sqrt(between * share) * self.apart)
