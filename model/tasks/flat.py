"""Predictions as flat columns, for frames and files: one column for each number of a row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from model.tasks.columns import Columns, FieldKind, field_infos

FlatKind = Literal["number", "count", "flag", "text", "texts", "numbers", "kept"]
"""How the cells of a column are kept: arrays of numbers, whole numbers or truth values; texts;
tuples of texts; arrays of numbers for each row; or cells of an input, as they are."""

_KINDS: dict[FieldKind, FlatKind] = {
    "values": "number",
    "number": "number",
    "count": "count",
    "flag": "flag",
    "class": "text",
    "classes": "texts",
    "codes": "texts",
    "text": "text",
    "samples": "numbers",
}


@dataclass(frozen=True, slots=True)
class FlatColumn:
    """A column: `mean.price` has the field `mean`."""

    name: str
    field: str
    kind: FlatKind


def flat(rows: Columns[Any]) -> dict[FlatColumn, Any]:
    """The columns of the rows with their cells [B], in the order of the fields.

    A field with a value for each target or class is a column for each: `mean.price`. A region has
    no column of its own: the columns of an interval are `lower` and `upper`, that of a label set is
    `label_set`, and `coverage` and `method` say how the region was made.
    """
    return dict(_flat(rows))


def _flat(rows: Columns[Any], region: str = "") -> Iterator[tuple[FlatColumn, Any]]:
    infos = field_infos(rows.kind)
    for name, column in rows.columns.items():
        kind = infos[name].about.kind
        if kind == "region":
            yield from _flat(column, name)
        elif kind in ("values", "samples"):
            for at, target in enumerate(rows.names or ("",)):
                full = f"{name}.{target}" if target else name
                cells = column[:, at] if kind == "values" else [each[:, at] for each in column]
                yield FlatColumn(full, name, _KINDS[kind]), cells
        else:
            field = region if name == "labels" else name
            yield FlatColumn(field, field, _KINDS[kind]), _named(rows.names, kind, column)


def _named(names: Sequence[str], kind: FieldKind, column: Any) -> Any:
    """The column with the names of classes instead of their indices."""
    if kind == "class":
        return [names[at] for at in column.tolist()]
    if kind == "classes":
        return [tuple(names[at] for at in row if at >= 0) for row in column.tolist()]
    return column
