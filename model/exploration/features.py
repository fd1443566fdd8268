"""Share the std of the passes among the features.

The worth of a set S of features is the mean, over background rows b, of the std over the passes of
the row that has the features in S from the explained row, and all others from b. All these rows see
the same masks. Its Shapley values (Strumbelj and Kononenko 2014; as a game of the std: Covert,
Lundberg and Lee 2020) add up to the std of the row minus the mean std of the background rows.
The encoded columns of one feature are one player. With up to MOST_EXACT features, all sets are
computed for each background row; otherwise, an order of the features and its reverse.

A share has two independent errors: that of the background rows and orders, from the differences
between them; and that of the masks, from the influence of each pass. The variance is a mean over
passes, so a pass with output y has the influence ((y - mean)^2 - variance) / (2 std) on the std.

Shapes: P passes, D inputs, J features, M background rows, G sets of features. With many features,
the sets of a single background row are shared among several steps; what they add to the shares and
to the influence is summed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from model.exploration.value import Value
from model.formulas import exact_shares, sampled_shares
from model.predictor import Predictor

MOST_EXACT = 4  # features: with up to 16 sets, all of them are computed
LARGEST_CHUNK = 256  # rows; more of them gain no time
MOST_VALUES = 3_000_000  # of the passes over the rows of a chunk


@dataclass(frozen=True, slots=True)
class Background:
    """Background rows [M, D], and for each of them an order of the features, [M, J]."""

    rows: np.ndarray
    orders: np.ndarray

    @classmethod
    def drawn(cls, kept: np.ndarray, features: int, *, count: int, seed: int) -> Self:
        """Some of the kept rows [R, D] in a random order; all of them again if R < count."""
        random = np.random.default_rng([seed, 1])
        rounds = [random.permutation(len(kept)) for _ in range(-(-count // len(kept)))]
        orders = random.permuted(np.tile(np.arange(features), (count, 1)), axis=1)
        return cls(kept[np.concatenate(rounds)[:count]], orders)

    def games(self, rows: range, sets: range) -> "Games":
        """Some of the sets of features to predict for some of the rows."""
        at = slice(rows.start, rows.stop)
        return Games(self.rows[at], *_games(self.orders[at], slice(sets.start, sets.stop)))


@dataclass(frozen=True, slots=True)
class Games:
    """Background rows [M, D], sets of features to predict for each of them [M, G, J], and their
    coefficients in the shares [M, G, J + 1]."""

    rows: np.ndarray
    chosen: np.ndarray
    coefficients: np.ndarray

    def mixed(self, x: np.ndarray, columns: Sequence[int], chunk: slice) -> np.ndarray:
        """Some of the M G rows that have the features of a set from x [1, D], encoded."""
        count, sets, _ = self.chosen.shape
        row, number = np.divmod(np.arange(count * sets)[chunk], sets)
        chosen = np.repeat(self.chosen[row, number], columns, axis=1)
        return np.where(chosen, x, self.rows[row])


def sets(count: int) -> int:
    """The number of rows to predict for each background row, with so many features."""
    return 1 << count if count <= MOST_EXACT else 2 * count


@np.errstate(all="ignore")  # the caller finds numbers that are not finite
def run_features(
    predictor: Predictor,
    x: np.ndarray,
    value: Value,
    games: Games,
    *,
    seed: int,
    influence: np.ndarray,
    before_chunk: Callable[[], None],
) -> np.ndarray:
    """What the sets of the games add to the shares [M, J + 1]; x [1, D] is the row.

    The shares are those of the features, then the std of the background row. The influence of the
    passes on their sum over the rows is added to `influence` [P, J + 1].
    """
    weights = games.coefficients.reshape(-1, games.coefficients.shape[2])  # [M G, J + 1]
    stds, passes = np.empty(len(weights)), len(influence)
    size = chunk_rows(predictor, passes)
    for start in range(0, len(weights), size):
        before_chunk()
        chunk = slice(start, start + size)
        rows = games.mixed(x, predictor.columns, chunk)
        y = predictor.values(rows, passes=passes, seed=seed)[..., value.at]  # [P, b]
        stds[chunk], influences = spread(value.in_units(y))
        influence += influences @ weights[chunk]
    worths = stds.reshape(games.coefficients.shape[:2])
    return np.asarray(np.einsum("mg,mgj->mj", worths, games.coefficients))


def chunk_rows(predictor: Predictor, passes: int) -> int:
    """The number of rows whose values fit in memory, and take some tens of milliseconds."""
    values = predictor.card.config.outputs + 1
    return max(1, min(MOST_VALUES // (passes * values), LARGEST_CHUNK))


def spread(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The std [B] of outputs [P, B] over the passes, and each pass's influence [P, B] on it."""
    deviation = y - y.mean(0)
    variance = (deviation**2).sum(0) / (len(y) - 1)
    std = np.sqrt(variance)
    influence = np.zeros_like(y)
    np.divide(deviation**2 - (deviation**2).mean(0), 2 * std, out=influence, where=std > 0)
    return std, influence


def _games(orders: np.ndarray, part: slice) -> tuple[np.ndarray, np.ndarray]:
    """Sets of features to predict [M, G, J], and their coefficients in the shares [M, G, J + 1].

    The last share is the worth of the set without any feature, which is the first.
    """
    count, features = orders.shape
    if features <= MOST_EXACT:
        exact = (each[part] for each in exact_shares(features))
        chosen, weights = (np.broadcast_to(each, (count, *each.shape)) for each in exact)
    else:
        chosen, weights = sampled_shares(orders, part)
    none = np.zeros((*weights.shape[:2], 1))
    none[:, np.arange(sets(features))[part] == 0] = 1
    return chosen, np.concatenate([weights, none], axis=2)
