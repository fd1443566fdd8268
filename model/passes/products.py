"""Multiply weights with masked activations the cheapest way.

If the rows share their masks, a pass is one *thinned* network (Srivastava et al. 2014), and there
are several ways to compute z = W (h mask) + b. The cheapest depends on the number of rows and on
the rate p:

- few rows: mask the activations, as `MLP.forward` does;
- more rows than units: mask the weights, because there are fewer of them;
- many rows and wide layers, p near 1/2: pick the kept units, and do not multiply the others;
- many rows, and an h that all passes share: compute W h + b once for all passes. If fewer units are
  dropped than kept, pick the dropped units, and subtract their part from (W h) / (1-p) + b.

On CUDA only the first two are used, because picking waits for the device. Masks that differ between
rows always multiply the activations.

Products of many rows are faster if the values of one unit are adjacent in memory (columns); of few
rows, if the values of one row are. Shapes do not show this order of memory. `aligned` chooses it,
and a product keeps the order of its input.

Shapes: P passes, B rows, H units of a site, J units of the next layer, O outputs.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from model.passes.network import MLP, MLPConfig, Noise

# All figures are measured on one core.
COLUMN_ROWS = 24  # from so many rows on, columns are faster
MACS_PER_NS = 45.0  # of a matrix product
GATHER_NS = 0.7  # for each weight or activation that is picked
PICK_NS = 500.0  # for each pass and layer whose units are picked
PASS_NS = 40_000.0  # for each pass and layer that is computed by itself
PICKING_MARGIN = 1.5  # a way must save so many times its cost


@dataclass(frozen=True, slots=True)
class Prefix:
    """Values that all passes over some rows share, up to the layer after the first noisy site."""

    site: int
    h: Tensor  # [B, H]  the site's activation, before its noise
    clean: Tensor | None = None  # [B, J]  the next pre-activation without noise, if it helps

    def select(self, index: Tensor) -> "Prefix":
        """The prefix of some of the rows."""
        order = aligned if in_columns(self.h) else Tensor.contiguous
        clean = None if self.clean is None else order(self.clean[index])
        return Prefix(self.site, order(self.h[index]), clean)


def prefix(network: MLP, x: Tensor, *, shared: bool = True) -> Prefix:
    """The prefix of all passes over x [B, D]; `shared`: whether all rows share their masks."""
    h, site = aligned(x) if shared else x, network.config.first_noisy
    *before, layer = network.linears()[: site + 1]
    for number, linear in enumerate(before, 1):
        h = network.activation(number, product(h, linear.weight, linear.bias))
    if not (shared and _picks_dropped(network.config, site, h)):
        return Prefix(site, h)
    return Prefix(site, h, product(h, layer.weight, layer.bias))


def outputs(network: MLP, known: Prefix, noise: Noise) -> Tensor:
    """Outputs [P, B, O] under the noise, as `MLP.forward` has them, the cheapest way."""
    if _one_by_one_pays(network, known, noise):
        return _one_by_one(network, known, noise)
    z = preactivation(network, known.site, known.h, noise, known.clean)
    for site in range(known.site + 1, len(network.linears())):
        z = preactivation(network, site, network.activation(site, z), noise)
    return z.expand(noise.passes, *z.shape[-2:])


def preactivation(
    network: MLP, site: int, h: Tensor, noise: Noise, clean: Tensor | None = None
) -> Tensor:
    """`MLP.preactivation` [(P,) B, J] of h [(P,) B, H], the cheapest way.

    `clean` [B, J] is the result without noise; only if h is the same in all passes.
    """
    mask, layer = noise.masks[site], network.linears()[site]
    if site == 0 and noise.inputs is not None:
        h, clean = h + noise.inputs, None  # [P, B, D]
    if mask is None:
        return product(h, layer.weight, layer.bias) if clean is None else clean
    if mask.shape[1] == 1 and _picking_pays(network.config, site, h):
        return _picked(network, site, h, mask[:, 0], clean)
    if mask.shape[1] == 1 and in_columns(h) and h.shape[-2] > layer.out_features:
        weight = layer.weight * mask  # [P, J, H]
        return torch.baddbmm(layer.bias[:, None], weight, h.mT.expand(len(mask), -1, -1)).mT
    return product(h * mask, layer.weight, layer.bias)


def product(h: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """h [..., B, H] times weight [J, H], plus bias [J]: [..., B, J], in h's order of memory."""
    if not in_columns(h):
        return F.linear(h, weight, bias)
    if bias is None:
        return (weight @ h.mT).mT
    if h.ndim == 2:
        return torch.addmm(bias[:, None], weight, h.mT).mT
    return torch.baddbmm(bias[:, None], weight.expand(len(h), -1, -1), h.mT).mT


def aligned(t: Tensor) -> Tensor:
    """t [..., B, H] in the order of memory that is fastest for its number of rows."""
    return t.contiguous() if t.shape[-2] < COLUMN_ROWS else t.mT.contiguous().mT


def in_columns(h: Tensor) -> bool:
    """Whether the values of one unit are adjacent in memory."""
    return h.stride(-2) == 1 < h.shape[-2]


def _picks_dropped(config: MLPConfig, site: int, h: Tensor) -> bool:
    """Whether to pick dropped units instead of kept ones: all passes share h, and p < 1/2."""
    return h.ndim == 2 and config.dropout[site] < 0.5


