"""Read the layers off a module: trace its forward, and follow the one path from input to output.

`torch.fx` runs `forward` on a placeholder and records what it calls, in training mode, so that
`F.dropout(x, p, self.training)` is a dropout. A step that is no layer of ours is refused by its
name. What only changes the shape of a batch, such as `squeeze(-1)`, is passed over, and
`model.importing.comparison` shows whether it did.
"""

import operator
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from model.errors import Detail, InputError
from model.importing.assembly import FINAL
from model.importing.specification import LayerKind
from model.messages import listed, shown
from model.passes import MODULES

MOST_WORDS = 200  # of an error of someone else
_SHAPES = {  # what may leave the numbers as they are
    "clone", "contiguous", "detach", "double", "flatten", "float", "reshape", "squeeze", "to",
    "unsqueeze", "view", "getitem",
}  # fmt: skip
_SKIPPED = (nn.Identity, nn.Flatten, nn.Unflatten)
_ENDS: dict[str, type[nn.Module]] = {
    "softmax": nn.Softmax,
    "log_softmax": nn.LogSoftmax,
    "sigmoid": nn.Sigmoid,
}
_USUAL: dict[type[nn.Module], dict[str, Any]] = {  # settings of the activations that are ours
    nn.GELU: {"approximate": "none"},
    nn.ELU: {"alpha": 1.0},
    nn.LeakyReLU: {"negative_slope": 0.01},
}


@dataclass(slots=True)
class Traced:
    """A module as layers of a specification, in order, and the tensors that they name.

    `shaping` has the steps that were passed over. `unused` has the keys of the module's state on
    which its output does not depend.
    """

    layers: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    shaping: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


class _Refused(Exception):
    """A step is no layer; the message says why, and the caller adds the place."""


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


def traced(module: nn.Module) -> Traced:
    """The layers of an unwrapped module; raises InputError naming the step that is none."""
    found, parts = Traced(), dict(module.named_modules())
    for node in _path(_graph(module), module):
        try:
            _add(found, node, module, parts)
        except _Refused as refusal:
            raise refused_step(_place(node, parts), str(refusal)) from refusal
    used = {id(tensor) for tensor in _used(found, parts)}
    state = module.state_dict(keep_vars=True)
    found.unused = [key for key, tensor in state.items() if id(tensor) not in used]
    return found


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
            raise refused_step(_place(step, parts), _several(before))
        (step,) = before
    return steps[::-1]


def _operands(step: fx.Node) -> list[fx.Node]:
    """The results that a step takes: not parameters, nor the shape of a batch."""
    ours = [node for node in step.all_input_nodes if node.op != "get_attr"]
    if step.op == "call_module" or _name(step) not in _SHAPES:
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


def _name(step: fx.Node) -> str:
    """The name of a function or method."""
    target = step.target
    name = target if isinstance(target, str) else getattr(target, "__name__", str(target))
    return "getitem" if target is operator.getitem else name


def _place(step: fx.Node, parts: dict[str, nn.Module]) -> str:
    """The step in words: the part of the module with its class, or the function."""
    if step.op == "call_module":
        return f"{step.target} ({type(parts[str(step.target)]).__name__})"
    return f"{_name(step)} (in forward)"


def _add(found: Traced, step: fx.Node, module: nn.Module, parts: dict[str, nn.Module]) -> None:
    if step.op == "call_module":
        _add_part(found, str(step.target), parts[str(step.target)])
    else:
        _add_call(found, step, module)


def _add_part(found: Traced, prefix: str, part: nn.Module) -> None:
    """Add a module of torch."""
    match part:
        case nn.modules.lazy.LazyModuleMixin() if part.has_uninitialized_params():
            raise _Refused("it has no weights yet; call the module once before")
        case nn.Linear():
            _add_tensors(found, "linear", prefix, weight=part.weight, bias=part.bias)
        case nn.BatchNorm1d():
            _add_batch_norm(found, prefix, part)
        case nn.LayerNorm():
            _add_layer_norm(found, prefix, part)
        case _ if type(part) is nn.Dropout:
            _add_dropout(found, part.p)
        case _ if isinstance(part, _SKIPPED):
            found.shaping += [] if isinstance(part, nn.Identity) else [prefix]
        case nn.Softmax() | nn.LogSoftmax() if part.dim not in (None, -1, 1):
            raise _Refused(f"it is over dimension {part.dim}; that of the classes is -1")
        case _:
            found.layers.append({"activation": _activation(part)})


