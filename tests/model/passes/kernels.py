"""Random networks for the tests of the kernel, and how near its numbers are to others."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model.passes.ensemble import Ensemble
from model.passes.estimate import Estimate
from model.passes.fused import Fused, Kernel
from model.passes.network import MLP, MLPConfig
from model.passes.samplers import Batch
from model.training.fit import initialised

NAMES = ("mean", "variance", "mean_error", "variance_error")


def member(config: MLPConfig, seed: int) -> MLP:
    """A random network with outputs of about 1."""
    net = initialised(config, torch.Generator().manual_seed(seed)).requires_grad_(False)
    net.linears()[-1].weight.mul_(5)
    return net


def networks(config: MLPConfig, members: int = 1) -> Ensemble:
    return Ensemble([member(config, seed) for seed in range(members)])


def inputs(rows: int, width: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1))


def by_kernel(
    found: Kernel | None, batch: Batch, passes: int, *, reduced: bool
) -> Sequence[Estimate]:
    assert found is not None
    ids = None if batch.row_ids is None else batch.row_ids.numpy()
    x = batch.x.numpy()
    return of_members(found.estimates(x, batch.seed, passes=passes, reduced=reduced, row_ids=ids))


def of_members(found: Fused) -> Sequence[Estimate]:
    """The estimate of each member."""
    return [Estimate(*numbers) for numbers in found.numbers]


def magnitude(net: MLP, x: Tensor) -> np.ndarray:
    """The outputs [B, O] if no terms cancelled: rounding is relative to it."""
    h = x.abs()
    for linear in net.linears():
        h = h @ linear.weight.abs().T + linear.bias.abs()
    return np.asarray(h.double().numpy())


def check_same(one: Estimate, other: Estimate, size: np.ndarray) -> None:
    """To 1e-5 of `size` [B, O], and of squares accordingly."""
    std = np.sqrt(other.variance) + other.mean_error
    size = size + std
    square = size * std + other.variance_error + 1e-5 * size**2
    for name, scale in zip(NAMES, (size, square, size, square), strict=True):
        off = np.abs(getattr(one, name) - getattr(other, name))
        assert (off <= 1e-5 * scale).all(), name
