"""No work that a mask throws away, and no more masking than it takes.

With masks shared over the rows, a pass is one *thinned* network (Srivastava et al. 2014), and there
are three ways to the same outputs. Which is cheapest depends on how many rows share a pass:

- few rows: mask the activations, as `MLP.forward` does;
- more rows than units: mask the weights, of which there are fewer;
- many rows, wide layers: gather the weights that are kept and never multiply the others.

On CUDA, where gathering waits for the device, it is always the first. Activations stand as [H, B]
in the other two.

Shapes: P passes, B rows, H units of a site, J units of the next layer, O outputs.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from model.network import ACTIVATIONS, MLP, Noise

MACS_PER_NS = 50.0  # of a matrix product on one core; with the two below: measured, not critical
GATHER_NS = 0.3  # for each weight that is copied
PASS_NS = 40_000.0  # for each pass and layer that is handled by itself
MARGIN = 1.5


def outputs(network: MLP, x: Tensor, noise: Noise) -> Tensor:
    """Outputs [P, B, O] of x [B, D] under the noise: `MLP.forward`, by the cheapest way.

    With norms it is always the first: they need a row's units side by side.
    """
    shared = all(mask is None or mask.shape[1] == 1 for mask in noise.masks)
    hidden, plain = network.config.hidden, not network.config.normalised
    if x.device.type != "cpu" or not (shared and plain) or noise.inputs is not None:
        return network.forward(x, noise)
    if any(_pays(network, site, noise, len(x), thin_out=True) for site in range(len(hidden))):
        return _in_columns(network, x, noise, _gathered)
    if len(x) > max(hidden):
        return _in_columns(network, x, noise, _weight_masked)
    return network.forward(x, noise)


def preactivation(network: MLP, site: int, h: Tensor, noise: Noise) -> Tensor:
    """`MLP.preactivation` of h [(P,) B, H], [P, B, J], dropped inputs left out where that pays."""
    if site == 0 and noise.inputs is not None:
        return network.preactivation(site, h, noise)
    mask = noise.masks[site]
    if mask is None or not _pays(network, site, noise, h.shape[-2], thin_out=False):
        return network.preactivation(site, h, noise)
    linear = network.linears()[site]
    scale = 1 + network.config.spreads[site]  # 1/(1-p)
    columns = linear.weight.T.contiguous()  # [H, J]
    z = h.new_empty(noise.passes, h.shape[-2], linear.out_features)  # [P, B, J]
    per_pass = h if h.ndim == 3 else h.expand(noise.passes, *h.shape)
    for h_t, z_t, kept in zip(per_pass, z, _kept(mask), strict=True):
        part, weights = h_t.index_select(1, kept), columns.index_select(0, kept)
        torch.addmm(linear.bias, part, weights, alpha=scale, out=z_t)
    return z


def _pays(network: MLP, site: int, noise: Noise, rows: int, *, thin_out: bool) -> bool:
    """Whether the multiplications saved at this site outweigh the gathering, per pass."""
    mask, config = noise.masks[site], network.config
    if mask is None or mask.shape[1] != 1 or mask.device.type != "cpu":
        return False
    weights = network.linears()[site].weight.numel()
    keep = 1 - config.dropout[site]
    if thin_out and site + 1 < len(noise.masks) and noise.masks[site + 1] is not None:
        keep *= 1 - config.dropout[site + 1]
    saved = rows * weights * (1 - keep) / MACS_PER_NS
    return saved > MARGIN * (GATHER_NS * keep * weights + PASS_NS)


def _in_columns(
    network: MLP, x: Tensor, noise: Noise, rest: Callable[[MLP, Tensor, int, Noise], Tensor]
) -> Tensor:
    """Outputs [P, B, O]: the layers before the first mask once, then `rest` in columns."""
    first = next((site for site, mask in enumerate(noise.masks) if mask is not None), None)
    if first is None:
        return network.forward(x, noise)
    for site in range(first):
        x = ACTIVATIONS[network.config.activation](network.preactivation(site, x))
    return rest(network, x.T.contiguous(), first, noise).transpose(1, 2)


def _weight_masked(network: MLP, h: Tensor, first: int, noise: Noise) -> Tensor:
    """Outputs [P, O, B] of the activation h [H, B] at the first site, masks times weights."""
    linears = network.linears()
    for site in range(first, len(linears)):
        if site > first:
            h = ACTIVATIONS[network.config.activation](h)
        mask, weight = noise.masks[site], linears[site].weight
        masked = weight if mask is None else weight * mask  # [P, J, H]
        if h.ndim == 2:
            h = (masked.flatten(0, 1) @ h).view(noise.passes, *weight.shape[:1], -1)  # [P, J, B]
        else:
            h = masked @ h  # [P, J, B]
        h += linears[site].bias[:, None]
    return h


def _gathered(network: MLP, h: Tensor, first: int, noise: Noise) -> Tensor:
    """Outputs [P, O, B] of the activation h [H, B] at the first site, a thinned network a pass."""
    kept = [None if mask is None else _kept(mask) for mask in noise.masks]
    passes = [
        _thinned_pass(network, h, first, [None if k is None else k[t] for k in kept])
        for t in range(noise.passes)
    ]
    return torch.stack(passes)


def _thinned_pass(network: MLP, h: Tensor, first: int, kept: list[Tensor | None]) -> Tensor:
    """Outputs [O, B] of one pass, from the activation [H, B] at the first noisy site."""
    activate, linears = ACTIVATIONS[network.config.activation], network.linears()
    start = kept[first]
    h = h if start is None else h.index_select(0, start)
    for site in range(first, len(linears)):
        weight: Tensor = linears[site].weight
        bias: Tensor = linears[site].bias
        outs = kept[site + 1] if site + 1 < len(linears) else None
        ins = kept[site]
        if outs is not None:
            weight, bias = weight.index_select(0, outs), bias.index_select(0, outs)
        if ins is not None:
            weight = weight.index_select(1, ins)
        scale = 1 + network.config.spreads[site]  # 1/(1-p)
        z = torch.addmm(bias[:, None], weight, h, alpha=scale)  # [J, B]
        h = z if site + 1 == len(linears) else activate(z)
    return h


def _kept(mask: Tensor) -> tuple[Tensor, ...]:
    """The indices of the kept units of each pass, from a mask [P, 1, H]."""
    alive = mask[:, 0] != 0
    return torch.split(alive.nonzero()[:, 1], alive.sum(1).tolist())
