"""What the benchmarks of training share: options of training, lines in a file, and tables."""

import ast
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

Cells = Sequence[str]


def option(given: str) -> tuple[str, Any]:
    """`name=value` of a TrainOptions field; the value as Python writes it, or a text."""
    name, _, value = given.partition("=")
    try:
        return name, ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return name, value


def read_lines(path: Path) -> list[dict[str, Any]]:
    """The lines of an earlier run, of which some may have been cut off."""
    lines = path.read_text().split("\n") if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def mean_and_error(lines: Sequence[Mapping[str, Any]], name: str) -> tuple[float, float]:
    """Mean and its standard error; nan for the error of a single split."""
    values = np.array([line[name] for line in lines], dtype=np.float64)
    error = values.std(ddof=1) / math.sqrt(len(values)) if len(values) > 1 else math.nan
    return float(values.mean()), float(error)


def aligned(table: Sequence[Cells]) -> str:
    """A table for a terminal, its columns side by side."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in table
    )
