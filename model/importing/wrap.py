"""Make a model of a module in memory: read off its layers, and check them against its outputs."""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, TypedDict, Unpack

import torch
from torch import Tensor, nn

from model.artifact import checked_name, sealed
from model.calibration import NoiseKind
from model.data import Rows
from model.importing.building import built, refused
from model.importing.checkpoint import Entry
from model.importing.comparison import check_outputs
from model.importing.forward import unwrapped
from model.importing.specification import spec_of, tuples
from model.importing.state_dict import Source, Weights
from model.importing.tracing import Traced, traced
from model.messages import listed
from model.passes import MOST_MEMBERS
from model.predictor import Predictor


class Described(TypedDict, total=False):
    """What else `wrap` may be told of a network; see the fields of the JSON file of `import`."""

    name: str
    noise: NoiseKind
    temperature: float
    examples: Sequence[Mapping[str, Any]]


def wrap(
    module: nn.Module | Sequence[nn.Module],
    features: Sequence[str | Mapping[str, Any]],
    target: str | Mapping[str, Any] | Sequence[Mapping[str, Any]],
    *,
    rows: Rows | None = None,
    **described: Unpack[Described],
) -> Predictor:
    """A module of torch as a model, with its dropout; several modules are members of one model.

    Its layers are read off its forward. It must be an `nn.Sequential`, or compute what one would:
    linear layers with one activation, dropouts, BatchNorm and LayerNorm. It may be compiled, or
    in a DataParallel; it is not changed. `features` are the inputs in order, each a name or
    `{"name": ..., "mean": ..., "scale": ...}` or `{"name": ..., "categories": [...]}`; `target` is
    a name or `{"name": ..., "classes": [...]}`, as in the JSON file of `import_model`. `described`
    may have the file's other fields: `name` (else that of the module's class), `noise`,
    `temperature` and `examples`.

    The outputs of the model are compared with the module's own, on random inputs and on `rows`,
    with dropout off and under the same masks. The model is not calibrated: `save` it, then call
    `calibrate`. Raises InputError naming the step of the module, or the field, that does not fit.
    """
    modules = [unwrapped(each) for each in _modules(module)]
    read = [traced(each) for each in modules]
    _check_alike(read)
    layers, kind = read[0].layers, type(modules[0]).__name__
    given = {"target": {"name": target}} if isinstance(target, str) else {"target": target}
    document = {"features": list(features), "layers": layers, **given, **described}
    spec = spec_of(tuples(document), "wrap")
    states = [_weights(each, found) for each, found in zip(modules, read, strict=True)]
    artifact = sealed(built(spec, states, checked_name(spec.name or kind)))
    predictor = Predictor(artifact.card, artifact.networks)
    x = None if rows is None else torch.from_numpy(predictor.encode(rows))
    for each, network, found in zip(modules, artifact.networks, read, strict=True):
        check_outputs(each, network, found, x=x)
    return predictor


def _modules(given: object) -> list[nn.Module]:
    """The modules of a call; raises InputError for anything else, and for too many."""
    found = list(given) if isinstance(given, list | tuple | nn.ModuleList) else [given]
    if not 1 <= len(found) <= MOST_MEMBERS:
        raise refused("module", f"from 1 to {MOST_MEMBERS} are needed, not {len(found)}")
    for each in found:
        if not isinstance(each, nn.Module):
            raise refused("module", f"an nn.Module is needed, not a {type(each).__name__}")
    return [each for each in found if isinstance(each, nn.Module)]


def _check_alike(read: Sequence[Traced]) -> None:
    """Raise InputError for the first member whose layers are not those of the first."""
    for number, found in enumerate(read):
        if found.layers != read[0].layers:
            said = f"all members have the same layers; those of member {number} differ from those"
            raise refused("module", f"{said} of member 0")


def _weights(module: nn.Module, read: Traced) -> Weights:
    tensors = {key: tensor.detach() for key, tensor in read.tensors.items()}
    entries = {key: _entry(tensor) for key, tensor in tensors.items()}
    unused = [key for key in read.unused if not key.endswith("num_batches_tracked")]
    said = f"left out, because the output does not depend on them: {listed(unused)}"
    source = Source(type(module).__name__, _digest(tensors), float("inf"))
    return Weights(source, entries, [said] if unused else [])


def _entry(tensor: Tensor) -> Entry:
    kind = str(tensor.dtype).removeprefix("torch.")
    fault = "has no numbers; it is on the device 'meta'" if tensor.is_meta else ""
    return Entry(tuple(tensor.shape), kind, tensor.cpu, fault)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """The SHA-256 of the tensors by name, as float64."""
    digest = sha256()
    for key, tensor in sorted(tensors.items()):
        digest.update(f"{key} {list(tensor.shape)} ".encode())
        if not tensor.is_meta:
            digest.update(tensor.double().cpu().numpy().tobytes())
    return digest.hexdigest()
