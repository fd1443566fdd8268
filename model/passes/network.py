"""The network: a multilayer perceptron whose noise is an argument, not a mode.

Dropout has one *site* per layer boundary: site 0 is the input, site l follows hidden layer l. A
`Noise` value has the masks of every site, drawn by `model.passes.masks`, and determines a pass.
Without it the forward pass is deterministic. There is no training mode, so nobody can forget to
switch it.

Shapes: P passes, B rows, D inputs, H hidden units, O outputs; the pass axis comes first.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model.errors import Detail, InputError
from model.messages import not_one_of

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

NormKind = Literal["layer", "affine"]

RATE_LEVELS = (
    1 << 16
)  # a mask compares a 16-bit integer with the rate, so rates are multiples of 2^-16


@dataclass(frozen=True, slots=True)
class Norm:
    """A normalisation before or after the activation of a hidden layer.

    `layer` standardises the units of a row (Ba, Kiros and Hinton 2016), with `eps` added to their
    variance, then scales and shifts each unit. `affine` only scales and shifts each unit: a frozen
    BatchNorm becomes this if it cannot be folded into a linear layer.
    """

    kind: NormKind
    eps: float = 1e-5


@dataclass(frozen=True)
class MLPConfig:
    """Widths, activation, norms and noise of a network.

    `dropout` has one rate in [0, 1) per site, the input's first: `len(hidden) + 1` of them.
    `input_noise` is the standard deviation of Gaussian noise added to the standardised inputs
    (Bishop 1995). `before` and `after` have one norm, or None, per hidden layer, for the place
    before or after its activation. Empty means no norms. The norm after an activation comes before
    its dropout.
    """

    inputs: int
    hidden: tuple[int, ...]
    outputs: int
    dropout: tuple[float, ...]
    activation: ActivationName = "relu"
    input_noise: float = 0.0
    before: tuple[Norm | None, ...] = ()
    after: tuple[Norm | None, ...] = ()

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
            said = not_one_of(self.activation, get_args(ActivationName))
            faults.append(("activation", said))
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
        for field, norms in (("before", self.before), ("after", self.after)):
            if len(norms) not in (0, len(self.hidden)):
                faults.append((field, f"{len(self.hidden)} norms are needed, not {len(norms)}"))
            for norm in norms:
                if norm and norm.kind not in get_args(NormKind):
                    faults.append((field, not_one_of(norm.kind, get_args(NormKind))))
                if norm and not (math.isfinite(norm.eps) and norm.eps >= 0):
                    faults.append((field, f"eps must be finite and >= 0, not {norm.eps}"))
        return faults

    @cached_property
    def site_widths(self) -> tuple[int, ...]:
        """Number of units at each dropout site, the input's first."""
        return (self.inputs, *self.hidden)

    @cached_property
    def drop_levels(self) -> tuple[int, ...]:
        """Each site's rate in units of 2^-16: the exact probability that masks are drawn with.

        A rate above 0 never rounds to "no dropout", and none rounds to "drop everything".
        """
        return tuple(
            0 if rate == 0 else min(max(round(rate * RATE_LEVELS), 1), RATE_LEVELS - 1)
            for rate in self.dropout
        )

    @cached_property
    def spreads(self) -> tuple[float, ...]:
        """The variance p/(1-p) of each site's mask, with the exact rate."""
        return tuple(level / (RATE_LEVELS - level) for level in self.drop_levels)

    @cached_property
    def stochastic(self) -> bool:
        """Whether two passes can differ."""
        return self.input_noise > 0 or any(self.drop_levels)

    @cached_property
    def first_noisy(self) -> int:
        """The first site with noise; the last site if there is no noise."""
        noisy = [self.input_noise > 0 or self.drop_levels[0] > 0]
        noisy += [level > 0 for level in self.drop_levels[1:]]
        return noisy.index(True) if any(noisy) else len(self.hidden)

    @cached_property
    def normalised(self) -> bool:
        """Whether there is any norm."""
        return any(self.before) or any(self.after)


