"""The moments of the reduced estimator: fit the controls' coefficients, add up mean and variance.

Shapes: P passes, B rows, V outputs.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model.passes.estimate import Estimate
from model.passes.moments import HEAVY, PlainMoments
from model.passes.reduced import Law, Terms

BLOCK = 1024  # passes of a block; the terms of 1.5 blocks take 30 kB for one row's output
VALUES_AT_ONCE = 1 << 15  # of each term: intermediate results fit in cache
PRIOR_PASSES = 5.0  # the weight of the prior that coefficients are 1, in passes
COEFFICIENTS = (0.0, 2.0)  # the limits of the coefficients
TAIL = 3.0  # min(TAIL x measured kurtosis, HEAVY) takes the place of HEAVY in `moments`
LEAST_POSITIVE = np.finfo(np.float64).tiny
ROUNDING = 2.0**-22  # of outputs in single precision, relative


@dataclass
class ReducedMoments:
    """The reduced estimator: moments of y from the terms of `reduced`.

    Least squares over the passes fits the coefficients of the controls l and q in the outputs c,
    for every row and output:

        c = b l + k q + e.

    A prior that weighs PRIOR_PASSES passes pulls b and k towards 1, their value if g and k of
    `reduced` are exact, so that few passes do not give wild coefficients. Then

        mean = avg c - b avg l - k avg q,
        variance = b^2 Var l + k^2 S_qq + S_ee + avg last.

    Var l is known, given the layers before each site. S are sample variances. The covariances of l,
    q and e are 0 in expectation, and left out. A sum of squares is never negative. The coefficients
    are fitted on the same passes, which biases the variance by O(1 / N): measured, by up to .5 % in
    the median row at N = 100, and by less than its error in nearly all rows.

    The errors need the coefficients, and the coefficients need all passes. So the terms of all
    passes are kept until they fill a BLOCK, which is then estimated by itself. Of the estimates of
    closed blocks only sums are kept, in one array: many small ones would lie between the blocks of
    memory that chunks of passes use again. `noise` has the plain moments of the log-variances,
    which follow those of y.
    """

    law: Law
    noise: PlainMoments | None = None
    terms: list[Tensor] = field(default_factory=list)  # [5, P, B, V] each, of the open block
    closed: int = 0  # the number of closed blocks
    sums: np.ndarray | None = None  # [4, B, V] over them: means, variances, squared errors of both

    def add(self, terms: Terms) -> None:
        """Add a chunk of passes."""
        self.terms.append(terms.stacked())
        while sum(part.shape[1] for part in self.terms) >= BLOCK + BLOCK // 2:
            block, rest = torch.cat(self.terms, dim=1).tensor_split([BLOCK], dim=1)
            self._close(self._estimate(block))
            self.terms = [rest.clone()]
        if self.noise and terms.log_noise is not None:
            self.noise.add(terms.log_noise)

    @np.errstate(all="ignore")  # the predictor reports overflows
    def estimate(self, members: int = 1) -> Estimate:
        """The estimate from the passes so far.

        `members` is the number of members of an ensemble that take as many passes as this one.
        """
        terms = self.terms[0] if len(self.terms) == 1 else torch.cat(self.terms, dim=1)
        estimate = self._with_closed(self._estimate(terms, members), terms.shape[1])
        return estimate.beside(self.noise.estimate(members)) if self.noise else estimate

    def _estimate(self, terms: Tensor, members: int = 1) -> Estimate:
        """The estimate from the passes of a block, [5, P, B, V], for some rows at a time."""
        rows = max(1, VALUES_AT_ONCE // (terms.shape[1] * terms.shape[3] or 1))
        parts = zip(*(torch.split(t, rows) for t in self.law.parts()), strict=True)
        found = [
            fitted(*(_to_numpy(t.double()) for t in (block, *part)), members=members)
            for block, part in zip(torch.split(terms, rows, dim=2), parts, strict=True)
        ]
        return found[0] if len(found) == 1 else Estimate.concatenated(found)

    def _close(self, block: Estimate) -> None:
        """Add the estimate of a block to the sums."""
        parts = (block.mean, block.variance, block.mean_error, block.variance_error)
        if self.sums is None:
            self.sums = np.zeros((4, *block.mean.shape))
        for total, part, power in zip(self.sums, parts, (1, 1, 2, 2), strict=True):
            total += part**power
        self.closed += 1

    def _with_closed(self, last: Estimate, passes: int) -> Estimate:
        """The average of the closed blocks and of the last one, weighted by their passes."""
        if self.sums is None:
            return last
        weight = BLOCK / (self.closed * BLOCK + passes)
        rest = 1 - self.closed * weight
        mean, variance = weight * self.sums[:2]
        squares = weight**2 * self.sums[2:]
        return Estimate(
            mean + rest * last.mean,
            variance + rest * last.variance,
            np.sqrt(squares[0] + (rest * last.mean_error) ** 2),
            np.sqrt(squares[1] + (rest * last.variance_error) ** 2),
        )

    def select(self, index: Tensor) -> "ReducedMoments":
        """The moments of some rows."""
        kept = np.asarray(index.cpu())
        return ReducedMoments(
            self.law.select(index),
            self.noise.select(index) if self.noise else None,
            [part[:, :, index] for part in self.terms],
            self.closed,
            None if self.sums is None else self.sums[:, kept],
        )

    def restarted(self) -> "ReducedMoments":
        """A copy without any passes."""
        return ReducedMoments(self.law, self.noise.restarted() if self.noise else None)


def fitted(
    terms: np.ndarray,
    pivot: np.ndarray,
    linear: np.ndarray,
    fourth: np.ndarray,
    quadratic: np.ndarray,
    *,
    members: int = 1,
) -> Estimate:
    """The estimate from terms [5, P, B, V] in the order of `Terms`, and the law of the controls.

    The variance is, up to products of averages, the average over the passes of one term

        T = e^2 + 2 e (b l + k q) + (k q)^2 + b^2 linear_variance + last_variance

    of centred c, l and q. So the variance of T over the passes gives its error. Few passes may
    miss the masks that move the outputs most. E l^4 is known: if the average of l^4 over the
    passes is smaller, the squared error of the variance is multiplied by the ratio, that of the
    mean by its root. Where T varies by its rounding only, as if all passes gave one of two
    outputs, the tail of T is unknown, and taken as HEAVY. So many `members` of an ensemble take
    as many passes; their degrees of freedom add up.
    """
    n, together = terms.shape[1], terms.shape[1] * members
    means = terms.mean(1)  # [5, B, V]
    c, l, q = terms[:3] - means[:3, None]  # noqa: E741
    known = linear + means[3]  # Var l
    b, k = _coefficients(c, l, q, known, quadratic)
    used = k * q
    e, square, used = c - b * l - used, used**2, used + b * l
    kept = n / (
        n + PRIOR_PASSES
    )  # the weight of the passes in a coefficient; the prior has the rest
    count = 1.0 * (known > 0) + (quadratic > 0)  # the number of fitted coefficients
    left, s_qq = (e**2).sum(0) / (n - 1 - count * kept), square.sum(0) / (n - 1)  # S_ee, k^2 S_qq
    variance = b**2 * known + s_qq + left + means[4]
    t = e**2 + 2 * kept * e * used + square + b**2 * terms[3] + terms[4]
    (spread, tail), (_, tail_of_e) = _spread(t), _spread(e)
    few = 2 * left**2 + 4 * kept**2 * left * (b**2 * known + s_qq) + 2 * s_qq**2
    missed = _missed_tail(l, 3 * known**2 + fourth)
    mean = pivot + means[0] - b * means[1] - k * means[2]
    rounding = ROUNDING**2 * (np.abs(mean) + np.sqrt(variance)) ** 2
    tail = np.where(spread > 4 * variance * rounding, tail, HEAVY)
    mean_square = left / n * np.sqrt(missed) * (1 + tail_of_e / together)
    variance_square = (spread + few / (n - 1)) / n * missed * (1 + tail / together)
    return Estimate(
        mean,
        variance,
        np.sqrt(mean_square + rounding),
        np.sqrt(variance_square + 4 * variance * rounding),
    )


def _coefficients(
    c: np.ndarray,
    l: np.ndarray,  # noqa: E741
    q: np.ndarray,
    known: np.ndarray,
    quadratic: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """b and k [B, V] of c = b l + k q + e, from centred terms [P, B, V] and a prior of 1."""
    s_ll, s_qq, s_lq, s_cl, s_cq = (
        np.einsum("pbv,pbv->bv", one, other) / (len(c) - 1)
        for one, other in ((l, l), (q, q), (l, q), (c, l), (c, q))
    )
    prior_l, prior_q = (
        PRIOR_PASSES / len(c) * variance for variance in (known, np.maximum(s_qq, quadratic))
    )
    a_ll, a_qq, a_cl, a_cq = s_ll + prior_l, s_qq + prior_q, s_cl + prior_l, s_cq + prior_q
    scale = np.maximum(a_ll * a_qq - s_lq**2, LEAST_POSITIVE)
    b, k = (a_cl * a_qq - a_cq * s_lq) / scale, (a_cq * a_ll - a_cl * s_lq) / scale
    return np.clip(b, *COEFFICIENTS), np.clip(k, *COEFFICIENTS)


def _missed_tail(l: np.ndarray, expected: np.ndarray) -> np.ndarray:  # noqa: E741
    """E l^4 over the average of l^4 in the passes [P, B, V], between 1 and P."""
    seen = np.maximum((l**4).mean(0), np.maximum(expected / len(l), LEAST_POSITIVE))
    return np.asarray(np.maximum(expected / seen, 1))


def _spread(t: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The variance of T [P, B, V] over the passes, and the tail factor; see TAIL."""
    centred = t - t.mean(0)
    square = centred**2
    spread = square.sum(0) / (len(t) - 1)
    kurtosis = (square**2).mean(0) / np.maximum(spread**2, LEAST_POSITIVE)
    return spread, np.minimum(TAIL * kurtosis, HEAVY)


def _to_numpy(t: Tensor) -> np.ndarray:
    return np.asarray(t.cpu().numpy())
