"""Noise and temperature from held-out rows: the likelihood has its maximum where they say."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import CalibrationError
from model.tuning import tuned_noise, tuned_temperature


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
    outputs = np.concatenate([means, np.broadcast_to(said, means.shape)], axis=-1)
    found = tuned_noise("heteroscedastic", outputs, actual).noise_scales
    assert found == pytest.approx([4.0, 0.25], rel=0.1)


def test_what_the_passes_spread_is_not_called_noise_as_well() -> None:
    random = np.random.default_rng(2)
    spread, noise = 1.0, 0.5
    actual = random.normal(size=(3_000, 1)) * math.hypot(spread, noise)
    outputs = spread * random.normal(size=(400, 3_000, 1))
    (found,) = tuned_noise("homoscedastic", outputs, actual).noise_scales
    assert found == pytest.approx(noise**2, rel=0.25)


def test_without_rows_there_is_nothing_to_fit() -> None:
    with pytest.raises(CalibrationError, match="none"):
        tuned_noise("homoscedastic", np.zeros((3, 0, 1)), np.zeros((0, 1)))
    with pytest.raises(CalibrationError, match="none"):
        tuned_temperature(np.zeros((3, 0, 2)), np.zeros(0, dtype=int))
