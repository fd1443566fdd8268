"""What goes in and out of the native routes. The request class checks; the others document.

Answers are encoded from the model's own columns, not through these classes. What a field of a
prediction is, `model` defines; its schema is made of that.
"""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from app.service import OptionFields
from model import (
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


def _documented(kind: type[Any], **regions: Any) -> type[BaseModel]:
    """The schema of a dataclass of `model`, by the definitions of its fields; of fields that are
    regions the types are given."""
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
    """What is promised of fresh rows that are accepted, if they are like the held-out rows."""

    largest_error: float = Field(description="As asked for.")
    risk: Literal["error_rate", "rmse"] = Field(
        description="What is bounded: the share of wrong labels, or the RMSE in the target's unit. "
        "In the RMSE, no error counts as more than the largest error of the validation rows."
    )
    bound: float = Field(description="The most that the risk of accepted rows is.")
    confidence: float = Field(
        description="Probability of that, over the draw of the held-out rows."
    )
    accepted: float = Field(description="Share of the held-out rows that was accepted.")


class _Response(_Schema):
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


_PREDICTIONS: Any = list[_Regression] | list[_Classification]  # type: ignore[valid-type]
PredictResponse = create_model(
    "PredictResponse",
    __base__=_Response,
    __doc__=_Response.__doc__,
    predictions=(_PREDICTIONS, Field(description="One per row, in their order.")),
)


class ModelEntry(ModelName):
    """One model that is served."""

    task: TaskName
    default: bool = Field(description="Whether `POST /predict` asks this one.")


class ModelList(_Schema):
    """All models that are served."""

    models: list[ModelEntry] = Field(description="The default model first.")
    default: str = Field(description="The model that `POST /predict` asks.", examples=["diabetes"])
