"""Samplers, which add passes to an estimate: plain and reduced behind one protocol.

Shapes: P passes, B rows, D inputs, O outputs, V values of one pass.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import pairwise
from typing import Protocol, Self

import numpy as np
import torch
from torch import Tensor

from model.passes.chunks import chunk_passes, pieces
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

    `row_ids` [B] are as in `draw_noise`; None means that all rows share their masks.
    `before_chunk` is called before every chunk of passes; an exception that it raises ends the
    work. `recorder`, if there is one, keeps the values of every pass.
    """

    x: Tensor  # [B, D]
    seed: int
    row_ids: Tensor | None = None
    before_chunk: Callable[[], None] = lambda: None
    recorder: "Recorder | None" = None

    def select(self, index: Tensor | slice) -> "Batch":
        """The batch of some of the rows."""
        return replace(
            self,
            x=self.x[index],
            row_ids=None if self.row_ids is None else self.row_ids[index],
            recorder=self.recorder and self.recorder.select(index),
        )


@dataclass(frozen=True, slots=True)
class Recorder:
    """Keeps the values of every pass for a request that asks for samples.

    `rows` [B] are the positions of the rows that still take passes.
    """

    rows: Tensor
    chunks: list[tuple[Tensor, range, Tensor]] = field(default_factory=list)

    def add(self, passes: range, values: Tensor) -> None:
        """Add the values [P, B, V] of a chunk of passes."""
        self.chunks.append((self.rows, passes, values))

    def select(self, index: Tensor | slice) -> "Recorder":
        """A recorder of some of the rows, with the same memory."""
        return Recorder(self.rows[index], self.chunks)

    def recorded(self, count: int) -> list[np.ndarray]:
        """The values [P, V] float64 of each of `count` rows, in the order of its passes."""
        found: list[list[tuple[range, Tensor]]] = [[] for _ in range(count)]
        for rows, passes, values in self.chunks:
            for at, row in enumerate(rows.tolist()):
                found[row].append((passes, values[:, at]))
        return [np.asarray(in_order(parts).double().cpu().numpy()) for parts in found]


def in_order(parts: Sequence[tuple[range, Tensor]]) -> Tensor:
    """The passes' values [P, ...] in the order of the passes, from chunks of them."""
    values = torch.cat([values for _, values in parts])
    if all(before[-1] < after[0] for (before, _), (after, _) in pairwise(parts)):
        return values
    return values[torch.tensor([k for passes, _ in parts for k in passes]).argsort()]


class Sampler(Protocol):
    """An estimate to which passes are added."""

    def take(self, passes: range) -> None:
        """Run these passes and add them to the estimate."""
        ...

    def estimate(self, members: int = 1) -> Estimate:
        """The estimate from all passes so far; see `PlainMoments.estimate` for `members`."""
        ...

    def select(self, index: Tensor) -> Self:
        """The sampler of some of the rows."""
        ...

    def restarted(self, seed: int) -> Self:
        """A copy without any passes, whose masks follow from another seed."""
        ...


@dataclass(frozen=True)
class PlainSampler:
    """The plain estimator: sample moments of `values` of the outputs."""

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
        """A sampler without any passes; squares are taken around the deterministic values.

        With `joint` the values are a classifier's, and their covariance and votes are kept.
        """
        pivot = values(network(batch.x)).double()
        moments = PlainMoments(pivot, JointMoments() if joint else None)
        known = prefix(network, batch.x, shared=batch.row_ids is None)
        return cls(network, batch, values, known, moments)

    def take(self, passes: range) -> None:
        for chunk in _chunks(self.network, self.batch, passes):
            self.moments.add(self._values(chunk))

    def _values(self, chunk: range) -> Tensor:
        """The values [P, B, V] of some passes; a function, so that their noise is freed after."""
        noise = _noise(self.network, self.batch, chunk)
        values = self.values(outputs(self.network, self.known, noise))
        if self.batch.recorder:
            self.batch.recorder.add(chunk, values)
        return values

    def estimate(self, members: int = 1) -> Estimate:
        return self.moments.estimate(members)

    def select(self, index: Tensor) -> Self:
        return replace(
            self,
            batch=self.batch.select(index),
            known=self.known.select(index),
            moments=self.moments.select(index),
        )

    def restarted(self, seed: int) -> Self:
        batch = replace(self.batch, seed=seed)
        return replace(self, batch=batch, moments=self.moments.restarted())


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
        """A sampler without any passes."""
        control = reduction.control(batch.x, shared=batch.row_ids is None)
        zero = batch.x.new_zeros(len(batch.x), reduction.log_noises, dtype=torch.float64)
        noise = PlainMoments(zero) if reduction.log_noises else None
        return cls(network, batch, reduction, control, ReducedMoments(control.law, noise))

    def take(self, passes: range) -> None:
        for chunk in _chunks(self.network, self.batch, passes):
            self.moments.add(self._terms(chunk))

    def _terms(self, chunk: range) -> Terms:
        """The terms of some passes; a function, so that their noise is freed after."""
        recorder = self.batch.recorder
        sites = None if recorder else len(self.network.config.hidden)  # the last is integrated
        noise = _noise(self.network, self.batch, chunk, sites)
        return self.reduction.terms(
            self.control, noise, record=partial(recorder.add, chunk) if recorder else None
        )

    def estimate(self, members: int = 1) -> Estimate:
        return self.moments.estimate(members)

    def select(self, index: Tensor) -> Self:
        return replace(
            self,
            batch=self.batch.select(index),
            control=self.control.select(index),
            moments=self.moments.select(index),
        )

    def restarted(self, seed: int) -> Self:
        batch = replace(self.batch, seed=seed)
        return replace(self, batch=batch, moments=self.moments.restarted())


def _chunks(network: MLP, batch: Batch, passes: range) -> Iterator[range]:
    """The passes in chunks, with a call of `before_chunk` before each."""
    for chunk in pieces(passes, chunk_passes(network.config, len(batch.x))):
        batch.before_chunk()
        yield chunk


def _noise(network: MLP, batch: Batch, passes: range, sites: int | None = None) -> Noise:
    """The noise of the passes, at the first `sites` sites if that is given."""
    return draw_noise(
        network.config, batch.seed, passes, batch.row_ids, device=batch.x.device, sites=sites
    )
