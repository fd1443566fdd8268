"""What dropping one unit does, on average over all other noise.

The pre-activations that a unit feeds are taken as Gaussian, z_j ~ N(m_j, v_j). Without unit i, of
activation h_i, z_j ~ N(m_j - a, v_j - s a^2) with a = W_ji h_i and s = p/(1-p), the variance of its
mask. The effect of the unit is E f(z_j) less that. Being the difference of two conditional means,
it is exact for as large an a as there is; the slope E f'(z_j) a is its limit for small ones.

Shapes: B rows, H units of a site, J units of the layer after it, O outputs.
"""

import math

import torch
from torch import Tensor

from model.network import ACTIVATIONS, ActivationName

AT_ONCE = 1 << 15  # numbers [B, J, H] in a block, so that it stays in cache
TINY = 1e-12  # keeps a variance away from 0, relative to the mean's square
LEAST = 1e-6  # of its variance is left to a pre-activation without any one unit
FAR = 36.0  # stds, squared: beyond six, a density is nothing, and slow to compute
# Gauss and Hermite's rule of five points for a standard normal: right for polynomials to degree 9.
POINTS = tuple(
    (sign * math.sqrt(5 + side * math.sqrt(10)), (7 - side * 2 * math.sqrt(10)) / 60)
    for side in (-1, 1)
    for sign in (-1, 1)
)


def drop_effects(
    activation: ActivationName,
    mean: Tensor,
    variance: Tensor,
    weight: Tensor,
    h: Tensor,
    spread: float,
    gain: Tensor,
) -> Tensor:
    """How much the outputs lose where each unit of a site is dropped, [O, B, H].

    `mean` and `variance` [B, J] are those of the next pre-activations, of weights [J, H]; h [B, H]
    are the units' activations, `spread` the variance of their masks, `gain` [O, B, J] what the
    outputs gain per unit of the next activations.
    """
    rows = max(1, AT_ONCE // weight.numel())
    variance = variance + TINY * (1 + mean.square())
    level = _level(activation, mean, variance)  # [B, J]
    least, effects = LEAST * variance, gain.new_empty(len(gain), *h.shape)
    for start in range(0, len(h), rows):
        block = slice(start, start + rows)
        a = weight * h[block, None]  # [b, J, H]
        m = mean[block, :, None] - a
        v = torch.addcmul(variance[block, :, None], a, a, value=-spread)
        without = _level(activation, m, torch.maximum(v, least[block, :, None], out=v))
        loss = without.neg_().add_(level[block, :, None])
        effects[:, block] = (gain[:, block, None] @ loss)[:, :, 0]  # [O, b, H]
    return effects


def _level(activation: ActivationName, mean: Tensor, variance: Tensor) -> Tensor:
    """E f(z) for z ~ N(mean, variance) elementwise; by a rule of five points but for ReLU's kin."""
    if activation == "relu":
        return _relu(mean, variance)
    if activation == "leaky_relu":
        slope = 0.01
        return slope * mean + (1 - slope) * _relu(mean, variance)
    f, std = ACTIVATIONS[activation], variance.sqrt()
    level = f(mean).mul_(8 / 15)
    for at, share in POINTS:
        level.add_(f(torch.add(mean, std, alpha=at)), alpha=share)
    return level


def _relu(mean: Tensor, variance: Tensor) -> Tensor:
    """In closed form: mean Phi(t) + std phi(t), with t = mean / std."""
    inverse = variance.rsqrt()
    t = mean * inverse
    density = t.square().clamp_max_(FAR).mul_(-0.5).exp_()
    below = t.mul_(math.sqrt(0.5)).erf_().add_(1).mul_(mean)  # twice
    return below.addcmul_(density.mul_(variance), inverse, value=math.sqrt(2 / math.pi)).mul_(0.5)
