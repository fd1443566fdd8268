"""Predictions as flat columns: a name and a kind for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from model.errors import Detail, InputError
from model.messages import not_one_of
from model.tasks import Columns, FieldKind, field_infos

FlatKind = Literal["number", "count", "flag", "text", "texts", "kept"]
"""How a column's values are kept: arrays of numbers or truth values; texts; tuples of texts."""

ROW = "row"  # the number of the row in its file, from 1
ALL = "all"
USUAL = (  # the columns of an output, where none are asked for, of those that a model has
    *(ROW, "label", "mean", "std", "lower", "upper", "predictive_entropy"),
    *("mutual_information", "label_set", "accept", "warnings"),
)
LESS_FOR_CLASSES = ("std",)  # usual for numbers only
_KINDS: dict[FieldKind, FlatKind] = {
    "values": "number",
    "number": "number",
    "count": "count",
    "flag": "flag",
    "class": "text",
    "classes": "texts",
    "codes": "texts",
    "text": "text",
}


@dataclass(frozen=True, slots=True)
class FlatColumn:
    """A column of an output: `mean.price` has the field `mean`."""

    name: str
    field: str
    kind: FlatKind


def flat_columns(rows: Columns[Any]) -> dict[FlatColumn, Any]:
    """The columns of predictions, without samples; a region's fields stand beside the others.

    A field with a value for each target or class is a column for each: `mean.price`.
    """
    return dict(_flat(rows))


def chosen(known: Sequence[FlatColumn], asked: Sequence[str] | None) -> list[FlatColumn]:
    """The columns that are asked for, by field or by name; raises InputError for an unknown one."""
    if asked is None:
        labelled = any(column.field == "label" for column in known)
        less = LESS_FOR_CLASSES if labelled else ()
        return [c for name in USUAL for c in known if c.field == name and name not in less]
    found = dict[FlatColumn, None]()
    for name in asked:
        match = [c for c in known if name in (c.name, c.field, ALL)]
        match = list(known) if name == ALL else match
        if not match:
            names = list(dict.fromkeys(column.field for column in known))
            message = not_one_of(name, [*names, ALL])
            raise InputError(f"columns: {message}", [Detail("columns", message)])
        found |= dict.fromkeys(match)
    return list(found)


def _flat(rows: Columns[Any], region: str = "") -> Iterator[tuple[FlatColumn, Any]]:
    infos = field_infos(rows.kind)
    for name, column in rows.columns.items():
        kind = infos[name].about.kind
        if kind == "region":
            yield from _flat(column, name)
        elif kind == "values":
            for at, target in enumerate(rows.names or ("",)):
                full = f"{name}.{target}" if target else name
                yield FlatColumn(full, name, "number"), column[:, at]
        elif kind in _KINDS:
            field = region if name == "labels" else name
            yield FlatColumn(field, field, _KINDS[kind]), _named(rows.names, kind, column)


def _named(names: Sequence[str], kind: FieldKind, column: Any) -> Any:
    """The column with the names of classes instead of their indices."""
    if kind == "class":
        return [names[at] for at in column.tolist()]
    if kind == "classes":
        return [tuple(names[at] for at in row if at >= 0) for row in column.tolist()]
    return column
