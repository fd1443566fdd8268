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

Shapes: P passes, D inputs, J features, M background rows, G sets of features.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
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

    def part(self, block: range) -> Self:
        """Some of the rows, with their orders."""
        at = slice(block.start, block.stop)
        return replace(self, rows=self.rows[at], orders=self.orders[at])


def sets(count: int) -> int:
    """The number of rows to predict for each background row, with so many features."""
    return 1 << count if count <= MOST_EXACT else 2 * count


@np.errstate(all="ignore")  # the caller finds numbers that are not finite
def run_features(
    predictor: Predictor,
    x: np.ndarray,
    value: Value,
    background: Background,
    *,
    seed: int,
    influence: np.ndarray,
    before_chunk: Callable[[], None],
) -> np.ndarray:
    """The shares [M, J + 1] for some background rows; x [1, D] is the row.

    They are those of the features, then the std of the background row. The influence of the passes
    on the sum over the rows is added to `influence` [P, J + 1].
    """
    chosen, coefficients = _games(background.orders)  # [M, G, J], [M, G, J + 1]
    widths = np.repeat(np.arange(len(predictor.columns)), predictor.columns)
    rows = np.where(chosen[..., widths], x, background.rows[:, None]).reshape(-1, x.shape[1])
    weights = coefficients.reshape(-1, coefficients.shape[2])  # [M G, J + 1]
    stds, passes = np.empty(len(rows)), len(influence)
    size = chunk_rows(predictor, passes)
    for start in range(0, len(rows), size):
        before_chunk()
        chunk = slice(start, start + size)
        y = predictor.values(rows[chunk], passes=passes, seed=seed)[..., value.at]  # [P, b]
        stds[chunk], influences = spread(value.in_units(y))
        influence += influences @ weights[chunk]
    worths = stds.reshape(chosen.shape[:2])
    return np.asarray(np.einsum("mg,mgj->mj", worths, coefficients))


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


def _games(orders: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sets of features to predict [M, G, J], and the coefficients of the shares [M, G, J + 1].

    The last share is the worth of the set without any feature, which is the first.
    """
    count, features = orders.shape
    if features <= MOST_EXACT:
        found = (np.broadcast_to(part, (count, *part.shape)) for part in exact_shares(features))
        chosen, weights = found
    else:
        chosen, weights = sampled_shares(orders)
    none = np.zeros((*weights.shape[:2], 1))
    none[:, 0] = 1
    return chosen, np.concatenate([weights, none], axis=2)
