"""What goes in and out of the native routes. The request class checks; the others document.

Answers are encoded from the model's own dataclasses, not through these classes; a test holds them
to the same fields.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.service import OptionFields
from model import Estimator, MaskScope

Cell = float | str | None
Value = Annotated[
    float | dict[str, float],
    Field(description="A number, or one per target where the model has several."),
]
ByClass = dict[str, float]
Distance = Annotated[
    float | None,
    Field(
        description="Distance to the nearest of the training rows kept, features whitened: 0 is a "
        "row that was there. Not there where the model has nothing to compare with."
    ),
]
DistancePValue = Annotated[
    float | None,
    Field(description="Share of rows like the calibration rows that are as far off, or farther."),
]
SpreadPValue = Annotated[
    float | None,
    Field(
        description="Share of rows like the calibration rows that have as large a "
        "`mutual_information`, or total std, or larger. Not there where the model is not "
        "calibrated, or was before there was such a score."
    ),
]
Accept = Annotated[
    bool | None,
    Field(description="Whether to trust the row; only where `largest_error` was named."),
]
RowPasses = Annotated[int, Field(description="Passes that this row took.")]
TaskName = Annotated[
    Literal["regression", "binary", "multiclass"],
    Field(description="What is predicted: numbers, one of two classes, or one of many."),
]


class _Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PredictRequest(OptionFields):
    """Rows, and how to predict them."""

    rows: list[Any] = Field(
        description="Objects keyed by feature name, or arrays in the order of the model's "
        "features; one or the other. `GET /models/{name}` lists the features.",
        json_schema_extra={
            "minItems": 1,
            "items": {
                "anyOf": [
                    {
                        "type": "object",
                        "additionalProperties": {"type": ["number", "string", "null"]},
                    },
                    {"type": "array", "items": {"type": ["number", "string", "null"]}},
                ]
            },
        },
    )


class ModelName(_Schema):
    """Which model answered."""

    name: str = Field(description="The model's name.", examples=["diabetes"])
    version: str = Field(description="Hash of the model's content.", examples=["3f9c0a1b2c3d4e5f"])


class Interval(_Schema):
    """Where the target lies."""

    coverage: float = Field(description="Probability with which it holds the target.")
    lower: Value = Field(description="Lower end, in the target's unit.")
    upper: Value = Field(description="Upper end, in the target's unit.")
    method: str = Field(
        description="`conformal`: mean +- q (total std + 2 typical total std), q from calibration "
        "rows, holds a fresh row's target with that probability at least, over rows and seeds; "
        "`conformal:FEATURE`: q "
        "from those of the same category. `normal`, without them: mean +- z total std."
    )


class RegressionPrediction(_Schema):
    """One row's prediction, in the target's unit; variances in the unit squared."""

    mean: Value = Field(description="Mean over the passes.")
    variance: Value = Field(
        description="Variance across the passes (epistemic), unit squared: what more training data "
        "would remove."
    )
    std: Value = Field(description="Square root of `variance`.")
    mean_error: Value = Field(description="Monte-Carlo standard error of `mean`.")
    variance_error: Value = Field(
        description="Monte-Carlo standard error of `variance`, unit squared."
    )
    deterministic: Value = Field(description="The prediction with dropout off.")
    noise_variance: Value = Field(
        description="Variance of the noise in the target (aleatoric), unit squared."
    )
    total_variance: Value = Field(
        description="factor x `variance` + `noise_variance`, the factor fitted on held-out rows "
        "(`tuning.variance_factors` of `GET /models/{name}`; 1 without such rows): the size of the "
        "errors to expect, and what ranks them."
    )
    interval: Interval
    distance: Distance = None
    distance_p_value: DistancePValue = None
    spread_p_value: SpreadPValue = None
    accept: Accept = None
    passes: RowPasses
    warnings: list[str] = Field(description="Codes such as `outside_training_range:bmi`.")
    samples: list[Value] | None = Field(
        default=None, description="Every pass's output; only where asked for."
    )


class LabelSet(_Schema):
    """Classes that hold the true one with probability `coverage` at least, over fresh rows."""

    coverage: float = Field(description="As asked for.")
    labels: list[str] = Field(description="Most probable first; never none.")
    method: str = Field(
        description="As asked for; `lac:FEATURE` where each category of that feature was "
        "calibrated by itself."
    )


class ClassificationPrediction(_Schema):
    """One row's prediction; numbers keyed by class, entropies in nats."""

    label: str = Field(description="The class of the largest mean probability.")
    mean: ByClass = Field(description="Predicted probabilities: the mean over the passes.")
    variance: ByClass = Field(
        description="Variance of the probabilities across the passes (epistemic)."
    )
    std: ByClass = Field(description="Square root of `variance`.")
    mean_error: ByClass = Field(description="Monte-Carlo standard error of `mean`.")
    variance_error: ByClass = Field(description="Monte-Carlo standard error of `variance`.")
    deterministic: ByClass = Field(description="Probabilities with dropout off.")
    predictive_entropy: float = Field(description="Entropy of `mean`, nats: all uncertainty.")
    expected_entropy: float = Field(
        description="Mean entropy of the passes, nats: what more training data would not remove."
    )
    mutual_information: float = Field(
        description="`predictive_entropy` - `expected_entropy`, nats: how much the passes disagree."
    )
    mutual_information_error: float | None = Field(
        default=None,
        description="Monte-Carlo standard error of `mutual_information`, nats; not there where "
        "classes are many (more than 64).",
    )
    variation_ratio: float | None = Field(
        default=None, description="Share of passes that put another class first than most do."
    )
    label_set: LabelSet | None = Field(
        default=None, description="Not there where the model is not calibrated."
    )
    distance: Distance = None
    distance_p_value: DistancePValue = None
    spread_p_value: SpreadPValue = None
    accept: Accept = None
    passes: RowPasses
    warnings: list[str] = Field(description="Codes such as `outside_training_range:bmi`.")
    samples: list[ByClass] | None = Field(
        default=None, description="Every pass's probabilities; only where asked for."
    )


