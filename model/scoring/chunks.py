"""Consecutive rows of a file, and what a reader of files offers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

TILE_ROWS = 512  # of a file, computed together: how products round depends on it, and on no block
BLOCK_ROWS = 8 * TILE_ROWS  # read, shared out and written together

Cells = Any  # of one column: a sequence of cells as a request has them, or float64 with nan


@dataclass(frozen=True, slots=True)
class Wanted:
    """The columns to read, by their names in the file: of each feature, and those to keep."""

    features: Mapping[str, str]
    kept: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Each column once."""
        return list(dict.fromkeys([*self.features.values(), *self.kept]))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive rows of a file, column by column.

    `first` is the number of rows before them. `lines` has the line on which each row starts, None
    where a file has no lines. `broken` says what is wrong with rows that have no cells.
    """

    first: int
    size: int
    lines: Sequence[int] | None
    cells: Mapping[str, Cells]  # by feature
    kept: Mapping[str, Cells]
    broken: Mapping[int, str]  # by position in the chunk


class Source(Protocol):
    """A file of rows that is read once, in order."""

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        ...

    @property
    def notices(self) -> Sequence[str]:
        """What was read in a way that one might not expect."""
        ...

    @property
    def total(self) -> int | None:
        """The number of rows, if the file says it."""
        ...

    def fraction(self) -> float | None:
        """The part of the file that is read, if its size is known."""
        ...

    def kept_type(self, name: str) -> Any:
        """The Arrow type of a column that is kept; None for one of texts."""
        ...

    def chunks(self, wanted: Wanted, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """The rows after the first `skip`, in chunks of `rows` but for the last."""
        ...