@dataclass(frozen=True, slots=True)
class Noise:
    """All random numbers of P passes; None where a site draws none.

    `masks[l]` is [P, B, H_l] or, shared over the rows, [P, 1, H_l]; its values are 0 with
    probability p and 1/(1-p) otherwise (inverted dropout: E[mask] = 1). `inputs` is added to x.
    `members` [P] is the number of the member that each pass asks; None if there is one network.
    """

    masks: tuple[Tensor | None, ...]
    inputs: Tensor | None = None
    passes: int = 1
    members: Tensor | None = None

    def select(self, index: Tensor) -> "Noise":
        """The noise of some of the passes."""
        return Noise(
            tuple(None if mask is None else mask[index] for mask in self.masks),
            None if self.inputs is None else self.inputs[index],
            len(index),
            None if self.members is None else self.members[index],
        )


class Affine(nn.Module):
    """A layer that scales and shifts each unit."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(torch.ones(width)), nn.Parameter(torch.zeros(width))

    def forward(self, h: Tensor) -> Tensor:
        """h weight + bias, [..., H]."""
        return h * self.weight + self.bias


class MLP(nn.Module):
    """Linear layers with one activation between them; `forward(x, noise)` is a pure function."""

    def __init__(self, config: MLPConfig) -> None:
        super().__init__()
        self.config = config
        widths = (*config.site_widths, config.outputs)
        self._linears = [nn.Linear(fan_in, fan_out) for fan_in, fan_out in pairwise(widths)]
        self.layers = nn.ModuleList(self._linears)
        self.before = _norms(config.before, config.hidden)
        self.after = _norms(config.after, config.hidden)
        before, after = dict(self.before.items()), dict(self.after.items())
        numbers = map(str, range(len(config.hidden)))
        self._around = [(before.get(number), after.get(number)) for number in numbers]

    def linears(self) -> list[nn.Linear]:
        """The linear layers from the input to the output."""
        return self._linears

    def forward(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """Outputs [B, O] of x [B, D] with dropout off, or [P, B, O] of the P passes of `noise`.

        Layers before the first noise are computed once per row: the pass axis appears when the
        first mask is broadcast.
        """
        for site in range(len(self._linears)):
            x = self.preactivation(site, self.activation(site, x) if site else x, noise)
        return x.expand(noise.passes, *x.shape[-2:]) if noise else x

    def module(self) -> nn.Sequential:
        """The network as a sequence of torch layers with dropout; it shares these weights."""
        config = self.config
        *hidden, head = self.linears()
        layers: list[nn.Module] = [nn.Dropout(config.dropout[0])] if config.dropout[0] else []
        for site, (linear, rate) in enumerate(zip(hidden, config.dropout[1:], strict=True), 1):
            before, after = self.around(site)
            parts = (linear, before, MODULES[config.activation](), after, nn.Dropout(rate))
            layers += [part for part in parts if part is not None]
        return nn.Sequential(*layers, head)

    def activation(self, site: int, z: Tensor) -> Tensor:
        """The activation [..., H] at a site after the first, of the pre-activation z before it."""
        before, after = self.around(site)
        z = ACTIVATIONS[self.config.activation](z if before is None else before(z))
        return z if after is None else after(z)

    def around(self, site: int) -> tuple[nn.Module | None, nn.Module | None]:
        """The norms before and after the activation at a site after the first."""
        return self._around[site - 1]

    def preactivation(self, site: int, h: Tensor, noise: Noise | None = None) -> Tensor:
        """The output of the linear layer after a site, for its activation h [(P,) B, H]."""
        mask = noise.masks[site] if noise else None
        if noise and noise.inputs is not None and site == 0:
            h = h + noise.inputs  # [P, B, D]
        if mask is not None:
            h = h * mask  # [P, B, H]
        layer = self._linears[site]
        return F.linear(h, layer.weight, layer.bias)  # layer(h) takes twice as long


def _norms(norms: tuple[Norm | None, ...], hidden: tuple[int, ...]) -> nn.ModuleDict:
    """The norms that are not None, by the number of their hidden layer."""
    return nn.ModuleDict(
        {
            str(number): nn.LayerNorm(hidden[number], norm.eps)
            if norm.kind == "layer"
            else Affine(hidden[number])
            for number, norm in enumerate(norms)
            if norm
        }
    )
