"""The specification of a network that was trained elsewhere: one JSON document, checked."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.artifact import FeatureRecord, Name, Rate, TargetScale
from model.calibration import NoiseKind
from model.errors import Detail, InputError
from model.messages import nearest, shown

MOST_LAYERS = 1000

LayerKind = Literal["linear", "batch_norm", "layer_norm", "activation", "dropout"]
Positive = Annotated[float, Field(gt=0)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class LayerSpec(_Part):
    """One layer: the prefix of its keys in the state dict, or its activation or dropout rate."""

    linear: str | None = None
    batch_norm: str | None = None
    layer_norm: str | None = None
    activation: str | None = None
    dropout: Rate | None = None
    eps: Positive | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        given = self.model_fields_set - {"eps"}
        if len(given) != 1 or getattr(self, next(iter(given))) is None:
            known = ", ".join(get_args(LayerKind))
            raise ValueError(f"a layer is exactly one of {known}")
        if self.eps is not None and self.kind not in ("batch_norm", "layer_norm"):
            raise ValueError("eps belongs to batch_norm and layer_norm alone")
        return self

    @property
    def kind(self) -> LayerKind:
        """The kind of the layer."""
        kinds: tuple[LayerKind, ...] = get_args(LayerKind)
        return next(kind for kind in kinds if getattr(self, kind) is not None)


class TargetSpec(_Part):
    """A target: a number with output = (value - mean) / scale, or one of several classes.

    With `log` the output is (log(value) - mean) / scale. `noise_std` is the standard deviation of
    the noise in the target, in its unit, or of the noise in its logarithm, if it is known.
    """

    name: str
    unit: str | None = None
    mean: float = 0.0
    scale: TargetScale = 1.0
    log: bool = False
    noise_std: Positive | None = None
    classes: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        numbers = self.model_fields_set & {"unit", "mean", "scale", "log", "noise_std"}
        if self.classes and numbers:
            raise ValueError(f"a target with classes has no {min(numbers)}")
        if len(self.classes) == 1:
            raise ValueError("there is one class; two or more are needed")
        return self


class ExampleSpec(_Part):
    """A row, and the output of the original network for it with dropout off.

    `output` is a number in the target's unit, one number for each of several targets, or the
    probability of each class.
    """

    row: dict[str, float | str | None] | tuple[float | str | None, ...]
    output: float | dict[str, float]


class Spec(_Part):
    """A network that was trained elsewhere: its features, its layers in order, and its target.

    `noise` is heteroscedastic if the network has log-variances after the means. `temperature`
    divides the logits of a classifier, if it is known. `examples` have outputs that the imported
    network must reproduce, because the weights contain neither the order of categories, nor the
    slope of an activation, nor an eps. `ignore` has patterns of keys in the state dict that belong
    to no layer, such as `loss_fn.*`.
    """

    features: Annotated[tuple[FeatureRecord, ...], Field(min_length=1)]
    target: Annotated[tuple[TargetSpec, ...], Field(min_length=1)]
    layers: Annotated[tuple[LayerSpec, ...], Field(min_length=1, max_length=MOST_LAYERS)]
    name: Name | None = None
    noise: NoiseKind = "homoscedastic"
    temperature: Positive | None = None
    examples: tuple[ExampleSpec, ...] = ()
    ignore: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.classes and (len(self.target) > 1 or self.noise == "heteroscedastic"):
            raise ValueError("a classifier has one target, and no noise")
        if not self.classes and self.temperature is not None:
            raise ValueError("temperature is for a classifier; this target has no classes")
        given = [target.noise_std is not None for target in self.target]
        if any(given) and (not all(given) or self.noise == "heteroscedastic"):
            raise ValueError(
                "noise_std: all targets need one, or none; none with heteroscedastic noise"
            )
        return self

    @property
    def prefixes(self) -> frozenset[str]:
        """The prefixes of the keys in the state dict that the layers name."""
        named = (layer.linear or layer.batch_norm or layer.layer_norm for layer in self.layers)
        return frozenset(prefix for prefix in named if prefix)

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of a classifier; empty for a regression."""
        return self.target[0].classes


_FEATURE_FIELDS = {"kind", "mean", "scale", "range", "fill", "categories"}
_FIELDS = sorted(
    _FEATURE_FIELDS.union(
        *(part.model_fields for part in (Spec, TargetSpec, LayerSpec, ExampleSpec))
    )
)


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A specification, and the name and the hash of its file."""

    spec: Spec
    name: str
    sha256: str


def read_spec(path: str | Path) -> SpecFile:
    """The specification in a file; raises InputError naming the file, the field and the value."""
    path = Path(path)
    try:
        content = path.read_bytes()
        document = json.loads(content, object_pairs_hook=_object, parse_constant=_constant)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is not JSON: {error}") from error
    spec = spec_of(document, str(path))
    return SpecFile(spec, path.name, hashlib.sha256(content).hexdigest())


def spec_of(document: Any, source: str) -> Spec:
    """The specification of a document whose lists are tuples; raises InputError naming a field."""
    try:
        return Spec.model_validate(_completed(document))
    except ValidationError as error:
        raise _refusal(source, error) from error


def tuples(value: Any) -> Any:
    """The value with tuples for all lists in it, and numbers for those of numpy."""
    match value:
        case dict():
            return {key: tuples(each) for key, each in value.items()}
        case list() | tuple():
            return tuple(map(tuples, value))
        case np.generic() | np.ndarray():
            return tuples(value.tolist())
    return value


def _completed(document: Any) -> Any:
    """The document with its short forms written out: a feature's name, a target without a list."""
    if not isinstance(document, dict):
        return document
    features, target = document.get("features"), document.get("target")
    if isinstance(features, tuple):
        document = document | {"features": tuple(map(_feature, features))}
    return document | {"target": (target,)} if isinstance(target, dict) else document


def _feature(feature: Any) -> Any:
    """The full entry of a feature: a name is a numeric one; mean 0 and scale 1 are the defaults."""
    if isinstance(feature, str):
        feature = {"name": feature}
    if not isinstance(feature, dict):
        return feature
    if "categories" in feature:
        return {"kind": "categorical"} | feature
    return {"kind": "numeric", "mean": 0.0, "scale": 1.0} | feature


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object, its arrays as tuples; raises ValueError for a key that comes twice."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} comes twice")
        found[key] = tuples(value)
    return found


def _constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no number")


def _refusal(source: str, error: ValidationError) -> InputError:
    """The first fault, by the field's path in the document."""
    fault = error.errors(include_url=False)[0]
    tags = {"numeric", "categorical"}
    parts = [f"{part:.80}" for part in map(str, fault["loc"]) if part not in tags]
    field = ".".join(parts) or "specification"
    said = fault["msg"].removeprefix("Value error, ").replace("Input should be", "must be")
    value = "" if fault["type"] in ("missing", "value_error") else f", not {shown(fault['input'])}"
    like = nearest(fault["loc"][-1], _FIELDS) if fault["type"] == "extra_forbidden" else ""
    said = f"no such field is known{like}" if fault["type"] == "extra_forbidden" else said + value
    return InputError(f"{source}: {field}: {said}", [Detail(field, said)])
