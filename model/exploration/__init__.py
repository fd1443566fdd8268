"""Show what a prediction depends on: one feature across its range, each layer, each feature."""

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
    "Sweep",
    "line_options",
    "lines_of",
    "sweep",
    "sweep_axis",
    "sweep_options",
]
