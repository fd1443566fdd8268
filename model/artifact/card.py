"""The card: everything that is known of a model except its weights, as one checked document."""

import hashlib
import json
import re
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Field,
    model_validator,
)

from model.artifact.features import (
    CategoricalRecord,
    NumericRecord,
    feature_of,
    feature_record,
)
from model.artifact.records import (
    BaselineRecord,
    CalibrationRecord,
    Record,
    ServingRecord,
    TuningRecord,
)
from model.calibration import Calibration, Similarity, Tuning
from model.data import (
    Schema,
    SeenRows,
    Target,
)
from model.errors import Detail, InputError
from model.messages import shown
from model.passes import MOST_MEMBERS, ActivationName, MLPConfig, Norm, NormKind

PER_TARGET = (  # of the tuning
    "variance_factors",
    "member_factors",
    "noise_scales",
    "noise_powers",
    "typical_stds",
)
BULK = {"scores", "groups", "comparisons", "spreads"}  # the long fields of a calibration
NAME_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"  # safe in a URL and in a file name
Name = Annotated[str, Field(pattern=NAME_PATTERN)]
Width = Annotated[int, Field(ge=1, le=1 << 20)]
Rate = Annotated[float, Field(ge=0, lt=1)]
TargetScale = Annotated[float, Field(ge=1e-100, le=1e100)]  # so that a float holds its square
LARGEST_LOG = 230.0  # the same limit for the logarithm of a geometric mean


FeatureRecord = Annotated[NumericRecord | CategoricalRecord, Field(discriminator="kind")]


class TargetRecord(Record):
    """The target: one or more numbers with their standardisation, or one of several classes.

    The targets named in `logs` are learned by their logarithms, whose means and scales these are.
    """

    names: Annotated[tuple[str, ...], Field(min_length=1)]
    classes: tuple[str, ...] = ()
    means: tuple[float, ...] = ()
    scales: tuple[TargetScale, ...] = ()
    units: tuple[str | None, ...] = ()
    logs: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field, values in (
            ("names", self.names),
            ("classes", self.classes),
            ("logs", self.logs),
        ):
            if len(set(values)) < len(values):
                raise ValueError(f"two of the {field} are the same")
        if self.units and len(self.units) != len(self.names):
            raise ValueError("units need one entry per target")
        if not set(self.logs) <= set(self.names):
            raise ValueError("logs must be names of targets")
        means = zip(self.names, self.means, strict=False)
        if any(abs(mean) > LARGEST_LOG for name, mean in means if name in self.logs):
            raise ValueError(f"the mean of a logarithm must be within {LARGEST_LOG:g} of 0")
        return self

    @cached_property
    def stds(self) -> tuple[float, ...]:
        """The std of each target of a regression in its own unit; see `Target.stds`."""
        return tuple(self.of_rows.stds.tolist())

    @property
    def of_rows(self) -> Target:
        """The target that encodes rows, with names, scales and units."""
        units = self.units or (None,) * len(self.names)
        return Target(self.names, self.classes, self.means, self.scales, units, self.logs)


class NormRecord(Record):
    """The norm before or after a hidden layer's activation; see `model.passes.network.Norm`."""

    kind: NormKind
    eps: Annotated[float, Field(ge=0)] = 1e-5


class Architecture(Record):
    """The hidden layers; `dropout` has the input's rate first, then one per hidden layer.

    `before` and `after` have the norms before and after the activation, one or null per hidden
    layer; empty if there are none. `members` is the number of networks of this shape.
    """

    hidden: Annotated[tuple[Width, ...], Field(min_length=1, max_length=64)]
    activation: ActivationName
    dropout: tuple[Rate, ...]
    input_noise: Annotated[float, Field(ge=0)] = 0.0
    before: tuple[NormRecord | None, ...] = ()
    after: tuple[NormRecord | None, ...] = ()
    members: Annotated[int, Field(ge=1, le=MOST_MEMBERS)] = 1


class Provenance(Record):
    """The origin of the weights: a `TrainingRecord`, or an `ImportRecord`."""

    data: str = ""  # that trained the weights; empty if unknown
    data_sha256: str = ""
    rows: dict[str, int] = Field(default={})  # by part of the split
    notices: tuple[str, ...] = ()
    versions: dict[str, str]


class TrainingRecord(Provenance):
    """How the weights were trained; with the rest of the card, enough to train them again."""

    seed: int
    settings: dict[str, bool | int | float | str]
    class_rows: dict[str, dict[str, int]] = Field(default={})  # by part of the split and class
    split: Literal["seed", "given"] = "seed"  # who chose the parts: the seed, or the caller
    epochs: int
    best_epoch: int
    refitted: bool = False  # the weights have learned from the validation rows too
    searched: dict[str, float] = Field(default={})  # log-likelihood of validation rows, by rate
    decays: dict[str, float] = Field(default={})  # the same, by weight decay
    encodings: dict[str, float] = Field(default={})  # the same, by encoding
    lengths: dict[str, float] = Field(default={})  # the same, by number of epochs


class ImportRecord(Provenance):
    """The names and hashes of the files from which the weights were imported.

    `weights` has those of the first member of an ensemble, `further` those of the others.
    """

    weights: str
    weights_sha256: str
    further: tuple[tuple[str, str], ...] = ()
    specification: str
    specification_sha256: str


class SimilarityRecord(Record):
    """The number of rows for distances; the arrays are in the file of the weights."""

    reference_rows: Annotated[int, Field(ge=1)]
    calibration_rows: Annotated[int, Field(ge=1)]


