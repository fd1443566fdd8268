"""Propagate a Gaussian pre-activation through activation and norms, and gains back through them.

A gain is the slope of the outputs in each unit. A layer norm depends on all units of a row. Here
its scale is that at the row's mean, and its derivative removes from a gain the parts along the
row's mean and length. The reduced estimator is unbiased for all gains, so this approximation
affects its variance only.

Shapes: B rows, H units of a site, O outputs.
"""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from model.passes.gaussian import ORDER, smoothed
from model.passes.network import ACTIVATIONS, MLP

LEAST_VARIANCE = 1e-12  # keeps a variance away from 0, relative to the mean's square


@dataclass(frozen=True, slots=True)
class Frozen:
    """A norm near the mean of each row: h scale + shift.

    Only a layer norm has `units` [B, H], the standardised units of the mean row.
    """

    scale: Tensor  # [H] or [B, H]
    shift: Tensor
    units: Tensor | None = None

    def project(self, gain: Tensor) -> Tensor:
        """A scaled gain [O, B, H] without its parts along the row's mean and length."""
        if self.units is None:
            return gain
        along = (gain * self.units).mean(-1, keepdim=True)
        return gain - gain.mean(-1, keepdim=True) - self.units * along


@dataclass(frozen=True, slots=True)
class Propagated:
    """Averages of a site's activation h over its pre-activation z; each [B, H].

    `derivatives[r]` = E f^(r)(z), where f has the norm before the activation, and the activation.
    """

    level: Tensor  # E h
    square: Tensor  # E h^2
    derivatives: tuple[Tensor, ...]
    before: Frozen | None = None
    after: Frozen | None = None

    def outer(self, gain: Tensor) -> Tensor:
        """A gain on h [O, B, H] as a gain on the activation, before the norm that follows it."""
        return gain if self.after is None else self.after.project(self.after.scale * gain)

    def inner(self, gain: Tensor) -> Tensor:
        """A gain [O, B, H], already times a derivative, as a gain on z."""
        return gain if self.before is None else self.before.project(gain)


def propagate(
    network: MLP, site: int, mean: Tensor, variance: Tensor, order: int = ORDER
) -> Propagated:
    """The averages at a site after the first, for z ~ N(mean, variance) elementwise, [B, H]."""
    first, last = network.around(site)
    before = after = None
    if first is not None:
        before = _frozen(first, mean, mean.square() + variance)
        mean, variance = mean * before.scale + before.shift, variance * before.scale.square()
    std = (variance + LEAST_VARIANCE * (1 + mean.square())).sqrt()
    smooth = smoothed(ACTIVATIONS[network.config.activation], mean, std, order)
    level, square, derivatives = smooth.derivatives[0], smooth.square, smooth.derivatives
    if before is not None:
        derivatives = tuple(d * before.scale**r for r, d in enumerate(derivatives))
    if last is not None:
        after = _frozen(last, level, square)
        scale, shift = after.scale, after.shift
        square = scale.square() * square + shift * (2 * scale * level + shift)
        level = level * scale + shift
    return Propagated(level, square, derivatives, before, after)


def _frozen(norm: nn.Module, mean: Tensor, square: Tensor) -> Frozen:
    """The norm near rows whose units have this mean and mean square, [B, H]."""
    weight, bias = (part.detach() for part in norm.parameters())
    if not isinstance(norm, nn.LayerNorm):
        return Frozen(weight, bias)
    centre = mean.mean(-1, keepdim=True)
    spread = square.mean(-1, keepdim=True) - centre.square() + norm.eps
    std = spread.clamp_min(torch.finfo(spread.dtype).tiny).sqrt()
    scale = weight / std
    return Frozen(scale, bias - centre * scale, (mean - centre) / std)
