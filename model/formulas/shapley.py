"""Shapley values: how players share the worth of their coalition (Shapley 1953).

A game has a worth v(S) for each coalition S of n players. Player j's share is the average, over all
orders of the players, of what j adds to those before: v(S + j) - v(S). The shares add up to
v(all) - v(none). They are linear in v, so each function here returns coalitions [G, n] and
coefficients [G, n]: shares = v [..., G] @ coefficients.
"""

from math import factorial

import numpy as np


def coalitions(players: int) -> np.ndarray:
    """All coalitions, [2^n, n] bool; coalition number c has player j if bit j of c is set."""
    return (np.arange(1 << players)[:, None] >> np.arange(players) & 1).astype(bool)


def exact_shares(players: int) -> tuple[np.ndarray, np.ndarray]:
    """All coalitions, and the coefficients of the shares.

    Player j has (|S| - 1)! (n - |S|)! / n! for each S with j, and -|S|! (n - 1 - |S|)! / n! for
    each S without j.
    """
    inside = coalitions(players)
    others = inside.sum(1)[:, None] - inside  # of S without j
    orders = np.array([factorial(k) * factorial(players - 1 - k) for k in range(players)], float)
    weights = orders[others] / factorial(players) if players else np.zeros((1, 0))
    return inside, np.where(inside, weights, -weights)


def sampled_shares(orders: np.ndarray, part: slice = slice(None)) -> tuple[np.ndarray, np.ndarray]:
    """The coalitions along orders [..., n] of the players and along their reverses, [..., 2 n, n].

    And the coefficients, of the same shape. The average over random orders is the Shapley value
    (Castro, Gomez and Tejada 2009). An order and its reverse together have less variance than two
    orders (Mitchell et al. 2022). The first coalition has no player, the second has all; then come
    the first 1 .. n - 1 players of the order, and then the complements of these. `part` takes some
    of the 2 n coalitions.
    """
    players = orders.shape[-1]
    rank = np.argsort(orders, axis=-1)[..., None, :]
    number = np.arange(2 * players)[part, None]
    end, reverse = number < 2, number > players  # no player or all; the complements
    cut = np.where(end, number * players, np.where(reverse, number - players, number - 1))
    there = _along(rank, cut) * ~reverse
    back = _along(players - 1 - rank, np.where(reverse, players - cut, cut)) * (end | reverse)
    return (rank < cut) ^ reverse, there + back


def _along(rank: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Half the change of each player's share by the worth of the first `count` players."""
    return np.asarray(((rank == count - 1) * 0.5) - ((rank == count) * 0.5))
