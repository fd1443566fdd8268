"""Many networks at once that differ in their weights, and the loss of each.

A thinned network is a network with other weights. The layer after a site computes

    W (m * (h + n)) + b  =  (W diag(m)) h + (b + W (m * n)),

with the mask m of the site, and the Gaussian noise n, which the input site alone has. So the
effective weights are W diag(m): the column of a dropped unit is 0, and the others are divided by
1 - p. Biases and norms are those of the whole network, except for the first bias under input noise.

Shapes: G networks, B rows, J and H units after and before a layer, O outputs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from model.passes import MLP, Noise

CHUNK_BYTES = 1 << 22  # of the largest array of a chunk of networks: more does not fit in caches


@dataclass(frozen=True, slots=True)
class Directions:
    """K directions in the space of the weights: layers [K, J, H] and biases [K, J].

    None stands where no direction leads anywhere.
    """

    layers: tuple[Tensor | None, ...]
    biases: tuple[Tensor | None, ...]


@dataclass(frozen=True, slots=True)
class Weights:
    """The weights [G, J, H] and biases [G, J] of the linear layers of G networks.

    An array with G = 1 is the same in all networks.
    """

    layers: tuple[Tensor, ...]
    biases: tuple[Tensor, ...]

    @staticmethod
    def of(network: MLP) -> "Weights":
        """The network's own weights."""
        linears = network.linears()
        return Weights(
            tuple(linear.weight.detach()[None] for linear in linears),
            tuple(linear.bias.detach()[None] for linear in linears),
        )

    def moved(self, directions: Directions, by: Tensor) -> "Weights":
        """These weights, displaced by each row of `by` [G, K] times the K directions."""
        return Weights(
            tuple(map(partial(_moved, by), self.layers, directions.layers)),
            tuple(map(partial(_moved, by), self.biases, directions.biases)),
        )

    def thinned(self, noise: Noise) -> "Weights":
        """The effective weights under the noise of G passes, or of one pass for all networks."""
        layers, biases = list(self.layers), list(self.biases)
        for site, mask in enumerate(noise.masks):
            if mask is not None:
                layers[site] = layers[site] * mask  # [G, J, H] * [G, 1, H]
        if noise.inputs is not None:
            biases[0] = biases[0] + (layers[0] * noise.inputs).sum(-1)  # [G, J]
        return Weights(tuple(layers), tuple(biases))


def outputs(network: MLP, weights: Weights, x: Tensor) -> Tensor:
    """Outputs [G, B, O] of the networks on x [B, D]; norms are those of `network`."""
    h = x.T[None]  # [1, D, B]: the rows come last, so that each network multiplies from the left
    for site, (weight, bias) in enumerate(zip(weights.layers, weights.biases, strict=True)):
        if site:
            h = network.activation(site, h.mT).mT  # [G, H, B]
        h = _layer(weight, bias, h)
    return h.mT


def losses(network: MLP, weights: Weights, x: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean over the rows of `loss`, outputs [G, B, O] to [G, B], of each network: [G]."""
    return loss(outputs(network, weights, x)).double().mean(-1)


def chunks(network: MLP, rows: int, count: int) -> Iterator[slice]:
    """Slices of `count` networks, as many in each as fit in the caches."""
    config = network.config
    widest = max(*config.hidden, config.outputs)
    largest = max(rows * widest, *(linear.weight.numel() for linear in network.linears()))
    step = max(1, CHUNK_BYTES // (4 * largest))
    for start in range(0, count, step):
        yield slice(start, min(start + step, count))


def _moved(by: Tensor, own: Tensor, along: Tensor | None) -> Tensor:
    return own if along is None else own + torch.tensordot(by, along, 1)


def _layer(weight: Tensor, bias: Tensor, h: Tensor) -> Tensor:
    """The pre-activations [G, J, B] of h [G, H, B]."""
    if len(h) == 1:  # one product of all networks
        z = (weight.flatten(0, 1) @ h[0]).view(*weight.shape[:2], -1)  # [G, J, B]
        return z + bias[..., None]
    shape = (len(h), -1, -1)
    return torch.baddbmm(bias[..., None].expand(shape), weight.expand(shape), h)
