"""Upper bounds on a probability and on a mean, from few independent draws."""

from collections.abc import Callable
from math import log

import numpy as np

BETS = 2.0 ** -np.arange(10)  # shares of the capital bet on a smaller mean; noisy losses need small


HALVINGS = 40  # of [0, 1] in the search for a bound


def binomial_bound(count: int, rows: int, doubt: float) -> float:
    """The p at which P(Binomial(rows, p) <= count) = `doubt`: an upper bound on a probability.

    It is too small with probability `doubt` at most (Clopper and Pearson 1934).
    """
    if count >= rows:
        return 1.0
    i = np.arange(1, count + 1)
    choices = np.concatenate([[0.0], np.cumsum(np.log(rows + 1 - i) - np.log(i))])  # log binomials
    hits = np.arange(count + 1)

    def refuted(p: float) -> bool:
        logs = choices + hits * np.log(p) + (rows - hits) * np.log1p(-p)
        top = logs.max()
        return bool(top + np.log(np.exp(logs - top).sum()) < log(doubt))

    return _smallest(refuted)


def mean_bound(losses: np.ndarray, doubt: float) -> float:
    """An upper bound on the mean of losses in [0, 1], too small with probability `doubt` at most.

    The bound comes from bets b (Waudby-Smith and Ramdas 2024). If the mean is at least m, the
    capital prod(1 + b (m - loss)) does not grow on average, so it reaches 1 / doubt with
    probability `doubt` at most (Markov), which refutes m. The capital is divided equally among
    BETS. The order of the rows does not matter.
    """

    def refuted(mean: float) -> bool:
        capital = np.log1p(BETS[:, None] * (mean - losses)).sum(1)  # [bets], logarithms
        top = capital.max()
        return bool(top + np.log(np.exp(capital - top).mean()) >= -log(doubt))

    return _smallest(refuted)


def _smallest(refuted: Callable[[float], bool]) -> float:
    """The smallest number in [0, 1] above which all numbers are refuted; 1 if none is."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if refuted(middle) else (middle, high)
    return high
