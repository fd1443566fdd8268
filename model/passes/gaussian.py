"""The mean, mean derivatives and mean square of an activation f of a Gaussian z.

The reduced estimator needs averages over z ~ N(mu, sd^2): E f(z), the mean slope E f'(z), the mean
curvature E f''(z), and so on. By Stein's lemma,

    E f^(r)(z) = E[f(mu + sd x) He_r(x)] / sd^r,    x ~ N(0, 1),

with Hermite polynomials He_r. So f needs no derivatives, and may have kinks.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

ORDER = 2  # the highest derivative that the reduced estimator uses
_POINTS, _REACH = 34, 5.5  # equal steps over +-5.5 sd: exact to float32 for smooth f


@dataclass(frozen=True, slots=True)
class Smoothed:
    """`derivatives[r]` = E f^(r)(z), and `square` = E f(z)^2; each shaped like mu."""

    derivatives: tuple[Tensor, ...]
    square: Tensor


def smoothed(
    f: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor, order: int = ORDER
) -> Smoothed:
    """The moments of f(z), z ~ N(mean, std^2) elementwise, std > 0; derivatives 0 to `order`."""
    return (_relu if f is F.relu else partial(_quadrature, f))(mean, std, order)


def _relu(mean: Tensor, std: Tensor, order: int) -> Smoothed:
    """Closed form: E relu = mu Phi + sd phi, E relu' = Phi, E relu'' = phi / sd, ...

    From the third derivative on, each follows from the two before: phi' = -t phi, t = mu / sd.
    """
    scale = std.reciprocal()
    t = mean * scale
    density = t.square().mul_(-0.5).exp_().mul_(1 / math.sqrt(2 * math.pi))
    below = t.mul(math.sqrt(0.5)).erf_().add_(1).mul_(0.5)
    level = (mean * below).addcmul_(std, density)
    derivatives = [level, below, density * scale]
    for k in range(2, order):
        fall = t * derivatives[k]
        if k > 2:
            fall.addcmul_(derivatives[k - 1], scale, value=k - 2)
        derivatives.append(fall.mul_(scale).neg_())
    square = (mean * level).addcmul_(std.square(), below)
    return Smoothed(tuple(derivatives[: order + 1]), square)


def _quadrature(f: Callable[[Tensor], Tensor], mean: Tensor, std: Tensor, order: int) -> Smoothed:
    x = torch.linspace(-_REACH, _REACH, _POINTS, dtype=mean.dtype, device=mean.device)
    weights = torch.softmax(-x.square() / 2, 0)
    values = f(mean[..., None] + std[..., None] * x)  # [..., points]
    moments = values @ (torch.stack(_hermite(x, order), dim=1) * weights[:, None])
    return Smoothed(
        derivatives=tuple(moments[..., r] / std**r for r in range(order + 1)),
        square=values.square() @ weights,
    )


def _hermite(t: Tensor, order: int) -> list[Tensor]:
    """The probabilists' polynomials He_0(t) .. He_order(t)."""
    polynomials = [torch.ones_like(t), t]
    for k in range(1, order):
        polynomials.append(t * polynomials[k] - k * polynomials[k - 1])
    return polynomials
