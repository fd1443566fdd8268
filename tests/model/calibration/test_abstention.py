"""Bounds on the risk of accepted rows hold on fresh rows as often as they say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calibration.abstention import (
    ACCEPTED_SHARES,
    Abstention,
    choose,
    error_rate,
    root_mean_square,
)
from model.errors import CalibrationError


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
def test_a_larger_tolerated_risk_accepts_no_fewer_rows(
    seed: int, risks: tuple[float, float]
) -> None:
    random = np.random.default_rng(seed)
    u = random.random(80)
    abstention = error_rate(u, random.random(80) < u**2)
    less, more = (certified(abstention, risk) for risk in sorted(risks))
    assert less is None or (more is not None and less <= more)


def test_the_levels_are_shares_of_the_rows_each_with_its_own_risk() -> None:
    u = np.arange(100.0)
    abstention = error_rate(u, u >= 80)
    assert [level.accepted for level in abstention.levels] == list(ACCEPTED_SHARES)
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
