"""Compare a module's own outputs with those of the network that was read off it.

With dropout off, and in one pass in which each dropout of the module multiplies by the mask that
the network has in its place. So layers, their order, the places of the dropouts and their rates are
the module's. Both need inputs only, no targets: random ones, and those of rows.

Shapes: B rows, D inputs, O outputs.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from model.errors import InputError
from model.importing.forward import (
    DROPOUTS,
    MOST_WORDS,
    drop_rate,
    in_mode,
    refused_step,
    unwrapped,
)
from model.importing.tracing import Traced
from model.messages import listed, shown
from model.passes import MLP, Noise, draw_noise

ROUNDING = 1e-4  # relative to the largest of the outputs
ELSEWHERE = "it drops at other places than when it was traced"
INPUTS = 64  # random rows


def check_outputs(
    module: nn.Module, network: MLP, layers: Traced, *, x: Tensor | None = None
) -> None:
    """Raise InputError unless module and network agree on random inputs, and on x [B, D]."""
    for inputs in (_random(network.config.inputs), x):
        if inputs is None or not len(inputs):
            continue
        with torch.no_grad():
            _compare(module, network, layers, inputs, None)
            _compare(module, network, layers, inputs, draw_noise(network.config, 0, range(1)))


def _random(inputs: int) -> Tensor:
    """Standard normal inputs [B, D], some of them far out, the same in every call."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(INPUTS, inputs, generator=generator)
    return torch.cat([x, 10 * x[: INPUTS // 4]])


def _compare(
    module: nn.Module, network: MLP, layers: Traced, x: Tensor, noise: Noise | None
) -> None:
    kind, end = type(module).__name__, layers.layers[-1].get("activation")
    found = _ended(network(x, noise)[0] if noise else network(x), end)
    own, dtype = _own(
        module, x, [mask for mask in noise.masks if mask is not None] if noise else []
    )
    if own.numel() != found.numel() and end in (None, "sigmoid") and found.shape[1] == 2:
        found = _single(found, end)
    if own.numel() != found.numel():
        shapes = f"{list(own.shape)} for {len(x)} rows, its layers {list(found.shape)}"
        raise refused_step(kind, f"it gives outputs {shapes}{_passed_over(layers)}")
    own, found = own.reshape(found.shape).double().cpu(), found.double()
    tolerance = max(ROUNDING, 16 * torch.finfo(dtype).eps) * own.abs().max()
    apart = (own - found).abs().amax(-1)
    if not bool((apart <= tolerance).all()):
        row = int(apart.nan_to_num(torch.inf).argmax())
        when = "under the same masks" if noise else "with dropout off"
        said = f"{when} it gives {_few(own[row])}, its layers {_few(found[row])}"
        raise refused_step(kind, f"{said}{_passed_over(layers)}")


def _few(values: Tensor) -> str:
    return shown([float(f"{value:.6g}") for value in values.tolist()[:3]])


def _passed_over(layers: Traced) -> str:
    """The steps that were taken for changes of the shape alone."""
    if not layers.shaping:
        return "; a hook, or a step that is no layer, changes the numbers"
    return f"; these steps change more than the shape of a batch: {listed(layers.shaping)}"


def _ended(outputs: Tensor, end: Any) -> Tensor:
    """The network's outputs [B, O] after the module's last activation."""
    if end == "softmax":
        return outputs.softmax(-1)
    return outputs.log_softmax(-1) if end == "log_softmax" else outputs


def _single(outputs: Tensor, end: Any) -> Tensor:
    """The one output [B, 1] of a module whose network has two logits."""
    logit = outputs[:, 1:] - outputs[:, :1]
    return logit.sigmoid() if end == "sigmoid" else logit


def _own(module: nn.Module, x: Tensor, masks: Sequence[Tensor]) -> tuple[Tensor, torch.dtype]:
    """The module's outputs, with the masks in the place of its dropouts, and their format."""
    like = next(module.parameters())
    norms = (nn.modules.batchnorm._BatchNorm,)
    dropouts = _Dropouts([mask[0].to(like) for mask in masks])
    try:
        with (
            in_mode(module, lambda part: bool(masks) and not isinstance(part, norms)),
            _uncompiled(module),
            dropouts,
        ):
            outputs = module(x.to(like))
    except InputError:
        raise
    except Exception as error:  # the forward is anyone's
        said = " ".join(str(error).split())[:MOST_WORDS]
        shape = f"inputs {list(x.shape)}"
        message = f"its forward fails on {shape} ({type(error).__name__}: {said})"
        raise refused_step(type(module).__name__, message) from error
    if masks and dropouts.left:
        raise refused_step(type(module).__name__, ELSEWHERE)
    if not isinstance(outputs, Tensor):
        raise refused_step(type(module).__name__, f"it returns a {type(outputs).__name__}")
    return outputs, like.dtype


def _uncompiled(module: nn.Module) -> AbstractContextManager[Any]:
    """Within it, parts that are compiled run as they were before, so that dropouts are seen."""
    if not any(unwrapped(part) is not part for part in module.modules()):
        return nullcontext()  # set_stance loads the compiler, which takes seconds
    eager: AbstractContextManager[Any] = torch.compiler.set_stance("force_eager")
    return eager


class _Dropouts(TorchFunctionMode):
    """Within it, dropouts multiply by the given masks, one after the other, or do nothing."""

    def __init__(self, masks: Sequence[Tensor]) -> None:
        super().__init__()
        self._given, self._masks = bool(masks), list(masks)

    @property
    def left(self) -> bool:
        """Whether there are masks that no dropout has taken."""
        return bool(self._masks)

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        given = kwargs or {}
        if func not in DROPOUTS:
            return func(*args, **given)
        x = args[0] if args else given["input"]
        if not self._given or not drop_rate(args, given):
            return x
        if not self._masks or self._masks[0].shape[-1] != x.shape[-1]:
            raise refused_step("dropout (in forward)", ELSEWHERE)
        return x * self._masks.pop(0)
