"""The reduced estimator: mean and variance with less Monte-Carlo error than the plain estimator.

A dropout site multiplies its activation h by 1 + xi; xi = mask - 1 has mean 0 and variance
s = p/(1-p). Three steps remove noise from the outputs y of the passes:

- The last site is integrated out. Given the masks before it, y = w . (h mask) + b has the mean
  c = w . h + b and the variance last = s |w h|^2 (law of total variance).
- A linear control, l = sum over the earlier sites of xi . (g h). Its terms have mean 0, given the
  sites before them, so they are uncorrelated, and their variances s |g h|^2 are known.
- A quadratic control, at the first noisy site. There h is fixed, so that the next pre-activation,
  centre + delta, is exactly linear in the noise, and

      q = sum_j k_j (delta_j^2 - E delta_j^2)   minus its projection on the noise

  has exactly mean 0 and no correlation with l. 2 k_j is the mean curvature of the outputs along
  unit j.

`reduced_moments` fits the coefficients of both controls for each row, and computes mean and
variance. The better g and k are, the less noise remains. If they are far too wrong, few passes
cannot detect it; then `model.training` leaves the controls out.

g_i is the mean effect of dropping unit i on the outputs: E f(z) - E f(z without the unit), for
every pre-activation z that the unit feeds, times the gain of z's own unit, back-propagated from the
head (`drop_effects`). A derivative describes small changes only. If a pass drops few units, each of
them changes much: a derivative explained 6 to 31 % of the variance of c where this explains 82 %.
The means and variances of z are propagated as if every pre-activation were Gaussian
(`propagation`).

Shapes: P passes, B rows, H units of a site, J units of the layer after it, O outputs.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.passes.drop_effects import drop_effects
from model.passes.estimate import Estimate
from model.passes.gaussian import ORDER
from model.passes.network import MLP, Noise
from model.passes.products import aligned, in_columns, preactivation, product
from model.passes.propagation import Propagated, propagate

FEW_DROPS = 50.0
"""Up to this H p/(1-p) at a site, the effect of dropping a unit is computed for each unit. Above,
each unit is a small part of the next pre-activations, and slopes are as good at a fraction of the
cost: with 100 units and p = .5 the gains were equal."""


@dataclass(frozen=True, slots=True)
class Law:
    """Moments of the controls of B rows that are known without any pass, [B, O] each."""

    pivot: Tensor  # near the mean of y
    linear: Tensor  # the first site's part of the variance of l
    fourth: Tensor  # the fourth cumulant of l over all sites, from the propagated moments
    quadratic: Tensor  # variance of q if delta were Gaussian and uncorrelated; used as a scale only

    def parts(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All four, in this order."""
        return self.pivot, self.linear, self.fourth, self.quadratic

    def select(self, index: Tensor) -> "Law":
        """The moments of some of the rows."""
        return Law(*(part[index] for part in self.parts()))


