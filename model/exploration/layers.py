"""Share the variance of the passes among the dropout layers.

The sources of noise s = 1 .. S are independent (each dropout site, and Gaussian input noise). Let
f(z) be an output of a pass, and V its variance. For a set u of sources,

    T(u) = E Var(f | all sources but u),    T(none) = 0, T(all) = V.

T is a game whose Shapley values are the *Shapley effects* (Owen 2014; with this T: Song, Nelson and
Staum 2016). `alone` is V - T(all but s), Sobol's first-order index times V; `total` is T({s}), his
total index times V.

Pick-freeze: two passes that share all sources but u, and are independent in u, have outputs y, y'
with E (y - y')^2 / 2 = T(u) (Jansen 1999; Saltelli et al. 2010). Everything reported is a linear
combination of such squares, one for each of N independent pairs of noise, so it is unbiased, and
its standard error is the standard deviation of N numbers over the root of N.

Shapes: N pairs of noise, S sources, G sets of sources.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
import torch

from model.exploration.value import Value
from model.formulas import coalitions, exact_shares, sampled_shares
from model.passes import Source, chunk_passes, mixed, pieces
from model.predictor import Predictor

MOST_EXACT = 4  # sources: with up to 16 sets, all of them are computed


@dataclass(frozen=True, slots=True)
class Layers:
    """Numbers of each pair of noise, whose means are the moments and the parts of the variance.

    `outputs` are those of the passes that take all sources from the first draw.
    """

    outputs: np.ndarray  # [N]
    mean: np.ndarray  # [N]
    variance: np.ndarray  # [N]
    shares: np.ndarray  # [N, S]
    alone: np.ndarray  # [N, S]
    total: np.ndarray  # [N, S]

    @property
    def std(self) -> tuple[float, np.ndarray]:
        """The std of the outputs, and the influence [N] of each pair of noise on it."""
        variance = self.variance.mean()
        std = float(np.sqrt(variance))
        return std, (self.variance - variance) / (2 * std or 1)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The numbers of the pairs of all parts."""
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def mixtures(sources: int) -> int:
    """The number G of passes for each pair of noise, with so many sources."""
    return 1 << sources if sources <= MOST_EXACT else 4 * sources


def random_orders(sources: int, pairs: int, seed: int) -> np.ndarray | None:
    """An order of the sources for each pair of noise, [N, S]; None if all sets are computed."""
    if sources <= MOST_EXACT:
        return None
    everything = np.tile(np.arange(sources), (pairs, 1))
    return np.random.default_rng([seed, 0]).permuted(everything, axis=1)


def class_totals(
    predictor: Predictor,
    x: np.ndarray,
    *,
    passes: range,
    seed: int,
    before_chunk: Callable[[], None],
) -> np.ndarray:
    """The sums of the probabilities of the classes over some passes, for one row x [1, D]."""
    total = np.zeros(len(predictor.card.target.classes))
    for chunk in pieces(passes, chunk_passes(predictor.card.config, 1)):
        before_chunk()
        values = predictor.values_under(x, predictor.noise(seed, chunk))  # [P, 1, V]
        total += values[:, 0, : len(total)].sum(0)
    return total


@np.errstate(all="ignore")  # the caller finds numbers that are not finite
def run_layers(
    predictor: Predictor,
    x: np.ndarray,
    value: Value,
    sources: Sequence[Source],
    *,
    pairs: range,
    orders: np.ndarray | None,
    passes: int,
    seed: int,
    before_chunk: Callable[[], None],
) -> Layers:
    """The numbers of some of the N = `passes` pairs of noise, for one row x [1, D].

    The first draw of the pairs is the noise of passes 0 .. N - 1 of that seed, the second that of
    passes N .. 2 N - 1. `orders` are those of `random_orders`.
    """
    size = max(1, chunk_passes(predictor.card.config, 1) // mixtures(len(sources)))
    found = []
    for chunk in pieces(pairs, size):
        before_chunk()
        along = None if orders is None else orders[chunk.start : chunk.stop]
        chosen = _chosen(len(sources), len(chunk), along)
        first = predictor.noise(seed, chunk)
        second = predictor.noise(seed, range(chunk.start + passes, chunk.stop + passes))
        noise = mixed(first, second, torch.from_numpy(chosen), sources)
        y = predictor.values_under(x, noise)[:, 0, value.at]  # [G n]
        y = value.in_units(y).reshape(-1, len(chunk)).T  # [n, G]
        found.append(_all_sets(y) if along is None else _along_orders(y, along))
    return Layers.joined(found)


def _chosen(sources: int, pairs: int, orders: np.ndarray | None) -> np.ndarray:
    """The sources that each mixture takes from the first draw, [G, n, S]."""
    if orders is None:
        return np.repeat(coalitions(sources)[:, None], pairs, axis=1)
    one = np.broadcast_to(np.eye(sources, dtype=bool), (pairs, sources, sources))
    found = np.concatenate([sampled_shares(orders)[0], one, ~one], axis=1)  # [n, G, S]
    return np.ascontiguousarray(found.swapaxes(0, 1))


def _all_sets(y: np.ndarray) -> Layers:
    """From all 2^S mixtures: T(u) is the mean over all pairs of mixtures that differ in u."""
    sets = np.arange(y.shape[1])
    sources = y.shape[1].bit_length() - 1
    halves = [(y - y[:, sets ^ u]) ** 2 for u in sets]
    worth = np.stack([half.mean(1) / 2 for half in halves], axis=1)  # [n, 2^S]
    whole, ones = len(sets) - 1, 1 << np.arange(sources)
    return Layers(
        outputs=y[:, whole],
        mean=y.mean(1),
        variance=worth[:, whole],
        shares=worth @ exact_shares(sources)[1],
        alone=worth[:, [whole]] - worth[:, whole ^ ones],
        total=worth[:, ones],
    )


def _along_orders(y: np.ndarray, orders: np.ndarray) -> Layers:
    """From the mixtures along one order for each pair, against none and against all."""
    sources = orders.shape[1]
    path, singles = 2 * sources, 2 * sources + np.arange(sources)
    between = 2 + np.arange(2 * sources - 2)  # the first players of the order, then the others
    opposite = np.concatenate([[1, 0], np.roll(between, sources - 1), singles + sources, singles])
    none, whole = (y - y[:, :1]) ** 2, (y[:, opposite] - y[:, 1:2]) ** 2
    worth = (none + whole) / 4  # [n, G]
    weights = sampled_shares(orders)[1]  # [n, 2 S, S]
    return Layers(
        outputs=y[:, 1],
        mean=y[:, :2].mean(1),
        variance=worth[:, 1],
        shares=np.einsum("ng,ngs->ns", worth[:, :path], weights),
        alone=worth[:, [1]] - worth[:, singles + sources],
        total=worth[:, singles],
    )
