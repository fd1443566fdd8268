"""Two planes through the trained weights, and where thinned networks lie.

`random` (Li et al. 2018): two random directions, filter-normalised. A filter is the weights into
one unit; each filter of a direction has the norm of the network's own. Biases and norms are left
out.

`masks`: a pass displaces the weights W of the layer after a site by W diag(m - 1), and the mean of
that over the masks is 0. The plane is spanned by the first two principal directions of many such
displacements about the trained weights. The columns of W are orthogonal in the space of weights, so
a displacement has the coordinate (m - 1) |column| for each unit; input noise n adds W (m * n) to
the first bias. Its unit is the typical displacement, the root of the mean square over the passes.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from model.exploration.landscape_weights import Directions
from model.passes import MLP, Noise

LEAST_VARIANCE = 1e-12  # of a principal direction, relative to that of the first


@dataclass(frozen=True, slots=True)
class MaskSpace:
    """The principal directions of the displacements of passes, the largest variance first."""

    basis: Tensor  # [K, U] orthonormal, of the coordinates of displacements
    variances: Tensor  # [K] of the passes along each direction
    total: float  # the mean square of the displacements
    directions: Directions  # K in the space of weights; each is a typical displacement long

    def share(self, count: int = 2) -> float:
        """The share of the displacements' variance in the first `count` directions."""
        return float(self.variances[:count].sum()) / self.total

    def place(self, network: MLP, noise: Noise, count: int = 2) -> tuple[Tensor, Tensor]:
        """The coordinates [P, count] of passes, and their distances [P] from those directions.

        Both are in typical displacements.
        """
        displaced = coordinates(network, noise) / self.total**0.5  # [P, U]
        inside = displaced @ self.basis[:count].T
        rest = displaced.square().sum(-1) - inside.square().sum(-1)
        return inside, rest.clamp_min(0).sqrt()


def random_directions(network: MLP, seed: int, count: int = 2) -> Directions:
    """Directions that are random, with the norm of the network's own weights in each filter."""
    generator, layers = torch.Generator().manual_seed(seed), list[Tensor]()
    for linear in network.linears():
        shape = (count, *linear.weight.shape)
        drawn = torch.randn(shape, generator=generator, dtype=torch.float64)
        norms = linear.weight.detach().double().norm(dim=-1, keepdim=True)  # [J, 1]
        layers.append((drawn / drawn.norm(dim=-1, keepdim=True) * norms).to(linear.weight))
    return Directions(tuple(layers), (None,) * len(layers))


def mask_space(network: MLP, noise: Noise, count: int | None = 2) -> MaskSpace | None:
    """The first `count` principal directions of these passes' displacements, None for all.

    None if the displacements lie on one line, so that there is no plane.
    """
    displaced = coordinates(network, noise)  # [P, U]
    _, sizes, basis = torch.linalg.svd(displaced, full_matrices=False)
    variances = sizes.square() / len(displaced)
    kept = int((variances > LEAST_VARIANCE * variances[:1]).sum())
    if kept < 2:
        return None
    variances, basis = variances[:kept][:count], _signed(basis[:kept][:count])
    total = float(displaced.square().sum(-1).mean())
    return MaskSpace(basis, variances, total, _directions(network, noise, basis * total**0.5))


def coordinates(network: MLP, noise: Noise) -> Tensor:
    """The displacements of the weights in P passes, [P, U] float64, in an orthonormal basis.

    There is a coordinate for each unit that may be dropped, and one for each first bias if there is
    input noise. Lengths and angles are those in the space of all weights.
    """
    parts = [
        (mask[:, 0].double() - 1) * _columns(network, site)
        for site, mask in enumerate(noise.masks)
        if mask is not None
    ]
    if noise.inputs is not None:
        pushed = noise.inputs[:, 0].double()  # [P, D]
        pushed = pushed if noise.masks[0] is None else pushed * noise.masks[0][:, 0].double()
        parts.append(pushed @ network.linears()[0].weight.detach().double().T)  # [P, J]
    return torch.cat(parts, dim=-1)


def _columns(network: MLP, site: int) -> Tensor:
    """The norms [H] of the columns of the layer after a site."""
    norms: Tensor = network.linears()[site].weight.detach().double().norm(dim=0)
    return norms


def _directions(network: MLP, noise: Noise, basis: Tensor) -> Directions:
    """Directions [K, U] of `coordinates` in the space of weights."""
    linears = network.linears()
    layers, start = list[Tensor | None](), 0
    for site, (mask, linear) in enumerate(zip(noise.masks, linears, strict=True)):
        if mask is None:
            layers.append(None)
            continue
        norms, weight = _columns(network, site), linear.weight.detach().double()
        part = basis[:, start : start + len(norms)]  # [K, H]
        start += len(norms)
        scaled = torch.where(norms > 0, part / norms.clamp_min(1e-300), 0.0)
        layers.append((weight * scaled[:, None]).to(linear.weight))  # [K, J, H]
    first: list[Tensor | None] = [None] * len(linears)
    if noise.inputs is not None:
        first[0] = basis[:, start:].to(linears[0].weight)
    return Directions(tuple(layers), tuple(first))


def _signed(basis: Tensor) -> Tensor:
    """Directions [K, U] whose largest coordinate is positive: a sign is arbitrary otherwise."""
    largest = basis.gather(1, basis.abs().argmax(1, keepdim=True))
    return basis * largest.sign()
