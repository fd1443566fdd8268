"""Show what a prediction depends on: one feature across its range, each layer, each feature."""

from model.exploration.attribution import (
    EXPLAIN_PASSES,
    ExplainLimits,
    ExplainRounds,
    ExplainStep,
    ExplanationPlan,
    explain,
    plan_explanation,
)
from model.exploration.explanation import (
    BackgroundStd,
    Estimated,
    Explanation,
    FeatureShare,
    LayerShare,
)
from model.exploration.sweep import (
    LINES,
    MARGIN,
    MOST_MARGIN,
    POINTS,
    Axis,
    Lines,
    Sweep,
    line_options,
    lines_of,
    sweep,
    sweep_axis,
    sweep_options,
)

__all__ = [
    "EXPLAIN_PASSES",
    "LINES",
    "MARGIN",
    "MOST_MARGIN",
    "POINTS",
    "Axis",
    "BackgroundStd",
    "Estimated",
    "ExplainLimits",
    "ExplainRounds",
    "ExplainStep",
    "Explanation",
    "ExplanationPlan",
    "FeatureShare",
    "LayerShare",
    "Lines",
    "Sweep",
    "explain",
    "line_options",
    "lines_of",
    "plan_explanation",
    "sweep",
    "sweep_axis",
    "sweep_options",
]
