"""Search for the dropout rate under which validation rows have the highest mean log density.

The best rate depends on the table: little dropout for many rows and little noise, more dropout for
a noisy target. The variance across the passes depends on the rate. Gal and Ghahramani 2016 tried
all rates of a grid. This search climbs the grid from the usual rate, so that it trains no network
at rates far from the best. It moves to another rate only if the mean log density is higher there by
more than the standard error of the difference, because few rows tell rates apart badly.

Shapes: B held-out rows.
"""

import math
from collections.abc import Mapping

import numpy as np

from model.tasks import USUAL_RATE

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
FIRST = USUAL_RATE  # tried before all others

LogDensities = Mapping[float, np.ndarray]  # rate that was tried -> log density of each row [B]


def next_rate(tried: LogDensities) -> float | None:
    """The rate to try next, a neighbour of the best so far; None if both have been tried."""
    if not tried:
        return FIRST
    return next((rate for rate in _beside(best_rate(tried)) if rate not in tried), None)


def best_rate(tried: LogDensities) -> float:
    """The rate at which a climb from FIRST ends, among the rates that were tried."""
    rate = FIRST
    while likelier := [
        other
        for other in _beside(rate)
        if other in tried and is_likelier(tried[other], tried[rate])
    ]:
        rate = max(likelier, key=lambda other: float(tried[other].mean()))
    return rate


def is_likelier(one: np.ndarray, other: np.ndarray, *, errors: float = 1.0) -> bool:
    """Whether `one` has the higher mean log density [B], by more than `errors` standard errors."""
    gain = one - other
    return bool(gain.mean() > errors * gain.std() / math.sqrt(len(gain)))


def _beside(rate: float) -> tuple[float, ...]:
    at = RATES.index(rate)
    return (*RATES[max(at - 1, 0) : at], *RATES[at + 1 : at + 2])
