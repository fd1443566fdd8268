"""Trace the forward of a module of torch, and follow the one path from its input to its output."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from inspect import Parameter, signature
from typing import Any

import torch
from torch import fx, nn
from torch.nn import functional as F

from model.errors import Detail, InputError
from model.messages import listed

DROPOUTS = (F.dropout, torch.dropout, torch.dropout_)  # the last two say `train`, not `training`
MOST_WORDS = 200  # of an error of someone else
SHAPES = {  # what may leave the numbers as they are
    "clone", "contiguous", "detach", "double", "flatten", "float", "reshape", "squeeze", "to",
    "unsqueeze", "view", "getitem",
}  # fmt: skip


def unwrapped(module: nn.Module) -> nn.Module:
    """The module inside those that compile it or distribute its batches."""
    wrappers = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    while True:
        inside = getattr(module, "module" if isinstance(module, wrappers) else "_orig_mod", None)
        if not isinstance(inside, nn.Module):
            return module
        module = inside


@contextmanager
def in_mode(module: nn.Module, training: Callable[[nn.Module], bool]) -> Iterator[None]:
    """Within the block, each part of the module is in the mode that `training` says."""
    modes = {part: part.training for part in module.modules()}
    try:
        for part in modes:
            part.training = training(part)
        yield
    finally:
        for part, mode in modes.items():
            part.training = mode


def path_of(module: nn.Module) -> list[fx.Node]:
    """The steps of an unwrapped module from its input to its output; raises InputError."""
    return _path(_graph(module), module)


def name_of(step: fx.Node) -> str:
    """The name of a function or method."""
    target = step.target
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    return "getitem" if target is operator.getitem else name


def place_of(step: fx.Node, parts: dict[str, nn.Module]) -> str:
    """The step in words: the part of the module with its class, or the function."""
    if step.op == "call_module":
        return f"{step.target} ({type(parts[str(step.target)]).__name__})"
    return f"{name_of(step)} (in forward)"


def drop_rate(args: Sequence[Any], given: Mapping[str, Any]) -> Any:
    """The rate of a call of one of DROPOUTS, by its arguments; 0 where it drops nothing."""
    training = args[2] if len(args) > 2 else given.get("training", given.get("train", True))
    return (args[1] if len(args) > 1 else given.get("p", 0.5)) if training else 0.0


def refused_step(place: str, message: str) -> InputError:
    """The error that a module's step cannot be represented."""
    said = f"{place}: {message}"
    return InputError(f"module: {said}", [Detail("module", said)])


class _Tracer(fx.Tracer):
    """One that sees through what compiles or distributes a part of the module."""

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        inner = unwrapped(m)
        if inner is not m:
            return inner(*args, **kwargs)
        return super().call_module(m, forward, args, kwargs)


def _graph(module: nn.Module) -> fx.Graph:
    kind = type(module).__name__
    if isinstance(module, torch.jit.ScriptModule):
        raise refused_step(kind, "a TorchScript module cannot be traced; wrap the one it was of")
    if type(module).forward is nn.Module.forward:
        parts = listed([name for name, _ in module.named_children()]) or "none"
        raise refused_step(kind, f"it has no forward; wrap one of its parts: {parts}")
    defaults = {
        name: parameter.default
        for name, parameter in signature(module.forward).parameters.items()
        if parameter.default is not Parameter.empty
    }
    try:
        with in_mode(module, lambda _: True):
            return _Tracer().trace(module, concrete_args=defaults or None)
    except Exception as error:  # the forward is anyone's
        said = " ".join(str(error).split())[:MOST_WORDS]
        message = f"its forward cannot be traced ({type(error).__name__}: {said})"
        advice = "no branch or loop may depend on the numbers"
        raise refused_step(kind, f"{message}; {advice}") from error


def _path(graph: fx.Graph, module: nn.Module) -> list[fx.Node]:
    """The steps from the input to the output, each of which takes the one before."""
    (output,) = (node for node in graph.nodes if node.op == "output")
    step, steps = output.args[0], list[fx.Node]()
    if not isinstance(step, fx.Node):
        said = f"it returns {_returned(step)}, not one tensor"
        raise refused_step(type(module).__name__, said)
    parts = dict(module.named_modules())
    while step.op != "placeholder":
        steps.append(step)
        before = _operands(step)
        if len(before) != 1:
            raise refused_step(place_of(step, parts), _several(before))
        (step,) = before
    return steps[::-1]


def _operands(step: fx.Node) -> list[fx.Node]:
    """The results that a step takes: not parameters, nor the shape of a batch."""
    ours = [node for node in step.all_input_nodes if node.op != "get_attr"]
    if step.op == "call_module" or name_of(step) not in SHAPES:
        return ours
    return [node for node in step.args[:1] if isinstance(node, fx.Node)]


def _several(before: list[fx.Node]) -> str:
    if not before:
        return "it does not depend on the input"
    names = listed([node.name for node in before])
    return (
        f"it takes {names}: a connection past layers (residual, skip, concatenation), or a second "
        "input, cannot be represented"
    )


def _returned(value: Any) -> str:
    kind = type(value).__name__
    return f"a {kind} of {len(value)}" if isinstance(value, tuple | list | dict) else kind
