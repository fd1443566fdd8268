"""How much to add to Monte-Carlo error bars, learned on rows like those to come.

An error bar is made of the passes that were run. What moves the outputs once in 5,000 passes is not
among 100 of them, and they cannot tell: the estimate misses its share, and the error bar knows of
nothing. So calibration rows are asked with many passes, once; blocks of them are estimates from few
whose error is known. An allowance is the least that, added to the error bars of a block in
quadrature, makes two of them hold the truth in HELD of the blocks, for all but REST of the rows.
It is measured in a unit that every row has: of a mean the passes' std, of a variance itself.

Shapes: K blocks, B rows, V values.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from model.uncertainty import Estimate

KNOTS = (32, 100)  # passes at which allowances are learned
HELD, REST = 0.88, 0.02


@dataclass(frozen=True, slots=True)
class Allowance:
    """What is added to the errors of an estimator's means and variances, in units, at KNOTS."""

    mean: tuple[float, ...]
    variance: tuple[float, ...]

    def widened(
        self, estimate: Estimate, units: tuple[np.ndarray, np.ndarray], passes: np.ndarray
    ) -> Estimate:
        """The estimate with allowances in its errors; of rows that took `passes` [B].

        `units` [B, V] are those of the means and of the variances.
        """
        mean, variance = (
            np.hypot(error, unit * _at(allowance, passes)[:, None])
            for error, unit, allowance in zip(
                (estimate.mean_error, estimate.variance_error),
                units,
                (self.mean, self.variance),
                strict=True,
            )
        )
        return Estimate(estimate.mean, estimate.variance, mean, variance, estimate.agreement)


def learned(
    blocks: Callable[[int], Sequence[Estimate]],
    truth: Estimate,
    units: Callable[[Estimate], tuple[np.ndarray, np.ndarray]],
) -> Allowance:
    """The allowance that makes two errors hold the truth, of rows [B].

    `blocks` gives estimates of so many passes each, disjoint parts of the many behind `truth`.
    """
    found: dict[str, list[float]] = {"mean": [], "variance": []}
    for passes in KNOTS:
        few = blocks(passes)
        for at, name in enumerate(found):
            unit = np.stack([units(estimate)[at] for estimate in few])  # [K, B, V]
            off = np.stack([getattr(e, name) - getattr(truth, name) for e in few])
            error = np.stack([getattr(e, f"{name}_error") for e in few])
            found[name].append(needed(off, error, unit))
    return Allowance(tuple(found["mean"]), tuple(found["variance"]))


def needed(off: np.ndarray, error: np.ndarray, unit: np.ndarray) -> float:
    """The least allowance with which two errors hold; all [K, B, V]. Where the unit is 0, none."""
    short = np.sqrt(np.maximum(np.square(off / 2) - np.square(error), 0))
    each = np.divide(short, unit, out=np.zeros_like(short), where=unit > 0)
    of_rows = np.quantile(each, HELD, axis=0, method="higher")  # [B, V]
    return float(np.quantile(of_rows, 1 - REST, method="higher")) if of_rows.size else 0.0


def _at(allowance: Sequence[float], passes: np.ndarray) -> np.ndarray:
    """The allowance for each number of passes [B]: between the knots by the logarithms.

    Beyond them it falls with the root, as all errors do.
    """
    inside = np.clip(passes, KNOTS[0], KNOTS[-1])
    between = np.interp(np.log(inside), np.log(KNOTS), allowance)
    return np.asarray(between * np.sqrt(inside / np.maximum(passes, 1)))
