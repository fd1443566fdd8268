"""The reduced estimator: the moments of many passes from few.

A dropout site multiplies its activation h by 1 + xi; xi = mask - 1 has mean 0 and variance
s = p/(1-p). Take any gains g_k [H_k, O] that say how the outputs react to site k: here the head's
weights, propagated back through the activations' mean slopes. Over the passes,

    l = sum_k xi_k . (g_k h_k)      has terms of mean 0, given the layers before them, and
    v = sum_k s_k |g_k h_k|^2       adds up their variances, given the layers before them.

The terms are martingale differences, hence uncorrelated, and with d = y - l, exactly and for any g,

    E y = E d,        Var y = E v + Var d + 2 Cov(l, d)         (law of total variance, by site).

At the last site g is the head's own weight and d does not depend on the last mask at all: that site
is integrated out, and with one hidden layer nothing is left to sample. At the first noisy site h is
fixed, so that the next pre-activation, centre + delta, is exactly linear in the noise, and

    q = sum_j c_j (delta_j^2 - E delta_j^2)   less its projection on the noise

has mean 0 and no correlation with l, exactly; 2 c_j is the outputs' mean curvature along unit j.
With r = d - q, what remains to be sampled is small:

    mean = avg r,        variance = avg v + S_dd + 2 S_lr       (S: sample covariances, ddof 1).

Both are unbiased for every N, g and c; the better g and c, the smaller their errors. The mean
slopes and curvatures come from moments propagated as if every pre-activation were Gaussian (see
`model.passage`), with Edgeworth's terms for skewness and kurtosis at the first noisy site.

Shapes: P passes, B rows, H units of a site, J units of the layer after it, O outputs.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.network import MLP, MLPConfig, Noise
from model.passage import Passage, passage
from model.smoothing import ORDER
from model.thinning import aligned, in_columns, preactivation, product
from model.uncertainty import Estimate

NEAR_GAUSSIAN = 8.0
"""Edgeworth's series is used up to this skewness and excess kurtosis; beyond, it misleads."""

WIDE = 256
"""A sum over so many units is near Gaussian by itself. Of 100 units, the series takes 2 % off the
mean's squared error and none off the variance's; of 1,024, it would cost a fifth of the control."""


@dataclass(frozen=True, slots=True)
class Control:
    """The control variates of B rows of one network, for any pass."""

    pivot: Tensor  # [B, O]  near the mean; d and r are centred there
    prefix: Tensor  # [B, H]  activation at the first noisy site, before its noise
    centre: Tensor  # [B, J]  the next pre-activation without noise, which is its mean
    first: Tensor  # [2 O, B, H]  coefficients of the first site's mask - 1: in l, and in q
    known: Tensor  # [B, O]  the first site's part of v
    curve: Tensor  # [O, B, J]  c
    still: Tensor  # [B, O]  sum_j c_j E delta_j^2
    gains: tuple[Tensor, ...]  # [O, B, H]  g of the sites between the first and the last,
    scaled: tuple[Tensor, ...]  # and s g^2
    inputs: Tensor | None = None  # [2 O, B, H]  coefficients of the input noise, as in `first`

    def rows(self, index: Tensor) -> "Control":
        """The control variates of some of the rows."""
        columns = in_columns(self.prefix)

        def some(t: Any) -> Any:
            if t is None:
                return None
            if isinstance(t, tuple):
                return tuple(map(some, t))
            return aligned(t[..., index, :]) if columns else t[..., index, :]

        return Control(**{f.name: some(getattr(self, f.name)) for f in fields(self)})


@dataclass(frozen=True, slots=True)
class Terms:
    """What some passes leave for the moments, each [P, B, O]; y - pivot = l + d.

    `noise` [P, B, R] are the outputs after the first O, over the last mask: log-variances.
    """

    r: Tensor
    d: Tensor
    l: Tensor  # noqa: E741  named as in the formulas
    v: Tensor
    noise: Tensor | None = None


