"""Passes until enough: which passes an estimate takes in, in which chunks, and when a row stops.

Shapes: P passes, B rows, D inputs, O outputs, V values of one pass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from model.moments import JointMoments, PlainMoments, ReducedMoments
from model.network import MLP, Noise
from model.reduced import Control, Reduction
from model.sampling import chunk_passes, chunks, draw_noise
from model.thinning import outputs
from model.uncertainty import Estimate

FIRST_CHECK = 32  # passes before which no row stops, however lucky its first ones look
CHECK_GROWTH = 1.5


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


@dataclass(frozen=True)
class PlainSampler:
    """Sample moments of `values` of the outputs."""

    network: MLP
    batch: Batch
    values: Callable[[Tensor], Tensor]
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
        return cls(network, batch, values, moments)

    def take(self, passes: range) -> None:
        for noise in _noise(self.network, self.batch, passes):
            self.moments.add(self.values(outputs(self.network, self.batch.x, noise)))

    def estimate(self) -> Estimate:
        return self.moments.estimate()

    def rows(self, index: Tensor) -> Self:
        return replace(self, batch=self.batch.rows(index), moments=self.moments.rows(index))


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
        pivot = control.pivot.double()
        zero = pivot.new_zeros(len(pivot), reduction.log_noises)
        noise = PlainMoments(zero) if reduction.log_noises else None
        return cls(network, batch, reduction, control, ReducedMoments(pivot, noise))

    def take(self, passes: range) -> None:
        # The last site is integrated: only log-variances need its mask.
        sites = None if self.reduction.log_noises else len(self.network.config.hidden)
        for noise in _noise(self.network, self.batch, passes, sites):
            self.moments.add(self.reduction.terms(self.control, noise))

    def estimate(self) -> Estimate:
        return self.moments.estimate()

    def rows(self, index: Tensor) -> Self:
        return replace(
            self,
            batch=self.batch.rows(index),
            control=self.control.rows(index),
            moments=self.moments.rows(index),
        )


def sample(sampler: Sampler, passes: int) -> Estimate:
    """The estimate from this many passes."""
    sampler.take(range(passes))
    return sampler.estimate()


def sample_until(
    settled: Callable[[Estimate], Tensor], sampler: Sampler, rows: int, *, passes: int
) -> tuple[Estimate, list[int]]:
    """The estimates of all rows, and the passes that each took: `passes` at most.

    `settled` says [B] which rows need no more. It is asked at fixed numbers of passes, so that
    neither chunks nor the other rows of a batch have a say in where a row stops.
    """
    order = list(range(rows))  # the rows that still run
    counts, stopped, done = [passes] * rows, list[int](), 0
    parts: list[Estimate] = []
    for check in _checks(passes):
        sampler.take(range(done, check))
        done, estimate = check, sampler.estimate()
        stop = settled(estimate) | (check == passes)  # [B]
        parts.append(estimate.rows(stop))
        for row, stops in zip(order, stop.tolist(), strict=True):
            if stops:
                counts[row] = check
                stopped.append(row)
        order = [row for row, stops in zip(order, stop.tolist(), strict=True) if not stops]
        if not order:
            break
        sampler = sampler.rows(~stop)
    return Estimate.concatenated(parts).rows(torch.tensor(stopped).argsort()), counts


def _checks(passes: int) -> Iterator[int]:
    """The numbers of passes after which rows may stop: 32, 48, 72, ..., `passes`."""
    check = FIRST_CHECK
    while check < passes:
        yield check
        check = int(check * CHECK_GROWTH)
    yield passes


def _noise(network: MLP, batch: Batch, passes: range, sites: int | None = None) -> Iterator[Noise]:
    """The noise of the passes, in chunks; of the first `sites` only, where that is given."""
    for chunk in chunks(passes, chunk_passes(network.config, len(batch.x))):
        batch.before_chunk()
        yield draw_noise(
            network.config, batch.seed, chunk, batch.numbers, device=batch.x.device, sites=sites
        )
