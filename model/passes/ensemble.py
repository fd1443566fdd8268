"""Networks of one shape that share the passes: an ensemble whose members are thinned at random.

Pass k asks member k mod M, under the masks of pass k, so the passes are spread evenly over the M
members. With outputs y, the law of total variance over a random member j and its masks is

    mean     = avg_j E_j y
    variance = avg_j Var_j y  +  avg_j (E_j y - mean)^2,

the variance within the members and between them. Member j has K passes, which estimate E_j y by m_j
with the squared error t_j, and Var_j y by v_j with the squared error u_j. Then

    avg_j m_j                                     estimates the mean, squared error sum_j t_j / M^2,
    avg_j (m_j - avg m)^2 - (1 - 1/M) avg_j t_j   estimates the variance between,
    avg_j v_j plus that                           estimates the variance.

The subtraction is exact in expectation: the Monte-Carlo errors of the m_j alone would have the
first term's average at (1 - 1/M) avg_j t_j. With d_j = m_j - avg m, the squared error of the
variance between is, for normal errors of the m_j,

    sum_j (4 d_j^2 t_j + 2 t_j^2) / M^2.

The errors of v_j and m_j are correlated if y is skewed. Their part of the squared error is the sum
of 4 d_j Cov(v_j, m_j) / M^2. The d_j sum to 0, so it vanishes if the members are skewed alike, and
it is left out.

Shapes: M members, P passes, B rows, V values of one pass.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from torch import Tensor, nn

from model.passes.chunks import run
from model.passes.estimate import Agreement, Between, Estimate
from model.passes.network import MLP, MLPConfig, Noise
from model.passes.samplers import Sampler

MOST_MEMBERS = 64


class Ensemble(nn.Module):
    """The members, which have one shape; a single network is an ensemble of one."""

    def __init__(self, members: Sequence[MLP]) -> None:
        super().__init__()
        self.config: MLPConfig = members[0].config
        self._members = tuple(members)
        self.members = nn.ModuleList(members)

    @staticmethod
    def of(network: "MLP | Ensemble") -> "Ensemble":
        """The ensemble itself, or the ensemble of one network."""
        return network if isinstance(network, Ensemble) else Ensemble([network])

    def __len__(self) -> int:
        """The number of members M."""
        return len(self._members)

    def __iter__(self) -> Iterator[MLP]:
        """The members, in order."""
        return iter(self._members)

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name: those of a single network without a number in front."""
        if len(self) == 1:
            return dict(self._members[0].state_dict())
        return dict(self.state_dict())

    def load(self, tensors: dict[str, Tensor]) -> None:
        """Take these weights, named as in `tensors`."""
        module = self if len(self) > 1 else self._members[0]
        module.load_state_dict(tensors, assign=True)

    def outputs(
        self, x: Tensor, seed: int, *, passes: range, row_ids: Tensor | None = None
    ) -> Iterator[tuple[range, Tensor]]:
        """Chunks of the passes, each with its outputs [p, B, O] over x [B, D]."""
        for network, own in zip(self, shares(passes, len(self)), strict=True):
            start = 0
            for chunk in run(network, x, seed, passes=own, row_ids=row_ids):
                yield own[start : start + len(chunk)], chunk
                start += len(chunk)

    def under(self, x: Tensor, noise: Noise) -> Tensor:
        """Outputs [P, B, O] over x [B, D] of passes whose noise is given, each of its member."""
        if noise.members is None:
            return self._members[0](x, noise)  # type: ignore[no-any-return]
        found = x.new_empty(noise.passes, len(x), self.config.outputs)
        for member, network in enumerate(self):
            (own,) = (noise.members == member).nonzero(as_tuple=True)
            if len(own):
                found[own] = network(x, noise.select(own))
        return found


def shares(passes: range, members: int) -> list[range]:
    """The passes that each member takes: pass k is for member k mod M."""
    first = passes.start
    return [
        range(first + (member - first) % members, passes.stop, members) for member in range(members)
    ]


@dataclass(frozen=True)
class EnsembleSampler:
    """The samplers of the members; their estimates are pooled as the head of this module says."""

    samplers: Sequence[Sampler]

    def take(self, passes: range) -> None:
        for sampler, own in zip(self.samplers, shares(passes, len(self.samplers)), strict=True):
            sampler.take(own)

    def estimate(self, members: int = 1) -> Estimate:
        count = members * len(self.samplers)
        return pooled_members([sampler.estimate(count) for sampler in self.samplers])

    def select(self, index: Tensor) -> Self:
        return replace(self, samplers=[sampler.select(index) for sampler in self.samplers])

    def restarted(self, seed: int) -> Self:
        return replace(self, samplers=[sampler.restarted(seed) for sampler in self.samplers])


def pooled_members(estimates: Sequence[Estimate]) -> Estimate:
    """The estimate of an ensemble from those of its members."""
    if len(estimates) == 1:
        return estimates[0]
    numbers = [(e.mean, e.variance, e.mean_error, e.variance_error) for e in estimates]
    return pooled_numbers(np.array(numbers), _agreement(estimates))


def averaged(values: np.ndarray) -> np.ndarray:
    """The average [B, V] of what each member has, [M, B, V]."""
    return values[0] if len(values) == 1 else np.asarray(values.sum(0) / len(values))


def pooled_numbers(numbers: np.ndarray, agreement: Agreement | None = None) -> Estimate:
    """The estimate of an ensemble from the mean, variance and errors of each member, [M, 4, B, V].

    `agreement` is that of the ensemble.
    """
    if len(numbers) == 1:
        mean, variance, mean_error, variance_error = numbers[0]
        return Estimate(mean, variance, mean_error, variance_error, agreement)
    return _pooled(numbers, agreement)


@np.errstate(all="ignore")  # the predictor reports overflows
def _pooled(numbers: np.ndarray, agreement: Agreement | None) -> Estimate:
    count = len(numbers)
    mean, within = numbers[:, :2].sum(0) / count  # [B, V]
    squares = np.square(numbers[:, 2:])
    mean_square, variance_square = squares.sum(0) / count**2
    noise, apart = squares[:, 0], np.square(numbers[:, 0] - mean)  # [M, B, V]
    between = apart.sum(0) / count - (count - 1) * mean_square
    between_square = (np.maximum(apart - noise, 0) * noise * 4 + np.square(noise) * 2).sum(0)
    between_square /= count**2
    return Estimate(
        mean,
        np.maximum(within + between, 0),
        np.sqrt(mean_square),
        np.sqrt(variance_square + between_square),
        agreement,
        Between(np.maximum(between, 0), np.sqrt(between_square), within),
    )


def _agreement(estimates: Sequence[Estimate]) -> Agreement | None:
    """The members' agreement: all votes, and the covariance that Monte-Carlo errors follow from."""
    found = [each.agreement for each in estimates if each.agreement is not None]
    if not found:
        return None
    covariances = [each.covariance for each in found if each.covariance is not None]
    votes = np.sum([each.votes for each in found], axis=0)
    return Agreement(np.mean(covariances, axis=0) if covariances else None, votes)
