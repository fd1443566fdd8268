"""The temperature of a classifier: the maximum of the likelihood, found."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calibration.temperature import PRIOR, TEMPERATURES, fit_temperature, log_loss
from model.errors import CalibrationError


def softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray(weights / weights.sum(-1, keepdims=True))


@given(
    seed=st.integers(0, 1000),
    passes=st.integers(1, 9),
    scale=st.sampled_from([0.1, 3.0]),
    temperature=st.floats(0.3, 5),
)
def test_the_log_loss_is_that_of_the_averaged_softmax(
    seed: int, passes: int, scale: float, temperature: float
) -> None:
    random = np.random.default_rng(seed)
    logits, labels = scale * random.normal(size=(passes, 7, 3)), random.integers(0, 3, 7)
    averaged = softmax(logits / temperature).mean(0)
    expected = -np.log(averaged[np.arange(7), labels]).mean()
    assert log_loss(logits, labels, temperature) == pytest.approx(expected)


def test_the_log_loss_of_the_hopelessly_wrong_is_large_and_finite() -> None:
    logits = np.array([[[0.0, 5000.0]], [[0.0, 4000.0]]])
    assert log_loss(logits, np.array([0])) == pytest.approx(4000 + np.log(2))


@pytest.mark.parametrize("temperature", [0.4, 1.0, 2.5])
def test_the_temperature_of_labels_drawn_at_it_is_found(temperature: float) -> None:
    random = np.random.default_rng(0)
    logits = 2 * random.normal(size=(1, 4000, 5)) + random.normal(size=(20, 4000, 5))
    p = softmax(logits / temperature).mean(0)
    labels = (random.random((4000, 1)) > np.cumsum(p, axis=1)[:, :-1]).sum(1)
    assert fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.08)


@given(seed=st.integers(0, 1000), scale=st.sampled_from([0.5, 2.0, 10.0]))
@settings(deadline=None, max_examples=30)
def test_no_temperature_of_a_fine_grid_is_better(seed: int, scale: float) -> None:
    random = np.random.default_rng(seed)
    logits, labels = scale * random.normal(size=(4, 30, 3)), random.integers(0, 3, 30)
    found = fit_temperature(logits, labels)
    assert TEMPERATURES[0] <= found <= TEMPERATURES[1]
    grid = np.geomspace(*TEMPERATURES, 400)

    def improbability(t: float) -> float:
        return 30 * log_loss(logits, labels, t) + (math.log(t) / PRIOR[t > 1]) ** 2 / 2

    assert improbability(found) <= min(improbability(float(t)) for t in grid) + 1e-4


def test_few_rows_that_are_all_right_do_not_make_every_class_certain() -> None:
    logits = 3 * np.eye(3)[None]
    few = fit_temperature(logits, np.arange(3))
    many = fit_temperature(np.tile(logits, (1, 400, 1)), np.tile(np.arange(3), 400))
    assert 0.5 < few < 1
    assert many < few
    with pytest.raises(CalibrationError, match="there are none"):
        fit_temperature(logits[:, :0], np.zeros(0, dtype=int))
