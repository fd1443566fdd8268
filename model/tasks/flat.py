"""Predictions as flat columns, for frames and files: one column for each number of a row."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from model.tasks.columns import Columns, field_infos

FlatKind = Literal["value", "text", "texts", "numbers"]
"""value    a number or a truth value
text     a text
texts    a tuple of texts
numbers  an array of numbers"""

LEFT_OUT = "coverage"  # of a region: it is what the caller asked for


@dataclass(frozen=True, slots=True)
class FlatColumn:
    """The cells [B] of one column: numbers, truth values, or objects as `kind` says."""

    kind: FlatKind
    cells: np.ndarray


def flat(rows: Columns[Any]) -> Mapping[str, FlatColumn]:
    """The columns of the rows by name, in the order of the fields.

    A number of one of several targets, or of a class, is in the column "field.name". A region has
    no column of its own: the columns of an interval are `lower` and `upper`, that of a label set is
    `label_set`, and `method` says how the region was made. Files and the client have these names.
    """
    return dict(_flat(rows))


def _flat(rows: Columns[Any]) -> Iterator[tuple[str, FlatColumn]]:
    infos = field_infos(rows.kind)
    for name, column in rows.columns.items():
        match infos[name].about.kind:
            case "values":
                for at, title in enumerate(_titles(name, rows.names)):
                    yield title, FlatColumn("value", column[:, at])
            case "samples":
                for at, title in enumerate(_titles(name, rows.names)):
                    yield title, FlatColumn("numbers", _objects([p[:, at] for p in column]))
            case "region":
                inside = {"labels": name}  # the only column of a label set has the set's name
                yield from ((inside.get(n, n), f) for n, f in _flat(column) if n != LEFT_OUT)
            case "class":
                yield name, FlatColumn("text", _objects(rows.names)[column])
            case "classes":
                labels = [tuple(rows.names[k] for k in row if k >= 0) for row in column.tolist()]
                yield name, FlatColumn("texts", _objects(labels))
            case "codes":
                yield name, FlatColumn("texts", _objects(column))
            case "text":
                yield name, FlatColumn("text", _objects(column))
            case _:
                yield name, FlatColumn("value", column)


def _titles(field: str, names: Sequence[str]) -> list[str]:
    return [f"{field}.{name}" for name in names] or [field]


def _objects(cells: Sequence[Any]) -> np.ndarray:
    found = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        found[row] = cell
    return found
