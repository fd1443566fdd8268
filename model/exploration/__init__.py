"""Pictures that explain: a feature across its range, shares of the doubt, the loss over weights."""

from model.exploration.landscape import Landscape, landscape
from model.exploration.landscape_options import LandscapeOptions
from model.exploration.sweep import (
    LINES,
    MARGIN,
    MOST_MARGIN,
    POINTS,
    Axis,
    Sweep,
    line_options,
    lines_of,
    sweep,
    sweep_axis,
    sweep_options,
)

__all__ = [
    "LINES",
    "MARGIN",
    "MOST_MARGIN",
    "POINTS",
    "Axis",
    "Landscape",
    "LandscapeOptions",
    "Sweep",
    "landscape",
    "line_options",
    "lines_of",
    "sweep",
    "sweep_axis",
    "sweep_options",
]