class Acceptance(_Schema):
    """What is promised of fresh rows that are accepted, if they are like the held-out rows."""

    largest_error: float = Field(description="As asked for.")
    risk: Literal["error_rate", "rmse"] = Field(
        description="What is bounded: share of wrong labels, or the RMSE in the target's unit, in "
        "which an error beyond the largest of the validation rows counts as that."
    )
    bound: float = Field(description="The most that the risk of accepted rows is.")
    confidence: float = Field(
        description="Probability of that, over the draw of the held-out rows."
    )
    accepted: float = Field(description="Share of the held-out rows that was accepted.")


class PredictResponse(_Schema):
    """Predictions in the order of the rows, and what it takes to get the same numbers again."""

    model: ModelName
    task: TaskName
    passes: int = Field(description="Passes computed: the most that any row took.")
    stopped: Literal["passes", "tolerance"] = Field(
        description="What ended the passes: their number, or the tolerance."
    )
    seed: int = Field(description="Send it back for the same numbers.")
    estimator: Estimator = Field(description="The one that was used.")
    note: str | None = Field(
        default=None,
        description="Why `estimator` is not the one asked for; only there where it is not.",
    )
    masks: MaskScope = Field(description="As asked for, or the model's own.")
    acceptance: Acceptance | None = Field(
        default=None, description="Only where `largest_error` was named."
    )
    predictions: list[RegressionPrediction] | list[ClassificationPrediction] = Field(
        description="One per row, in their order."
    )


class ModelEntry(ModelName):
    """One model that is served."""

    task: TaskName
    default: bool = Field(description="Whether `POST /predict` asks this one.")


class ModelList(_Schema):
    """All models that are served."""

    models: list[ModelEntry] = Field(description="The default model first.")
    default: str = Field(description="The model that `POST /predict` asks.", examples=["diabetes"])
