"""A table: named columns of equal length."""

from dataclasses import dataclass, field

import numpy as np

from model.errors import DataError
from model.messages import listed


@dataclass(frozen=True, slots=True)
class Table:
    """Named columns of equal length: float64 with nan for missing, or objects, str and None.

    `lines` has the line number of each row in its text file, for messages.
    """

    name: str
    columns: dict[str, np.ndarray]
    sha256: str
    lines: np.ndarray | None = field(default=None, compare=False, repr=False)

    @property
    def row_count(self) -> int:
        """The number of rows."""
        return len(next(iter(self.columns.values()), ()))

    def column(self, name: str) -> np.ndarray:
        """The column of that name; raises DataError that lists the columns."""
        if name not in self.columns:
            known = listed(list(self.columns))
            raise DataError(f"{self.name} has no column {name!r}; its columns are {known}")
        return self.columns[name]

    def fault(self, row: int, name: str, message: str) -> DataError:
        """An error about one cell; `row` counts from 0 as in arrays, and the message from 1."""
        line = "" if self.lines is None else f" (line {self.lines[row]})"
        return DataError(f"{self.name}, row {row + 1}{line}, column {name!r}: {message}")
