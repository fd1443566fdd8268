"""Build a model of assembled layers: its card, its networks, and its examples checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import cast

import torch
from pydantic import ValidationError
from torch import Tensor

from model.artifact import (
    Architecture,
    Artifact,
    Card,
    FeatureRecord,
    ImportRecord,
    NormRecord,
    TargetRecord,
    TuningRecord,
)
from model.errors import ArtifactError, Detail, InputError
from model.importing.assembly import Assembly, Block, Scaling
from model.importing.specification import Spec
from model.importing.state_dict import Weights
from model.messages import shown
from model.options import PredictOptions
from model.passes import MLP, ActivationName, Ensemble
from model.predictor import Predictor
from model.tasks import TaskName, Value

ROUNDING = 1e-4  # tolerance of an example's output, relative to its size + the target's scale


@dataclass(frozen=True, slots=True)
class Origin:
    """The name and the hash of the specification's file, empty if a module was wrapped."""

    specification: str = ""
    sha256: str = ""


def built(
    spec: Spec,
    states: Sequence[Weights],
    name: str,
    *,
    ignore: Sequence[str] = (),
    origin: Origin = Origin(),
) -> Artifact:
    """The model of a specification, with one state dict for each member.

    Raises InputError naming a field of the specification, and ArtifactError naming a tensor.
    """
    assemblies = [_assembled(spec, state, ignore) for state in states]
    card = _card(spec, states, assemblies[0], name=name, origin=origin)
    _check_alike(card.architecture, states, assemblies)
    networks = Ensemble([_network(card, assembly.blocks) for assembly in assemblies])
    _check_examples(spec, card, networks)
    return Artifact(card, networks)


def refused(field: str, message: str) -> InputError:
    """The error of a field of a specification, or of an argument."""
    return InputError(f"{field}: {message}", [Detail(field, message)])


def _check_alike(
    shape: Architecture, states: Sequence[Weights], assemblies: Sequence[Assembly]
) -> None:
    """Raise InputError for the first file whose layers have other widths than the first's."""
    for state, assembly in zip(states, assemblies, strict=True):
        found = _architecture(assembly).hidden
        if found != shape.hidden:
            said = f"{state.name} has hidden layers of {found}, {states[0].name} of {shape.hidden}"
            raise refused("weights", f"all members have one shape; {said}")


def _assembled(spec: Spec, state: Weights, ignore: Sequence[str]) -> Assembly:
    """The network assembled from its layers; raises InputError or ArtifactError for a misfit."""
    assembly = Assembly(sum(_width(entry) for entry in spec.features), state)
    for number, layer in enumerate(spec.layers):
        assembly.add(number, layer)
    _fit_head(spec, assembly.final, _head(assembly))
    state.ignore((*spec.ignore, *ignore))
    state.check_all_taken()
    return assembly


def _width(entry: FeatureRecord) -> int:
    """The number of encoded columns of a feature."""
    return len(entry.categories) if entry.kind == "categorical" else len(entry.edges) or 1


def _head(assembly: Assembly) -> Block:
    """The output layer; raises InputError if the last layer is none, or if it is the only one."""
    if len(assembly.blocks) < 2:
        raise refused("layers", "at least one hidden layer and the output layer are needed")
    head = assembly.blocks[-1]
    if head.activation:
        said = f"the outputs must be those of a linear layer, not of {head.activation!r}"
        raise refused("layers", said)
    if head.before or head.rate:
        kind = "layer_norm" if head.before else "dropout"
        raise refused("layers", f"a {kind} of the outputs cannot be represented")
    return head


def _fit_head(spec: Spec, final: str | None, head: Block) -> None:
    """Check the number of outputs; a sigmoid of one output becomes two logits."""
    outputs, classes = len(head.bias), len(spec.classes)
    if not classes:
        per_target = 2 if spec.noise == "heteroscedastic" else 1
        if final:
            raise refused("layers", f"{final!r} at the end needs classes; the target has none")
        if outputs != len(spec.target) * per_target:
            needed = f"{len(spec.target)} x {per_target} are needed ({spec.noise} noise)"
            raise refused("target", f"the network has {outputs} outputs; {needed}")
        return
    if outputs == 1 and classes == 2 and final in (None, "sigmoid"):
        # sigmoid(z) is the second component of the softmax of the logits (0, z)
        head.weight = torch.cat([torch.zeros_like(head.weight), head.weight])
        head.bias = torch.cat([torch.zeros_like(head.bias), head.bias])
    elif final == "sigmoid":
        found = f"the network has {outputs} outputs for {classes} classes"
        raise refused("layers", f"a sigmoid needs one output and two classes; {found}")
    elif outputs != classes:
        raise refused("target", f"the network has {outputs} outputs for {classes} classes")