def _activation(part: nn.Module) -> str:
    """The name of an activation; raises _Refused for another layer, or another setting of one."""
    known = _ENDS | {str(name): kind for name, kind in MODULES.items()}
    for name, kind in known.items():
        if type(part) is kind:
            usual = _USUAL.get(kind, {})
            _check_usual({setting: getattr(part, setting) for setting in usual}, usual)
            return name
    layers = "Linear, BatchNorm1d, LayerNorm, Dropout and activations"
    names = ", ".join(kind.__name__ for kind in known.values())
    raise _Refused(f"such a layer cannot be represented; known are {layers} ({names})")


def _check_usual(given: dict[str, Any], usual: dict[str, Any]) -> None:
    for setting, value in usual.items():
        if given.get(setting, value) != value:
            found = shown(given[setting])
            raise _Refused(f"its {setting} is {found}; only torch's default, {shown(value)}, is")


def _add_tensors(found: Traced, kind: LayerKind, prefix: str, **tensors: Tensor | None) -> None:
    found.layers.append({kind: prefix})
    for name, tensor in tensors.items():
        if tensor is not None:
            found.tensors[f"{prefix}.{name}"] = tensor


def _add_batch_norm(found: Traced, prefix: str, part: nn.BatchNorm1d) -> None:
    if part.running_mean is None or part.running_var is None:
        raise _Refused("it has no running statistics, so each row depends on the others")
    statistics = {"running_mean": part.running_mean, "running_var": part.running_var}
    _add_tensors(found, "batch_norm", prefix, **statistics, weight=part.weight, bias=part.bias)
    found.layers[-1]["eps"] = part.eps


def _add_layer_norm(found: Traced, prefix: str, part: nn.LayerNorm) -> None:
    if len(part.normalized_shape) != 1:
        raise _Refused(f"it is over {len(part.normalized_shape)} dimensions; one is possible")
    _add_tensors(found, "layer_norm", prefix, weight=part.weight, bias=part.bias)
    found.layers[-1]["eps"] = part.eps


def _add_dropout(found: Traced, rate: object) -> None:
    if not isinstance(rate, int | float) or not 0 <= rate < 1:
        raise _Refused(f"a dropout rate lies in [0, 1), not {shown(rate)}")
    found.layers.append({"dropout": float(rate)})


def _add_call(found: Traced, step: fx.Node, module: nn.Module) -> None:
    """Add a function of torch, or a method of a tensor."""
    name: Any = _name(step).rstrip("_")  # F.relu_ is as good as F.relu
    given = dict(step.kwargs)
    if step.target is F.linear:
        _add_linear(found, step, module)
    elif step.target in (F.dropout, torch.dropout, torch.dropout_):
        rate = given.get("p", step.args[1] if len(step.args) > 1 else 0.5)
        if given.get("training", step.args[2] if len(step.args) > 2 else True):
            _add_dropout(found, rate)
    elif name in MODULES:
        usual = _USUAL.get(MODULES[name], {})
        _check_usual({**dict(zip(usual, step.args[1:], strict=False)), **given}, usual)
        found.layers.append({"activation": name})
    elif name in FINAL:
        dim = given.get("dim", step.args[1] if len(step.args) > 1 else None)
        if dim not in (None, -1, 1):
            raise _Refused(f"it is over dimension {shown(dim)}; that of the classes is -1")
        found.layers.append({"activation": name})
    elif name in _SHAPES:
        found.shaping.append(name)
    else:
        raise _Refused("such a step cannot be represented")


def _add_linear(found: Traced, step: fx.Node, module: nn.Module) -> None:
    """Add a call of `F.linear` with parameters of the module."""
    names = ("weight", "bias")
    given = {**dict(zip(names, step.args[1:], strict=False)), **step.kwargs}
    tensors: dict[str, Tensor] = {}
    for name in names:
        node = given.get(name)
        if node is None:
            continue
        if not isinstance(node, fx.Node) or node.op != "get_attr":
            raise _Refused(f"its {name} is computed, not a parameter of the module")
        tensors[name] = operator.attrgetter(str(node.target))(module)
    prefix = str(getattr(given["weight"], "target", "")).removesuffix(".weight")
    _add_tensors(found, "linear", prefix, **tensors)


def _used(found: Traced, parts: dict[str, nn.Module]) -> Iterator[Tensor]:
    """The tensors in a module's state that its layers take, in whatever form they keep them."""
    yield from found.tensors.values()
    prefixes = {key.rpartition(".")[0] for key in found.tensors}
    for prefix in prefixes & parts.keys():
        yield from parts[prefix].state_dict(keep_vars=True).values()