@dataclass(frozen=True, slots=True)
class Control:
    """The control variates of B rows of one network, for any pass; None if they are left out."""

    law: Law
    prefix: Tensor  # [B, H]  activation at the first noisy site, before its noise
    centre: Tensor  # [B, J]  the next pre-activation without noise, which is its mean
    first: Tensor | None = None  # [2 O, B, H]  coefficients of the first mask - 1: in l, and in q
    curve: Tensor | None = None  # [O, B, J]  k
    still: Tensor | None = None  # [B, O]  sum_j k_j E delta_j^2
    gains: tuple[Tensor, ...] = ()  # [O, B, H]  g of the sites between the first and the last,
    scaled: tuple[Tensor, ...] = ()  # and s g^2
    inputs: Tensor | None = None  # [2 O, B, H]  coefficients of the masked input noise, as in first

    def select(self, index: Tensor) -> "Control":
        """The control variates of some of the rows."""
        columns = in_columns(self.prefix)

        def some(t: Any) -> Any:
            if t is None:
                return None
            if isinstance(t, Law):
                return t.select(index)
            if isinstance(t, tuple):
                return tuple(map(some, t))
            return aligned(t[..., index, :]) if columns else t[..., index, :]

        return Control(**{f.name: some(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True, slots=True)
class Terms:
    """The terms of some passes that the moments need, each [P, B, O].

    `log_noise` [P, B, R] has the outputs after the first O, averaged over the last mask: the
    log-variances.
    """

    output: Tensor  # c - pivot
    linear: Tensor  # l
    quadratic: Tensor  # q
    linear_variance: Tensor  # of l's terms after the first site's, given the layers before each
    last_variance: Tensor  # of y over the last mask
    log_noise: Tensor | None = None

    def stacked(self) -> Tensor:
        """All terms except the log-variances, [5, P, B, O]."""
        return torch.stack(
            (
                self.output,
                self.linear,
                self.quadratic,
                self.linear_variance,
                self.last_variance,
            )
        )


@dataclass(frozen=True, slots=True)
class Layer:
    """Mean and variance of the pre-activations z [B, J] before a site, and the averages after."""

    mean: Tensor
    variance: Tensor
    propagated: Propagated


class Reduction:
    """The parts of a network's reduced estimator that do not depend on the rows.

    It estimates the first `linear` outputs; the others are log-variances, which are averaged over
    the passes. If `exact`, all noise is at the last site, and `integrated` gives the moments
    without any pass. Without `controls` only the last site is integrated out.
    """

    def __init__(self, network: MLP, linear: int | None = None, *, controls: bool = True) -> None:
        config, linears = network.config, network.linears()
        self._controls = controls
        self._network = network
        self._first, self._last = config.first_noisy, len(linears) - 1
        self.exact = self._first == self._last
        head, bias = linears[-1].weight.detach(), linears[-1].bias.detach()
        linear = len(bias) if linear is None else linear
        self._log_noise = head[linear:], bias[linear:]
        self.log_noises = len(bias) - linear
        self._biases = [*(layer.bias.detach() for layer in linears[:-1]), bias[:linear]]
        weights = [*(layer.weight.detach() for layer in linears[:-1]), head[:linear]]
        self._weights, self._squares = weights, [weight.square() for weight in weights]
        self._spread_squares = config.spreads[-1] * self._squares[-1]  # of the last site [O, H]

    def integrated(self, x: Tensor) -> Estimate:
        """The moments of x [B, D] if `exact`: y = b + w . (h mask) has no other noise."""
        *_, h = self._fixed(x, self._last)
        h = h.double()
        spread = self._network.config.spreads[-1] * h.square()
        parts = (self._weights[-1], self._biases[-1]), self._log_noise
        weight, bias = (torch.cat(part).double() for part in zip(*parts, strict=True))
        return _exact(h @ weight.T + bias, spread @ weight.square().T)

    def control(self, x: Tensor, *, shared: bool = True) -> Control:
        """The control variates for rows x [B, D], if the network is not `exact`.

        `shared` is whether all rows share their masks; it affects the order of memory only.
        """
        config, first = self._network.config, self._first
        order = aligned if shared and len(self._weights[-1]) == 1 else Tensor.contiguous
        *_, h = self._fixed(order(x), first)
        centre = product(h, self._weights[first], self._biases[first])  # [B, J]
        if not self._controls:
            return self._no_control(x, h, centre)
        s, added = config.spreads[first], config.input_noise**2 if first == 0 else 0.0
        square = h.square()
        variance = product(square * s + added * (1 + s), self._squares[first])  # [B, J]
        layers, pivot = self._propagate(centre, variance)
        outer = self._back_propagate(layers, len(x))
        curve = layers[0].propagated.derivatives[2] / 2 * layers[0].propagated.outer(outer[0])
        bend = product(curve, self._squares[first].T)  # [O, B, H]
        bends = bend * (square * (s - 1) + added * (1 + s))  # per mask - 1
        effects = [self._effects(first, h, layers[0], outer[0], bends)]
        typical = [_typical(layer.propagated) for layer in layers[:-1]]  # activations, each [B, H]
        sites = range(first + 1, self._last)
        for site, size, layer, gain in zip(sites, typical, layers[1:], outer[1:], strict=True):
            effects.append(self._effects(site, size, layer, gain))
        spreads = config.spreads[first : self._last]
        known, inputs = s * effects[0].square().sum(-1).T, None
        if added:
            slope = self._slopes(first, layers[0], outer[0]) + bend * (2 * s * h)
            known = known + added * (1 + s) * slope.square().sum(-1).T
            inputs = order(torch.cat([slope, bend * (2 * s * h)]))
        gains = [e / size for e, size in zip(effects[1:], typical, strict=True)]
        return Control(
            law=Law(
                pivot=pivot,
                linear=known,
                fourth=_fourth_cumulant(spreads, effects),
                quadratic=2 * (variance * curve).square().sum(-1).T,
            ),
            prefix=h,
            centre=centre,
            first=order(torch.cat([effects[0], bends])),
            curve=order(curve),
            still=(variance * curve).sum(-1).T,
            gains=tuple(map(order, gains)),
            scaled=tuple(
                order(gain.square().mul_(s)) for s, gain in zip(spreads[1:], gains, strict=True)
            ),
            inputs=inputs,
        )

    def _no_control(self, x: Tensor, h: Tensor, centre: Tensor) -> Control:
        """A control without control variates."""
        pivot = self._network(x)[:, : len(self._weights[-1])]
        zero = torch.zeros_like(pivot)
        return Control(Law(pivot, zero, zero, zero), h, centre)

    def terms(
        self, control: Control, noise: Noise, record: Callable[[Tensor], None] | None = None
    ) -> Terms:
        """The terms of the passes whose noise is given.

        The last mask is integrated out. Only `record` needs it: it is called with the outputs
        [P, B, O] of the passes.
        """
        network, first = self._network, self._first
        z = preactivation(network, first, control.prefix, noise, control.centre)  # [P, B, J]
        h = network.activation(first + 1, z)
        linear, quadratic = self._first_controls(control, noise, z)
        variance = torch.zeros_like(quadratic)
        for site in range(first + 1, self._last):
            mask, between = noise.masks[site], site - first - 1
            if mask is not None and control.gains:
                linear = linear + _weighted_sum((mask - 1) * h, control.gains[between])
                variance = variance + _weighted_sum(h.square(), control.scaled[between])
            h = network.activation(site + 1, preactivation(network, site, h, noise))  # [P, B, H]
        if record:
            record(preactivation(network, self._last, h, noise))
        return Terms(
            output=product(h, self._weights[-1], self._biases[-1]) - control.law.pivot,
            linear=linear.expand_as(quadratic),
            quadratic=quadratic,
            linear_variance=variance,
            log_noise=F.linear(h, *self._log_noise) if self.log_noises else None,
            last_variance=product(h.square_(), self._spread_squares),
        )

    def _fixed(self, x: Tensor, site: int) -> Iterator[Tensor]:
        """The activations of x [B, D] from the input up to `site`, without noise."""
        yield x
        for before in range(site):
            z = product(x, self._weights[before], self._biases[before])
            x = self._network.activation(before + 1, z)
            yield x

    def _first_controls(self, control: Control, noise: Noise, z: Tensor) -> tuple[Tensor, Tensor]:
        """The first site's part of l, and q, [P, B, O]; overwrites z [P, B, J]."""
        if control.first is None or control.curve is None or control.still is None:
            zero = control.law.pivot.expand(len(z), -1, -1).mul(0)
            return zero, zero
        linear, bend = self._first_noise(control, control.first, noise).chunk(2, dim=-1)
        z -= control.centre
        return linear, _weighted_sum(z.square_(), control.curve) - (control.still + bend)

    def _first_noise(self, control: Control, coefficients: Tensor, noise: Noise) -> Tensor:
        """The first site's noise times its coefficients, [P, B, 2 O]."""
        mask, parts = noise.masks[self._first], []
        if mask is not None:
            parts.append(_weighted_sum(mask - 1, coefficients))
        if control.inputs is not None and noise.inputs is not None:
            added = noise.inputs if mask is None else noise.inputs * mask
            parts.append(_weighted_sum(added, control.inputs))
        return sum(parts[1:], start=parts[0])

    def _propagate(self, mean: Tensor, variance: Tensor) -> tuple[list[Layer], Tensor]:
        """The layers after the first noisy site, and the mean [B, O] of the outputs.

        They follow from the mean and variance [B, J] of the next pre-activations. All
        pre-activations are treated as Gaussian.
        """
        layers: list[Layer] = []
        for site in range(self._first + 1, self._last + 1):
            at = propagate(self._network, site, mean, variance, 1 if layers else ORDER)
            layers.append(Layer(mean, variance, at))
            mean = product(at.level, self._weights[site], self._biases[site])
            if site < self._last:
                scatter = (1 + self._network.config.spreads[site]) * at.square - at.level.square()
                variance = product(scatter.clamp_min(0), self._squares[site])
        return layers, mean

    def _back_propagate(self, layers: list[Layer], rows: int) -> list[Tensor]:
        """The gain [O, B, H] of every site after the first, back-propagated by mean slopes."""
        gain = self._weights[-1][:, None].expand(-1, rows, -1)
        gains = [gain]
        for site in range(self._last, self._first + 1, -1):
            gain = self._slopes(site - 1, layers[site - self._first - 1], gain)
            gains.insert(0, gain)
        return gains

    def _slopes(self, site: int, layer: Layer, outer: Tensor) -> Tensor:
        """The mean slopes of the outputs in the activations of a site, [O, B, H]."""
        at = layer.propagated
        return product(at.inner(at.derivatives[1] * at.outer(outer)), self._weights[site].T)

    def _effects(
        self, site: int, h: Tensor, layer: Layer, outer: Tensor, bends: Tensor | None = None
    ) -> Tensor:
        """How much the outputs lose if one unit of a site's h [B, H] is dropped, [O, B, H].

        `outer` is the gain on the next activations. `bends` is what their curvature adds to the
        effect by slopes.
        """
        at, units = layer.propagated, h.shape[-1] * self._network.config.spreads[site]
        small = self._slopes(site, layer, outer) * h
        small = small if bends is None else small + bends
        if not 0 < units <= FEW_DROPS or (at.before is not None and at.before.units is not None):
            return small
        mean, variance, weight = layer.mean, layer.variance, self._weights[site]
        if at.before is not None:
            scale = at.before.scale
            mean, variance = mean * scale + at.before.shift, variance * scale.square()
            weight = weight * scale[:, None]
        return drop_effects(
            self._network.config.activation,
            mean,
            variance,
            weight,
            h,
            self._network.config.spreads[site],
            at.outer(outer),
            small,
        )


def _typical(at: Propagated) -> Tensor:
    """A typical activation [B, H]: the root mean square with the sign of the mean; never 0."""
    return torch.copysign(at.square.clamp_min(1e-12).sqrt(), at.level)


def _fourth_cumulant(spreads: Sequence[float], effects: Sequence[Tensor]) -> Tensor:
    """The fourth cumulant [B, O] of sum((mask - 1) effect) over all sites; effects [O, B, H].

    A mask of variance s has the fourth cumulant s (1 + s)^2 - 6 s^2.
    """
    parts = [
        (s * (1 + s) ** 2 - 6 * s**2) * effect.square().square().sum(-1).T
        for s, effect in zip(spreads, effects, strict=True)
    ]
    return torch.stack(parts).sum(0)


def _exact(mean: Tensor, variance: Tensor) -> Estimate:
    """An estimate without Monte-Carlo error, from [B, V] float64."""
    zero = np.zeros(tuple(mean.shape))
    return Estimate(mean.cpu().numpy(), variance.cpu().numpy(), zero, zero)


def _weighted_sum(t: Tensor, coefficients: Tensor) -> Tensor:
    """sum_h t[p, b, h] coefficients[o, b, h], [P, B, O]; t may be shared over rows, [P, 1, H].

    A large t is overwritten, because writing to a new block of memory takes twice as long.
    """
    if t.shape[1] == 1:
        return (t[:, 0] @ coefficients.mT).permute(1, 2, 0)
    if len(coefficients) == 1:  # einsum would be four times slower: products of one column each
        return t.mul_(coefficients[0]).sum(-1, keepdim=True)
    return torch.einsum("pbh,obh->pbo", t, coefficients)
