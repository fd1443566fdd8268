"""Passes until enough: at which numbers of passes a row may stop, and when it does.

Shapes: B rows, V values of one pass.
"""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from model.passes.estimate import Estimate
from model.passes.samplers import Sampler

FIRST_CHECK = 64  # passes before which no row stops, however lucky its first ones look


CHECK_GROWTH = 1.5


MOST_SKIPPED = 4  # steps of that growth at once


Widen = Callable[[Estimate, int], Estimate]
"""The estimate from so many passes, with what they cannot know in its error bars."""


def sample(sampler: Sampler, passes: int, widen: Widen = lambda estimate, _: estimate) -> Estimate:
    """The estimate from this many passes."""
    sampler.take(range(passes))
    return widen(sampler.estimate(), passes)


def sample_until(
    excess: Callable[[Estimate], np.ndarray],
    sampler: Sampler,
    rows: int,
    *,
    passes: int,
    widen: Widen = lambda estimate, _: estimate,
) -> tuple[Estimate, list[int]]:
    """The estimates of all rows, and the passes that each took: `passes` at most.

    `excess` says [B] how many times too large a row's error still is; at most 1, and the row stops.
    It is asked at fixed numbers of passes, so that neither chunks nor the other rows of a batch
    have a say in where a row stops; of those, a row sits out the ones that it would hardly meet.
    """
    checks = np.array(list(_checks(passes)))
    order, due = np.arange(rows), np.zeros(rows, dtype=np.int64)  # of those that still run
    counts, done, parts, stopped = np.empty_like(order), 0, list[Estimate](), list[np.ndarray]()
    while len(order):
        at = int(due.min())
        sampler.take(range(done, int(checks[at])))
        done = int(checks[at])
        estimate = widen(sampler.estimate(), done)
        off, turn = excess(estimate), due == at  # [B]
        stop = turn & ((off <= 1) | (done == passes))
        due = np.where(turn, _next_check(checks, at, off), due)
        if stop.any():
            parts.append(estimate.select(stop))
            stopped.append(order[stop])
            counts[order[stop]] = done
            order, due = order[~stop], due[~stop]
            sampler = sampler.select(torch.from_numpy(~stop)) if len(order) else sampler
    return Estimate.concatenated(parts).select(np.concatenate(stopped).argsort()), counts.tolist()


def _next_check(checks: np.ndarray, at: int, excess: np.ndarray) -> np.ndarray:
    """The index [B] of each row's next check after that at `at`.

    Errors fall with the root of the number of passes: it is the last one before they are foreseen
    to be small enough, or one shortly after, as few passes do not foresee well.
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
