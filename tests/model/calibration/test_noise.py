"""Noise and temperature from held-out rows: the likelihood has its maximum where they say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calibration.label_sets import tuned_classes
from model.calibration.noise import NoiseScales, rescaled, tuned_noise
from model.calibration.tuning import NoiseKind, Tuning
from model.errors import CalibrationError


@settings(max_examples=20, deadline=None)
@given(st.floats(0.02, 3.0), st.integers(0, 99))
def test_homoscedastic_noise_is_found_up_to_its_own_uncertainty(std: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    means = random.normal(size=(1, 4_000, 1))
    actual = means[0] + std * random.normal(size=(4_000, 1))
    (found,) = tuned_noise("homoscedastic", means, actual).noise_scales
    assert found == pytest.approx(std**2, rel=4 * math.sqrt(2 / 4_000))


def test_heteroscedastic_noise_is_scaled_target_by_target() -> None:
    random = np.random.default_rng(1)
    means, said = random.normal(size=(5, 4_000, 2)), np.exp(random.normal(size=(4_000, 2)))
    means[:] = means[0]
    actual = means[0] + np.sqrt(said * [4.0, 0.25]) * random.normal(size=(4_000, 2))
    outputs = np.concatenate([means, np.broadcast_to(np.log(said), means.shape)], axis=-1)
    found = tuned_noise("heteroscedastic", outputs, actual).noise_scales
    assert found == pytest.approx([4.0, 0.25], rel=0.1)


@pytest.mark.parametrize("power", [0.4, 1.0, 1.3])
def test_a_power_makes_noise_differ_less_or_more_from_row_to_row(power: float) -> None:
    random = np.random.default_rng(3)
    said = np.exp(2 * random.normal(size=(8_000, 1)))
    actual = np.sqrt(3 * said**power) * random.normal(size=(8_000, 1))
    outputs = np.stack([np.zeros_like(said), np.log(said)], axis=-1).reshape(1, 8_000, 2)
    found = tuned_noise("heteroscedastic", outputs, actual)
    assert found.noise_powers == pytest.approx([power], abs=0.05)
    assert found.noise_scales == pytest.approx([3], rel=0.1)


def disagreeing(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-variances [50, B] of passes that disagree about the noise, and one of each row, [B]."""
    logs = 1.5 * random.normal(size=rows) + random.normal(size=(50, rows))
    return logs, logs[random.integers(50, size=rows), np.arange(rows)]


@pytest.mark.parametrize("power", [0.4, 1.0])
@pytest.mark.parametrize("spread", [0.0, 1.0])
def test_the_noise_is_that_of_errors_also_where_passes_disagree_about_it(
    power: float, spread: float
) -> None:
    """An error comes from the noise of any pass; their mean log-variance alone would miss some."""
    random = np.random.default_rng(9)
    logs, claimed = disagreeing(random, 5_000)
    variance = spread * random.uniform(0.2, 3, 5_000)
    error = np.sqrt(0.5 * variance + 2 * np.exp(power * claimed)) * random.normal(size=5_000)
    means = np.sqrt(variance) * random.normal(size=(50, 5_000))
    outputs = np.stack([means - means.mean(0), logs], axis=-1)
    found = tuned_noise("heteroscedastic", outputs, error[:, None])
    assert found.noise_powers == pytest.approx([power], abs=0.06)
    assert found.noise_scales == pytest.approx([2 * math.exp(power**2 / 2)], rel=0.12)
    if spread:
        assert found.variance_factors == pytest.approx([0.5], rel=0.35)


def test_rows_far_off_hardly_flatten_the_noise() -> None:
    """One in a hundred, of which the network claims less noise than of most."""
    random = np.random.default_rng(10)
    logs, claimed = disagreeing(random, 4_000)
    error = np.exp(claimed / 2) * random.normal(size=4_000)
    error[np.argsort(logs.mean(0))[1_000:1_040]] *= 5
    outputs = np.stack([np.zeros_like(logs), logs], axis=-1)
    found = tuned_noise("heteroscedastic", outputs, error[:, None])
    assert found.noise_powers == pytest.approx([1], abs=0.13)


def test_one_row_of_a_huge_error_does_not_decide_the_noise_of_all() -> None:
    random = np.random.default_rng(11)
    said = random.normal(size=(1, 150))
    error = np.exp(said[0] / 2) * random.normal(size=150)
    outputs = np.stack([np.zeros_like(said), said], axis=-1)
    before = tuned_noise("heteroscedastic", outputs, error[:, None])
    error[np.argmin(said[0])] *= 30
    after = tuned_noise("heteroscedastic", outputs, error[:, None])
    assert after.noise_powers[0] > 0.6 * before.noise_powers[0]
    assert after.noise_scales[0] < 2.5 * before.noise_scales[0]


