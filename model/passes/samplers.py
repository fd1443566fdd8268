"""An estimate that grows by passes: the plain and the reduced estimator behind one protocol.

Shapes: P passes, B rows, D inputs, O outputs, V values of one pass.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol, Self

import torch
from torch import Tensor

from model.passes.chunks import chunk_passes, chunks
from model.passes.estimate import Estimate
from model.passes.masks import draw_noise
from model.passes.moments import JointMoments, PlainMoments
from model.passes.network import MLP, Noise
from model.passes.products import Prefix, outputs, prefix
from model.passes.reduced import Control, Reduction, Terms
from model.passes.reduced_moments import ReducedMoments


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
