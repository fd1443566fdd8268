"""Tables of other libraries as columns of built-in cells: one rule for all of them.

`narwhals` tells pandas, polars, pyarrow and their like apart, and loads none of them. Whatever else
gives an Arrow C stream is read by pyarrow.
"""

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, time, timedelta
from decimal import Decimal
from importlib import import_module
from itertools import chain
from typing import Any, Literal

import numpy as np

from model.errors import DataError
from model.messages import shown

Tabular = Any
"""A table in any form: a frame of pandas, polars or pyarrow, or anything else that gives an Arrow C
stream; a structured array; a mapping of columns; or a sequence of objects, such as named tuples."""

Kind = Literal["cells", "categories", "moments"]
"""cells       numbers, texts, truth values: the cells say which
categories  texts in every case, whatever they look like
moments     dates, times and durations, as texts"""


@dataclass(frozen=True, slots=True)
class Frame:
    """The columns of a table in any form; `name` is what messages call it.

    A column has numbers, nan where one is missing, or objects, None where one is missing. `kinds`
    has the columns that are not of plain cells. `index` is that of a frame of pandas.
    """

    name: str
    columns: Mapping[str, np.ndarray]
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    index: Any = None

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def kind(self, name: str) -> Kind:
        """The kind of that column."""
        return self.kinds.get(name, "cells")

    @property
    def sha256(self) -> str:
        """A hash of names and cells, which is the same for each form of a table."""
        found = hashlib.sha256()
        for name in sorted(self.columns):
            found.update(json.dumps(name).encode() + _content(self.columns[name]))
        return found.hexdigest()


def frame_of(source: Tabular) -> Frame:
    """The columns of a table whose columns have names; raises DataError for anything else."""
    found = frame_with_names(source)
    if found is not None:
        return found
    kind, source = type(source).__name__, as_array(source)
    if isinstance(source, np.ndarray):
        way = "give a structured array, or a mapping such as dict(zip(names, array.T))"
        raise DataError(f"{kind} has no names of columns; {way}")
    if isinstance(source, Sequence) and not isinstance(source, str | bytes):
        return _of_records([plain_row(row) for row in source])
    way = "give a frame of pandas, polars or pyarrow, a list of objects, or a mapping of columns"
    raise DataError(f"{kind} is not a table; {way}")


def frame_with_names(source: Tabular) -> Frame | None:
    """The columns of a frame, a structured array or a mapping of columns; None for anything else.

    Raises DataError for what is only a part of a table, naming the way out.
    """
    if isinstance(source, list | tuple):
        return None
    if isinstance(source, np.ndarray):
        names = source.dtype.names
        return _of_mapping("array", {n: source[n] for n in names}) if names else None
    if isinstance(source, Mapping):
        return _of_mapping("mapping", source)
    narwhals = import_module("narwhals")
    if narwhals.dependencies.is_into_series(source):
        way = "to_frame() makes a table of a column; frame.iloc[[0]] or frame[0:1] keeps a row one"
        raise DataError(f"{type(source).__name__} is one column or row, not a table; {way}")
    if narwhals.dependencies.is_into_dataframe(source):
        return _of_narwhals(type(source).__name__, source)
    if hasattr(source, "collect") and hasattr(source, "collect_schema"):
        raise DataError(f"{type(source).__name__} has no rows yet; collect() computes them")
    if hasattr(source, "__arrow_c_stream__"):
        return _of_narwhals(type(source).__name__, _arrow_table(source))
    return None


def index_of(source: Any) -> Any:
    """The index of a frame of pandas; None for anything else."""
    pandas = sys.modules.get("pandas")
    is_frame = pandas is not None and isinstance(source, pandas.DataFrame)
    return source.index if is_frame else None


def as_array(source: Any) -> Any:
    """A torch tensor, or anything else that is an array, as a numpy array; else the same object."""
    if isinstance(source, np.ndarray | list | tuple) or not hasattr(source, "__array__"):
        return source
    if hasattr(source, "detach"):
        source = source.detach().cpu()
        source = source.double() if source.is_floating_point() else source  # numpy has no bfloat16
    return np.asarray(source)


def plain_row(row: Any) -> Any:
    """A row as an object or a list of plain cells; anything else as it is."""
    if isinstance(row, tuple) and hasattr(row, "_asdict"):
        row = row._asdict()
    elif isinstance(row, np.void | np.ma.MaskedArray):
        fields, row = row.dtype.names, row.tolist()
        row = dict(zip(fields, row, strict=True)) if fields else row
    elif _is_series(row):
        row = dict(row.items())
    row = as_array(row)
    if isinstance(row, Mapping):
        return {name: plain_cell(cell) for name, cell in row.items()}
    if isinstance(row, list | tuple) or (isinstance(row, np.ndarray) and row.ndim == 1):
        return [plain_cell(cell) for cell in row]
    return row


def plain_cell(cell: Any) -> Any:
    """The cell as a built-in type, None if it is masked, NA or NaT; other objects as they are."""
    if cell is None or isinstance(cell, str | int | float):
        return str(cell) if isinstance(cell, np.str_) else cell
    if cell is np.ma.masked or type(cell).__name__ == "NAType":
        return None
    if isinstance(cell, np.datetime64 | np.timedelta64):
        return None if np.isnat(cell) else cell
    if isinstance(cell, date | timedelta):
        return cell if cell == cell else None  # NaT equals nothing
    if isinstance(cell, Decimal):
        return float(cell)
    if isinstance(cell, np.generic) or (
        hasattr(cell, "__array__") and not getattr(cell, "ndim", 1)
    ):
        return as_array(cell).item()
    return cell