def ensemble(
    random: np.random.Generator, rows: int, *, within: float, between: float
) -> tuple[np.ndarray, np.ndarray]:
    """Passes [100, B, 1] of five members, and errors with these factors on their disagreement."""
    disagreement = random.exponential(size=rows)
    means = np.sqrt(disagreement) * random.normal(size=(5, rows))
    means -= means.mean(0)
    noise = 0.3 * random.uniform(0.5, 2, rows)
    passes = np.tile(means, (20, 1)) + np.sqrt(noise) * random.normal(size=(100, rows))
    square = within * noise + between * means.var(0) + 0.04
    return passes[..., None], (np.sqrt(square) * random.normal(size=rows))[:, None]


@pytest.mark.parametrize(("within", "between"), [(1.0, 0.5), (0.5, 4.0)])
def test_the_variance_between_members_has_a_factor_of_its_own(
    within: float, between: float
) -> None:
    passes, actual = ensemble(np.random.default_rng(12), 20_000, within=within, between=between)
    found = tuned_noise("homoscedastic", passes, actual, members=5)
    assert found.member_factors == pytest.approx([between], rel=0.12)
    assert found.variance_factors == pytest.approx([within], rel=0.3)
    alone = tuned_noise("homoscedastic", passes, actual)
    assert alone.member_factors == ()


@pytest.mark.parametrize("claimed", [-22.0, -11.0, 0.0])
def test_what_the_network_claims_is_bounded_only_once_it_is_scaled(claimed: float) -> None:
    """Claims of little noise, doubled by the power, are far below any noise there is."""
    random = np.random.default_rng(8)
    said = claimed + random.normal(size=(5_000, 1))
    true = np.exp(2 * (said - claimed) - 12)
    actual = np.sqrt(true) * random.normal(size=true.shape)
    outputs = np.stack([np.concatenate([np.zeros_like(said), said], axis=-1)] * 2)
    found = tuned_noise("heteroscedastic", outputs, actual)
    (power,) = found.noise_powers
    assert power == pytest.approx(2, rel=0.1)
    noise = NoiseScales(np.array(found.noise_scales)).variances(power * said)
    assert np.log(noise / true) == pytest.approx(np.zeros_like(true), abs=0.8)


def test_noise_of_unknown_scale_is_none_and_wild_claims_have_a_bound() -> None:
    logs = np.array([[-1e5, 0.0], [1e5, 1e5], [np.log(4.0), 1.0]])
    found = NoiseScales(np.array([0.5, 0.0])).variances(logs)
    assert found[:, 1].tolist() == [0, 0, 0]
    assert found[2, 0] == pytest.approx(2)
    assert 0 < found[0, 0] < 1e-8 < 1e5 < found[1, 0] < np.inf


def test_few_rows_leave_the_power_near_one() -> None:
    """Noise that is the same everywhere, beside a network that says otherwise."""
    random = np.random.default_rng(4)
    said, actual = np.exp(random.normal(size=(5_000, 1))), random.normal(size=(5_000, 1))
    outputs = np.concatenate([np.zeros_like(said), np.log(said)], axis=-1)[None]
    powers = [
        tuned_noise("heteroscedastic", outputs[:, :rows], actual[:rows]).noise_powers[0]
        for rows in (3, 40, 5_000)
    ]
    assert 1.2 > powers[0] > 0.7 > powers[1] > powers[2]
    assert powers[2] < 0.05


def test_a_row_of_extreme_log_variance_does_no_harm() -> None:
    random = np.random.default_rng(6)
    actual = random.normal(size=(500, 1))
    outputs = np.zeros((1, 500, 2))
    outputs[0, :2, 1] = -np.inf, np.inf
    found = tuned_noise("heteroscedastic", outputs, actual)
    assert [*found.noise_scales, *found.typical_stds] == pytest.approx([1, 1], rel=0.15)


@pytest.mark.parametrize("noise", ["homoscedastic", "heteroscedastic"])
def test_the_typical_std_has_the_spread_of_the_passes_and_the_noise_in_it(noise: NoiseKind) -> None:
    random = np.random.default_rng(5)
    means = 0.3 * random.normal(size=(50, 600, 2))
    actual = means[0] + [0.4, 1.2] * random.normal(size=(600, 2))
    outputs = means if noise == "homoscedastic" else np.concatenate([means, means * 0], axis=-1)
    found = tuned_noise(noise, outputs, actual).typical_stds
    assert found == pytest.approx([0.5, math.hypot(0.3, 1.2)], rel=0.08)


