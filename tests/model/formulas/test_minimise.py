"""The least value of a function of one variable."""

import numpy as np
import pytest

from model.formulas.minimise import least


def test_the_least_of_several_minima_is_found() -> None:
    def waves(x: float) -> float:
        return float(np.cos(3 * x) + (x - 2) ** 2 / 9)

    grid = np.linspace(-6, 6, 120_001)
    assert least(waves, -6, 6) == pytest.approx(min(grid, key=waves), abs=3e-4)
    assert least(abs, -3, 11) == pytest.approx(0, abs=1e-4)
    assert least(lambda x: x, -3, 11) == pytest.approx(-3, abs=1e-4)
