"""Choose the dropout rate under which validation rows have the highest mean log density.

The best rate depends on the table: little dropout for many rows and little noise, more dropout for
a noisy target. The variance across the passes depends on the rate. Gal and Ghahramani 2016 tried
all rates of a grid, and so does this choice, with networks that train at once. It starts from a
usual rate and moves to a neighbour of the grid only if the mean log density is higher there by more
than the standard error of the difference, because few rows tell rates apart badly.

Shapes: B held-out rows.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from model.tasks import ENSEMBLE_RATE

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)

LogDensities = Mapping[float, np.ndarray]  # rate that was tried -> log density of each row [B]


def best_rate(tried: LogDensities, usual: float = ENSEMBLE_RATE) -> float:
    """The rate at which a climb from the one nearest to the usual ends, among those tried."""
    rates = sorted(tried)
    rate = min(rates, key=lambda each: abs(math.log(each / usual)))
    while likelier := [
        other for other in _beside(rate, rates) if is_likelier(tried[other], tried[rate])
    ]:
        rate = max(likelier, key=lambda other: float(tried[other].mean()))
    return rate


def is_likelier(one: np.ndarray, other: np.ndarray, *, errors: float = 1.0) -> bool:
    """Whether `one` has the higher mean log density [B], by more than `errors` standard errors.

    Densities that are not all finite are those of a network that overflows, and lower than others.
    """
    sound, beside = np.isfinite(one).all(), np.isfinite(other).all()
    if not (sound and beside):
        return bool(sound) and not beside
    gain = one - other
    return bool(gain.mean() > errors * gain.std() / math.sqrt(len(gain)))


def _beside(rate: float, rates: Sequence[float]) -> tuple[float, ...]:
    at = rates.index(rate)
    return (*rates[max(at - 1, 0) : at], *rates[at + 1 : at + 2])
