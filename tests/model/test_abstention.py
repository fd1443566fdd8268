"""Bounds on the risk of accepted rows hold on fresh rows as often as they say."""

from collections.abc import Callable
from fractions import Fraction
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.abstention import (
    LEVELS,
    Abstention,
    binomial_bound,
    choose,
    error_rate,
    mean_bound,
    root_mean_square,
)
from model.errors import CalibrationError


def at_most(count: int, rows: int, p: float) -> float:
    """P(Binomial(rows, p) <= count), exactly."""
    hit, miss = Fraction(p), 1 - Fraction(p)
    terms = (comb(rows, i) * hit**i * miss ** (rows - i) for i in range(count + 1))
    return float(sum(terms))


@settings(deadline=None)
@given(rows=st.integers(1, 120), part=st.floats(0, 1), doubt=st.sampled_from([0.1, 0.05, 0.001]))
def test_the_binomial_bound_is_where_the_count_is_as_rare_as_the_doubt(
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
def test_the_bound_on_a_mean_is_too_small_no_more_often_than_its_doubt(name: str) -> None:
    """600 samples: at a true 5 % more than 49 fall short once in 1,000."""
    draw, mean = DRAWS[name]
    random = np.random.default_rng(0)
    bounds = np.array([mean_bound(draw(random, 150), 0.05) for _ in range(600)])
    assert (bounds < mean).sum() <= 49
    assert np.median(bounds) < 3 * mean + 0.05  # and it says something


@given(seed=st.integers(0, 1000), rows=st.integers(40, 90), doubt=st.floats(0.01, 0.2))
@settings(deadline=None, max_examples=50)
def test_the_bound_on_a_mean_is_where_the_capital_reaches_one_over_the_doubt(
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


def certified(abstention: Abstention, risk: float) -> float | None:
    """The threshold of a requested risk, if it is certified."""
    try:
        return choose(abstention, risk).threshold
    except CalibrationError:
        return None


@pytest.mark.parametrize("rows", [100, 400])
def test_the_error_rate_of_accepted_fresh_rows_is_within_the_request(rows: int) -> None:
    """Uncertainty u is uniform, errors come at a rate of 0.3 u^3: accepting u < t has 0.075 t^3.

    400 draws of held-out rows at 95 %: more than 35 failures would come once in 1,000.
    """
    random, failures, taken = np.random.default_rng(0), 0, 0
    for _ in range(400):
        u = random.random(rows)
        abstention = error_rate(u, random.random(rows) < 0.3 * u**3)
        threshold = certified(abstention, 0.06)
        failures += threshold is not None and 0.075 * min(threshold, 1) ** 3 > 0.06
        taken += threshold is not None
    assert failures <= 35
    assert taken > (300 if rows == 400 else 15)


def test_a_risk_chosen_after_looking_is_still_within_its_bound() -> None:
    """The flattest case, an uncertainty that ranks nothing: each request is the smallest bound."""
    random, failures = np.random.default_rng(1), 0
    for _ in range(400):
        abstention = error_rate(random.random(200), random.random(200) < 0.1)
        best = min(level.bound for level in abstention.levels)
        failures += choose(abstention, best).bound < 0.1
    assert failures <= 35


def test_the_rmse_of_accepted_fresh_rows_is_within_the_request() -> None:
    """Errors are u times a uniform one in [-2, 2]: accepting u < t has an RMSE of 2 t / 3."""
    random, failures, taken = np.random.default_rng(2), 0, 0
    for _ in range(400):
        u = random.random(300)
        error = u * random.uniform(-2, 2, 300)
        abstention = root_mean_square(u, error, largest=2.0)
        threshold = certified(abstention, 0.55)
        failures += threshold is not None and 2 / 3 * min(threshold, 1) > 0.55
        taken += threshold is not None
    assert failures <= 35
    assert taken > 100


def test_the_bound_holds_on_real_rows_never_seen() -> None:
    """scikit-learn's breast cancer, a nearest-mean classifier: held-out rows drawn from half of it.

    The half is the population, drawn from with replacement, so that its true risk is known.
    """
    from sklearn.datasets import load_breast_cancer

    x, y = load_breast_cancer(return_X_y=True)
    random = np.random.default_rng(3)
    order = random.permutation(len(x))
    fit, rest = order[:200], order[200:]
    z = (np.log1p(x) - np.log1p(x[fit]).mean(0)) / np.log1p(x[fit]).std(0)
    weights = z[fit][y[fit] == 1].mean(0) - z[fit][y[fit] == 0].mean(0)
    score = z[rest] @ weights
    uncertainty, wrong = -np.abs(score), (score > 0) != (y[rest] == 1)
    assert 0.03 < wrong.mean() < 0.1
    failures, taken = 0, 0
    for _ in range(400):
        held_out = random.integers(0, len(rest), 300)
        abstention = error_rate(uncertainty[held_out], wrong[held_out])
        threshold = certified(abstention, 0.045)
        if threshold is not None:
            taken += 1
            failures += wrong[uncertainty < threshold].mean() > 0.045
    assert failures <= 35
    assert taken > 100


@given(seed=st.integers(0, 1000), risks=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)))
@settings(deadline=None, max_examples=30)
def test_who_stands_more_risk_gets_no_fewer_rows(seed: int, risks: tuple[float, float]) -> None:
    random = np.random.default_rng(seed)
    u = random.random(80)
    abstention = error_rate(u, random.random(80) < u**2)
    less, more = (certified(abstention, risk) for risk in sorted(risks))
    assert less is None or (more is not None and less <= more)


