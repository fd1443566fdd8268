"""Pictures that explain: a feature across its range, shares of the doubt, the loss over weights."""

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
from model.exploration.landscape import Landscape, landscape
from model.exploration.landscape_drawing import check_png
from model.exploration.landscape_options import LandscapeOptions
from model.exploration.landscape_page import landscape_page
from model.exploration.landscape_picture import landscape_png, landscape_svg
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
    "Landscape",
    "LandscapeOptions",
    "LayerShare",
    "Lines",
    "Sweep",
    "check_png",
    "explain",
    "landscape",
    "landscape_page",
    "landscape_png",
    "landscape_svg",
    "line_options",
    "lines_of",
    "plan_explanation",
    "sweep",
    "sweep_axis",
    "sweep_options",
]