def _card(
    spec: Spec, states: Sequence[Weights], assembly: Assembly, *, name: str, origin: Origin
) -> Card:
    weights, *further = states
    notices = dict.fromkeys(notice for state in states for notice in state.notices)
    try:
        return Card(
            name=name,
            task=_task(spec),
            features=spec.features,
            target=_target(spec),
            architecture=_architecture(assembly).model_copy(update={"members": len(states)}),
            weights_sha256="",
            tuning=_tuning(spec),
            training=ImportRecord(
                weights=weights.name,
                notices=tuple(notices),
                weights_sha256=weights.sha256,
                further=tuple((state.name, state.sha256) for state in further),
                specification=origin.specification,
                specification_sha256=origin.sha256,
                versions={package: version(package) for package in ("torch", "numpy")},
            ),
            metrics={},
        )
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        field = ".".join(map(str, fault["loc"])) or "specification"
        said = fault["msg"].removeprefix("Value error, ")
        raise refused(field, f"{said}, not {shown(fault['input'])}") from error


def _task(spec: Spec) -> TaskName:
    if not spec.classes:
        return "regression"
    return "binary" if len(spec.classes) == 2 else "multiclass"


def _target(spec: Spec) -> TargetRecord:
    names = tuple(target.name for target in spec.target)
    if spec.classes:
        return TargetRecord(names=names, classes=spec.classes)
    return TargetRecord(
        names=names,
        means=tuple(target.mean for target in spec.target),
        scales=tuple(target.scale for target in spec.target),
        units=tuple(target.unit for target in spec.target),
        logs=tuple(target.name for target in spec.target if target.log),
    )


def _tuning(spec: Spec) -> TuningRecord:
    """The tuning from the specification's noise or temperature, or from the network's own noise."""
    scales = [
        (target.noise_std / target.scale) ** 2 for target in spec.target if target.noise_std
    ]  # for all targets, or for none
    learned = [1.0] * len(spec.target) if spec.noise == "heteroscedastic" else []
    return TuningRecord(
        noise=spec.noise,
        noise_scales=tuple(scales or learned),
        temperature=spec.temperature or 1.0,
        fitted=bool(scales) or spec.temperature is not None,
    )


def _architecture(assembly: Assembly) -> Architecture:
    *hidden, _ = assembly.blocks
    return Architecture(
        hidden=tuple(len(block.bias) for block in hidden),
        activation=cast(ActivationName, hidden[0].activation),
        dropout=(assembly.input_rate, *(block.rate for block in hidden)),
        before=_norms([block.before for block in hidden]),
        after=_norms([block.after for block in hidden]),
    )


def _norms(scalings: list[Scaling | None]) -> tuple[NormRecord | None, ...]:
    """The norm of each hidden layer, or None; empty if no layer has a norm."""
    if not any(scalings):
        return ()
    return tuple(
        None if scaling is None else NormRecord(kind=scaling.norm.kind, eps=scaling.norm.eps)
        for scaling in scalings
    )


def _network(card: Card, blocks: list[Block]) -> MLP:
    """The network in float32; raises ArtifactError for a number that overflows float32."""
    tensors: dict[str, Tensor] = {}
    for number, block in enumerate(blocks):
        parts = {"layers": block, "before": block.before, "after": block.after}
        for part, of in parts.items():
            if of:
                tensors[f"{part}.{number}.weight"] = of.weight.float()
                tensors[f"{part}.{number}.bias"] = of.bias.float()
    for name, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise ArtifactError(f"{name}: folding the layers gives a number beyond float32")
    with torch.device("meta"):
        network = MLP(card.config)
    network.load_state_dict(tensors, assign=True)
    return network.requires_grad_(False)


def _check_examples(spec: Spec, card: Card, networks: Ensemble) -> None:
    """Raise InputError for the first example whose output the network does not reproduce.

    The output of an ensemble is the average of its members' outputs, or of their probabilities.
    """
    untuned = card.model_copy(update={"tuning": TuningRecord(noise=spec.noise)})
    predictor = Predictor(untuned, networks)
    options = PredictOptions(passes=2 * len(networks))
    scales = dict(zip(card.target.names, card.target.stds, strict=False))
    for number, example in enumerate(spec.examples):
        where = f"examples.{number}"
        try:
            (row,) = predictor.predict([example.row], options).rows
        except InputError as error:
            raise refused(f"{where}.row", str(error).removeprefix("rows.0: ")) from error
        found, wanted = (_by_name(value, spec) for value in (row.deterministic, example.output))
        same = found.keys() == wanted.keys() and all(
            abs(value - wanted[name]) <= ROUNDING * (scales.get(name, 1.0) + abs(value))
            for name, value in found.items()
        )
        if not same:
            said = f"the network gives {row.deterministic}, not {example.output}"
            raise refused(f"{where}.output", f"{said}: a layer, an encoding or a scale differs")


def _by_name(value: Value, spec: Spec) -> dict[str, float]:
    """A prediction as an object keyed by class or by target."""
    return value if isinstance(value, dict) else {spec.target[0].name: value}
