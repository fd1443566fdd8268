"""How much to add to Monte-Carlo error bars, learned on rows like those to come.

An error bar is made of the passes that were run. What moves the outputs once in 5,000 passes is not
among 100 of them, and they cannot tell: the estimate misses its share, and the error bar knows of
nothing. So calibration rows are asked with many passes, once; blocks of those are estimates from
few, whose errors are known. An allowance is the least number of units that, added to the error bars
of a block in quadrature, makes two of them hold the truth in HELD of the blocks, for all but REST
of the rows. The unit is one that every row has, such as the passes' own std for a mean.

Shapes: K blocks, B rows, V values.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

KNOTS = (32, 100)  # passes at which allowances are learned


BLOCKS = (64, 40)  # of so many passes


HELD, REST = 0.88, 0.01


MOST_ROWS = 128  # are asked


Allowance = Mapping[str, Sequence[float]]
"""Units at KNOTS, by what the error is of: `mean`, `variance`, `mutual_information`."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an estimate says of each row, and how far off it may be; all [B, V] or [B]."""

    value: np.ndarray
    error: np.ndarray
    unit: np.ndarray


Quantities = Mapping[str, Quantity]


def learned(blocks: Mapping[int, Sequence[Quantities]], truth: Quantities) -> Allowance:
    """The allowance of what estimates from so many passes each say, beside the truth."""
    return {
        name: tuple(
            needed(
                np.stack([found[name].value - truth[name].value for found in blocks[passes]]),
                np.stack([found[name].error for found in blocks[passes]]),
                np.stack([found[name].unit for found in blocks[passes]]),
            )
            for passes in KNOTS
        )
        for name in truth
    }


def needed(off: np.ndarray, error: np.ndarray, unit: np.ndarray) -> float:
    """The least allowance with which two errors hold; all [K, B, ...]. None where the unit is 0."""
    short = np.sqrt(np.maximum(np.square(off / 2) - np.square(error), 0))
    each = np.divide(short, unit, out=np.zeros_like(short), where=unit > 0)
    of_rows = np.quantile(each, HELD, axis=0, method="higher")
    return float(np.quantile(of_rows, 1 - REST, method="higher")) if of_rows.size else 0.0


def widened(found: Quantity, allowance: Sequence[float], passes: int | np.ndarray) -> np.ndarray:
    """The errors with the allowance for so many passes, [B] or one number."""
    units = np.reshape(_at(allowance, passes), (-1, *[1] * (found.unit.ndim - 1)))
    return np.asarray(np.hypot(found.error, found.unit * units))


def _at(allowance: Sequence[float], passes: int | np.ndarray) -> np.ndarray:
    """The allowance for each number of passes: between the knots by the logarithms.

    Beyond them it falls with the root, as all errors do.
    """
    taken = np.maximum(passes, 1)
    inside = np.clip(taken, KNOTS[0], KNOTS[-1])
    between = np.interp(np.log(inside), np.log(KNOTS), allowance)
    return np.asarray(between * np.sqrt(inside / taken))
