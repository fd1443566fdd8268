"""The network: a multilayer perceptron whose noise is an argument, not a mode.

Dropout has one *site* per layer boundary: site 0 is the input, site l follows hidden layer l. A
pass is a value (`Noise`): the masks of every site, drawn by `model.sampling`. Without it the
forward pass is deterministic. There is no training mode, so none can be left in the wrong state.

Shapes: P passes, B rows, D inputs, H hidden units, O outputs; the pass axis comes first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.errors import Detail, InputError

ActivationName = Literal["relu", "gelu", "silu", "tanh", "elu", "leaky_relu"]

ACTIVATIONS: dict[ActivationName, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "silu": F.silu,
    "tanh": torch.tanh,
    "elu": F.elu,
    "leaky_relu": F.leaky_relu,
}

MODULES: dict[ActivationName, type[nn.Module]] = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "tanh": nn.Tanh,
    "elu": nn.ELU,
    "leaky_relu": nn.LeakyReLU,
}

LEVELS = 1 << 16  # a mask compares a 16-bit integer with the rate, so rates are multiples of 2^-16


@dataclass(frozen=True, slots=True)
class MLPConfig:
    """Widths, activation and noise of a network.

    `dropout` has one rate in [0, 1) per site, the input's first: `len(hidden) + 1` of them.
    `input_noise` is the standard deviation of Gaussian noise added to the standardised inputs
    (Bishop 1995).
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    dropout: tuple[float, ...]
    activation: ActivationName = "relu"
    input_noise: float = 0.0

    def __post_init__(self) -> None:
        for field, message in self._faults():
            raise InputError(f"{field}: {message}", [Detail(field, message)])

    def _faults(self) -> list[tuple[str, str]]:
        faults = []
        for field, width in (
            ("inputs", self.inputs),
            ("outputs", self.outputs),
            *(("hidden", w) for w in self.hidden),
        ):
            if width < 1:
                faults.append((field, f"a layer needs at least one unit, not {width}"))
        if not self.hidden:
            faults.append(("hidden", "at least one hidden layer is needed"))
        if self.activation not in get_args(ActivationName):
            known = ", ".join(get_args(ActivationName))
            faults.append(("activation", f"{self.activation!r} is not one of {known}"))
        if len(self.dropout) != len(self.hidden) + 1:
            count = len(self.hidden) + 1
            faults.append(
                ("dropout", f"{count} rates are needed (input first), not {len(self.dropout)}")
            )
        for rate in self.dropout:
            if not 0 <= rate < 1:
                faults.append(("dropout", f"a rate lies in [0, 1), not {rate}"))
        if not (math.isfinite(self.input_noise) and self.input_noise >= 0):
            faults.append(("input_noise", f"must be finite and >= 0, not {self.input_noise}"))
        return faults

    @property
    def site_widths(self) -> tuple[int, ...]:
        """Number of units at each dropout site, the input's first."""
        return (self.inputs, *self.hidden)

    @property
    def drop_levels(self) -> tuple[int, ...]:
        """Each site's rate in units of 2^-16: the exact probability that masks are drawn with.

        A rate above 0 never rounds to "no dropout", and none rounds to "drop everything".
        """
        return tuple(
            0 if rate == 0 else min(max(round(rate * LEVELS), 1), LEVELS - 1)
            for rate in self.dropout
        )

    @property
    def spreads(self) -> tuple[float, ...]:
        """Each site's variance of the mask, p/(1-p), by the exact rate."""
        return tuple(level / (LEVELS - level) for level in self.drop_levels)

    @property
    def stochastic(self) -> bool:
        """Whether two passes can differ at all."""
        return self.input_noise > 0 or any(self.drop_levels)


@dataclass(frozen=True, slots=True)
class Noise:
    """All that is random in P passes. `None` means "nothing drawn here".

    `masks[l]` is [P, B, H_l] or, shared over the rows, [P, 1, H_l]; its values are 0 with
    probability p and 1/(1-p) otherwise (inverted dropout: E[mask] = 1). `inputs` is added to x.
    """

    masks: tuple[Tensor | None, ...]
    inputs: Tensor | None = None
    passes: int = 1


class MLP(nn.Module):
    """Linear layers with one activation between them; `forward(x, noise)` is a pure function."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        widths = (*config.site_widths, config.outputs)
        self.layers = nn.ModuleList(
            nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(widths)
        )

    def linears(self) -> list[nn.Linear]:
        """The linear layers from the input to the output."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Outputs [B, O] of x [B, D] with dropout off; [P, B, O] under the P passes of `noise`.

        Layers before the first noise are computed once per row: the pass axis appears by
        broadcasting with the first mask.
        """
        activate = ACTIVATIONS[self.config.activation]
        for site in range(len(self.layers)):
            x = self.preactivation(site, activate(x) if site else x, noise)
        return x.expand(noise.passes, *x.shape[-2:]) if noise else x

    def module(self) -> nn.Sequential:
        """The same network as plain layers, dropout included; its weights are these weights."""
        config = self.config
        layers: list[nn.Module] = [nn.Dropout(config.dropout[0])] if config.dropout[0] else []
        for linear, rate in zip(self.linears(), (*config.dropout[1:], None), strict=True):
            layers.append(linear)
            if rate is not None:
                layers.append(MODULES[config.activation]())
                layers.append(nn.Dropout(rate))
        return nn.Sequential(*layers)

    def preactivation(self, site: int, h: Tensor, noise: Noise | None = None) -> Tensor:
        """The linear layer after a site, of the site's activation h [(P,) B, H] under its noise."""
        mask = noise.masks[site] if noise else None
        if noise and noise.inputs is not None and site == 0:
            h = h + noise.inputs  # [P, B, D]
        if mask is not None:
            h = h * mask  # [P, B, H]
        z: Tensor = self.layers[site](h)
        return z
