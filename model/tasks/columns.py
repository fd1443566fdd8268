"""Predictions as columns: numpy arrays, a column for each field.

It takes longer to make an object for each row than to compute the numbers in it. So predictions
stay arrays until a caller reads a row or writes text. The dataclass of a prediction defines each
field once, and the API's schema, the Open Inference outputs and the documentation are made from it.

Shapes: B rows, P passes, V values of a row: one per target, or one per class.
"""

import math
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import chain
from types import MappingProxyType
from typing import Any, Literal, TypeVar, cast, get_args, get_type_hints, overload

import numpy as np

R = TypeVar("R", covariant=True)

FieldKind = Literal[
    "values", "number", "count", "flag", "class", "classes", "codes", "text", "region", "samples"
]
"""How a field's column is kept:

values   [B, V] float64: a number for each target or class of a row
number   [B] float64
count    [B] int64
flag     [B] bool
class    [B] int64: the index of a class
classes  [B, K] int64: indices of classes, the most probable first; -1 is no class
codes    B tuples of texts
text     B texts
region   Columns of another dataclass
samples  B arrays [P, V] float64: a row of values for each pass
"""

MOST_NUMBERS = 32  # of a row for each target or class, without samples
FEW_ROWS = 4  # whose numbers Python adds up sooner than numpy puts them into one array
RECORDS_TOGETHER = 4096  # values: slices of more rows make their records by themselves

Column = Any  # an array, Columns, or a sequence, as FieldKind says


