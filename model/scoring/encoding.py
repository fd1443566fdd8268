"""Rows of a file become the input of the network, by the rules and checks of requests."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from model.data import CategoricalFeature, Encoded, Feature, NumericFeature, ReadOptions, Schema
from model.errors import InputError
from model.scoring.chunks import Cells

_PLAIN = {sign: re.compile(rf"[0-9eE+\-\n {re.escape(sign)}]*") for sign in (".", ",")}


def read_by(schema: Schema, reading: ReadOptions | None) -> Schema:
    """The schema whose cells are read as these options say; None: as the training file was."""
    return schema if reading is None else Schema(tuple(_by(f, reading) for f in schema.features))


def encode_rows(
    schema: Schema, cells: Mapping[str, Cells], kept: Sequence[int]
) -> tuple[Encoded, list[int], dict[int, str]]:
    """The encoded rows, x [b, D], among those kept, their positions, and why others are refused.

    `cells` has a column for each feature; a feature without one has missing values.
    """
    rows, positions, refused = _rows(schema, cells, kept), list(kept), dict[int, str]()
    while positions:
        try:
            return schema.encoded(rows), positions, refused
        except InputError as error:
            wrong = {int(detail.field.split(".")[1]) for detail in error.details}
        for at in wrong:
            refused[positions[at]] = _reason(schema, rows[at])
        rows = [row for at, row in enumerate(rows) if at not in wrong]
        positions = [row for at, row in enumerate(positions) if at not in wrong]
    return Encoded(np.empty((0, schema.width), dtype=np.float32)), [], refused


def _reason(schema: Schema, row: Sequence[object]) -> str:
    """What is wrong with one row."""
    try:
        schema.encode([row])
    except InputError as error:
        return "; ".join(detail.message for detail in error.details)
    return "the row is refused beside others"


def _rows(
    schema: Schema, cells: Mapping[str, Cells], kept: Sequence[int]
) -> list[tuple[object, ...]] | np.ndarray:
    """The rows as one array of numbers if all are numbers, and otherwise as tuples of cells."""
    columns = [_column(feature, cells.get(feature.name), kept) for feature in schema.features]
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.stack(columns, axis=1)  # [b, features]
    lists = [each.tolist() if isinstance(each, np.ndarray) else each for each in columns]
    return list(zip(*lists, strict=True))


def _column(feature: Feature, cells: Cells | None, kept: Sequence[int]) -> Cells:
    """The cells of the kept rows; float64 where they are numbers, nan for one to fill in."""
    if cells is None:
        return [None] * len(kept)
    if isinstance(cells, np.ndarray):
        cells = cells[kept]
    else:
        cells = [cells[at] for at in kept] if len(kept) < len(cells) else list(cells)
    if isinstance(feature, CategoricalFeature):
        return cells.tolist() if isinstance(cells, np.ndarray) else cells
    numbers = cells if isinstance(cells, np.ndarray) else _numbers(feature, cells)
    if numbers is None:
        return cells
    if feature.fill is not None:
        marks = list(feature.rule.missing_numbers)
        return np.where(np.isin(numbers, marks), np.nan, numbers) if marks else numbers
    if np.isnan(numbers).any():
        return [None if cell != cell else cell for cell in numbers.tolist()]
    return numbers


def _numbers(feature: NumericFeature, cells: Sequence[object]) -> np.ndarray | None:
    """The numbers of plain texts, nan for an empty one; None if some cell is of another kind."""
    try:
        joined = "\n".join(cells)  # type: ignore[arg-type]  # others raise TypeError
        sign = feature.rule.numbers.decimal
        if not _PLAIN[sign].fullmatch(joined):
            return None
        parts = joined.replace(",", ".").split("\n")
        if len(parts) != len(cells):
            return None
        return np.array([float(part) if part else np.nan for part in parts])
    except (TypeError, ValueError):
        return None


def _by(feature: Feature, reading: ReadOptions) -> Feature:
    return replace(feature, rule=reading.rule(feature.rule.sign))