@pytest.mark.parametrize("factor", [0.05, 1.0, 4.0])
@pytest.mark.parametrize("noise", ["homoscedastic", "heteroscedastic"])
@pytest.mark.parametrize("passes", [40, 400])
def test_what_the_passes_spread_is_told_from_the_noise(
    factor: float, noise: NoiseKind, passes: int
) -> None:
    """Where both differ from row to row; and the error of a mean of few passes is neither."""
    random = np.random.default_rng(2)
    shape, said = (4_000, 1), np.zeros((4_000, 1))
    spread, centre = random.uniform(0.2, 3, shape), random.normal(size=shape)
    if noise == "heteroscedastic":
        said = random.normal(size=shape)
    total = factor * spread**2 + 0.5 * np.exp(said)
    actual = centre + np.sqrt(total) * random.normal(size=shape)
    means = centre + spread * random.normal(size=(passes, *shape))
    outputs = means
    if noise == "heteroscedastic":
        outputs = np.concatenate([means, np.tile(said, (passes, 1, 1))], axis=-1)
    found = tuned_noise(noise, outputs, actual)
    assert found.noise_scales == pytest.approx([0.5], rel=0.35)
    assert found.variance_factors == pytest.approx([factor], rel=0.2, abs=0.025)


def test_few_rows_leave_the_factor_near_one() -> None:
    random, factors = np.random.default_rng(3), []
    for rows in (3, 30, 3_000):
        means = random.uniform(0.5, 3, (1, rows, 1)) * random.normal(size=(100, rows, 1))
        actual = 0.3 * random.normal(size=(rows, 1))  # of passes that spread far too much
        factors += tuned_noise("homoscedastic", means, actual).variance_factors
    assert 1 > factors[0] > 0.25 > factors[1] > factors[2]


def test_where_passes_never_differ_the_factor_of_their_variance_is_one() -> None:
    actual = np.random.default_rng(7).normal(size=(50, 1))
    found = tuned_noise("homoscedastic", np.zeros((20, 50, 1)), actual)
    assert found.variance_factors == pytest.approx([1.0])
    assert found.noise_scales == pytest.approx([np.mean(actual**2)], rel=0.02)


def test_one_wild_pass_does_not_make_a_row_noisy() -> None:
    """Log-variances are averaged, not variances."""
    random = np.random.default_rng(8)
    actual = random.normal(size=(300, 1))
    outputs = np.zeros((100, 300, 2))
    outputs[0, ::10, 1] = 12.0  # one pass in a hundred claims a noise variance of 160,000
    found = tuned_noise("heteroscedastic", outputs, actual)
    assert [*found.noise_scales, *found.typical_stds] == pytest.approx([1, 1], rel=0.15)


@settings(max_examples=30, deadline=None)
@given(st.floats(0.3, 2), st.integers(0, 99))
def test_a_common_factor_makes_z_scores_right_the_more_the_more_rows(
    error: float, seed: int
) -> None:
    squares = (error * np.random.default_rng(seed).normal(size=(2_000, 1))) ** 2
    given = Tuning(variance_factors=(0.5,), noise_scales=(2.0,), typical_stds=(3.0,))
    many, few = rescaled(given, squares), rescaled(given, squares[:5])
    found = many.noise_scales[0] / 2.0
    assert found == pytest.approx(np.mean(squares), rel=0.02)
    assert many.variance_factors == pytest.approx([0.5 * found])
    assert many.typical_stds == pytest.approx([3.0 * math.sqrt(found)])
    five = float(np.mean(squares[:5]))
    assert min(five, 1) <= few.noise_scales[0] / 2.0 <= max(five, 1)


def test_one_row_that_is_far_off_moves_the_factor_but_not_by_all_of_its_error() -> None:
    squares = np.random.default_rng(11).normal(size=(200, 1)) ** 2
    factors = []
    for far in (0.0, 20.0, 1_200.0, 1e12):
        squares[0] = far
        factors += rescaled(Tuning(noise_scales=(1.0,)), squares).noise_scales
    rest = float(np.mean(squares[1:]))
    assert factors[:2] == pytest.approx([rest, rest + 0.1], rel=0.03)
    assert factors[1] < factors[2] < 2.1 * rest
    assert factors[3] == pytest.approx(factors[2])


def test_a_factor_that_nobody_fitted_counts_as_one_and_every_target_has_its_own() -> None:
    squares = np.tile([0.25, 4.0], (5_000, 1))
    found = rescaled(Tuning(noise_scales=(1.0, 1.0)), squares)
    assert found.variance_factors == pytest.approx([0.25, 4.0], rel=0.01)
    assert found.noise_scales == found.variance_factors
    assert found.typical_stds == ()


def test_without_rows_there_is_nothing_to_fit() -> None:
    with pytest.raises(CalibrationError, match="none"):
        tuned_noise("homoscedastic", np.zeros((3, 0, 1)), np.zeros((0, 1)))
    with pytest.raises(CalibrationError, match="none"):
        tuned_classes(np.zeros((3, 0, 2)), np.zeros(0, dtype=int))
