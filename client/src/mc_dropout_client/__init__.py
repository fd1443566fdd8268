"""Ask an MC dropout service: predictions that say how far they can be trusted."""

from mc_dropout_client.answers import (
    Acceptance,
    Answer,
    ClassificationPrediction,
    Explanation,
    Interval,
    LabelSet,
    Landscape,
    ModelCard,
    ModelList,
    Prediction,
    RegressionPrediction,
    Sweep,
    TargetsPrediction,
)
from mc_dropout_client.async_client import AsyncClient
from mc_dropout_client.client import Client
from mc_dropout_client.errors import (
    Busy,
    ClientError,
    Detail,
    NotFound,
    RefusedRequest,
    TimedOut,
    Unauthorized,
    UnexpectedAnswer,
    Unreachable,
)
from mc_dropout_client.tables import flat_columns

__all__ = [
    "Acceptance",
    "Answer",
    "AsyncClient",
    "Busy",
    "ClassificationPrediction",
    "Client",
    "ClientError",
    "Detail",
    "Explanation",
    "Interval",
    "LabelSet",
    "Landscape",
    "ModelCard",
    "ModelList",
    "NotFound",
    "Prediction",
    "RefusedRequest",
    "RegressionPrediction",
    "Sweep",
    "TargetsPrediction",
    "TimedOut",
    "Unauthorized",
    "UnexpectedAnswer",
    "Unreachable",
    "flat_columns",
]
