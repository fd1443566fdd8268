"""The card: everything that is known of a model but its weights, as one checked document."""

import hashlib
import json
import re
from dataclasses import asdict
from itertools import pairwise
from math import inf, isfinite
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from model.abstention import Abstention, Level, Risk
from model.calibration import Calibration
from model.errors import Detail, InputError
from model.network import ActivationName, MLPConfig, Norm, NormKind
from model.options import Estimator
from model.similarity import Similarity
from model.table import CategoricalFeature, Feature, NumericFeature, Schema, Table, Target
from model.tuning import NoiseKind, Tuning

NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"  # safe in a URL and in a file name
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Width = Annotated[int, Field(ge=1, le=1 << 20)]
Rate = Annotated[float, Field(ge=0, lt=1)]
TargetScale = Annotated[float, Field(ge=1e-100, le=1e100)]  # so that its square is a number too


class _Part(BaseModel):
    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, protected_namespaces=()
    )


class NumericEntry(_Part):
    """A numeric feature; `range` is what the training rows held, in the feature's own unit.

    It is None where nobody has told it, of a model that was trained elsewhere.
    """

    name: str
    kind: Literal["numeric"] = "numeric"
    range: tuple[float, float] | None = None
    mean: float
    scale: Annotated[float, Field(gt=0)]
    fill: float | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.range and self.range[0] > self.range[1]:
            raise ValueError("range must not end below its start")
        return self


class CategoricalEntry(_Part):
    """A categorical feature, one-hot encoded in the order of `categories`."""

    name: str
    kind: Literal["categorical"] = "categorical"
    categories: Annotated[tuple[str, ...], Field(min_length=1)]
    fill: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("two categories are the same")
        if self.fill is not None and self.fill not in self.categories:
            raise ValueError("fill is not one of the categories")
        return self


Entry = Annotated[NumericEntry | CategoricalEntry, Field(discriminator="kind")]


class TargetEntry(_Part):
    """What is predicted: several numbers with their standardisation, or one of several classes."""

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    classes: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    scales: tuple[TargetScale, ...] = ()
    units: tuple[str | None, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field, values in (("names", self.names), ("classes", self.classes)):
            if len(set(values)) < len(values):
                raise ValueError(f"two of the {field} are the same")
        if self.units and len(self.units) != len(self.names):
            raise ValueError("units need one entry per target")
        return self


class NormEntry(_Part):
    """What stands on one side of a hidden layer's activation; see `model.network.Norm`."""

    kind: NormKind
    eps: Annotated[float, Field(ge=0)] = 1e-5


class Architecture(_Part):
    """The hidden layers; `dropout` has the input's rate first, then one per hidden layer.

    `before` and `after` the activation are norms, one or null per hidden layer, if any has one.
    """

    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=64)]
    activation: ActivationName
    dropout: tuple[Rate, ...]
    input_noise: Annotated[float, Field(ge=0)] = 0.0
    before: tuple[NormEntry | None, ...] = ()
    after: tuple[NormEntry | None, ...] = ()


class Provenance(_Part):
    """Where the weights come from: a `TrainingRecord`, or an `ImportRecord`."""

    data: str = ""  # that trained them; empty where it is not known
    data_sha256: str = ""
    rows: dict[str, int] = {}  # by part of the split
    notices: tuple[str, ...] = ()
    versions: dict[str, str]


class TrainingRecord(Provenance):
    """Weights that were trained here; with the rest of the card, enough to train them again."""

    seed: int
    settings: dict[str, bool | int | float | str]
    split: Literal["seed", "given"] = "seed"  # who chose the parts: the seed, or the caller
    epochs: int
    best_epoch: int
    refitted: bool = False  # the weights have learned from the validation rows too


class ImportRecord(Provenance):
    """Weights that were trained elsewhere: the names and hashes of the files they came in."""

    weights: str
    weights_sha256: str
    specification: str
    specification_sha256: str


