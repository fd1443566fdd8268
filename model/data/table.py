"""A table: named columns of equal length."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from model.data.feature import label
from model.data.numbers import CellRule
from model.data.options import ReadOptions
from model.errors import DataError
from model.messages import listed, nearest, shown


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length: float64 with nan for missing, or objects, str and None.

    Other arrays become one of these: a masked cell is missing, whole numbers become float64, and
    truth values become texts. `lines` has the line number of each row in its text file, and
    `numbers` the row's number in the file, from 1, if rows were left out. `notices` say what was
    read in a way that one might not expect. `index` has the columns that the file says are no
    features; they are not among the columns. `signs` has the sign of a column's numbers, such as %.
    """

    name: str
    columns: dict[str, np.ndarray]
    sha256: str
    lines: np.ndarray | None = field(default=None, compare=False, repr=False)
    numbers: np.ndarray | None = field(default=None, compare=False, repr=False)
    notices: tuple[str, ...] = field(default=(), compare=False)
    index: tuple[str, ...] = field(default=(), compare=False)
    reading: ReadOptions = field(default=ReadOptions(), compare=False, repr=False)
    signs: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        usual = {name: _usual(self.name, name, cells) for name, cells in self.columns.items()}
        object.__setattr__(self, "columns", usual)

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> np.ndarray:
        """The column of that name; raises DataError that lists the columns."""
        if name not in self.columns:
            known = listed(list(self.columns))
            why = "; it was left out as an index" if name in self.index else ""
            asked = f"{shown(name)}{why or nearest(name, self.columns, among=len(self.columns))}"
            raise DataError(f"{self.name} has no column {asked}; its columns are {known}")
        return self.columns[name]

    def rule(self, name: str) -> CellRule:
        """How the cells of that column were read."""
        return self.reading.rule(self.signs.get(name, ""))

    def rows(self, kept: np.ndarray) -> "Table":
        """The table of some rows, by their positions, int64 ascending."""
        numbers = np.arange(1, self.row_count + 1) if self.numbers is None else self.numbers
        return replace(
            self,
            columns={name: cells[kept] for name, cells in self.columns.items()},
            lines=None if self.lines is None else self.lines[kept],
            numbers=numbers[kept],
        )

    def complete_rows(self, names: Sequence[str]) -> np.ndarray:
        """The positions of the rows that have a value in each of these columns."""
        gaps = np.zeros(self.row_count, dtype=bool)
        for name in names:
            gaps |= missing_cells(self.column(name))
        return np.flatnonzero(~gaps)

    def fault(self, row: int, name: str, message: str) -> DataError:
        """An error about one cell; `row` counts from 0 as in arrays, and the message from 1."""
        return DataError(f"{self.name}, {self.place(row)}, column {name!r}: {message}")

    def place(self, row: int) -> str:
        """Where a row is in its file; `row` counts from 0."""
        number = row + 1 if self.numbers is None else self.numbers[row]
        line = "" if self.lines is None else f" (line {self.lines[row]})"
        return f"row {number}{line}"


def missing_cells(column: np.ndarray) -> np.ndarray:
    """Whether each cell of a table's column is missing, bool [rows]."""
    if column.dtype != object:
        return np.asarray(np.isnan(column))
    return np.array([cell is None for cell in column], dtype=bool)


def texts_of(cells: Sequence[object]) -> np.ndarray:
    """The cells as texts: numbers as `label` writes them, truth values as JSON writes them."""
    texts = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        if isinstance(cell, bool | np.bool_):
            texts[row] = "true" if cell else "false"
        elif isinstance(cell, np.generic) and not isinstance(cell, str):
            texts[row] = None if cell != cell else label(cell.item())
        elif isinstance(cell, int | float):
            texts[row] = None if cell != cell else label(cell)
        else:
            texts[row] = cell
    return texts


def _usual(table: str, name: str, cells: np.ndarray) -> np.ndarray:
    """The cells as float64 or as str objects and None; raises DataError for other objects."""
    hidden = np.ma.getmaskarray(cells) if np.ma.isMaskedArray(cells) else None
    cells = np.ma.getdata(cells)
    if cells.dtype.kind in "fiu":
        cells = cells.astype(np.float64, copy=hidden is not None)
    elif cells.dtype.kind in "bUT":
        cells = texts_of(cells.tolist())
    elif cells.dtype == object:
        cells = _usual_objects(table, name, cells if hidden is None else cells.copy(), hidden)
    else:
        raise DataError(f"{table}, column {name!r}: {cells.dtype} is neither number nor text")
    if hidden is not None:
        cells[hidden] = np.nan if cells.dtype == np.float64 else None
    return cells


def _usual_objects(
    table: str, name: str, cells: np.ndarray, hidden: np.ndarray | None
) -> np.ndarray:
    """Objects as texts, or as numbers if all are numbers."""
    if hidden is not None:
        cells[hidden] = None
    kinds = set(map(type, cells.tolist()))
    if kinds <= {str, type(None)}:
        return cells
    numbers = {kind for kind in kinds if issubclass(kind, int | float | np.number)} - {bool}
    if kinds <= {*numbers, type(None)}:
        return np.array([np.nan if cell is None else float(cell) for cell in cells])
    if not kinds <= {*numbers, type(None), str, np.str_, bool, np.bool_}:
        wrong = next(cell for cell in cells if not isinstance(cell, str | int | float | None))
        raise DataError(f"{table}, column {name!r}: {shown(wrong)} is neither number nor text")
    return texts_of(cells.tolist())
