"""Rows whose cells are not all plain: their names, their faults and their columns."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from model.data.feature import Feature
from model.data.frames import plain_row
from model.data.names import clean
from model.errors import Detail, InputError
from model.messages import listed, nearest, shown

MAX_DETAILS = 20

Row = Mapping[str, object] | Sequence[object]


def with_names(names: Sequence[str], rows: Any) -> Any:
    """The rows as objects or lists; a name in another Unicode form becomes the schema's."""
    rows = rows.tolist() if isinstance(rows, np.ndarray) and rows.ndim else rows
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        way = "give a list of rows, an array [rows, features] or a frame"
        message = f"{shown(rows)} is no table: {way}"
        raise InputError(f"rows: {message}", [Detail("rows", message)])
    known = {clean(name): name for name in names}
    return [_row_with_names(known, row) for row in rows]


def _row_with_names(known: Mapping[str, str], row: Any) -> Any:
    row = plain_row(row)
    if not isinstance(row, Mapping) or set(known.values()).issuperset(row):
        return row
    own = {name: known.get(clean(name), name) if isinstance(name, str) else name for name in row}
    counts = Counter(own.values())
    return {own[name] if counts[own[name]] == 1 else name: row[name] for name in row}


def checked(features: Sequence[Feature], rows: Sequence[Row]) -> list[list[float]]:
    """A column per feature, of numbers or indices; raises InputError with every fault.

    A value that is to be filled in is nan.
    """
    faults = list(islice(_faults(features, rows), MAX_DETAILS))
    if faults:
        where = ".".join(faults[0].field.split(".")[:2])
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise InputError(f"{where}: {faults[0].message}{more}", faults)
    lists = [
        [row.get(feature.name) for feature in features] if isinstance(row, Mapping) else row
        for row in rows
    ]
    return [[feature.encoded(row[at]) for row in lists] for at, feature in enumerate(features)]


def _faults(features: Sequence[Feature], rows: Sequence[Row]) -> Iterator[Detail]:
    """Every fault, row by row."""
    if not len(rows):
        yield Detail("rows", "there are no rows; at least one is needed")
    by_name = [isinstance(row, Mapping) for row in rows]
    for number, row in enumerate(rows):
        where = f"rows.{number}"
        if isinstance(row, Mapping):
            yield from _object_faults(features, row, where)
        elif not isinstance(row, list | tuple | np.ndarray):
            yield Detail(where, f"{shown(row)} is neither an object nor an array of values")
        elif len(row) != len(features):
            expected = f"{len(features)}: {listed([feature.name for feature in features])}"
            yield Detail(where, f"the row has {len(row)} values; the model expects {expected}")
        else:
            for feature, cell in zip(features, row, strict=True):
                yield from _cell_fault(feature, cell, where)
        if by_name[number] != by_name[0]:
            yield Detail(where, "rows must be all objects or all arrays; this and the first differ")


def _object_faults(
    features: Sequence[Feature], row: Mapping[str, object], where: str
) -> Iterator[Detail]:
    names = [feature.name for feature in features]
    expected = f"the model expects {listed(names)}"
    known = set(names)
    unknown = islice((name for name in row if name not in known), MAX_DETAILS)
    likes = {name: nearest(name, names) for name in unknown}
    yield from (_unknown(name, like, expected, where) for name, like in likes.items() if like)
    for feature in features:
        if feature.name in row:
            yield from _cell_fault(feature, row[feature.name], where)
        elif feature.fill is None:
            message = f"feature {shown(feature.name)} is missing; {expected}"
            yield Detail(f"{where}.{feature.name}", message)
    yield from (_unknown(name, like, expected, where) for name, like in likes.items() if not like)


def _unknown(name: object, like: str, expected: str, where: str) -> Detail:
    """The fault of an unknown name, a text of the sender: quoted in its printable form only."""
    quoted = shown(name)
    return Detail(f"{where}.{quoted[1:-1]}", f"unknown feature {quoted}{like}; {expected}")


def _cell_fault(feature: Feature, cell: object, where: str) -> Iterator[Detail]:
    fault = feature.fault(cell)
    if fault:
        yield Detail(f"{where}.{feature.name}", f"feature {shown(feature.name)} {fault}")
