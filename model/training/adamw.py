"""Gradient steps: all parameters as one vector, and AdamW on it.

A step of a small network is mostly overhead. With all parameters in one vector, each operation of
a step has the overhead of one tensor.

Shapes: W weights in all.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.optim.adamw import adamw

CLIP_NORM = 1.0  # of the gradient: one bad mini-batch cannot move the weights far
BETAS, EPSILON = (0.9, 0.999), 1e-8  # Adam's usual ones


class AdamW:
    """AdamW (Loshchilov and Hutter 2019) on parameters that are views of `weights` [W].

    The caller sets `rate`, the learning rate, before every step. The parameters of M networks of
    one shape follow one another, and `weight_decays` has the decay of each. The norm of each
    network's gradient is clipped.
    """

    def __init__(
        self, parameters: Iterable[nn.Parameter], *, weight_decays: Sequence[float]
    ) -> None:
        self.rate, members = 0.0, len(weight_decays)
        self._decays = torch.tensor(weight_decays)[:, None]  # [M, 1]
        parts = list(parameters)
        self.weights = torch.cat([part.detach().flatten() for part in parts])
        self.gradient = torch.zeros_like(self.weights)
        self._of_members = self.gradient.view(members, -1)
        self._weights = self.weights.view(members, -1)
        self._moments = torch.zeros_like(self.weights), torch.zeros_like(self.weights)
        self._steps = torch.zeros(())
        sizes = [part.numel() for part in parts]
        views = zip(
            torch.split(self.weights, sizes), torch.split(self.gradient, sizes), strict=True
        )
        for part, (weights, gradient) in zip(parts, views, strict=True):
            part.data, part.grad = weights.view_as(part), gradient.view_as(part)

    def minimise(self, loss: Tensor) -> None:
        """Move the weights down the gradient of a loss, which autograd computes."""
        self.gradient.zero_()
        loss.backward()  # type: ignore[no-untyped-call]
        self.step()

    def step(self) -> None:
        """Move the weights down the gradient that is in `gradient`."""
        norm = torch.linalg.vector_norm(self._of_members, dim=1, keepdim=True)
        self._of_members.mul_((CLIP_NORM / (norm + 1e-6)).clamp_(max=1))
        self._weights.mul_(1 - self.rate * self._decays)
        first, second = self._moments
        adamw(
            [self.weights],
            [self.gradient],
            [first],
            [second],
            [],
            [self._steps],  # `adamw` adds 1
            fused=True,
            lr=self.rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=0,  # above: each member has its own
            eps=EPSILON,
            amsgrad=False,
            maximize=False,
        )
