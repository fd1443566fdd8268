"""Rows in, in any form; predictions out, as flat columns.

pandas and polars are known by their frames only, and imported by the functions that make one.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from numbers import Integral, Real
from typing import Any, Protocol, TypeAlias

from mc_dropout_client.answers import Answer, ModelCard
from mc_dropout_client.errors import Detail, RefusedRequest

_PLAIN = (int, str, bool, type(None))  # cells that JSON has as they are: the fast path
BETWEEN = ";"  # the texts of one cell
REGIONS = {"labels": "label_set"}  # a field of a region that has the name of the region
Row: TypeAlias = Mapping[str, Any] | Sequence[Any]


class Frame(Protocol):
    """A frame of pandas or polars."""

    @property
    def columns(self) -> Any:
        """The names of the columns."""
        ...

    def __len__(self) -> int: ...


class Array(Protocol):
    """A two-dimensional array of numbers, such as numpy's."""

    def tolist(self) -> Any:
        """The rows."""
        ...


Rows: TypeAlias = Iterable[Row] | Array


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of cells that JSON has; with `columns`, rows are in their order."""

    rows: Sequence[Any]
    columns: tuple[str, ...] | None = None


def is_frame(rows: Any) -> bool:
    """Whether the rows are a frame of pandas or polars."""
    return _library(rows) in ("pandas", "polars") and hasattr(rows, "columns")


def table_of(rows: Any) -> Table:
    """The rows with cells that JSON has; raises RefusedRequest for what is no table."""
    if is_frame(rows):
        names = tuple(map(str, rows.columns))
        columns = [
            [
                cell if type(cell) in _PLAIN else _cell(cell, f"{at}.{name}")
                for at, cell in enumerate(_column(rows, name))
            ]
            for name in rows.columns
        ]
        return Table(list(zip(*columns, strict=True)), names)
    if hasattr(rows, "tolist"):
        rows = rows.tolist()
    if isinstance(rows, str | bytes | Mapping) or not isinstance(rows, Iterable):
        raise _refused("rows", f"is {_kind(rows)}; give a list of rows, or a frame")
    return Table([_row(row, at) for at, row in enumerate(rows)])


def for_model(table: Table, card: ModelCard) -> Table:
    """The columns that the model knows, as arrays in its order, or objects if some are absent."""
    if table.columns is None:
        return table
    at = {name: index for index, name in enumerate(table.columns)}
    names = [feature.name for feature in card.features]
    known = [name for name in names if name in at]
    places = [at[name] for name in known]
    if len(known) == len(names):
        return Table([[row[place] for place in places] for row in table.rows])
    return Table([{n: row[p] for n, p in zip(known, places, strict=True)} for row in table.rows])


def flat_columns(answer: Answer) -> dict[str, list[Any]]:
    """The predictions as columns of single values.

    The fields of a region stand beside the others (`lower`, `upper`), a number for each class or
    target has a column for each (`mean.price`), and several texts are one, joined by `;`.
    """
    columns: dict[str, list[Any]] = {}
    for prediction in answer.predictions:
        for name, value in flat(prediction):
            columns.setdefault(name, []).append(one_text(value))
    return columns


def one_text(value: Any) -> Any:
    """The value; several texts as one."""
    return BETWEEN.join(value) if isinstance(value, tuple) else value


def flat(prediction: Any) -> Iterable[tuple[str, Any]]:
    """The names and values of one prediction's columns."""
    for each in fields(prediction):
        name, value = each.name, getattr(prediction, each.name)
        if value is None or name == "samples":
            continue
        if is_dataclass(value):
            yield from flat(value)
        elif isinstance(value, tuple):
            yield REGIONS.get(name, name), value
        elif isinstance(value, Mapping):
            yield from ((f"{name}.{key}", number) for key, number in value.items())
        else:
            yield name, value


def frame_of(answer: Answer, like: Any) -> Any:
    """The flat columns as a frame of the same library, with the index of the rows."""
    columns = flat_columns(answer)
    if _library(like) == "polars":
        import polars

        return polars.DataFrame(columns)
    import pandas

    frame = pandas.DataFrame(columns, index=like.index)
    frame.attrs = {"model": answer.model.name, "version": answer.model.version, "seed": answer.seed}
    return frame


def _library(value: Any) -> str:
    return type(value).__module__.partition(".")[0]


def _column(frame: Any, name: Any) -> list[Any]:
    """The cells of a column as Python's own objects."""
    column = frame[name]
    if hasattr(column, "columns"):  # of two columns with one name
        raise _refused(f"rows.{name}", "stands for several columns; give each its own name")
    cells: list[Any] = column.to_list() if hasattr(column, "to_list") else column.tolist()
    return cells


def _row(row: Any, at: int) -> Any:
    if isinstance(row, Mapping):
        return {str(name): _cell(cell, f"{at}.{name}") for name, cell in row.items()}
    if hasattr(row, "tolist"):
        row = row.tolist()
    if isinstance(row, str | bytes) or not isinstance(row, Sequence):
        raise _refused(f"rows.{at}", f"is {_kind(row)}; give an object by name, or a list")
    return [
        cell if type(cell) in _PLAIN else _cell(cell, f"{at}.{place}")
        for place, cell in enumerate(row)
    ]


def _cell(cell: Any, place: str) -> Any:
    """A cell that JSON has: numbers, texts, truth values; null for what is missing."""
    if cell is None or isinstance(cell, str | bool):
        return cell
    if isinstance(cell, Integral):
        return int(cell)
    if isinstance(cell, Real):
        number = float(cell)
        if math.isinf(number):
            raise _refused(f"rows.{place}", "is infinite")
        return None if math.isnan(number) else number
    if type(cell).__name__ in ("NAType", "NaTType", "MaskedConstant"):
        return None
    if hasattr(cell, "item"):  # numpy's scalars
        return _cell(cell.item(), place)
    if type(cell).__name__ == "Decimal":
        return _cell(float(cell), place)
    raise _refused(f"rows.{place}", f"is {_kind(cell)}; a cell is a number, a text or missing")


def _kind(value: Any) -> str:
    return f"a {type(value).__module__}.{type(value).__qualname__}".replace("builtins.", "")


def _refused(field: str, message: str) -> RefusedRequest:
    return RefusedRequest(
        f"{field}: {message}", code="invalid_input", details=[Detail(field, message)]
    )
