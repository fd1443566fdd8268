"""What is added to error bars: what makes two of them hold in every row, with a margin, and nothing
where they hold by themselves.
"""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.calibration.error_bars import (
    HELD,
    KNOTS,
    MARGIN,
    TOLERANCE,
    TOLERATED,
    Quantity,
    learned,
    needed,
    tied,
    tolerated,
    widened,
)
from model.passes.estimate import Estimate, wide

ROWS, BLOCKS = 100, 200
NAMES = ("mean", "variance")


def drawn(seed: int, std: float) -> np.ndarray:
    """Errors [K, B, 1]."""
    return np.random.default_rng(seed).normal(size=(BLOCKS, ROWS, 1)) * std


def test_correct_error_bars_need_no_allowance() -> None:
    one = np.ones((BLOCKS, ROWS, 1))
    assert not needed(drawn(0, 1), one, one).any()


@given(true=st.floats(1.5, 100), unit=st.floats(0.01, 100))
def test_what_is_needed_makes_two_errors_hold_in_every_row(true: float, unit: float) -> None:
    off, error, units = drawn(0, true), np.ones((BLOCKS, ROWS, 1)), np.full((1, ROWS, 1), unit)
    least = needed(off, error, np.broadcast_to(units, off.shape)).max()

    def held(allowance: float) -> np.ndarray:
        return np.asarray((np.abs(off) <= 2 * np.hypot(error, allowance * units)).mean(0))

    assert (held(least * (1 + 1e-9)) >= HELD - 1e-9).all()
    assert held(0.9 * least).min() < HELD  # and much less would not


def test_the_row_that_needs_most_decides_the_allowance() -> None:
    off, one = drawn(0, 1), np.ones((BLOCKS, ROWS, 1))
    off[:, 7] *= 50
    rows = needed(off, one, one)
    assert rows.argmax() == 7
    quantities = [{name: Quantity(block, one[0], one[0]) for name in NAMES} for block in off]
    zero = Quantity(one[0] * 0, one[0], one[0])
    found = learned(dict.fromkeys(KNOTS, quantities), dict.fromkeys(NAMES, zero))
    assert found["variance"][0] == pytest.approx(MARGIN * rows[7, 0])
    typical = np.quantile(rows, TOLERATED)
    assert found[TOLERANCE][0] == pytest.approx(typical)
    assert typical < rows[7, 0] / 2


def test_rows_without_a_unit_ask_for_nothing() -> None:
    unit = np.zeros((BLOCKS, ROWS, 1))
    assert not needed(drawn(0, 10), np.ones_like(unit), unit).any()
    none = Quantity(*(np.zeros((0, 1)) for _ in range(3)))
    found = learned({passes: [{"variance": none}] for passes in KNOTS}, {"variance": none})
    assert set(found.values()) == {(0.0, 0.0)}  # nor does no row


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
    assert 0 < found["mean"][0] == found["mean"][1] < found["variance"][0] == found["variance"][1]


def test_allowances_do_not_rise_with_the_passes_and_fall_with_their_root_at_most() -> None:
    root = (KNOTS[0] / KNOTS[1]) ** 0.5
    assert tied([0.2, 0.15]) == (0.2, 0.15)
    assert tied([0.1, 0.3]) == (0.3, 0.3)
    assert tied([0.2, 0.0]) == (0.2, pytest.approx(0.2 * root))
    assert tied([0.0, 0.0]) == (0.0, 0.0)


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


def test_a_tolerance_is_kept_for_nearly_all_rows_not_for_those_that_need_most() -> None:
    allowance = {"mean": (1.0, 1.0), "variance": (4.0, 4.0)}
    assert tolerated(allowance) == allowance  # of a card from before
    assert tolerated({**allowance, TOLERANCE: (2.0, 1.0)})["variance"] == (2.0, 1.0)