class TuningEntry(_Part):
    """What validation rows fitted; see `model.tuning`. `fitted`: false before any have."""

    noise: NoiseKind = "homoscedastic"
    noise_scales: tuple[Annotated[float, Field(gt=0)], ...] = ()
    largest_errors: tuple[Annotated[float, Field(ge=0)], ...] = ()
    temperature: Annotated[float, Field(gt=0)] = 1.0
    rank_penalty: Annotated[float, Field(ge=0)] = 0.0
    free_ranks: Annotated[int, Field(ge=1)] = 1
    fitted: bool = True


class LevelEntry(_Part):
    """One threshold of the uncertainty; none where all rows are accepted."""

    threshold: float | None
    accepted: Annotated[float, Field(gt=0, le=1)]
    risk: Annotated[float, Field(ge=0)]
    bound: Annotated[float, Field(ge=0)]


class AbstentionEntry(_Part):
    """What calibration rows promise of accepted rows; see `model.abstention`."""

    risk: Risk
    confidence: Annotated[float, Field(gt=0, lt=1)]
    rows: Annotated[int, Field(ge=1)]
    levels: Annotated[tuple[LevelEntry, ...], Field(min_length=1)]
    largest: float | None = None


class CalibrationEntry(_Part):
    """Sorted conformal scores by name, the rows, the passes and the estimator behind them.

    `tuning_rows` others of the same data have fitted the noise or the temperature.
    """

    data: str
    data_sha256: str
    passes: Annotated[int, Field(ge=2)]
    estimator: Estimator
    rows: Annotated[int, Field(ge=1)]
    tuning_rows: Annotated[int, Field(ge=0)] = 0
    scores: dict[str, tuple[Annotated[float, Field(ge=0)], ...]]
    abstention: AbstentionEntry | None = None

    @model_validator(mode="after")
    def _sorted(self) -> Self:
        for name, scores in self.scores.items():
            if len(scores) != self.rows or any(a > b for a, b in pairwise(scores)):
                raise ValueError(f"scores of {name!r} must be {self.rows} ascending numbers")
        return self


class SimilarityEntry(_Part):
    """The size of the distance score, whose arrays stand beside the weights."""

    reference_rows: Annotated[int, Field(ge=1)]
    calibration_rows: Annotated[int, Field(ge=1)]


class Card(_Part):
    """A model's card. `version` is a hash of everything else on it, the weights' hash included."""

    format: Literal[1] = 1
    name: Name
    version: str = ""
    task: Literal["regression", "binary", "multiclass"]
    features: Annotated[tuple[Entry, ...], Field(min_length=1)]
    target: TargetEntry
    architecture: Architecture
    weights_sha256: str
    tuning: TuningEntry = TuningEntry()
    calibration: CalibrationEntry | None = None
    similarity: SimilarityEntry | None = None
    training: TrainingRecord | ImportRecord
    metrics: dict[str, float]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) < len(names):
            raise ValueError("two features have the same name")
        if len(self.architecture.dropout) != len(self.architecture.hidden) + 1:
            raise ValueError("architecture.dropout needs one rate per hidden layer and one before")
        target, classes = self.target, len(self.target.classes)
        if self.task == "regression":
            if classes or not len(target.names) == len(target.means) == len(target.scales):
                raise ValueError("a regression has a mean and a scale per target, and no classes")
        elif len(target.names) != 1 or classes < 2 or (self.task == "binary" and classes > 2):
            raise ValueError("a classifier has one target of two classes, multiclass of any number")
        if len(self.tuning.noise_scales) not in (0, len(target.names)):
            raise ValueError("tuning.noise_scales needs one number per target")
        return self

    @property
    def schema_of_rows(self) -> Schema:
        """How rows are checked and encoded."""
        return Schema(tuple(_feature(entry) for entry in self.features))

    @property
    def target_of_rows(self) -> Target:
        """How outputs are named and scaled."""
        units = self.target.units or (None,) * len(self.target.names)
        return Target(**{**self.target.model_dump(), "units": units})

    @property
    def fitted(self) -> tuple[Tuning, Calibration | None]:
        """What validation and calibration rows fitted."""
        tuning, entry = Tuning(**self.tuning.model_dump(exclude={"fitted"})), self.calibration
        if entry is None:
            return tuning, None
        scores = {name: np.array(values) for name, values in entry.scores.items()}
        return tuning, Calibration(entry.passes, entry.estimator, scores, _abstention(entry))

    @property
    def config(self) -> MLPConfig:
        """The network's shape and noise."""
        per_target = 2 if self.tuning.noise == "heteroscedastic" else 1
        outputs = len(self.target.classes) or len(self.target.names) * per_target
        shape = self.architecture
        return MLPConfig(
            inputs=self.schema_of_rows.width,
            outputs=outputs,
            before=_norms(shape.before),
            after=_norms(shape.after),
            **shape.model_dump(exclude={"before", "after"}),
        )

    def content_hash(self) -> str:
        """SHA-256 over the card's canonical JSON without `version`; its first 16 digits name it.

        Fields at their defaults are left out: a card keeps its version when the format grows.
        """
        content = self.model_dump(mode="json", exclude={"version"}, exclude_defaults=True)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def public(self) -> dict[str, Any]:
        """The card for the outside, JSON-ready: all of it that is not bulk."""
        return self.model_dump(mode="json", exclude={"calibration": {"scores"}})


