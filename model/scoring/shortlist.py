"""Which rows to label next: those whose labels would tell most about the network.

*Classifiers.* The score of a row is its mutual information between label and passes: BALD, Houlsby
et al. 2011, Gal et al. 2017. The rows of the largest scores are taken.

*Regressions.* Two rows that say the same are worth little more than one, so rows are taken as a
batch. All rows share their masks; so the passes are joint draws of all predictions, and K [B, B] is
their covariance. With noise of variance s_i in the label of row i, the labels of a batch A tell

    1/2 log det(I + S^-1/2 K_A S^-1/2)    nats about the network, S = diag(s).

That is BatchBALD (Kirsch et al. 2019) of Gaussian labels, and the MaxDet choice of Holzmueller et
al. 2023. It is submodular, so the greedy choice reaches 1 - 1/e of the best at least (Nemhauser et
al. 1978). A step takes the row of the largest conditional gain 1/2 log(1 + v_i / s_i), where v_i is
its variance given the labels of the rows before. Targets are taken as independent of each other,
and their gains are added.

With the passes of a row as a vector j in units of its noise, K is the products of two rows. The
label of a row u with the variance v = |u|^2 turns K = j . j' into

    j . j' - (j . u) (j' . u) / (1 + v),    the products of    j - u (j . u) / (r (r + 1)),

with r = sqrt(1 + v). So a step changes the vectors, and takes no memory beside them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from model.calibration import Factors
from model.options import PredictOptions
from model.predictor import Predictor

LEAST_CANDIDATES, CANDIDATES = 2_000, 20  # at least, and for each row that is taken
LEAST_NOISE = 1e-6  # of the target's variance: labels without noise would tell infinitely much


@dataclass(frozen=True, slots=True, eq=False)
class Shortlist:
    """The rows seen so far that are worth most by themselves; its size does not grow with them.

    `joint` [c, T, P] has the passes of each row, centred and scaled so that products of two rows
    are covariances in units of their noise; None for a classifier.
    """

    predictor: Predictor
    options: PredictOptions
    take: int
    scores: np.ndarray = field(default_factory=lambda: np.empty(0))  # [c], nats
    places: tuple[Any, ...] = ()  # of each row, whatever its caller gives
    joint: np.ndarray | None = None

    @property
    def most(self) -> int:
        """How many rows are kept."""
        classes = self.predictor.card.target.classes
        return self.take if classes else max(LEAST_CANDIDATES, CANDIDATES * self.take)

    def with_rows(self, x: np.ndarray, places: Sequence[Any]) -> "Shortlist":
        """The list after encoded rows x [B, D] more; raises InputError as `predict_encoded`."""
        rows = self.predictor.predict_encoded(x, self.options).rows.columns
        if self.predictor.card.target.classes:
            return self._best(rows["mutual_information"], places, None)
        joint = self._whitened(rows)
        variance = (joint**2).sum(-1)  # [B, T]
        return self._best(0.5 * np.log1p(variance).sum(-1), places, joint)

    def _whitened(self, rows: Mapping[str, Any]) -> np.ndarray:
        """The passes [B, T, P] as deviations, in units of the std of the label's noise."""
        card, members = self.predictor.card, len(self.predictor.networks)
        passes = np.stack(rows["samples"], axis=1)  # [P, B, T]
        deviations = Factors.of(card.tuning).deviations(passes, members).transpose(1, 2, 0)
        stds = card.target_of_rows.stds
        noise = np.maximum(rows["noise_variance"], LEAST_NOISE * stds**2)  # [B, T]
        scale = 1 / np.sqrt(noise * (len(passes) - 1))
        return np.asarray(deviations * scale[..., None])

    def _best(
        self, scores: np.ndarray, places: Sequence[Any], joint: np.ndarray | None
    ) -> "Shortlist":
        scores, places = np.concatenate([self.scores, scores]), (*self.places, *places)
        if self.joint is not None and joint is not None:
            joint = np.concatenate([self.joint, joint])
        kept = np.argsort(-scores, kind="stable")[: self.most]
        return replace(
            self,
            scores=scores[kept],
            places=tuple(places[at] for at in kept.tolist()),
            joint=None if joint is None else joint[kept],
        )

    def chosen(self) -> list[tuple[Any, float]]:
        """The places of the rows to label, the best first, and the nats that each adds."""
        if self.joint is None:
            pairs = zip(self.places, self.scores.tolist(), strict=True)
            return list(pairs)[: self.take]
        order, gains = greedy(self.joint, self.take)
        return [(self.places[at], gain) for at, gain in zip(order, gains, strict=True)]


def greedy(joint: np.ndarray, take: int) -> tuple[list[int], list[float]]:
    """The rows that a greedy choice takes of `joint` [c, T, P], and the nats that each adds.

    Products of two rows are covariances in units of their noise, whose variance so is 1.
    """
    joint, count = joint.copy(), len(joint)  # given the labels so far, see the head of this module
    free, order, gains = np.ones(count, dtype=bool), list[int](), list[float]()
    for _ in range(min(take, count)):
        variance = np.einsum("ctp,ctp->ct", joint, joint)
        worth = np.where(free, 0.5 * np.log1p(variance).sum(-1), -1.0)
        best = int(worth.argmax())
        row, root = joint[best].copy(), np.sqrt(1 + variance[best])  # [T, P], [T]
        shared = np.einsum("ctp,tp->ct", joint, row) / (root * (root + 1))
        for target, passes in enumerate(row):
            joint[:, target] -= shared[:, target, None] * passes
        free[best] = False
        order.append(best)
        gains.append(float(worth[best]))
    return order, gains
