"""The members of an ensemble trained at once: products over all members, and their gradient.

A step of a small network is mostly overhead, which all members share here. The gradient is written
out: autograd would take longer than the products. With the loss L of member m, its outputs and, at
site l, the activation a_l, the mask and the pre-activation z_l before it,

    dL/dz_l = (dL/dz_{l+1} W_{l+1}) mask_l f'(z_l),
    dL/dW_l = (dL/dz_l)^T h_{l-1},   dL/db_l = sum over rows of dL/dz_l,    h = a mask.

Shapes: M members, B rows, D inputs, H hidden units, O outputs, W weights of one member.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from model.passes import ACTIVATIONS, MLP, ActivationName, MLPConfig, Noise
from model.training.adamw import AdamW

Gradient = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""The loss [M] of outputs [M, B, O] against targets, and its gradient [M, B, O]."""

_aten = torch.ops.aten
_SLOPES: dict[ActivationName, Callable[[Tensor, Tensor], Tensor]] = {
    "relu": lambda g, z: _aten.threshold_backward(g, z, 0),
    "gelu": _aten.gelu_backward,
    "silu": _aten.silu_backward,
    "tanh": lambda g, z: _aten.tanh_backward(g, z.tanh()),
    "elu": lambda g, z: _aten.elu_backward(g, 1, 1, 1, False, z),
    "leaky_relu": lambda g, z: _aten.leaky_relu_backward(g, z, 0.01, False),
}
"""g f'(z), for the gradient g in the activation f(z)."""


class Stack:
    """M networks of one shape without norms; their weights are views of the optimizer's vector.

    `seen` [M, D] is 1 for the inputs that a member sees, else 0; None if all see all. The weights
    of an input that a member does not see must be 0, and stay 0: their gradient is left out.
    """

    def __init__(
        self,
        members: Sequence[MLP],
        *,
        weight_decays: Sequence[float],
        seen: Tensor | None = None,
    ) -> None:
        self.config: MLPConfig = members[0].config
        self._seen = None if seen is None else seen[:, None]  # [M, 1, D]
        parameters = [part for member in members for part in member.parameters()]
        self.optimizer = AdamW(parameters, weight_decays=weight_decays)
        weights, gradient = (
            part.view(len(members), -1)
            for part in (self.optimizer.weights, self.optimizer.gradient)
        )
        self._layers = _layers(weights, self.config)
        self._gradients = _layers(gradient, self.config)

    def step(self, x: Tensor, y: Tensor, noise: Noise, gradient: Gradient) -> Tensor:
        """The losses [M] of a mini-batch x [M, B, D] under its noise, before a step down them."""
        hidden, inner, outputs = self._forward(x, noise)
        losses, slope = gradient(outputs, y)
        self._backward(hidden, inner, noise, slope)
        self.optimizer.step()
        return losses

    def _forward(self, x: Tensor, noise: Noise) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """The masked activations of all sites, the pre-activations of hidden ones, the outputs."""
        function, last = ACTIVATIONS[self.config.activation], len(self._layers) - 1
        h = x if noise.inputs is None else x + noise.inputs
        if noise.masks[0] is not None:
            h = h * noise.masks[0]
        hidden, inner = [h], list[Tensor]()
        for site, (weight, bias) in enumerate(self._layers):
            z = torch.baddbmm(bias, hidden[-1], weight.mT)
            if site == last:
                break
            h, mask = function(z), noise.masks[site + 1]
            inner.append(z)
            hidden.append(h if mask is None else h.mul_(mask))
        return hidden, inner, z

    def _backward(
        self, hidden: list[Tensor], inner: list[Tensor], noise: Noise, slope: Tensor
    ) -> None:
        """Write the gradient of the losses, given that in the outputs [M, B, O]."""
        for site in range(len(self._layers) - 1, -1, -1):
            weight, bias = self._gradients[site]
            torch.bmm(slope.mT, hidden[site], out=weight)
            torch.sum(slope, 1, keepdim=True, out=bias)
            if site:
                slope, mask = torch.bmm(slope, self._layers[site][0]), noise.masks[site]
                slope = slope if mask is None else slope.mul_(mask)
                slope = _SLOPES[self.config.activation](slope, inner[site - 1])
            elif self._seen is not None:
                weight.mul_(self._seen)


def _layers(flat: Tensor, config: MLPConfig) -> list[tuple[Tensor, Tensor]]:
    """The weights [M, J, H] and biases [M, 1, J] of each layer, as views of flat [M, W]."""
    found, at = [], 0
    for fan_in, fan_out in pairwise((*config.site_widths, config.outputs)):
        middle, end = at + fan_in * fan_out, at + fan_in * fan_out + fan_out
        weight = flat[:, at:middle].view(-1, fan_out, fan_in)
        found.append((weight, flat[:, middle:end].unsqueeze(1)))
        at = end
    return found
