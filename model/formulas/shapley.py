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


def sampled_shares(order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The coalitions along an order of the players and along its reverse, and the coefficients.

    The average over random orders is the Shapley value (Castro, Gomez and Tejada 2009). An order
    and its reverse together have less variance than two orders (Mitchell et al. 2022). The first
    coalition has no player, the second has all.
    """
    players = len(order)
    rank = np.argsort(order)  # of each player
    before = rank[None, :] < np.arange(1, players)[:, None]  # [n - 1, n]: the first k players
    inside = np.concatenate([np.zeros((1, players), bool), np.ones((1, players), bool)])
    coefficients = np.zeros((2 * players, players))
    steps = np.concatenate([[0], np.arange(2, players + 1), [1]])  # the coalitions on the way
    for path, along in ((steps, order), (_reverse(steps, players), order[::-1])):
        coefficients[path[1:], along] += 0.5
        coefficients[path[:-1], along] -= 0.5
    return np.concatenate([inside, before, ~before]), coefficients


def _reverse(steps: np.ndarray, players: int) -> np.ndarray:
    """The coalitions on the way of the reverse order: complements, the last one first."""
    return np.concatenate([[0], steps[1:-1][::-1] + players - 1, [1]])
