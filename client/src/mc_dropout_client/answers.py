"""What the service answers, as frozen dataclasses.

The names are those of the JSON; the service's page "The answer" says what each means. A field that
is None was not in the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from mc_dropout_client.decoding import decoded
from mc_dropout_client.errors import UnexpectedAnswer

Task: TypeAlias = Literal["regression", "binary", "multiclass"]
ByName: TypeAlias = Mapping[str, float]  # a number for each target, or for each class


@dataclass(frozen=True, slots=True)
class ModelName:
    """Which model has answered; the version is a hash of its content."""

    name: str
    version: str


@dataclass(frozen=True, slots=True)
class Interval:
    """Where the target lies, with the probability `coverage` or more."""

    coverage: float
    lower: float
    upper: float
    method: str


@dataclass(frozen=True, slots=True)
class TargetIntervals:
    """Where each of several targets lies."""

    coverage: float
    lower: ByName
    upper: ByName
    method: str


@dataclass(frozen=True, slots=True)
class LabelSet:
    """The labels of which one is right, with the probability `coverage` or more."""

    coverage: float
    labels: tuple[str, ...]
    method: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RegressionPrediction:
    """A row's prediction of one target, in its unit; variances in the unit squared."""

    mean: float
    variance: float
    std: float
    mean_error: float
    variance_error: float
    member_variance: float | None = None
    member_variance_error: float | None = None
    deterministic: float
    noise_variance: float
    total_variance: float
    interval: Interval
    distance: float | None = None
    distance_p_value: float | None = None
    spread_p_value: float | None = None
    accept: bool | None = None
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[float, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetsPrediction:
    """A row's prediction of several targets: numbers keyed by target."""

    mean: ByName
    variance: ByName
    std: ByName
    mean_error: ByName
    variance_error: ByName
    member_variance: ByName | None = None
    member_variance_error: ByName | None = None
    deterministic: ByName
    noise_variance: ByName
    total_variance: ByName
    interval: TargetIntervals
    distance: float | None = None
    distance_p_value: float | None = None
    spread_p_value: float | None = None
    accept: bool | None = None
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[ByName, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationPrediction:
    """A row's prediction of a class: numbers keyed by class, entropies in nats."""

    label: str
    mean: ByName
    variance: ByName
    std: ByName
    mean_error: ByName
    variance_error: ByName
    member_variance: ByName | None = None
    member_variance_error: ByName | None = None
    deterministic: ByName
    predictive_entropy: float
    expected_entropy: float
    mutual_information: float
    mutual_information_error: float | None = None
    variation_ratio: float | None = None
    label_set: LabelSet | None = None
    distance: float | None = None
    distance_p_value: float | None = None
    spread_p_value: float | None = None
    accept: bool | None = None
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[ByName, ...] | None = None


Prediction: TypeAlias = RegressionPrediction | TargetsPrediction | ClassificationPrediction


@dataclass(frozen=True, slots=True)
class Acceptance:
    """What is promised of the rows whose `accept` is true."""

    largest_error: float
    risk: Literal["error_rate", "rmse"]
    bound: float
    confidence: float
    accepted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Predictions in the order of the rows; seed and options give the same numbers again."""

    model: ModelName
    task: Task
    passes: int
    stopped: Literal["passes", "tolerance"]
    seed: int
    estimator: Literal["plain", "reduced"]
    masks: Literal["shared", "per_row"]
    predictions: Sequence[Prediction]
    note: str | None = None
    acceptance: Acceptance | None = None

    def __len__(self) -> int:
        return len(self.predictions)

    def __iter__(self) -> Iterator[Prediction]:
        return iter(self.predictions)

    def __getitem__(self, row: int) -> Prediction:
        return self.predictions[row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep(Answer):
    """Predictions of one row along one feature; `lines` are single passes."""

    feature: str
    kind: Literal["numeric", "categorical"]
    training_range: tuple[float, ...] | None
    values: tuple[float | str | None, ...]
    lines: Any  # [[value per point] per pass]; by target or class, if there are several


@dataclass(frozen=True, slots=True)
class LayerShare:
    """The part of one source of noise in the variance; each number has its Monte-Carlo error."""

    layer: str
    rate: float | None
    variance: float
    error: float
    alone: float
    alone_error: float
    total: float
    total_error: float


@dataclass(frozen=True, slots=True)
class Interactions:
    """The variance that no layer explains alone."""

    variance: float
    error: float


@dataclass(frozen=True, slots=True)
class FeatureShare:
    """The part of one feature in the std."""

    feature: str
    value: float | str | None
    std: float
    error: float


@dataclass(frozen=True, slots=True)
class BackgroundStd:
    """The training rows with which the features are compared."""

    rows: int
    std: float
    error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """Where the variance of a row comes from: by layer, by feature."""

    model: ModelName
    task: Task
    passes: int
    seed: int
    of: str
    mean: float
    mean_error: float
    variance: float
    variance_error: float
    std: float
    std_error: float
    layers: tuple[LayerShare, ...]
    interactions: Interactions
    features: tuple[FeatureShare, ...] | None
    background: BackgroundStd | None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Surface:
    """A loss at every point of a plane: a row for each y, a column for each x."""

    name: str
    z: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Dot:
    """A thinned network: its loss, its place in the plane, its distance from the plane."""

    x: float
    y: float
    loss: float
    distance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """A plane through the trained weights, which are at x = 0, y = 0."""

    name: str
    title: str
    x: tuple[float, ...]
    y: tuple[float, ...]
    x_label: str
    y_label: str
    explained: float | None
    surfaces: tuple[Surface, ...]
    dots: tuple[Dot, ...]
    roughness: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Landscape:
    """The loss of a model over planes of its weights."""

    model: ModelName
    loss: str
    rows: int
    planes: tuple[Plane, ...]


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model that is served."""

    name: str
    version: str
    task: Task
    default: bool
    landscape: bool = False


@dataclass(frozen=True, slots=True)
class ModelList:
    """All models that are served, the default model first."""

    models: tuple[ModelEntry, ...]
    default: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Feature:
    """A feature of a model: its training range, or its categories; `fill` is for missing values."""

    name: str
    kind: Literal["numeric", "categorical"]
    range: tuple[float, ...] | None = None
    categories: tuple[str, ...] | None = None
    fill: float | str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """A model's card; `whole` has all of it, as the service sends it."""

    name: str
    version: str
    task: Task
    features: tuple[Feature, ...]
    example: Mapping[str, float | str]
    whole: Mapping[str, Any] = field(default_factory=dict, repr=False)


def predictions_of(records: Sequence[Mapping[str, Any]]) -> list[Prediction]:
    """The predictions of an answer, all of one kind."""
    if not records:
        return []
    kind: type[Prediction] = RegressionPrediction
    if "label" in records[0]:
        kind = ClassificationPrediction
    elif isinstance(records[0]["mean"], dict):
        kind = TargetsPrediction
    return [decoded(kind, record) for record in records]


def answer_of(document: Any, kind: type[Answer] = Answer) -> Answer:
    """The answer in a document, or one of a subclass."""
    if not isinstance(document, dict) or not isinstance(document.get("predictions"), list):
        raise UnexpectedAnswer("the answer has no predictions", code="unexpected")
    predictions = predictions_of(document["predictions"])
    return replace(decoded(kind, {**document, "predictions": ()}), predictions=predictions)