class SeenRecord(Record):
    """The numbers of rows whose hashes are in the file of the weights; see `SeenRows`."""

    fitted: Annotated[int, Field(ge=0)]
    calibrated: Annotated[int, Field(ge=0)]


class Card(Record):
    """A model's card; `version` is a hash of all other fields, with the weights' hash."""

    format: Literal[1] = 1
    name: Name
    version: str = ""
    task: Literal["regression", "binary", "multiclass"]
    features: Annotated[tuple[FeatureRecord, ...], Field(min_length=1)]
    target: TargetRecord
    architecture: Architecture
    weights_sha256: str
    tuning: TuningRecord = TuningRecord()
    serving: ServingRecord = ServingRecord()
    calibration: CalibrationRecord | None = None
    similarity: SimilarityRecord | None = None
    seen: SeenRecord | None = None  # old cards have none
    training: TrainingRecord | ImportRecord
    metrics: dict[str, float]
    recall: dict[str, float] = Field(default={})  # of each class with a test row
    baselines: dict[str, BaselineRecord] = Field(default={})  # by name; old cards have none

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [feature.name for feature in self.features]
        if len(set(names)) < len(names):
            raise ValueError("two features have the same name")
        if len(self.architecture.dropout) != len(self.architecture.hidden) + 1:
            raise ValueError("architecture.dropout needs one rate per hidden layer and one before")
        target, classes = self.target, len(self.target.classes)
        if target.logs and self.task != "regression":
            raise ValueError("a classifier learns no logarithm")
        if self.task == "regression":
            if classes or not len(target.names) == len(target.means) == len(target.scales):
                raise ValueError("a regression has a mean and a scale per target, and no classes")
        elif len(target.names) != 1 or classes < 2 or (self.task == "binary" and classes > 2):
            raise ValueError("a classifier has one target of two classes, multiclass of any number")
        texts = {feature.name for feature in self.features if feature.kind == "categorical"}
        if self.calibration and self.calibration.by not in {None, *texts}:
            raise ValueError("calibration.by must be a categorical feature, whose groups these are")
        if self.calibration and self.calibration.by_class:
            found = [set(parts) for parts in self.calibration.groups.values()]
            if not classes or any(names != set(target.classes) for names in found):
                raise ValueError("calibration.by_class needs a group of each class")
        for field in PER_TARGET:
            if len(getattr(self.tuning, field)) not in (0, len(target.names)):
                raise ValueError(f"tuning.{field} needs one number per target")
        return self

    @property
    def schema_of_rows(self) -> Schema:
        """The schema that checks and encodes rows."""
        return Schema(tuple(feature_of(entry) for entry in self.features))

    @property
    def target_of_rows(self) -> Target:
        """The target, with names, scales and units."""
        return self.target.of_rows

    @property
    def fitted(self) -> tuple[Tuning, Calibration | None]:
        """The tuning by validation rows, and the calibration if there is one."""
        tuning, entry = Tuning(**self.tuning.model_dump(exclude={"fitted"})), self.calibration
        return tuning, None if entry is None else entry.calibration

    @property
    def config(self) -> MLPConfig:
        """The configuration of the network."""
        per_target = 2 if self.tuning.noise == "heteroscedastic" else 1
        outputs = len(self.target.classes) or len(self.target.names) * per_target
        shape = self.architecture
        return MLPConfig(
            inputs=self.schema_of_rows.width,
            outputs=outputs,
            before=_norms(shape.before),
            after=_norms(shape.after),
            **shape.model_dump(exclude={"before", "after", "members"}),
        )

    def named(self, name: str | None) -> "Card":
        """The card under another name, with its version; itself if the name is None.

        Raises InputError for a name that is not safe in a URL.
        """
        return self.model_copy(update={"name": checked_name(name)}) if name is not None else self

    def content_hash(self) -> str:
        """The first 16 digits of the SHA-256 of the card's canonical JSON without `version`.

        Fields at their defaults are left out, so that a card keeps its version when a later release
        adds fields.
        """
        content = self.model_dump(mode="json", exclude={"version"}, exclude_defaults=True)
        canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()[:16]

    def public(self) -> dict[str, Any]:
        """The card without its long fields, ready for JSON."""
        return self.model_dump(mode="json", exclude={"calibration": BULK})


def checked_name(name: str) -> str:
    """The name of a model, if it is safe in a URL and in a file name; raises InputError."""
    if not re.fullmatch(NAME_PATTERN, name):
        message = f"{shown(name)} does not fit into a URL; use letters, digits, '.', '_' and '-'"
        raise InputError(f"name: {message}", [Detail("name", message)])
    return name


def feature_records(schema: Schema) -> tuple[NumericRecord | CategoricalRecord, ...]:
    """The card's entries of a schema's features."""
    return tuple(feature_record(feature) for feature in schema.features)


def target_record(target: Target) -> TargetRecord:
    """The card's entry of a target."""
    return TargetRecord(
        names=target.names,
        classes=target.classes,
        means=target.means,
        scales=target.scales,
        units=target.units,
        logs=target.logs,
    )


def similarity_record(similarity: Similarity) -> SimilarityRecord:
    """The card's entry of the rows for distances."""
    return SimilarityRecord(
        reference_rows=len(similarity.reference), calibration_rows=len(similarity.scores)
    )


def seen_record(seen: SeenRows) -> SeenRecord:
    """The card's entry of the rows that the model has learned from."""
    return SeenRecord(fitted=len(seen.fitted), calibrated=len(seen.calibrated))


def _norms(entries: tuple[NormRecord | None, ...]) -> tuple[Norm | None, ...]:
    return tuple(None if entry is None else Norm(entry.kind, entry.eps) for entry in entries)