def checked_name(name: str) -> str:
    """The name of a model, if a URL and a file can bear it; raises InputError."""
    if not re.fullmatch(NAME_PATTERN, name):
        message = f"{name!r} does not fit into a URL; use letters, digits, '.', '_' and '-'"
        raise InputError(f"name: {message}", [Detail("name", message)])
    return name


def feature_entries(schema: Schema) -> tuple[NumericEntry | CategoricalEntry, ...]:
    """The card's entries of a schema's features."""
    return tuple(
        NumericEntry(name=f.name, range=f.range, mean=f.mean, scale=f.scale, fill=f.fill)
        if isinstance(f, NumericFeature)
        else CategoricalEntry(name=f.name, categories=f.categories, fill=f.fill)
        for f in schema.features
    )


def target_entry(target: Target) -> TargetEntry:
    """The card's entry of a target."""
    return TargetEntry(
        names=target.names,
        classes=target.classes,
        means=target.means,
        scales=target.scales,
        units=target.units,
    )


def similarity_entry(similarity: Similarity) -> SimilarityEntry:
    """The card's entry of a distance score."""
    return SimilarityEntry(
        reference_rows=len(similarity.reference), calibration_rows=len(similarity.scores)
    )


def calibration_entry(calibration: Calibration, data: Table) -> CalibrationEntry:
    """The card's entry of a calibration on rows of a table."""
    scores = {name: tuple(values.tolist()) for name, values in calibration.scores.items()}
    rows = len(next(iter(scores.values())))
    return CalibrationEntry(
        data=data.name,
        data_sha256=data.sha256,
        passes=calibration.passes,
        estimator=calibration.estimator,
        rows=rows,
        scores=scores,
        abstention=_abstention_entry(calibration.abstention),
    )


def _norms(entries: tuple[NormEntry | None, ...]) -> tuple[Norm | None, ...]:
    return tuple(None if entry is None else Norm(entry.kind, entry.eps) for entry in entries)


def _abstention_entry(abstention: Abstention | None) -> AbstentionEntry | None:
    if abstention is None:
        return None
    content = asdict(abstention)
    for level in content["levels"]:
        level["threshold"] = level["threshold"] if isfinite(level["threshold"]) else None
    return AbstentionEntry.model_validate(content)


def _abstention(entry: CalibrationEntry) -> Abstention | None:
    found = entry.abstention
    if found is None:
        return None
    levels = (level.model_dump() for level in found.levels)
    return Abstention(
        risk=found.risk,
        confidence=found.confidence,
        rows=found.rows,
        levels=tuple(
            Level(
                **level | {"threshold": inf if level["threshold"] is None else level["threshold"]}
            )
            for level in levels
        ),
        largest=found.largest,
    )


def _feature(entry: NumericEntry | CategoricalEntry) -> Feature:
    if isinstance(entry, CategoricalEntry):
        return CategoricalFeature(entry.name, entry.categories, entry.fill)
    low, high = entry.range or (-inf, inf)
    return NumericFeature(entry.name, entry.mean, entry.scale, low, high, entry.fill)
