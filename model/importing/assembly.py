"""Assemble layers of a network that was trained elsewhere into an `MLP`.

A frozen BatchNorm scales and shifts each unit. It is folded exactly into the linear layer before
it. After a dropout, and at the input, it is folded into the linear layer after it. Between an
activation and its dropout it stays as an affine norm, because the dropout drops the shift too. ReLU
and LeakyReLU satisfy f(m z) = m f(z) for m >= 0, so a dropout before them equals a dropout after
them. A layer that cannot be represented is refused by its place and name.

Shapes: H units of a layer.
"""

from dataclasses import dataclass, field
from typing import get_args

import torch
from torch import Tensor

from model.errors import Detail, InputError
from model.importing.specification import LayerSpec
from model.importing.state_dict import Weights
from model.messages import nearest, shown
from model.passes import ActivationName, Norm

HOMOGENEOUS = ("relu", "leaky_relu")
FINAL = ("softmax", "log_softmax", "sigmoid")  # the last layer that a classifier may have
EPS = 1e-5  # torch's default in BatchNorm1d and LayerNorm


class Refused(Exception):
    """A layer cannot be represented; the message says why, and the caller adds the place."""


@dataclass
class Scaling:
    """h weight + bias for each unit; `norm` says whether the units are standardised before."""

    weight: Tensor  # [H]
    bias: Tensor
    norm: Norm = field(default_factory=lambda: Norm("affine"))

    def then(self, other: "Scaling") -> None:
        """Combine with another scaling, which comes after."""
        self.weight, self.bias = (
            self.weight * other.weight,
            self.bias * other.weight + other.bias,
        )


@dataclass
class Block:
    """A linear layer and the layers up to the next linear one; `rate` is that of its dropout."""

    weight: Tensor  # [H, inputs]
    bias: Tensor  # [H]
    before: Scaling | None = None
    activation: str | None = None
    after: Scaling | None = None
    rate: float = 0.0
    pending: Scaling | None = None  # after the dropout, until the next linear layer takes it


