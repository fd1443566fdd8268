"""Read the layers off a module: trace its forward, and follow the one path from input to output.

`torch.fx` runs `forward` on a placeholder and records what it calls, in training mode, so that
`F.dropout(x, p, self.training)` is a dropout. A step that is no layer of ours is refused by its
name. What only changes the shape of a batch, such as `squeeze(-1)`, is passed over, and
`model.importing.comparison` shows whether it did.
"""

import operator
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn import functional as F

from model.importing.assembly import FINAL
from model.importing.forward import (
    DROPOUTS,
    SHAPES,
    drop_rate,
    name_of,
    path_of,
    place_of,
    refused_step,
)
from model.importing.specification import LayerKind
from model.messages import shown
from model.passes import MODULES

_NO_EPS = 1e-30  # 1 plus this is 1
_SKIPPED = (nn.Identity, nn.Flatten, nn.Unflatten)
_ARITHMETIC = ("add", "sub", "mul", "truediv", "div")
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

    `width` is the number of units after the last layer. `shaping` has the steps that were passed
    over. `taken` has parameters that are a part of other tensors here. `unused` has the keys
    of the module's state on which its output does not depend.
    """

    width: int
    layers: list[dict[str, Any]] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    shaping: list[str] = field(default_factory=list)
    taken: list[Tensor] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)


class _Refused(Exception):
    """A step is no layer; the message says why, and the caller adds the place."""


def traced(module: nn.Module) -> Traced:
    """The layers of an unwrapped module; raises InputError naming the step that is none."""
    path, parts = path_of(module), dict(module.named_modules())
    found = Traced(_inputs(path, module, parts))
    for node in path:
        try:
            _add(found, node, module, parts)
        except _Refused as refusal:
            raise refused_step(place_of(node, parts), str(refusal)) from refusal
    used = {id(tensor) for tensor in _used(found, parts)}
    state = module.state_dict(keep_vars=True)
    found.unused = [key for key, tensor in state.items() if id(tensor) not in used]
    return found


def _inputs(path: list[fx.Node], module: nn.Module, parts: dict[str, nn.Module]) -> int:
    """The number of inputs of the first linear layer; 0 if there is none."""
    for step in path:
        part = parts.get(str(step.target)) if step.op == "call_module" else None
        if isinstance(part, nn.Linear):
            return part.in_features
        if step.target is F.linear:
            weights = (_parameter(node, module) for node in (*step.args[1:], *step.kwargs.values()))
            return next((each.shape[-1] for each in weights if each is not None), 0)
    return 0


def _parameter(node: Any, module: nn.Module) -> Tensor | None:
    """The parameter or buffer of the module that a node reads; None for anything else."""
    if not isinstance(node, fx.Node) or node.op != "get_attr":
        return None
    found: Tensor = operator.attrgetter(str(node.target))(module)
    return found


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
    if kind == "linear" and tensors["weight"] is not None:
        found.width = len(tensors["weight"])
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
    name: Any = name_of(step).rstrip("_")  # F.relu_ is as good as F.relu
    given = dict(step.kwargs)
    if step.target is F.linear:
        _add_linear(found, step, module)
    elif step.target in DROPOUTS:
        if rate := drop_rate(step.args, given):
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
    elif name in SHAPES:
        found.shaping.append(name)
    elif name in _ARITHMETIC:
        _add_arithmetic(found, step, module, name)
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
        tensor = _parameter(node, module)
        if tensor is None:
            raise _Refused(f"its {name} is computed, not a parameter of the module")
        tensors[name] = tensor
    prefix = str(getattr(given["weight"], "target", "")).removesuffix(".weight")
    _add_tensors(found, "linear", prefix, **tensors)


def _add_arithmetic(found: Traced, step: fx.Node, module: nn.Module, name: str) -> None:
    """Add a sum, product or quotient with numbers or parameters, as a standardisation has it.

    It is what a BatchNorm with running mean 0 and variance 1 computes: h weight + bias.
    """
    if len(step.args) != 2 or step.kwargs:
        raise _Refused("such a step cannot be represented")
    (first, second), ones = step.args, torch.ones(found.width).double()
    is_first = isinstance(first, fx.Node) and first.op != "get_attr"
    other = _numbers(found, second if is_first else first, module)
    match name:
        case "add":
            weight, bias = ones, other
        case "sub":
            weight, bias = (ones, -other) if is_first else (-ones, other)
        case "mul":
            weight, bias = other, 0 * ones
        case _ if is_first:
            weight, bias = 1 / other, 0 * ones
        case _:
            raise _Refused("a quotient with the result below cannot be represented")
    prefix = f"{step.name} (in forward)"
    statistics = {"running_mean": 0 * ones, "running_var": ones}
    _add_tensors(found, "batch_norm", prefix, **statistics, weight=weight, bias=bias)
    found.layers[-1]["eps"] = _NO_EPS


def _numbers(found: Traced, operand: Any, module: nn.Module) -> Tensor:
    """A number, or a parameter of the module, for each unit [width], float64."""
    tensor = _parameter(operand, module)
    if tensor is not None:
        found.taken.append(tensor)
    elif isinstance(operand, int | float):
        tensor = torch.tensor(operand)
    else:
        raise _Refused("such a step cannot be represented")
    flat = tensor.detach().cpu().double().flatten()
    if len(flat) not in (1, found.width):
        raise _Refused(f"its numbers have the shape {list(tensor.shape)}, not [{found.width}]")
    return flat.expand(found.width).clone()


def _used(found: Traced, parts: dict[str, nn.Module]) -> Iterator[Tensor]:
    """The tensors in a module's state that its layers take, in whatever form they keep them."""
    yield from (*found.tensors.values(), *found.taken)
    prefixes = {key.rpartition(".")[0] for key in found.tensors}
    for prefix in prefixes & parts.keys():
        yield from parts[prefix].state_dict(keep_vars=True).values()