def _picking_pays(config: MLPConfig, site: int, h: Tensor) -> bool:
    """Whether picking saves more time in multiplications than it takes, per pass."""
    if h.device.type != "cpu":
        return False
    (rows, units), width = h.shape[-2:], (*config.hidden, config.outputs)[site]
    rate = config.dropout[site]
    share = rate if _picks_dropped(config, site, h) else 1 - rate
    most = min(1.0, share + 3 * math.sqrt(rate * (1 - rate) / units))  # in any of the passes
    saved = rows * units * width * (1 - most) / MACS_PER_NS
    return saved > PICKING_MARGIN * (GATHER_NS * most * units * (width + rows) + PICK_NS)


def _start(network: MLP, site: int, h: Tensor, clean: Tensor | None = None) -> tuple[Tensor, float]:
    """The part of z that all passes share, [J, B] or [J, 1], and the factor of the picked part."""
    layer, scale = network.linears()[site], 1 + network.config.spreads[site]  # 1/(1-p)
    if not _picks_dropped(network.config, site, h):
        return layer.bias[:, None], scale
    if clean is None:
        clean = product(h, layer.weight, layer.bias)
    return torch.add(layer.bias[:, None] * (1 - scale), clean.mT, alpha=scale), -scale


def _picked(network: MLP, site: int, h: Tensor, mask: Tensor, clean: Tensor | None) -> Tensor:
    """Pre-activations [P, B, J] of h [(P,) B, H] under a mask [P, H], from the picked units.

    Every pass picks as many units as the pass that needs most; surplus units have the factor 0.
    """
    wanted = ((mask == 0) if _picks_dropped(network.config, site, h) else (mask != 0)).to(h.dtype)
    counts, units = wanted.topk(int(wanted.sum(1).max()), dim=1, sorted=False)  # [P, K]
    weight: Tensor = network.linears()[site].weight
    weight = weight.index_select(1, units.flatten())
    weight = weight.view(len(weight), *units.shape).transpose(0, 1)  # [P, J, K]
    if h.ndim == 3:
        units = units + torch.arange(len(mask))[:, None] * h.shape[-1]
    part = h.mT.contiguous().flatten(0, -2).index_select(0, units.flatten())
    part = part.view(*units.shape, h.shape[-2]).mul_(counts[..., None])  # [P, K, B]
    start, scale = _start(network, site, h, clean)
    if in_columns(h):
        return torch.baddbmm(start, weight, part, alpha=scale).mT
    return torch.baddbmm(start.mT, part.mT, weight.mT, alpha=scale)


def _one_by_one_pays(network: MLP, known: Prefix, noise: Noise) -> bool:
    """Whether it is faster to compute each pass by itself, without the units that it drops.

    It is faster if a wide layer lies between two sites and the second of them has a high rate.
    """
    config, first = network.config, known.site
    if noise.masks[first] is None or noise.inputs is not None or config.normalised:
        return False
    masks = [mask for mask in noise.masks if mask is not None]
    if any(mask.shape[1] > 1 or mask.device.type != "cpu" for mask in masks):
        return False
    return any(
        _saved_ns(network, site, len(known.h), fixed=site == first) > 0
        for site in range(first, len(config.hidden))
    )


def _saved_ns(network: MLP, site: int, rows: int, *, fixed: bool) -> float:
    """The time in ns that one pass saves without the units that the next site drops."""
    rate, after = network.config.dropout[site : site + 2]
    weights = network.linears()[site].weight.numel()
    share = min(rate, 1 - rate) if fixed else 1 - rate
    saved = rows * weights * share * after / MACS_PER_NS
    return saved - PICKING_MARGIN * (GATHER_NS * share * (1 - after) * weights + PASS_NS)


def _one_by_one(network: MLP, known: Prefix, noise: Noise) -> Tensor:
    """Outputs [P, B, O], one thinned network after the other."""
    first, h = known.site, known.h
    dropped = _picks_dropped(network.config, first, h)
    start = _start(network, first, h, known.clean)
    units = [
        None if mask is None else _units(mask[:, 0], dropped=dropped and site == first)
        for site, mask in enumerate(noise.masks)
    ]
    columns = h.mT.contiguous()  # [H, B]
    passes = [
        _thinned(network, first, columns, start, [None if of is None else of[t] for of in units])
        for t in range(noise.passes)
    ]
    return torch.stack(passes).mT


def _units(mask: Tensor, *, dropped: bool) -> tuple[Tensor, ...]:
    """The indices of the dropped or kept units of each pass, from a mask [P, H]."""
    chosen = (mask == 0) if dropped else (mask != 0)
    return torch.split(chosen.nonzero()[:, 1], chosen.sum(1).tolist())


def _thinned(
    network: MLP, first: int, h: Tensor, start: tuple[Tensor, float], units: list[Tensor | None]
) -> Tensor:
    """Outputs [O, B] of one pass, from the activation h [H, B] at the first noisy site.

    `units` of the first site are those that `start` needs; those of later sites are the kept ones.
    """
    linears = network.linears()
    for site in range(first, len(linears)):
        weight: Tensor = linears[site].weight
        shift, scale = linears[site].bias[:, None], 1 + network.config.spreads[site]
        ins, outs = units[site], units[site + 1] if site + 1 < len(linears) else None
        if site == first and ins is not None:
            (shift, scale), h = start, h.index_select(0, ins)
        if outs is not None:
            weight, shift = weight.index_select(0, outs), shift.index_select(0, outs)
        if ins is not None:
            weight = weight.index_select(1, ins)
        z = torch.addmm(shift, weight, h, alpha=scale)  # [J, B]
        h = z if site + 1 == len(linears) else network.activation(site + 1, z)
    return h
