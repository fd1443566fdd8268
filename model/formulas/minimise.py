"""Minimise a function of one variable."""

from collections.abc import Callable

import numpy as np

GOLDEN = (5**0.5 - 1) / 2


GRID = 25


def least(loss: Callable[[float], float], low: float, high: float) -> float:
    """The x in [low, high] at which `loss` is least, to 1e-4.

    The search tries GRID points, because there may be several minima, and then takes golden
    sections between the neighbours of the best point.
    """
    grid = np.linspace(low, high, GRID)
    best = int(np.argmin([loss(float(point)) for point in grid]))
    low, high = float(grid[max(best - 1, 0)]), float(grid[min(best + 1, GRID - 1)])
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    while high - low > 1e-4:
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = loss(right)
    return (low + high) / 2
