"""Schemas of the native routes. The request class checks; the other classes only document.

Answers are encoded from the model's own columns, not through these classes. `model` defines the
fields of a prediction, and their schema is made from these definitions.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.service import CommonFields, OptionFields
from model import (
    EXPLAIN_PASSES,
    LINES,
    MARGIN,
    MOST_MARGIN,
    POINTS,
    Card,
    ClassificationPrediction,
    Estimator,
    Interval,
    LabelSet,
    MaskScope,
    RegressionPrediction,
    field_infos,
)

TaskName = Annotated[
    Literal["regression", "binary", "multiclass"],
    Field(description="What is predicted: numbers, one of two classes, or one of many."),
]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


_CELL: dict[str, Any] = {"type": ["number", "string", "boolean", "null"]}
_ROW: dict[str, Any] = {
    "anyOf": [
        {"type": "object", "additionalProperties": _CELL},
        {"type": "array", "items": _CELL},
    ]
}


class PredictRequest(OptionFields):
    """Rows, and how to predict them."""

    rows: list[Any] = Field(
        description="Objects keyed by feature name, or arrays in the order of the model's "
        "features; one or the other. A value that the model fills in may be null, or its key "
        "absent; a number may be written as a text. `GET /models/{name}` lists the features.",
        json_schema_extra={"minItems": 1, "items": _ROW},
    )


class SweepRequest(CommonFields):
    """A row, the feature to sweep, and how to predict the points."""

    row: Any = Field(
        description="An object keyed by feature name, or an array in the order of the model's "
        "features. Its own value of the swept feature plays no part, and its key may be absent.",
        json_schema_extra=_ROW,
    )
    feature: str = Field(description="The name of the feature to sweep.", examples=["bmi"])
    values: list[Any] | None = Field(
        default=None,
        description="The points. null takes `points` of them around the training range, or all "
        "categories.",
        json_schema_extra={
            "anyOf": [{"type": "array", "minItems": 1, "items": _CELL}, {"type": "null"}]
        },
    )
    points: int = Field(
        default=POINTS,
        description="How many points of a numeric feature, evenly spaced.",
        json_schema_extra={"minimum": 2},
    )
    margin: float = Field(
        default=MARGIN,
        description="How far the points go beyond either end of the training range, in widths of "
        "the range.",
        json_schema_extra={"minimum": 0, "maximum": MOST_MARGIN},
    )
    lines: int = Field(
        default=LINES,
        description="How many passes, the first ones, to return as lines.",
        json_schema_extra={"minimum": 0},
    )


class ExplainRequest(_Schema):
    """A row, and what to explain of it."""

    row: Any = Field(
        description="An object keyed by feature name, or an array in the order of the model's "
        "features.",
        json_schema_extra=_ROW,
    )
    of: str | None = Field(
        default=None,
        description="The target or the class to explain. null takes the first target, or the "
        "predicted class.",
    )
    passes: int | None = Field(
        default=None,
        description="Stochastic forward passes N. More of them reduce the errors. null takes "
        f"{EXPLAIN_PASSES}, or fewer if the limits of the server are lower.",
        json_schema_extra={"minimum": 4},
    )
    seed: int | None = Field(
        default=None,
        description="The same seed, row and options give the same numbers, to float32 rounding "
        "(about 1e-7 relative); null draws one.",
        json_schema_extra={"minimum": 0, "exclusiveMaximum": 1 << 63},
    )
    background_rows: int | None = Field(
        default=None,
        description="Training rows with which the features are compared. More of them reduce the "
        "errors of the features. null takes 16 to 100, by the number of features and passes.",
        json_schema_extra={"minimum": 2},
    )


USAGE: dict[type[BaseModel], str] = {
    PredictRequest: '{"rows": [...]}',
    SweepRequest: '{"row": {...}, "feature": "..."}',
    ExplainRequest: '{"row": {...}}',
}
"""The least that a request of each kind has."""


class ModelName(_Schema):
    """Which model answered."""

    name: str = Field(description="The model's name.", examples=["diabetes"])
    version: str = Field(description="Hash of the model's content.", examples=["3f9c0a1b2c3d4e5f"])


def _documented(kind: type[Any], **regions: Any) -> type[BaseModel]:
    """The schema of a dataclass of `model`, from the definitions of its fields; `regions` has the
    types of fields that are regions."""
    fields: dict[str, Any] = {}
    for name, info in field_infos(kind).items():
        unit = f" Unit: {info.about.unit}." if info.about.unit else ""
        default = None if info.optional else ...
        described = Field(default, description=info.about.meaning + unit)
        fields[name] = (regions.get(name, info.type), described)
    return create_model(kind.__name__, __base__=_Schema, __doc__=kind.__doc__, **fields)


_Interval, _LabelSet = _documented(Interval), _documented(LabelSet)
_Regression = _documented(RegressionPrediction, interval=_Interval)
_Classification = _documented(ClassificationPrediction, label_set=_LabelSet | None)


class Acceptance(_Schema):
    """What is certified for new accepted rows, if they are like the held-out rows."""

    largest_error: float = Field(description="The `largest_error` of the request.")
    risk: Literal["error_rate", "rmse"] = Field(
        description="What is bounded: the share of wrong labels, or the RMSE in the target's unit. "
        "In the RMSE, no error counts as more than the largest error of the validation rows."
    )
    bound: float = Field(description="Upper bound of the risk of accepted rows.")
    confidence: float = Field(
        description="Probability that the bound holds, over the draw of the held-out rows."
    )
    accepted: float = Field(description="Share of the held-out rows that is accepted.")


class _Response(_Schema):
    """Predictions in the order of the rows, and the options that reproduce them."""

    model: ModelName
    task: TaskName
    passes: int = Field(description="Passes computed: the most of any row.")
    stopped: Literal["passes", "tolerance"] = Field(
        description="What ended the passes: their number, or the tolerance."
    )
    seed: int = Field(
        description="The same seed, rows and options give the same numbers, to float32 rounding "
        "(about 1e-7 relative)."
    )
    estimator: Estimator = Field(description="The estimator that was used.")
    note: str | None = Field(
        default=None,
        description="Why `estimator` is not that of the request; only there if it is not.",
    )
    masks: MaskScope = Field(description="The `masks` of the request, or the model's own.")
    acceptance: Acceptance | None = Field(
        default=None, description="Only there if the request has `largest_error`."
    )


_PREDICTIONS: Any = list[_Regression] | list[_Classification]  # type: ignore[valid-type]
PredictResponse = create_model(
    "PredictResponse",
    __base__=_Response,
    __doc__=_Response.__doc__,
    predictions=(_PREDICTIONS, Field(description="One per row, in their order.")),
)


_LINES: Any = list[list[float]] | dict[str, list[list[float]]]


class _Sweep(_Response):
    """Predictions along one feature, all under the same masks, and single passes as lines."""

    feature: str = Field(description="The swept feature.")
    kind: Literal["numeric", "categorical"] = Field(description="The kind of the feature.")
    training_range: tuple[float, float] | None = Field(
        description="The range of the training rows; null for a category, or if it is unknown."
    )
    values: list[float | str | None] = Field(
        description="The points; null is a missing value, which the model fills in."
    )
    lines: _LINES = Field(
        description="For each of the first passes, its output at every point, in the unit of the "
        "target, or a probability; an object of such lists by target or class, if there are "
        "several."
    )


SweepResponse = create_model(
    "SweepResponse",
    __base__=_Sweep,
    __doc__=_Sweep.__doc__,
    predictions=(_PREDICTIONS, Field(description="One per point, in their order.")),
)


class LayerShare(_Schema):
    """The part of one source of noise in the variance; each number has its Monte-Carlo error."""

    layer: str = Field(
        description="Where the noise is: `input`, `hidden 1`, ...; `input noise` is Gaussian, "
        "`member` is the choice of a member of an ensemble.",
        examples=["hidden 1"],
    )
    rate: float | None = Field(description="The dropout rate; null for Gaussian noise.")
    variance: float = Field(
        description="The Shapley effect. Those of all layers add up to the variance."
    )
    error: float = Field(description="The Monte-Carlo standard error of `variance`.")
    alone: float = Field(
        description="The variance that this layer explains alone: Sobol's first-order part."
    )
    alone_error: float = Field(description="The Monte-Carlo standard error of `alone`.")
    total: float = Field(
        description="The variance that is left if the masks of all other layers are known: "
        "Sobol's total part, with all interactions of this layer."
    )
    total_error: float = Field(description="The Monte-Carlo standard error of `total`.")


class Interactions(_Schema):
    """The variance that no layer explains alone."""

    variance: float = Field(description="The variance minus all `alone`.")
    error: float = Field(description="Its Monte-Carlo standard error.")


class FeatureShare(_Schema):
    """The part of one feature in the std, with its Monte-Carlo error."""

    feature: str = Field(description="The name of the feature.", examples=["bmi"])
    value: float | str | None = Field(
        description="The value of the row; null if it is missing and the model fills it in."
    )
    std: float = Field(
        description="The Shapley value. Those of all features add up to `std` minus the std of "
        "the background."
    )
    error: float = Field(description="The Monte-Carlo standard error of `std`.")


class BackgroundStd(_Schema):
    """The training rows with which the features are compared."""

    rows: int = Field(description="How many training rows.")
    std: float = Field(description="The mean of their stds, under the same masks.")
    error: float = Field(description="Its Monte-Carlo standard error.")


class ExplainResponse(_Schema):
    """Where the variance of a row across the passes comes from."""

    model: ModelName
    task: TaskName
    passes: int = Field(description="The number of passes.")
    seed: int = Field(description="The seed of the masks, the orders and the background rows.")
    of: str = Field(description="The target or class that is explained.", examples=["progression"])
    mean: float = Field(description="The mean over the passes, as `plain` predicts it.")
    mean_error: float = Field(description="Its Monte-Carlo standard error.")
    variance: float = Field(description="The variance across the passes, as `plain` has it.")
    variance_error: float = Field(description="Its Monte-Carlo standard error.")
    std: float = Field(description="The root of `variance`.")
    std_error: float = Field(description="Its Monte-Carlo standard error.")
    layers: list[LayerShare] = Field(description="The sources of noise, from input to output.")
    interactions: Interactions
    features: list[FeatureShare] | None = Field(
        description="In the order of the model's features; null if it keeps no training rows."
    )
    background: BackgroundStd | None = Field(
        description="Null if the model keeps no training rows."
    )
    note: str | None = Field(
        default=None, description="Why `features` is null; only there if it is."
    )


class ModelCard(Card):
    """A model's card, and an example of a row."""

    example: dict[str, float | str] = Field(
        description="A row like the training rows: the middle of some that are near each other."
    )


class ModelEntry(ModelName):
    """One model that is served."""

    task: TaskName
    default: bool = Field(description="Whether `POST /predict` uses this model.")
    landscape: bool = Field(description="Whether `GET /models/{name}/landscape` has one.")


class ModelList(_Schema):
    """All models that are served."""

    models: list[ModelEntry] = Field(description="The default model first.")
    default: str = Field(description="The model that `POST /predict` uses.", examples=["diabetes"])