def _of_narwhals(kind: str, source: Any) -> Frame:
    """The columns of a frame that narwhals knows."""
    narwhals = import_module("narwhals")
    titles = list(getattr(source, "column_names", source.columns))
    names = _names(kind, titles)
    frame, columns, kinds = narwhals.from_native(source, eager_only=True), {}, dict[str, Kind]()
    for name, title in zip(names, titles, strict=True):
        series = frame[title]
        cells = series.to_numpy() if series.dtype.is_numeric() else np.empty(0, dtype=object)
        if cells.dtype.kind not in "iuf":
            cells = _objects(series.to_list())
        if series.dtype.is_temporal() or _has_moments(cells):
            columns[name], kinds[name] = _as_texts(cells), "moments"
            continue
        columns[name] = cells
        if series.dtype in (narwhals.Categorical, narwhals.Enum):
            kinds[name] = "categories"
    return Frame(kind, columns, kinds, index_of(source))


def _of_mapping(kind: str, source: Mapping[Any, Any]) -> Frame:
    """The columns of a mapping from names to sequences of equal length."""
    columns: dict[str, np.ndarray] = {}
    for name, given in zip(_names(kind, list(source)), source.values(), strict=True):
        cells = as_array(given)
        if not isinstance(cells, Sequence | np.ndarray) or isinstance(cells, str | bytes):
            way = "a table of one row is a list of one object, [row]"
            raise DataError(f"{shown(name)} is {shown(given)} and no column; {way}")
        columns[name] = _cells(cells)
        if len(columns[name]) != len(next(iter(columns.values()))):
            first = next(iter(columns))
            lengths = f"{len(columns[name])} and {len(columns[first])}"
            raise DataError(f"the columns {name!r} and {first!r} have {lengths} values")
    return _with_moments(kind, columns)


def _of_records(rows: Sequence[Any]) -> Frame:
    """The columns of rows that are objects; a cell that a row does not have is missing."""
    for at, row in enumerate(rows, start=1):
        if not isinstance(row, Mapping):
            way = "give objects keyed by name, or a frame"
            raise DataError(f"row {at}, {shown(row)}, does not name its columns; {way}")
    titles = list(dict.fromkeys(chain.from_iterable(rows)))
    names = _names("records", titles)
    columns = {
        name: _objects([row.get(title) for row in rows])
        for name, title in zip(names, titles, strict=True)
    }
    return _with_moments("records", columns)


def _with_moments(kind: str, columns: Mapping[str, np.ndarray]) -> Frame:
    kinds: dict[str, Kind] = {n: "moments" for n, cells in columns.items() if _has_moments(cells)}
    texts = {name: _as_texts(columns[name]) for name in kinds}
    return Frame(kind, {**columns, **texts}, kinds)


def _cells(given: Any) -> np.ndarray:
    """One column of a mapping or a structured array."""
    if isinstance(given, np.ndarray) and given.dtype.kind in "iuf" and given.ndim == 1:
        hidden = np.ma.getmaskarray(given) if np.ma.isMaskedArray(given) else np.False_
        data = np.ma.getdata(given)
        return np.where(hidden, np.nan, data) if hidden.any() else data
    if isinstance(given, np.ndarray) and given.dtype.kind in "mM":
        given = given.astype(f"{given.dtype.kind}8[us]")
    return _objects(given.tolist() if isinstance(given, np.ndarray) else given)


def _objects(cells: Sequence[Any]) -> np.ndarray:
    """The cells as objects of built-in types, None for those that are missing."""
    found = np.empty(len(cells), dtype=object)
    for row, given in enumerate(cells):
        cell = plain_cell(given)
        found[row] = None if isinstance(cell, float) and cell != cell else cell
    return found


def _content(cells: np.ndarray) -> bytes:
    """The cells as bytes: float64 if they are numbers, however they are kept, and else JSON."""
    if cells.dtype == object:
        kinds = set(map(type, cells.tolist())) - {type(None)}
        if not kinds <= {int, float}:
            return json.dumps(cells.tolist(), default=str).encode()
    with np.errstate(over="ignore"):
        return np.asarray(cells, dtype=np.float64).tobytes()


def _has_moments(cells: np.ndarray) -> bool:
    return cells.dtype == object and any(map(_is_moment, cells.tolist()))


def _is_moment(cell: object) -> bool:
    period = type(cell).__name__ == "Period"  # of pandas
    return period or isinstance(cell, date | time | timedelta | np.datetime64 | np.timedelta64)


def _as_texts(cells: np.ndarray) -> np.ndarray:
    return _objects([str(cell) if _is_moment(cell) else cell for cell in cells.tolist()])


def _names(kind: str, titles: Sequence[Any]) -> list[str]:
    """The names of the columns as texts; raises DataError for equal ones and for other objects."""
    for title in titles:
        if isinstance(title, bool) or not isinstance(title, str | int | np.integer):
            way = "rename the columns, as in frame.columns = [...]"
            raise DataError(
                f"the {kind} has a column named {shown(title)}, which is no text; {way}"
            )
    names = [str(title) for title in titles]
    for name, count in Counter(names).items():
        if count > 1:
            raise DataError(f"the {kind} has {count} columns named {name!r}; rename them")
    return names


def _arrow_table(source: Any) -> Any:
    try:
        return import_module("pyarrow").table(source)
    except ImportError as error:
        hint = 'pip install "mc-dropout-service[train]"'
        raise DataError(f"{type(source).__name__} needs pyarrow to be read: {hint}") from error


def _is_series(row: Any) -> bool:
    pandas = sys.modules.get("pandas")
    return pandas is not None and isinstance(row, pandas.Series)
