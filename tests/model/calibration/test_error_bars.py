"""What is added to error bars: the least that makes two of them hold, and nothing where they do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration.error_bars import HELD, KNOTS, Quantity, learned, needed, widened
from model.passes.estimate import Estimate, wide

ROWS, BLOCKS = 100, 200


def drawn(seed: int, std: float) -> np.ndarray:
    """Errors [K, B, 1]."""
    return np.random.default_rng(seed).normal(size=(BLOCKS, ROWS, 1)) * std


def test_honest_error_bars_need_nothing() -> None:
    assert needed(drawn(0, 1), np.ones((BLOCKS, ROWS, 1)), np.ones((BLOCKS, ROWS, 1))) == 0


@given(true=st.floats(1.5, 100), unit=st.floats(0.01, 100))
def test_what_is_needed_makes_two_errors_hold_in_all_but_few_rows(true: float, unit: float) -> None:
    off, error, units = drawn(0, true), np.ones((BLOCKS, ROWS, 1)), np.full((1, ROWS, 1), unit)
    found = needed(off, error, np.broadcast_to(units, off.shape))
    held = (np.abs(off) <= 2 * np.hypot(error, found * units)).mean(0)
    assert (held >= HELD - 1e-9).mean() >= 0.98
    smaller = (np.abs(off) <= 2 * np.hypot(error, 0.9 * found * units)).mean(0)
    assert (smaller >= HELD).mean() < 0.98  # and no less would


def test_rows_without_a_unit_ask_for_nothing() -> None:
    unit = np.zeros((BLOCKS, ROWS, 1))
    assert needed(drawn(0, 10), np.ones_like(unit), unit) == 0
    assert needed(*(np.zeros((3, 0, 1)) for _ in range(3))) == 0  # nor does no row


def test_an_allowance_is_learned_for_each_quantity_and_number_of_passes() -> None:
    def blocks(true: float, seed: int) -> list[dict[str, Quantity]]:
        one = np.ones((ROWS, 1))
        return [
            {"mean": Quantity(off, one, one), "variance": Quantity(off * 3, one, one)}
            for off in drawn(seed, true)
        ]

    zero = np.zeros((ROWS, 1))
    truth = {name: Quantity(zero, zero, zero) for name in ("mean", "variance")}
    found = learned({KNOTS[0]: blocks(1, 0), KNOTS[1]: blocks(2, 1)}, truth)
    assert found["mean"][0] == 0 < found["mean"][1] < found["variance"][0] < found["variance"][1]


def test_allowances_between_and_beyond_the_knots() -> None:
    unit = np.full((4, 2), 10.0)
    quantity = Quantity(unit, np.zeros((4, 2)), unit)
    few, many = KNOTS
    passes = np.array([few, many, 100 * many, (few * many) ** 0.5])
    found = widened(quantity, (0.5, 0.3), passes)
    np.testing.assert_allclose(found[:, 1], [5, 3, 0.3, 4])
    assert widened(quantity, (0.5, 0.3), few // 4)[0, 0] == pytest.approx(10)


def test_errors_are_widened_in_quadrature_and_nothing_else_changes() -> None:
    estimate = Estimate(*(np.full((1, 1), value) for value in (5.0, 4.0, 3.0, 6.0)))
    quantities = {
        "mean": Quantity(estimate.mean, estimate.mean_error, np.full((1, 1), 40.0)),
        "variance": Quantity(estimate.variance, estimate.variance_error, np.full((1, 1), 80.0)),
    }
    found = wide(estimate, quantities, {"mean": (0.1, 0.1), "variance": (0.1, 0.1)}, KNOTS[0])
    assert (found.mean_error.item(), found.variance_error.item()) == pytest.approx((5, 10))
    assert (found.mean.item(), found.variance.item()) == (5, 4)
