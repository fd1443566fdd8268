"""A dropout rate found by trying: the rate under which held-out rows are most likely.

How much dropout suits a table depends on how noisy its target is and how many rows there are, and
the variance across the passes depends on the rate: many rows that say much want little dropout, a
noisy target wants more. Gal and Ghahramani 2016 tried a grid. Here the grid is climbed from the
usual rate, so that rates far from the best cost no training. Few rows tell little: a rate is left
only where the validation rows are likelier under another by more than the standard error of that
difference.

Shapes: B held-out rows.
"""

import math
from collections.abc import Mapping

import numpy as np

from model.tasks import USUAL_RATE

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
FIRST = USUAL_RATE  # tried before all others

LogDensities = Mapping[float, np.ndarray]  # of the same rows [B], by the rate that was tried


def next_rate(tried: LogDensities) -> float | None:
    """The rate to try next: beside the best one so far; None once those have been tried."""
    if not tried:
        return FIRST
    return next((rate for rate in _beside(best_rate(tried)) if rate not in tried), None)


def best_rate(tried: LogDensities) -> float:
    """The rate that a climb from the first one ends at, among those that were tried."""
    rate = FIRST
    while likelier := [
        other
        for other in _beside(rate)
        if other in tried and is_likelier(tried[other], tried[rate])
    ]:
        rate = max(likelier, key=lambda other: float(tried[other].mean()))
    return rate


def is_likelier(one: np.ndarray, other: np.ndarray, *, errors: float = 1.0) -> bool:
    """Whether the same rows [B] are likelier in the mean, by more than so many standard errors."""
    gain = one - other
    return bool(gain.mean() > errors * gain.std() / math.sqrt(len(gain)))


def _beside(rate: float) -> tuple[float, ...]:
    at = RATES.index(rate)
    return (*RATES[max(at - 1, 0) : at], *RATES[at + 1 : at + 2])
