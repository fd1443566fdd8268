"""Rows that are kept by column: as numpy makes them, and as they are written.

An object per row takes longer to make than the numbers in it, and whoever encodes an answer wants
none. Shapes: B rows.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, overload

R = TypeVar("R", covariant=True)


@dataclass(frozen=True, slots=True)
class Rows(Sequence[R]):
    """B rows of the dataclass `kind`, each of which is made when it is looked at.

    `columns` has B values for each field that is given, in the order in which the rows are written;
    the other fields have their defaults. A field that is itself a dataclass has Rows as its column.
    """

    kind: type[R]
    columns: Mapping[str, Sequence[Any]]

    @staticmethod
    def joined(parts: Sequence["Rows[R]"]) -> "Rows[R]":
        """The rows of all parts, one after the other; they have the same columns."""
        first = parts[0]
        if len(parts) == 1:
            return first
        columns = {name: _joined([p.columns[name] for p in parts]) for name in first.columns}
        return Rows(first.kind, columns)

    def __len__(self) -> int:
        """B."""
        for column in self.columns.values():
            return len(column)
        return 0

    @overload
    def __getitem__(self, at: int) -> R: ...
    @overload
    def __getitem__(self, at: slice) -> "Rows[R]": ...
    def __getitem__(self, at: int | slice) -> "R | Rows[R]":
        """A row, or some of the rows."""
        values = {name: column[at] for name, column in self.columns.items()}
        return Rows(self.kind, values) if isinstance(at, slice) else self.kind(**values)

    def __iter__(self) -> Iterator[R]:
        """One row after the other."""
        for values in zip(*self.columns.values(), strict=True):
            yield self.kind(**dict(zip(self.columns, values, strict=True)))


def _joined(parts: Sequence[Any]) -> Sequence[Any]:
    if isinstance(parts[0], Rows):
        return Rows.joined(parts)
    return [value for part in parts for value in part]
