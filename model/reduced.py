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
`model.smoothing`), with Edgeworth's terms for skewness and kurtosis at the first noisy site.

Shapes: P passes, B rows, H units of a site, J units of the layer after it, O outputs.
"""

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from model.network import ACTIVATIONS, MLP, MLPConfig, Noise
from model.smoothing import Smoothed, smoothed
from model.uncertainty import Estimate


@dataclass(frozen=True, slots=True)
class Control:
    """The control variates of B rows of one network, for any pass."""

    pivot: Tensor  # [B, O]  near the mean; d and r are centred there
    prefix: Tensor  # [B, H]  activation at the first noisy site, before its noise
    centre: Tensor  # [B, J]  mean of the next pre-activation
    first: Tensor  # [B, H, 2 O]  coefficients of the first site's noise: in l, and in q
    known: Tensor  # [B, O]  the first site's part of v
    curve: Tensor  # [B, J, O]  c
    still: Tensor  # [B, O]  sum_j c_j E delta_j^2
    gains: tuple[Tensor, ...]  # [B, H, O]  g of the sites between the first and the last

    def rows(self, index: Tensor) -> "Control":
        """The control variates of some of the rows."""
        tensors = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "gains"}
        some = {name: tensor[index] for name, tensor in tensors.items()}
        return Control(**some, gains=tuple(gain[index] for gain in self.gains))


@dataclass(frozen=True, slots=True)
class Terms:
    """What a chunk of passes leaves for the moments, each [P, B, O]; y - pivot = l + d."""

    r: Tensor
    d: Tensor
    l: Tensor  # noqa: E741  named as in the formulas
    v: Tensor


def is_exact(config: MLPConfig) -> bool:
    """Whether all noise sits at the last site: then `integrated` needs no pass."""
    return _first_site(config) == len(config.hidden)


def integrated(network: MLP, x: Tensor) -> Estimate:
    """The exact moments of x [B, D] where `is_exact`: y = b + w . (h mask), mask the only noise."""
    *hidden, head = network.linears()
    for linear in hidden:
        x = ACTIVATIONS[network.config.activation](linear(x))  # [B, H]
    x, weight = x.double(), head.weight.double()
    variance = network.config.spreads[-1] * (x.square() @ weight.square().T)  # [B, O]
    zero = torch.zeros_like(variance)
    return Estimate(x @ weight.T + head.bias.double(), variance, zero, zero)


def build_control(network: MLP, x: Tensor) -> Control:
    """The control variates for rows x [B, D] of a network that is not exact."""
    config = network.config
    first, weights = _first_site(config), [linear.weight for linear in network.linears()]
    for site in range(first):
        x = ACTIVATIONS[config.activation](network.preactivation(site, x))  # [B, H]
    cumulants = _cumulants(config, first, x)
    centre = network.preactivation(first, x)  # [B, J]
    variance = cumulants[0] @ weights[first].square().T  # [B, J]
    smooth, pivot = _propagate(network, first, centre, variance)
    gains = _back_propagate(network, first, smooth, len(x))
    linear, bend, curve = _expand(cumulants, weights[first], smooth[0], gains[0])
    return Control(
        pivot=pivot,
        prefix=x,
        centre=centre,
        first=torch.cat([linear, bend], dim=-1),
        known=_dot(cumulants[0][None], linear.square())[0],
        curve=curve,
        still=_dot(variance[None], curve)[0],
        gains=tuple(gains[:-1]),
    )


def terms(network: MLP, control: Control, noise: Noise) -> Terms:
    """The terms of the passes whose noise is given; the last site's mask is not looked at."""
    config, linears, spreads = network.config, network.linears(), network.config.spreads
    activate = ACTIVATIONS[config.activation]
    first, last = _first_site(config), len(linears) - 1
    both = _first_noise(control, noise, first)  # [P, B, 2 O]
    l, bend = both.chunk(2, dim=-1)  # noqa: E741
    z = network.preactivation(first, control.prefix, noise)  # [P, B, J]
    q = _dot((z - control.centre).square_(), control.curve) - control.still - bend
    v = control.known.expand_as(l)
    for site in range(first + 1, last):
        h = activate(z)  # [P, B, H]
        mask = noise.masks[site]
        if mask is not None:
            gain = control.gains[site - first - 1]
            l = l + _dot((mask - 1) * h, gain)  # noqa: E741
            v = v + spreads[site] * _dot(h.square(), gain.square())
        z = network.preactivation(site, h, noise)
    h = activate(z)
    head = linears[last]
    d = head(h) - control.pivot - l
    v = v + spreads[last] * (h.square() @ head.weight.square().T)
    return Terms(r=d - q, d=d, l=l, v=v)


