"""Shapley values, against their definition: the average over all orders of the players."""

from itertools import permutations

import numpy as np
import pytest

from model.formulas import coalitions, exact_shares, sampled_shares


def by_orders(worth: np.ndarray, players: int) -> np.ndarray:
    """The average of what each player adds, over all orders; worth [2^n] by bits."""
    total, orders = np.zeros(players), list(permutations(range(players)))
    for order in orders:
        before = 0
        for player in order:
            total[player] += worth[before | 1 << player] - worth[before]
            before |= 1 << player
    return total / len(orders)


@pytest.mark.parametrize("players", [1, 2, 3, 4, 5])
def test_exact_shares_are_the_average_over_all_orders(players: int) -> None:
    worth = np.random.default_rng(players).normal(size=1 << players)
    inside, weights = exact_shares(players)
    assert (inside == coalitions(players)).all()
    assert worth @ weights == pytest.approx(by_orders(worth, players))


@pytest.mark.parametrize("players", [1, 2, 3, 4, 5])
def test_an_order_and_its_reverse_give_what_each_player_adds_in_both(players: int) -> None:
    worth = np.random.default_rng(players).normal(size=1 << players)
    orders = np.array(list(permutations(range(players))))
    inside, weights = sampled_shares(orders)
    assert inside.shape == weights.shape == (len(orders), 2 * players, players)
    values = worth[(inside << np.arange(players)).sum(-1)]  # [orders, 2 n]
    shares = np.einsum("og,ogn->on", values, weights)
    assert shares.mean(0) == pytest.approx(by_orders(worth, players))
    for order, share in zip(orders, shares, strict=True):
        for at, player in enumerate(order):
            first, rest = (1 << order[:at]).sum(), (1 << order[at + 1 :]).sum()
            added = [worth[set_ | 1 << player] - worth[set_] for set_ in (first, rest)]
            assert share[player] == pytest.approx(np.mean(added))


def test_shares_add_up_to_the_worth_of_all() -> None:
    worth = np.random.default_rng(0).normal(size=64)
    inside, weights = sampled_shares(np.array([3, 1, 5, 0, 2, 4]))
    shares = worth[(inside << np.arange(6)).sum(-1)] @ weights
    assert shares.sum() == pytest.approx(worth[-1] - worth[0])
    assert (worth @ exact_shares(6)[1]).sum() == pytest.approx(worth[-1] - worth[0])


def test_nobody_shares_nothing() -> None:
    inside, weights = exact_shares(0)
    assert inside.shape == weights.shape == (1, 0)


@pytest.mark.parametrize("players", [1, 2, 5])
def test_parts_of_the_coalitions_are_those_of_all(players: int) -> None:
    orders = np.random.default_rng(1).permuted(np.tile(np.arange(players), (3, 1)), axis=1)
    whole = sampled_shares(orders)
    parts = [sampled_shares(orders, slice(at, at + 3)) for at in range(0, 2 * players, 3)]
    for all_of_them, joined in zip(whole, zip(*parts, strict=True), strict=True):
        assert (np.concatenate(joined, axis=1) == all_of_them).all()
