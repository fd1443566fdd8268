"""Passes until enough: which passes an estimate takes in, in which chunks, and when a row stops.

Shapes: P passes, B rows, D inputs, O outputs, V values of one pass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from model.moments import JointMoments, PlainMoments
from model.network import MLP, Noise
from model.reduced import Control, Reduction, Terms
from model.reduced_moments import ReducedMoments
from model.sampling import chunk_passes, chunks, draw_noise
from model.thinning import Prefix, outputs, prefix
from model.uncertainty import Estimate

FIRST_CHECK = 64  # passes before which no row stops, however lucky its first ones look
CHECK_GROWTH = 1.5
MOST_SKIPPED = 4  # steps of that growth at once


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows, and the seed of their noise.

    `numbers` [B] are the rows' identities in it; None stands for masks that all rows share.
    `before_chunk` is called before every chunk of passes; what it raises ends the work.
    """

    x: Tensor  # [B, D]
    seed: int
    numbers: Tensor | None = None
    before_chunk: Callable[[], None] = lambda: None

    def rows(self, index: Tensor) -> "Batch":
        """Some of the rows."""
        numbers = None if self.numbers is None else self.numbers[index]
        return replace(self, x=self.x[index], numbers=numbers)


class Sampler(Protocol):
    """An estimate that grows by passes."""

    def take(self, passes: range) -> None:
        """Run these passes and take them in."""
        ...

    def estimate(self) -> Estimate:
        """The estimate from all passes so far."""
        ...

    def rows(self, index: Tensor) -> Self:
        """The same for some of the rows."""
        ...

    def restarted(self) -> Self:
        """The same that has seen no pass."""
        ...


@dataclass(frozen=True)
class PlainSampler:
    """Sample moments of `values` of the outputs."""

    network: MLP
    batch: Batch
    values: Callable[[Tensor], Tensor]
    known: Prefix
    moments: PlainMoments

    @classmethod
    def of(
        cls,
        network: MLP,
        batch: Batch,
        values: Callable[[Tensor], Tensor],
        *,
        joint: bool = False,
    ) -> Self:
        """A sampler that has seen no pass; squares are taken around the deterministic values.

        `joint`: the values are a classifier's, and how they go together is asked for.
        """
        pivot = values(network(batch.x)).double()
        moments = PlainMoments(pivot, JointMoments() if joint else None)
        known = prefix(network, batch.x, shared=batch.numbers is None)
        return cls(network, batch, values, known, moments)

    def take(self, passes: range) -> None:
        for chunk in _chunks(self.network, self.batch, passes):
            self.moments.add(self._values(chunk))

    def _values(self, chunk: range) -> Tensor:
        """The values [P, B, V] of some passes; their noise is gone before the next is drawn."""
        noise = _noise(self.network, self.batch, chunk)
        return self.values(outputs(self.network, self.known, noise))

    def estimate(self) -> Estimate:
        return self.moments.estimate()

    def rows(self, index: Tensor) -> Self:
        return replace(
            self,
            batch=self.batch.rows(index),
            known=self.known.rows(index),
            moments=self.moments.rows(index),
        )

    def restarted(self) -> Self:
        return replace(self, moments=self.moments.restarted())


@dataclass(frozen=True)
class ReducedSampler:
    """The reduced estimator of the outputs, for a network whose moments are not exact."""

    network: MLP
    batch: Batch
    reduction: Reduction
    control: Control
    moments: ReducedMoments

    @classmethod
    def of(cls, network: MLP, batch: Batch, reduction: Reduction) -> Self:
        """A sampler that has seen no pass."""
        control = reduction.control(batch.x, shared=batch.numbers is None)
        zero = batch.x.new_zeros(len(batch.x), reduction.log_noises, dtype=torch.float64)
        noise = PlainMoments(zero) if reduction.log_noises else None
        return cls(network, batch, reduction, control, ReducedMoments(control.law, noise))

    def take(self, passes: range) -> None:
        for chunk in _chunks(self.network, self.batch, passes):
            self.moments.add(self._terms(chunk))

    def _terms(self, chunk: range) -> Terms:
        """The terms of some passes; their noise is gone before the next is drawn."""
        sites = len(self.network.config.hidden)  # the last one is integrated
        return self.reduction.terms(self.control, _noise(self.network, self.batch, chunk, sites))

    def estimate(self) -> Estimate:
        return self.moments.estimate()

    def rows(self, index: Tensor) -> Self:
        return replace(
            self,
            batch=self.batch.rows(index),
            control=self.control.rows(index),
            moments=self.moments.rows(index),
        )

    def restarted(self) -> Self:
        return replace(self, moments=self.moments.restarted())


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
            parts.append(estimate.rows(stop))
            stopped.append(order[stop])
            counts[order[stop]] = done
            order, due = order[~stop], due[~stop]
            sampler = sampler.rows(torch.from_numpy(~stop)) if len(order) else sampler
    return Estimate.concatenated(parts).rows(np.concatenate(stopped).argsort()), counts.tolist()


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


def _chunks(network: MLP, batch: Batch, passes: range) -> Iterator[range]:
    """The passes, in chunks."""
    for chunk in chunks(passes, chunk_passes(network.config, len(batch.x))):
        batch.before_chunk()
        yield chunk


def _noise(network: MLP, batch: Batch, passes: range, sites: int | None = None) -> Noise:
    """The noise of the passes; of the first `sites` only, where that is given."""
    return draw_noise(
        network.config, batch.seed, passes, batch.numbers, device=batch.x.device, sites=sites
    )