def _first_site(config: MLPConfig) -> int:
    """The first site with noise, or the last site where no other has any."""
    noisy = [config.input_noise > 0 or config.drop_levels[0] > 0]
    noisy += [level > 0 for level in config.drop_levels[1:]]
    return noisy.index(True) if any(noisy) else len(config.hidden)


def _cumulants(config: MLPConfig, site: int, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Second to fourth cumulant [B, H] of the noise that the site adds to the fixed h [B, H].

    The noise is h xi, at the input with Gaussian noise e also (1 + xi) e. xi has two values, so
    that xi^2 = s + skew xi with skew = (2p-1)/(1-p). The fourth, which only tunes l, leaves e out.
    """
    s = config.spreads[site]
    skew = s - 1  # (2p-1)/(1-p)
    second, third = h.square() * s, h**3 * (skew * s)
    fourth = h**4 * (s * skew**2 - 2 * s**2)
    if site == 0 and config.input_noise:
        e = config.input_noise**2
        second = second + e * (1 + s)
        third = third + 3 * h * e * (2 * s + skew * s)
    return second, third, fourth


def _propagate(
    network: MLP, first: int, mean: Tensor, variance: Tensor
) -> tuple[list[Smoothed], Tensor]:
    """The smoothed activations after the first site's layer, and the outputs' mean [B, O].

    From pre-activations' mean and variance [B, J]; each layer's are taken as Gaussian.
    """
    activate = ACTIVATIONS[network.config.activation]
    smooth = []
    for site, linear in list(enumerate(network.linears()))[first + 1 :]:
        std = (variance + 1e-12 * (1 + mean.square())).sqrt()
        smooth.append(smoothed(activate, mean, std))
        level, square = smooth[-1].derivatives[0], smooth[-1].square
        mean = linear(level)
        scatter = (1 + network.config.spreads[site]) * square - level.square()
        variance = scatter.clamp_min(0) @ linear.weight.square().T
    return smooth, mean


def _back_propagate(network: MLP, first: int, smooth: list[Smoothed], rows: int) -> list[Tensor]:
    """The gain [B, H, O] of every site after the first: the head's weights, through mean slopes."""
    linears = network.linears()
    gain = linears[-1].weight.T.expand(rows, -1, -1)
    gains = [gain]
    for site in range(len(linears) - 1, first + 1, -1):
        slope = smooth[site - first - 1].derivatives[1][..., None]
        gain = linears[site - 1].weight.T @ (slope * gain)
        gains.insert(0, gain)
    return gains


def _expand(
    cumulants: tuple[Tensor, Tensor, Tensor], weight: Tensor, smooth: Smoothed, gain: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Coefficients of the first site's noise n in l and in q [B, H, O], and c [B, J, O].

    Cov(n_i, f(z_j)) = sum_r kappa_{r+1}(n_i) / r! A_ji^r E f^(r)(z_j), divided by Var n_i; E f' is
    Edgeworth's, from the cumulants of z_j = sum_i A_ji n_i.
    """
    second, third, fourth = cumulants
    f = smooth.derivatives
    skewness, kurtosis = third @ (weight**3).T, fourth @ (weight**4).T  # [B, J]
    slope = f[1] + skewness / 6 * f[4] + kurtosis / 24 * f[5]
    by_slope, by_curvature, by_third = (e[..., None] * gain for e in (slope, f[2], f[3]))
    third, fourth = (torch.where(second > 0, c / second, 0)[..., None] for c in (third, fourth))
    bend = third / 2 * (weight.square().T @ by_curvature)
    linear = weight.T @ by_slope + bend + fourth / 6 * ((weight**3).T @ by_third)
    return linear, bend, by_curvature / 2


def _first_noise(control: Control, noise: Noise, site: int) -> Tensor:
    """The first site's noise times its coefficients, [P, B, 2 O]."""
    mask, inputs = noise.masks[site], noise.inputs if site == 0 else None
    parts = []
    if mask is not None:
        parts.append(_dot(mask - 1, control.prefix[..., None] * control.first))
    if inputs is not None:
        parts.append(_dot(inputs if mask is None else inputs * mask, control.first))
    return sum(parts[1:], start=parts[0])


def _dot(t: Tensor, coefficients: Tensor) -> Tensor:
    """sum_h t[p, b, h] coefficients[b, h, o], [P, B, O]; t may be shared over rows, [P, 1, H]."""
    rows, width, outputs = coefficients.shape
    if t.shape[1] == 1 and rows > 1:
        flat = coefficients.transpose(0, 1).reshape(width, rows * outputs)
        return (t[:, 0] @ flat).view(-1, rows, outputs)
    return torch.bmm(t.transpose(0, 1), coefficients).transpose(0, 1)
