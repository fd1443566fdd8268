"""Add passes until the error of a row is small enough.

Shapes: B rows, V values of one pass.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from model.passes.estimate import Estimate
from model.passes.samplers import Sampler

FIRST_CHECK = 64  # no row stops before so many passes: the errors of fewer are too uncertain


CHECK_GROWTH = 1.5


MOST_SKIPPED = 4  # a row's next check is at most so many checks ahead


def sample(sampler: Sampler, passes: int) -> Estimate:
    """The estimate from so many passes."""
    sampler.take(range(passes))
    return sampler.estimate()


def sample_until(
    excess: Callable[[Estimate, int], np.ndarray], sampler: Sampler, rows: int, *, passes: int
) -> tuple[Estimate, np.ndarray]:
    """The estimates of all rows, and the passes [B] that each took, at most `passes`.

    `excess(estimate, passes)` [B] is the error of each row over the largest error allowed. A row
    stops if that is at most 1. Rows are checked at fixed numbers of passes, so that neither chunks
    nor the other rows of a batch change where a row stops. A row skips checks that it would
    probably fail.
    """
    checks = np.array(list(_checks(passes)))
    order, due = np.arange(rows), np.zeros(rows, dtype=np.int64)  # of rows that have not stopped
    counts, done, parts, stopped = np.empty_like(order), 0, list[Estimate](), list[np.ndarray]()
    while len(order):
        at = int(due.min())
        sampler.take(range(done, int(checks[at])))
        done = int(checks[at])
        estimate = sampler.estimate()
        off, turn = excess(estimate, done), due == at  # [B]
        stop = turn & ((off <= 1) | (done == passes))
        due = np.where(turn, _next_check(checks, at, off), due)
        if stop.any():
            parts.append(estimate.select(stop))
            stopped.append(order[stop])
            counts[order[stop]] = done
            order, due = order[~stop], due[~stop]
            sampler = sampler.select(torch.from_numpy(~stop)) if len(order) else sampler
    return Estimate.concatenated(parts).select(np.concatenate(stopped).argsort()), counts


def _next_check(checks: np.ndarray, at: int, excess: np.ndarray) -> np.ndarray:
    """The index [B] of each row's next check after the check `at`.

    Errors fall as 1 / sqrt(passes), which predicts the passes that a row needs. The next check is
    the last one before that number, at least one check and at most MOST_SKIPPED checks ahead.
    """
    foreseen = np.searchsorted(checks, checks[at] * excess**2, side="right")
    return np.asarray(np.clip(foreseen - 1, at + 1, at + MOST_SKIPPED))


def _checks(passes: int) -> Iterator[int]:
    """The numbers of passes after which rows may stop: 64, 96, 144, ..., `passes`."""
    check = FIRST_CHECK
    while check < passes:
        yield check
        check = int(check * CHECK_GROWTH)
    yield passes