class Reduction:
    """The reduced estimator of one network: what of it does not depend on the rows.

    It is that of the first `linear` outputs; the others, log-variances, are averaged over the
    passes. `exact`: all noise sits at the last site, so `integrated` gives the moments without any
    pass.
    """

    def __init__(self, network: MLP, linear: int | None = None) -> None:
        config, linears = network.config, network.linears()
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
        weight = weights[self._first]  # of the first noisy site's layer [J, H]
        self._powers = None if weight.shape[1] >= WIDE else (weight**3 / 6, weight**4 / 24)

    def integrated(self, x: Tensor) -> Estimate:
        """The moments of x [B, D] where `exact`: y = b + w . (h mask), the mask the only noise."""
        *_, h = self._fixed(x, self._last)
        h = h.double()
        spread = self._network.config.spreads[-1] * h.square()
        parts = (self._weights[-1], self._biases[-1]), self._log_noise
        weight, bias = (torch.cat(part).double() for part in zip(*parts, strict=True))
        return _exact(h @ weight.T + bias, spread @ weight.square().T)

    def control(self, x: Tensor, *, shared: bool = True) -> Control:
        """The control variates for rows x [B, D]; where not `exact`.

        `shared`: whether the passes' masks are; it decides on the order of memory only.
        """
        network, first = self._network, self._first
        order = aligned if shared and len(self._weights[-1]) == 1 else Tensor.contiguous
        *_, h = self._fixed(order(x), first)
        cumulants = _cumulants(self._network.config, first, h)
        centre = product(h, self._weights[first], self._biases[first])  # [B, J]
        variance = product(cumulants[0], self._squares[first])  # [B, J]
        passages, pivot = self._propagate(centre, variance)
        gains = self._back_propagate(passages, len(x))
        slopes, bend, curve = self._expand(cumulants, variance, passages[0], gains[0])
        known = slopes.square().mul_(cumulants[0]).sum(-1).T
        noise = order(torch.cat([slopes, bend]))
        inputs = noise if first == 0 and network.config.input_noise else None
        inner = [order(gain) for gain in gains[:-1]]
        spreads = network.config.spreads[first + 1 : self._last]
        return Control(
            pivot=pivot,
            prefix=h,
            centre=centre,
            first=noise.mul_(h) if inputs is None else noise * h,
            known=known,
            curve=order(curve),
            still=(variance * curve).sum(-1).T,
            gains=tuple(inner),
            scaled=tuple(gain.square().mul_(s) for s, gain in zip(spreads, inner, strict=True)),
            inputs=inputs,
        )

    def terms(self, control: Control, noise: Noise) -> Terms:
        """The terms of the passes whose noise is given; the last mask is never used."""
        network, first = self._network, self._first
        l, bend = self._first_noise(control, noise).chunk(2, dim=-1)  # noqa: E741
        z = preactivation(network, first, control.prefix, noise, control.centre)  # [P, B, J]
        h = network.activation(first + 1, z)
        z -= control.centre
        q = _spent(z.square_(), control.curve) - (control.still + bend)
        v = control.known
        for site in range(first + 1, self._last):
            mask = noise.masks[site]
            if mask is not None:
                between = site - first - 1
                l = l + _spent((mask - 1) * h, control.gains[between])  # noqa: E741
                v = v + _spent(h.square(), control.scaled[between])
            h = network.activation(site + 1, preactivation(network, site, h, noise))  # [P, B, H]
        d = product(h, self._weights[-1], self._biases[-1]) - (control.pivot + l)
        logs = F.linear(h, *self._log_noise) if self.log_noises else None  # [P, B, R]
        v = v + product(h.square_(), self._spread_squares)
        return Terms(r=d - q, d=d, l=l, v=v, noise=logs)

    def _fixed(self, x: Tensor, site: int) -> Iterator[Tensor]:
        """The activations of x [B, D] from the input up to `site`, without noise."""
        yield x
        for before in range(site):
            z = product(x, self._weights[before], self._biases[before])
            x = self._network.activation(before + 1, z)
            yield x

    def _first_noise(self, control: Control, noise: Noise) -> Tensor:
        """The first site's noise times its coefficients, [P, B, 2 O]."""
        mask, parts = noise.masks[self._first], []
        if mask is not None:
            parts.append(_spent(mask - 1, control.first))
        if control.inputs is not None and noise.inputs is not None:
            added = noise.inputs if mask is None else noise.inputs * mask
            parts.append(_spent(added, control.inputs))
        return sum(parts[1:], start=parts[0])

    def _propagate(self, mean: Tensor, variance: Tensor) -> tuple[list[Passage], Tensor]:
        """The passages to the sites after the first noisy one, and the outputs' mean [B, O].

        From pre-activations' mean and variance [B, J]; each layer's are taken as Gaussian.
        """
        found: list[Passage] = []
        for site in range(self._first + 1, self._last + 1):
            order = 1 if found else ORDER
            found.append(passage(self._network, site, mean, variance, order))
            level, square = found[-1].level, found[-1].square
            mean = product(level, self._weights[site], self._biases[site])
            if site < self._last:
                scatter = (1 + self._network.config.spreads[site]) * square - level.square()
                variance = product(scatter.clamp_min(0), self._squares[site])
        return found, mean

    def _back_propagate(self, passages: list[Passage], rows: int) -> list[Tensor]:
        """The gain [O, B, H] of every site after the first: the head, through mean slopes."""
        gain = self._weights[-1][:, None].expand(-1, rows, -1)
        gains = [gain]
        for site in range(self._last, self._first + 1, -1):
            at = passages[site - self._first - 1]
            gain = at.inner(at.derivatives[1] * at.outer(gain))
            gain = product(gain, self._weights[site - 1].T)
            gains.insert(0, gain)
        return gains

    def _expand(
        self,
        cumulants: tuple[Tensor, Tensor, Tensor],
        variance: Tensor,
        at: Passage,
        gain: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Coefficients of the first site's noise n in l and in q [O, B, H], and c [O, B, J].

        Cov(n_i, f(z_j)) = sum_r kappa_{r+1}(n_i) / r! A_ji^r E f^(r)(z_j), over Var n_i.
        """
        gain = at.outer(gain)
        slope, beyond = self._series(cumulants, variance, at, gain)
        curve = at.derivatives[2] / 2 * gain
        bend = product(curve, self._squares[self._first].T).mul_(cumulants[1])
        linear = product(at.inner(slope * gain), self._weights[self._first].T).add_(bend)
        return linear if beyond is None else linear.add_(beyond), bend, curve

    def _series(
        self, cumulants: tuple[Tensor, Tensor, Tensor], variance: Tensor, at: Passage, gain: Tensor
    ) -> tuple[Tensor, Tensor | None]:
        """E f' with Edgeworth's terms, [B, J], and the expansion's term in kappa_4, [O, B, H].

        From the cumulants of z_j = sum_i A_ji n_i with the given variance. Of a wide layer the
        former are none and the latter is left out.
        """
        second, third, fourth = cumulants
        f = at.derivatives
        if self._powers is None:
            return f[1], None
        cube, fourth_power = self._powers  # over 3! and 4!
        skewness, kurtosis = product(second * third, cube), product(second * fourth, fourth_power)
        square = variance.square()
        near = (skewness.square() < (NEAR_GAUSSIAN / 6) ** 2 * square * variance) & (
            kurtosis.abs() < NEAR_GAUSSIAN / 24 * square
        )  # [B, J]
        beyond = (skewness * f[4]).addcmul_(kurtosis, f[5]).mul_(near)
        return f[1] + beyond, product(near * f[3] * gain, cube.T).mul_(fourth)


def _exact(mean: Tensor, variance: Tensor) -> Estimate:
    """What is known without any pass, and so without error; from [B, V] float64."""
    zero = np.zeros(tuple(mean.shape))
    return Estimate(mean.cpu().numpy(), variance.cpu().numpy(), zero, zero)


def _cumulants(config: MLPConfig, site: int, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The noise that the site adds to the fixed h [B, H]: its variance, and by what times that
    are its third and fourth cumulant.

    The noise is h xi, at the input with Gaussian noise e also (1 + xi) e. xi has two values, so
    that xi^2 = s + skew xi with skew = (2p-1)/(1-p). The fourth, which only tunes l, leaves e out.
    """
    s = config.spreads[site]
    skew = s - 1  # (2p-1)/(1-p)
    square = h.square()
    second, third, fourth = s * square, skew * h, (skew**2 - 2 * s) * square
    if site == 0 and config.input_noise:
        e = config.input_noise**2
        dropout, second = second, second + e * (1 + s)
        third = (dropout * third + 3 * e * s * (2 + skew) * h) / second
        fourth = fourth * dropout / second
    return second, third, fourth


def _spent(t: Tensor, coefficients: Tensor) -> Tensor:
    """sum_h t[p, b, h] coefficients[o, b, h], [P, B, O]; t may be shared over rows, [P, 1, H].

    Where t is large it is used as scratch: what is written into a new block takes twice as long.
    """
    if t.shape[1] == 1:
        return (t[:, 0] @ coefficients.mT).permute(1, 2, 0)
    if len(coefficients) == 1:  # a batch of products with one column each is four times slower
        return t.mul_(coefficients[0]).sum(-1, keepdim=True)
    return torch.einsum("pbh,obh->pbo", t, coefficients)
