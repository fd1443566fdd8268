"""Bounds on a probability and on a mean are too small as rarely as they say."""

from collections.abc import Callable
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.formulas.bounds import binomial_bound, mean_bound


def at_most(count: int, rows: int, p: float) -> float:
    """P(Binomial(rows, p) <= count), exactly."""
    hit, miss = Fraction(p), 1 - Fraction(p)
    terms = (comb(rows, i) * hit**i * miss ** (rows - i) for i in range(count + 1))
    return float(sum(terms))


@settings(deadline=None)
@given(rows=st.integers(1, 120), part=st.floats(0, 1), doubt=st.sampled_from([0.1, 0.05, 0.001]))
def test_the_binomial_bound_is_where_the_count_has_the_probability_of_a_failure(
    rows: int, part: float, doubt: float
) -> None:
    count = int(part * rows)
    bound = binomial_bound(count, rows, doubt)
    if count == rows:
        assert bound == 1
    else:
        assert count / rows < bound < 1
        assert at_most(count, rows, bound) == pytest.approx(doubt, rel=1e-4)


def test_the_binomial_bound_of_no_errors_is_the_rule_of_three() -> None:
    assert binomial_bound(0, 1000, 0.05) == pytest.approx(3.0 / 1000, rel=0.01)
    assert binomial_bound(0, 59, 0.05) < 0.05 < binomial_bound(0, 58, 0.05)


DRAWS: dict[str, tuple[Callable[[np.random.Generator, int], np.ndarray], float]] = {
    "rare": (lambda random, n: (random.random(n) < 0.02) * 1.0, 0.02),
    "skewed": (lambda random, n: random.beta(0.2, 3.8, n), 0.05),
    "even": (lambda random, n: random.random(n), 0.5),
    "all or little": (lambda random, n: np.where(random.random(n) < 0.05, 1.0, 0.01), 0.0595),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_bound_on_a_mean_is_too_small_no_more_often_than_it_may_be(name: str) -> None:
    """600 samples: at a true 5 % more than 49 fall short once in 1,000."""
    draw, mean = DRAWS[name]
    random = np.random.default_rng(0)
    bounds = np.array([mean_bound(draw(random, 150), 0.05) for _ in range(600)])
    assert (bounds < mean).sum() <= 49
    assert np.median(bounds) < 3 * mean + 0.05  # and it says something


@given(seed=st.integers(0, 1000), rows=st.integers(40, 90), doubt=st.floats(0.01, 0.2))
@settings(deadline=None, max_examples=50)
def test_the_bound_on_a_mean_is_where_the_capital_refutes_it(
    seed: int, rows: int, doubt: float
) -> None:
    losses = np.random.default_rng(seed).beta(0.5, 8, rows)
    bound = mean_bound(losses, doubt)
    bets = [0.5**i for i in range(10)]
    capital = np.mean([np.prod(1 + bet * (bound - losses)) for bet in bets])
    assert bound < 1
    assert capital == pytest.approx(1 / doubt, rel=1e-6)


@given(seed=st.integers(0, 1000), rows=st.integers(1, 200))
@settings(deadline=None, max_examples=30)
def test_a_mean_bound_grows_with_the_losses_and_forgets_their_order(seed: int, rows: int) -> None:
    random = np.random.default_rng(seed)
    losses = random.beta(0.5, 3, rows)
    bound = mean_bound(losses, 0.05)
    assert losses.mean() < bound <= 1
    assert mean_bound(losses / 2, 0.05) <= bound
    assert mean_bound(random.permutation(losses), 0.05) == pytest.approx(bound, abs=1e-9)
    assert mean_bound(losses, 0.01) >= bound
    assert mean_bound(np.ones(5), 0.05) == 1