@dataclass
class Assembly:
    """The network of the layers added so far."""

    inputs: int
    weights: Weights
    blocks: list[Block] = field(default_factory=list)
    input_rate: float = 0.0
    input_scaling: Scaling | None = None
    final: str | None = None

    def add(self, number: int, layer: LayerSpec) -> None:
        """Add the next layer; raises InputError naming it, or ArtifactError for its tensors."""
        try:
            if self.final:
                raise Refused(f"nothing can come after {self.final}")
            eps = EPS if layer.eps is None else layer.eps
            if layer.linear is not None:
                self._linear(layer.linear)
            elif layer.batch_norm is not None:
                self._batch_norm(layer.batch_norm, eps)
            elif layer.layer_norm is not None:
                self._layer_norm(layer.layer_norm, eps)
            elif layer.activation is not None:
                self._activation(layer.activation)
            elif layer.dropout:
                self._dropout(layer.dropout)
        except Refused as refusal:
            where = f"layers.{number}.{layer.kind}"
            said = f"{shown(getattr(layer, layer.kind))}: {refusal}"
            raise InputError(f"{where}: {said}", [Detail(where, said)]) from refusal

    @property
    def _last(self) -> Block | None:
        return self.blocks[-1] if self.blocks else None

    @property
    def _width(self) -> int:
        """The number of inputs of the next layer."""
        return len(self._last.bias) if self._last else self.inputs

    def _linear(self, prefix: str) -> None:
        last, width = self._last, self._width
        if last and not last.activation:
            raise Refused("it follows a linear layer without an activation between them")
        before = "the layer before has" if last else "the features come to"
        why = f": {before} {width} numbers"
        weight = self.weights.take(f"{prefix}.weight", (None, width), why=why)
        bias = weight.new_zeros(len(weight))  # nn.Linear(bias=False) has no key
        if self.weights.has(f"{prefix}.bias"):
            bias = self.weights.take(f"{prefix}.bias", (len(weight),))
        scaling = _freed(last) if last else self.input_scaling
        if scaling:
            bias = bias + weight @ scaling.bias
            weight = weight * scaling.weight
        self.blocks.append(Block(weight, bias))

    def _batch_norm(self, prefix: str, eps: float) -> None:
        scaling, last = self._frozen(prefix, eps), self._last
        if not last:
            self.input_scaling = _chained(self.input_scaling, scaling)
        elif not last.activation:
            if last.rate:
                raise Refused("a batch norm between a dropout and its activation is not possible")
            if last.before:
                last.before.then(scaling)
            else:
                last.weight = last.weight * scaling.weight[:, None]
                last.bias = last.bias * scaling.weight + scaling.bias
        elif last.rate:
            last.pending = _chained(last.pending, scaling)
        else:
            last.after = _chained(last.after, scaling)

    def _layer_norm(self, prefix: str, eps: float) -> None:
        last = self._last
        if not last:
            raise Refused("a layer norm of the inputs cannot be represented")
        if last.rate:
            raise Refused("a layer norm after a dropout cannot be represented; put it before")
        if last.after or (last.before and not last.activation):
            raise Refused("a second norm in the same place cannot be represented")
        scaling = self._affine(prefix, self._width, Norm("layer", eps))
        if last.activation:
            last.after = scaling
        else:
            last.before = scaling

    def _activation(self, name: str) -> None:
        last, known = self._last, get_args(ActivationName)
        if name not in (*known, *FINAL):
            said = f"known are {', '.join(known)}, and at the end {', '.join(FINAL)}"
            raise Refused(f"{said}{nearest(name, (*known, *FINAL))}")
        if not last or last.activation:
            raise Refused("an activation follows a linear layer, and its norm, directly")
        if name in FINAL:
            self.final = name
            return
        first = self.blocks[0].activation or name
        if name != first:
            raise Refused(f"all hidden layers have the same activation; the first has {first!r}")
        if last.rate and name not in HOMOGENEOUS:
            raise Refused("a dropout before it cannot be represented; only before relu, leaky_relu")
        last.activation = name

    def _dropout(self, rate: float) -> None:
        last = self._last
        if last.rate if last else self.input_rate:
            raise Refused("a second dropout in the same place cannot be represented")
        if last:
            last.rate = rate
        elif self.input_scaling:
            raise Refused(
                "a dropout after a batch norm of the inputs cannot be represented; "
                "write the norm as mean and scale of the features instead"
            )
        else:
            self.input_rate = rate

    def _frozen(self, prefix: str, eps: float) -> Scaling:
        """The scaling of a BatchNorm with its running statistics."""
        width = self._width
        mean = self.weights.take(f"{prefix}.running_mean", (width,))
        variance = self.weights.take(f"{prefix}.running_var", (width,))
        self.weights.skip(f"{prefix}.num_batches_tracked")
        if (variance < 0).any():
            raise Refused(f"a variance in '{prefix}.running_var' is negative")
        scale = (variance + eps).rsqrt()
        frozen = Scaling(scale, -mean * scale)
        frozen.then(self._affine(prefix, width, Norm("affine")))
        return frozen

    def _affine(self, prefix: str, width: int, norm: Norm) -> Scaling:
        """The learned scale and shift of a norm, or 1 and 0 if it has none."""
        scaling = Scaling(torch.ones(width).double(), torch.zeros(width).double(), norm)
        for part in ("weight", "bias"):
            if self.weights.has(f"{prefix}.{part}"):
                setattr(scaling, part, self.weights.take(f"{prefix}.{part}", (width,)))
        return scaling


def _freed(block: Block) -> Scaling | None:
    """The scaling that the next linear layer takes in: after the dropout, or without dropout."""
    if not block.rate and block.after and block.after.norm.kind == "affine":
        freed, block.after = block.after, None
        return freed
    return block.pending


def _chained(first: Scaling | None, then: Scaling) -> Scaling:
    """Two consecutive scalings as one."""
    if first is None:
        return then
    first.then(then)
    return first