@dataclass(frozen=True, slots=True)
class About:
    """The description of a field, for `Annotated`: meaning in Markdown, unit and kind.

    `unit`: "target", "target squared", "nats", "probability"; empty where there is none.
    """

    meaning: str
    unit: str = ""
    kind: FieldKind = "values"


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field of a prediction; `type` is its Python type.

    An `optional` field is absent for some models or requests.
    """

    name: str
    type: Any
    about: About
    optional: bool


def field_infos(kind: type[Any]) -> Mapping[str, FieldInfo]:
    """The definitions of the fields of a dataclass of predictions or regions, in their order."""
    return _field_infos(cast("Hashable", kind))


@cache
def _field_infos(kind: Any) -> Mapping[str, FieldInfo]:
    types = get_type_hints(kind, include_extras=True)
    found = {}
    for each in fields(kind):
        of, about = get_args(types[each.name])
        found[each.name] = FieldInfo(each.name, of, about, each.default is None)
    return MappingProxyType(found)


@dataclass(frozen=True, slots=True, eq=False)
class Columns(Sequence[R]):
    """B rows of the dataclass `kind`; a row is made when a caller reads it.

    `columns` has a column for each field that is given, in the order of the text output; the other
    fields have their defaults. `names` are the targets or the classes, whose values a row has.
    Without names a row has one value, which is a plain number.
    """

    kind: type[R]
    columns: Mapping[str, Column]
    names: tuple[str, ...] = ()
    _whole: "tuple[Columns[R], slice] | None" = field(default=None, repr=False)
    _records: list[dict[str, Any]] = field(default_factory=list, repr=False)

    @staticmethod
    def joined(parts: Sequence["Columns[R]"]) -> "Columns[R]":
        """The rows of all parts, one after the other; the parts have the same columns."""
        first = parts[0]
        if len(parts) == 1:
            return first
        columns = {name: _joined([p.columns[name] for p in parts]) for name in first.columns}
        return Columns(first.kind, columns, first.names)

    def lists(self) -> dict[str, Sequence[Any]]:
        """The columns as lists of built-in values, and regions as Columns.

        The values of a row are a number, or an object keyed by target or class.
        """
        infos = field_infos(cast("type[Any]", self.kind))
        return {
            name: self._list(infos[name].about.kind, column)
            for name, column in self.columns.items()
        }

    def records(self) -> list[dict[str, Any]]:
        """The rows as plain dicts with the fields that are given, regions as dicts too, for JSON.

        They are made once for all rows of a batch that is not large: a slice takes its own from
        there. Do not change them.
        """
        if self._whole:
            whole, at = self._whole
            return whole.records()[at]
        if len(self._records) < len(self):
            lists = self.lists()
            columns = [c.records() if type(c) is Columns else c for c in lists.values()]
            rows = zip(*columns, strict=True)
            self._records[:] = [dict(zip(lists, row, strict=True)) for row in rows]
        return self._records

    def blocks(self, numbers: int) -> "Iterator[Columns[R]]":
        """The rows in consecutive blocks of about so many numbers, and of one row at least."""
        if len(self) * max(1, len(self.names)) <= numbers // MOST_NUMBERS and (
            "samples" not in self.columns
        ):
            yield self  # counting the numbers would take longer than writing a row
            return
        size = max(1, numbers * len(self) // max(1, self._count))
        if size >= len(self):
            yield self
            return
        for start in range(0, len(self), size):
            yield self._part(slice(start, start + size))

    def not_finite(self) -> int | None:
        """The first row with a number that is not finite; None if there is none."""
        numbers = self._numbers()
        if len(self) <= FEW_ROWS:
            every = chain.from_iterable([each.ravel().tolist() for each in numbers])
            if math.isfinite(sum(every)):
                return None  # all are finite; if not, the sum of large ones may have overflowed
        good = np.isfinite(np.concatenate(numbers, axis=None))
        if np.count_nonzero(good) == good.size:  # the usual case
            return None
        rows = [each if each.ndim == 2 else each[:, None] for each in numbers]
        return int((~np.isfinite(np.concatenate(rows, axis=1)).all(1)).argmax())

    @property
    def _count(self) -> int:
        """How many numbers there are, those of `samples` included."""
        samples: Sequence[np.ndarray] = self.columns.get("samples", ())
        return sum(array.size for array in chain(self._numbers(), samples))

    def _numbers(self) -> list[np.ndarray]:
        """The columns of floating-point numbers, those of regions included."""
        found: list[np.ndarray] = []
        for column in self.columns.values():
            if type(column) is Columns:  # isinstance is ten times slower: abstract base
                found += column._numbers()
            elif isinstance(column, np.ndarray) and column.dtype.kind == "f":
                found.append(column)
        return found

    def __eq__(self, other: object) -> bool:
        """Whether both have the same rows."""
        if not isinstance(other, Columns):
            return NotImplemented
        return (self.kind, self.names) == (
            other.kind,
            other.names,
        ) and self.lists() == other.lists()

    def __len__(self) -> int:
        """The number of rows B."""
        for column in self.columns.values():
            return len(column)
        return 0

    @overload
    def __getitem__(self, at: int) -> R: ...
    @overload
    def __getitem__(self, at: slice) -> "Columns[R]": ...
    def __getitem__(self, at: int | slice) -> "R | Columns[R]":
        """One row, or the Columns of a slice of rows."""
        if isinstance(at, slice):
            few = len(self) * max(1, len(self.names)) <= RECORDS_TOGETHER
            return self._part(at, (self, at) if few else None)
        at = range(len(self))[at]  # raises IndexError
        return next(iter(self[at : at + 1]))

    def _part(self, at: slice, whole: "tuple[Columns[R], slice] | None" = None) -> "Columns[R]":
        """The rows of a slice; with `whole`, they share the records of all rows."""
        some = {
            name: column._part(at) if type(column) is Columns and not whole else column[at]
            for name, column in self.columns.items()
        }
        return Columns(self.kind, some, self.names, whole)

    def __iter__(self) -> Iterator[R]:
        """The rows, in order."""
        lists = self.lists()
        for values in zip(*lists.values(), strict=True):
            yield self.kind(**dict(zip(lists, values, strict=True)))

    def _list(self, kind: FieldKind, column: Column) -> Sequence[Any]:
        match kind:
            case "values":
                return self._values(column)
            case "class":
                return [self.names[at] for at in column.tolist()]
            case "classes":
                return [tuple(self.names[k] for k in row if k >= 0) for row in column.tolist()]
            case "samples":
                return [tuple(self._values(passes)) for passes in column]
            case "codes" | "text" | "region":
                return column  # type: ignore[no-any-return]
            case _:
                return column.tolist()  # type: ignore[no-any-return]

    def _values(self, column: np.ndarray) -> list[Any]:
        """The rows of [B, V] as numbers, or as objects keyed by name."""
        if not self.names:
            return column[:, 0].tolist()  # type: ignore[no-any-return]
        return [dict(zip(self.names, row, strict=True)) for row in column.tolist()]


def _joined(parts: Sequence[Column]) -> Column:
    if type(parts[0]) is Columns:
        return Columns.joined(parts)
    if isinstance(parts[0], np.ndarray):
        return np.concatenate(parts)
    return [value for part in parts for value in part]
