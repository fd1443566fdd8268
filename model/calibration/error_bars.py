"""How much to add to Monte-Carlo error bars, learned on rows like those to come.

An error bar is made of the passes that were run. What moves the outputs once in 5,000 passes is not
among 100 of them, and they cannot tell: the estimate misses its share, and the error bar knows of
nothing. So calibration rows are asked with many passes, once; blocks of those are estimates from
few, whose errors are known. A row needs the least number of units that, added to the error bars of
its blocks in quadrature, makes two of them hold the truth in HELD of the blocks. The allowance of a
network is MARGIN times what the neediest of its calibration rows needs. The unit is one that every
row has, such as the passes' own std for a mean.

Rows that need much cannot be told from the others in advance. Neither the kurtosis of the linear
control, the largest effect of a single unit or the size of the curvature nor the error bars of the
passes themselves found the rows that failed, so that all rows get the same allowance.

Shapes: K blocks, B rows, V values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

KNOTS = (32, 100)  # passes at which allowances are learned


BLOCKS = (64, 40)  # of so many passes
HELD = 0.88
MARGIN = 2.0
"""Among 200 fresh rows one may need more than each of 128 others. Of 9 networks a row failed on 6
with a margin of 1, of 17 on 2 with 1.5, by the draw of calibration rows, of 18 on none with 2."""
MOST_ROWS = 128  # are asked


TOLERATED = 0.95  # of the rows, for which a tolerance is kept
TOLERANCE = "tolerance"

Allowance = Mapping[str, Sequence[float]]
"""Units at KNOTS, by what the error is of: `mean`, `variance`, `mutual_information`.

`tolerance` is of the variance, too, but with what TOLERATED of the rows need: passes are added
until that is small enough, and the few rows that need more would cost all others many passes."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """What an estimate says of each row, and how far off it may be; all [B, V] or [B]."""

    value: np.ndarray
    error: np.ndarray
    unit: np.ndarray


Quantities = Mapping[str, Quantity]


def learned(blocks: Mapping[int, Sequence[Quantities]], truth: Quantities) -> Allowance:
    """The allowance of what estimates from so many passes each say, beside the truth."""

    def of_rows(name: str, passes: int) -> np.ndarray:
        found = [each[name] for each in blocks[passes]]
        return needed(
            np.stack([each.value - truth[name].value for each in found]),
            np.stack([each.error for each in found]),
            np.stack([each.unit for each in found]),
        )

    rows = {name: [of_rows(name, passes) for passes in KNOTS] for name in truth}
    allowance = {
        name: tied([MARGIN * each.max(initial=0) for each in needs]) for name, needs in rows.items()
    }
    typical = [np.quantile(each, TOLERATED) if each.size else 0.0 for each in rows["variance"]]
    return {**allowance, TOLERANCE: tied(typical)}


def needed(off: np.ndarray, error: np.ndarray, unit: np.ndarray) -> np.ndarray:
    """The least allowance with which two errors hold in HELD of the blocks; all [K, B, ...].

    Of each row, [B, ...]. Where the unit is 0, nothing is needed.
    """
    short = np.sqrt(np.maximum(np.square(off / 2) - np.square(error), 0))
    each = np.divide(short, unit, out=np.zeros_like(short), where=unit > 0)
    return np.asarray(np.quantile(each, HELD, axis=0, method="higher"))


def tied(needs: Sequence[float]) -> tuple[float, ...]:
    """The least allowances at KNOTS that are enough, do not rise from knot to knot, and fall no
    faster than with the root of the number of passes, as all errors do.

    What is rare is missed by few blocks of one length and by many of another: both have a say.
    """
    most = [max(needs[at:]) for at in range(len(KNOTS))]
    return tuple(
        max(
            float(need) * math.sqrt(fewer / passes)
            for fewer, need in zip(KNOTS, most[: at + 1], strict=False)
        )
        for at, passes in enumerate(KNOTS)
    )


def widened(found: Quantity, allowance: Sequence[float], passes: int | np.ndarray) -> np.ndarray:
    """The errors with the allowance for so many passes, [B] or one number."""
    units = np.reshape(_at(allowance, passes), (-1, *[1] * (found.unit.ndim - 1)))
    return np.asarray(np.hypot(found.error, found.unit * units))


def tolerated(allowance: Allowance) -> Allowance:
    """The same, with what TOLERATED of the rows need for their variances.

    Cards from before there was such a thing have one allowance for both.
    """
    return {**allowance, "variance": allowance.get(TOLERANCE, allowance["variance"])}


def _at(allowance: Sequence[float], passes: int | np.ndarray) -> np.ndarray:
    """The allowance for each number of passes: between the knots by the logarithms.

    Beyond them it falls with the root, as all errors do.
    """
    taken = np.maximum(passes, 1)
    inside = np.clip(taken, KNOTS[0], KNOTS[-1])
    between = np.interp(np.log(inside), np.log(KNOTS), allowance)
    return np.asarray(between * np.sqrt(inside / taken))
