"""A dropout rate found by trying: the rate under which held-out rows are most likely.

How much dropout suits a table hangs on how noisy its target is and how many rows there are, and
the variance across the passes hangs on the rate: few rows that say much want little of it, a noisy
target wants more. Gal and Ghahramani 2016 tried a grid; one is climbed here, so that rates far from
the best cost no training.
"""

from collections.abc import Mapping

RATES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
FIRST = 0.1  # tried before all others


def next_rate(likelihoods: Mapping[float, float]) -> float | None:
    """The rate to try after those whose likelihoods are known; None once the search is over.

    It is over where the rates beside the best one have been tried, or there are none.
    """
    if not likelihoods:
        return FIRST
    best = RATES.index(best_rate(likelihoods))
    beside = RATES[max(best - 1, 0) : best + 2]
    return next((rate for rate in beside if rate not in likelihoods), None)


def best_rate(likelihoods: Mapping[float, float]) -> float:
    """The rate of the largest likelihood; of equals the one that was tried first."""
    return max(likelihoods, key=lambda rate: likelihoods[rate])
