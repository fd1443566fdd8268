"""Allowances: what to add to Monte-Carlo error bars, learned on calibration rows.

An error bar is computed from the passes that were run. An effect that occurs once in 5,000 passes
is usually absent from 100 passes. Then the estimate misses it, and so does the error bar. So
training runs many passes for some calibration rows, once. Blocks of those passes are estimates
whose errors are known. For each row,

    needed = the least u with |error| <= 2 sqrt(error bar^2 + (u unit)^2) in HELD of its blocks,

where the unit of a mean is the std of the passes, for example. The allowance of a network is
MARGIN times the largest `needed` of its calibration rows.

All rows get the same allowance, because nothing known in advance tells which rows need much. The
kurtosis of the linear control, the largest effect of a single unit, the size of the curvature and
the error bars of the passes did not find the rows that failed.

Shapes: K blocks, B rows, V values.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

KNOTS = (32, 100)  # numbers of passes at which allowances are learned


BLOCKS = (64, 40)  # numbers of blocks, one for each of KNOTS
HELD = 0.88
MARGIN = 2.0
"""One of 200 new rows may need more than each of 128 calibration rows. With a margin of 1, a row
failed on 6 of 9 networks; with 1.5 on 2 of 17, depending on the draw of calibration rows; with 2 on
none of 18."""
MOST_ROWS = 128  # calibration rows that are used


TOLERATED = 0.95  # share of the rows whose need the tolerance covers
TOLERANCE = "tolerance"

Allowance = Mapping[str, Sequence[float]]
"""Units at KNOTS, by quantity: `mean`, `variance`, `mutual_information`.

`tolerance` is for the variance too, but covers only TOLERATED of the rows. A request with a
tolerance adds passes until the error is small enough, and the few rows that need more would cost
all other rows many passes."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """An estimate of each row, its error bar, and the unit of its allowance; all [B, V] or [B]."""

    value: np.ndarray
    error: np.ndarray
    unit: np.ndarray


Quantities = Mapping[str, Quantity]


def learned(blocks: Mapping[int, Sequence[Quantities]], truth: Quantities) -> Allowance:
    """The allowance, from blocks of estimates by their number of passes, and from the truth."""

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
    """The units [B, ...] that each row needs, from blocks [K, B, ...]; see the head of this module.

    `off` is how far an estimate is from the truth. Where the unit is 0, 0 is needed.
    """
    short = np.sqrt(np.maximum(np.square(off / 2) - np.square(error), 0))
    each = np.divide(short, unit, out=np.zeros_like(short), where=unit > 0)
    return np.asarray(np.quantile(each, HELD, axis=0, method="higher"))


def tied(needs: Sequence[float]) -> tuple[float, ...]:
    """The least allowances at KNOTS that cover the needs, with two constraints.

    They do not rise with the number of passes, and fall no faster than 1 / sqrt(passes), as all
    errors do. So both knots inform both allowances: a rare effect may be missed by few blocks of
    one length and by many of the other.
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
    """The error bars with the allowance added; `passes` is [B] or one number."""
    if isinstance(passes, int):
        return np.asarray(np.hypot(found.error, found.unit * _at_one(tuple(allowance), passes)))
    units = np.reshape(_at(allowance, passes), (-1, *[1] * (found.unit.ndim - 1)))
    return np.asarray(np.hypot(found.error, found.unit * units))


def tolerated(allowance: Allowance) -> Allowance:
    """The allowances with `tolerance` in the place of `variance`.

    Old cards have no `tolerance`; then `variance` stays.
    """
    return {**allowance, "variance": allowance.get(TOLERANCE, allowance["variance"])}


@lru_cache(256)
def _at_one(allowance: tuple[float, ...], passes: int) -> float:
    """`_at` of one number: most requests have that of an earlier request."""
    return float(_at(allowance, passes))


def _at(allowance: Sequence[float], passes: int | np.ndarray) -> np.ndarray:
    """The allowance for each number of passes, interpolated in log(passes) between the knots.

    Above the last knot it falls as 1 / sqrt(passes), as all errors do.
    """
    taken = np.maximum(passes, 1)
    inside = np.clip(taken, KNOTS[0], KNOTS[-1])
    between = np.interp(np.log(inside), np.log(KNOTS), allowance)
    return np.asarray(between * np.sqrt(inside / taken))
