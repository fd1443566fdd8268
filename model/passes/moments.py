"""The plain estimator: streaming mean and variance over passes, with their standard errors.

Of each pass only the running means and scatter of a few features are kept. The variance is an
average of one term T per pass, up to products of means. So the variance of T over the passes gives
its standard error, without an assumption on the distribution, whose kurtosis is large if p is
small. The moments of the reduced estimator are in `reduced_moments`.

Shapes: P passes, B rows, V values of one pass, F features.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from model.passes.estimate import COVARIANCE_CLASSES, Agreement, Estimate

HEAVY = 17.0
"""The variance of N terms T is estimated with 2 N / (k + 2) degrees of freedom, where k is the
excess kurtosis of T (Satterthwaite 1946). Student's t of so many has a variance of about
1 + (k + 2) / N, so squared errors are multiplied by that. Few passes cannot estimate k, so
1 + HEAVY / N is used. If the passes are normal, k of their squares is 12."""


def _zero() -> Tensor:
    return torch.zeros((), dtype=torch.float64)


@dataclass
class Moments:
    """Running means [F, B, V] and scatter [F, F, B, V] of features over passes, in float64.

    Chunks are merged by the pairwise formulas of Chan, Golub and LeVeque (1979): no pass is kept.
    """

    count: int = 0
    mean: Tensor = field(default_factory=_zero)
    scatter: Tensor = field(default_factory=_zero)

    def add(self, *features: Tensor) -> None:
        """Add a chunk of passes, one [P, B, V] tensor per feature."""
        u = torch.stack(features)  # [F, P, B, V]
        count, mean = u.shape[1], u.mean(1)
        u -= mean[:, None]
        scatter = (u[:, None] * u).sum(2)  # [F, F, B, V]
        if not self.count:
            self.count, self.mean, self.scatter = count, mean, scatter
            return
        total = self.count + count
        step = mean - self.mean  # [F, B, V]
        self.scatter += scatter.addcmul_(step[:, None], step, value=self.count * count / total)
        self.mean += step.mul_(count / total)
        self.count = total

    def averages(self) -> np.ndarray:
        """Mean of the features, [F, B, V]."""
        return _to_numpy(self.mean)

    def covariance(self) -> np.ndarray:
        """Sample covariance of the features, ddof 1, [F, F, B, V]."""
        return _to_numpy(self.scatter) / (self.count - 1)

    def select(self, index: Tensor) -> "Moments":
        """The moments of some rows."""
        return Moments(self.count, self.mean[:, index], self.scatter[:, :, index])


@dataclass
class JointMoments:
    """Running means [B, V], scatter [B, V, V] and votes [B, K] of the passes of a classifier.

    The values are the probabilities of K classes and their entropy, V = K + 1. Chunks are merged as
    in `Moments`. The scatter is kept for up to COVARIANCE_CLASSES classes.
    """

    count: int = 0
    mean: Tensor = field(default_factory=_zero)
    scatter: Tensor = field(default_factory=_zero)
    votes: Tensor = field(default_factory=_zero)

    def add(self, y: Tensor) -> None:
        """Add the values [P, B, V] of a chunk of passes."""
        classes = y.shape[-1] - 1
        first = y[..., :-1].argmax(-1, keepdim=True)  # [P, B, 1]
        self.votes = self.votes + (first == torch.arange(classes, device=y.device)).sum(0)
        if classes > COVARIANCE_CLASSES:
            return
        count, mean = len(y), y.double().mean(0)
        centred = (y - mean).permute(1, 2, 0)  # [B, V, P]
        total, step = self.count + count, mean - self.mean  # [B, V]
        between = step[..., :, None] * step[..., None, :] * (self.count * count / total)
        self.scatter = self.scatter + centred @ centred.mT + between
        self.mean = self.mean + count / total * step
        self.count = total

    def agreement(self) -> Agreement:
        """The agreement of the passes so far."""
        covariance = _to_numpy(self.scatter) / (self.count - 1) if self.count else None
        return Agreement(covariance, _to_numpy(self.votes))

    def select(self, index: Tensor) -> "JointMoments":
        """The moments of some rows."""
        if not self.count:
            return JointMoments(votes=self.votes[index])
        return JointMoments(self.count, self.mean[index], self.scatter[index], self.votes[index])


@dataclass(frozen=True)
class PlainMoments:
    """The plain estimator: sample mean and variance (ddof 1) of the values y of each pass.

    `pivot` [B, V] is near the mean of y, so that squares lose no digits. Only a classifier has
    `joint`.
    """

    pivot: Tensor
    joint: JointMoments | None = None
    moments: Moments = field(default_factory=Moments)

    def add(self, y: Tensor) -> None:
        """Add the values y [P, B, V] of a chunk of passes."""
        d = y.double() - self.pivot
        self.moments.add(d, d.square())
        if self.joint:
            self.joint.add(y)

    @np.errstate(all="ignore")  # the predictor reports overflows
    def estimate(self, members: int = 1) -> Estimate:
        """The estimate from the passes so far; the features are (d, T = d^2).

        `members` is the number of members of an ensemble that take as many passes as this one.
        """
        n, covariance = self.moments.count, self.moments.covariance()
        averages, variance = self.moments.averages(), covariance[0, 0]
        gradient = -2 * averages  # of (d - avg d)^2
        gradient[1] = 1
        return Estimate(
            mean=_to_numpy(self.pivot) + averages[0],
            variance=variance,
            mean_error=np.sqrt(variance / n),
            variance_error=_error(covariance, gradient, n, 2 * variance**2, n * members),
            agreement=self.joint.agreement() if self.joint else None,
        )

    def select(self, index: Tensor) -> "PlainMoments":
        """The moments of some rows."""
        joint = self.joint.select(index) if self.joint else None
        return PlainMoments(self.pivot[index], joint, self.moments.select(index))

    def restarted(self) -> "PlainMoments":
        """A copy without any passes."""
        return PlainMoments(self.pivot, JointMoments() if self.joint else None)


def _to_numpy(t: Tensor) -> np.ndarray:
    """The tensor as a numpy array on the CPU."""
    return np.asarray(t.cpu().numpy())


def _error(
    covariance: np.ndarray, gradient: np.ndarray, n: int, few: np.ndarray, together: int
) -> np.ndarray:
    """Standard error [B, V] of an average of n centred terms T, linear in the features.

    `together` is the number of passes of all members of the ensemble: their degrees of freedom add
    up (see HEAVY).

    `few` / (n - 1) is what the variance of T loses because the sample's own mean centres it; with
    n = 2 it loses everything. The correction is exact, by
    Cov(s_ab, s_cd) = ... + (C_ac C_bd + C_ad C_bc) / (n (n - 1)).
    """
    spread = np.einsum("i...,ij...,j...->...", gradient, covariance, gradient)
    spread = np.maximum(spread, 0) + np.maximum(few, 0) / (n - 1)
    return np.asarray(np.sqrt(spread / n * (1 + HEAVY / together)))
