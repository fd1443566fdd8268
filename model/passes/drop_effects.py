"""The effect of dropping one unit, on average over all other noise.

The pre-activations that a unit feeds are treated as Gaussian, z_j ~ N(m_j, v_j). Without unit i, of
activation h_i, z_j ~ N(m_j - a, v_j - s a^2) with a = W_ji h_i and s = p/(1-p), the variance of its
mask. The effect of the unit is the difference of E f(z_j) with and without it. That holds for every
a. For small a the effect is about the slope E f'(z_j) times a.

Shapes: B rows, H units of a site, J units of the layer after it, O outputs.
"""

import math

import torch
from torch import Tensor

from model.passes.network import ACTIVATIONS, ActivationName

AT_ONCE = 1 << 18  # weights times rows in a block: about half of so many numbers fit in cache
LEAST_VARIANCE = 1e-12  # keeps a variance away from 0, relative to the mean's square
LEAST_EFFECT = 1e-6  # a pre-activation without a unit keeps at least this share of its variance
SMALL = 0.25  # of the root mean square of a row's activations; up to .3 the gains were the same
FAR = 36.0  # six stds, squared: the density beyond is about 0, and slow to compute
# Gauss and Hermite's rule of five points for a standard normal: exact up to polynomial degree 9.
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
    small: Tensor,
) -> Tensor:
    """How much the outputs lose if one unit of a site is dropped, [O, B, H].

    `mean` and `variance` [B, J] are those of the next pre-activations, of weights [J, H]. h [B, H]
    are the activations of the units, and `spread` is the variance of their masks. `gain` [O, B, J]
    is the slope of the outputs in the next activations. `small` [O, B, H] is the effect by slopes,
    which is accurate for units of small activation and used for them.
    """
    variance = variance + LEAST_VARIANCE * (1 + mean.square())
    level, least = _level(activation, mean, variance), LEAST_EFFECT * variance  # [B, J]
    columns, effects = weight.T.contiguous(), small.clone()
    step = max(1, AT_ONCE // weight.numel())
    for start in range(0, len(h), step):
        rows = slice(start, start + step)
        units, large = _large(h[rows])  # [b, K]
        a = columns[units].mul_(h[rows].gather(1, units)[..., None])  # [b, K, J]
        v = torch.addcmul(variance[rows, None], a, a, value=-spread)
        torch.maximum(v, least[rows, None], out=v)
        loss = _level(activation, torch.sub(mean[rows, None], a, out=a), v).neg_()
        loss.add_(level[rows, None])
        each = (loss @ gain[:, rows, :, None])[..., 0]  # [O, b, K]
        at = units.expand_as(each)
        effects[:, rows].scatter_(2, at, torch.where(large, each, small[:, rows].gather(2, at)))
    return effects


def _large(h: Tensor) -> tuple[Tensor, Tensor]:
    """K units [B, K] of each row with all large ones among them, and which are large, [B, K].

    About half of all ReLUs are 0, so K is smaller than H. On other devices than the CPU, counting
    them would wait for the device, so there K is H.
    """
    square = h.square()
    large = square > SMALL**2 * square.mean(1, keepdim=True)
    most = int(large.sum(1).max()) if h.device.type == "cpu" else h.shape[1]
    units = large.to(torch.uint8).topk(most, dim=1, sorted=False).indices
    return units, large.gather(1, units)


def _level(activation: ActivationName, mean: Tensor, variance: Tensor) -> Tensor:
    """E f(z) for z ~ N(mean, variance) elementwise: closed for ReLUs, five points for others."""
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
    """E relu(z) in closed form: mean Phi(t) + std phi(t), with t = mean / std."""
    inverse = variance.rsqrt()
    t = mean * inverse
    density = t.square().clamp_max_(FAR).mul_(-0.5).exp_()
    below = t.mul_(math.sqrt(0.5)).erf_().add_(1).mul_(mean)  # 2 mean Phi(t)
    return below.addcmul_(density.mul_(variance), inverse, value=math.sqrt(2 / math.pi)).mul_(0.5)