def test_the_levels_are_shares_of_the_rows_each_with_its_own_risk() -> None:
    u = np.arange(100.0)
    abstention = error_rate(u, u >= 80)
    assert [level.accepted for level in abstention.levels] == list(LEVELS)
    assert [level.risk for level in abstention.levels[:4]] == [0, 0, 0, 0]
    assert abstention.levels[4].risk == pytest.approx(10 / 90)
    assert abstention.levels[-1].threshold == np.inf
    assert choose(abstention, 1.0) == abstention.levels[-1]
    for level in abstention.levels:
        assert (u < level.threshold).mean() == level.accepted


def test_rows_of_equal_uncertainty_are_accepted_together_or_not_at_all() -> None:
    u = np.repeat([1.0, 2.0, 3.0], [10, 70, 20])
    abstention = error_rate(u, np.zeros(100))
    assert [level.accepted for level in abstention.levels] == [0.1, 0.8, 1.0]
    (only,) = error_rate(np.zeros(100), np.zeros(100)).levels
    assert only.accepted == 1


def test_a_refusal_names_the_smallest_risk_that_is_certified() -> None:
    random = np.random.default_rng(0)
    u = random.random(114)
    abstention = error_rate(u, random.random(114) < 0.3 * u**3)
    with pytest.raises(
        CalibrationError, match="114 held-out rows do not certify an error"
    ) as error:
        choose(abstention, 0.001)
    smallest = float(str(error.value).rpartition(" ")[2])
    choose(abstention, smallest)
    with pytest.raises(CalibrationError):
        choose(abstention, smallest - 2e-4)


def test_errors_beyond_the_stated_largest_count_as_that() -> None:
    u, error = np.arange(200.0), np.tile([0.1, -0.1], 100)
    wild = np.where(u == 3, 1e9, error)
    capped = np.where(u == 3, 1.0, error)
    assert root_mean_square(u, wild, largest=1.0) == root_mean_square(u, capped, largest=1.0)
    in_cm = root_mean_square(u, 100 * capped, largest=100.0)
    in_m = root_mean_square(u, capped, largest=1.0)
    for cm, m in zip(in_cm.levels, in_m.levels, strict=True):
        assert cm.risk == pytest.approx(100 * m.risk)
        assert cm.bound == pytest.approx(100 * m.bound)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(CalibrationError, match="there are none"):
        error_rate(np.zeros(0), np.zeros(0))
    with pytest.raises(CalibrationError, match="confidence lies between"):
        error_rate(np.zeros(5), np.zeros(5), confidence=1.0)
    for largest in (0.0, np.inf, np.nan):
        with pytest.raises(CalibrationError, match="largest error"):
            root_mean_square(np.zeros(5), np.zeros(5), largest=largest)
