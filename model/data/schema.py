"""The schema: check rows and encode them as the input of the network.

Shapes: B rows, D encoded columns (a numeric feature is one, a categorical one per category).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, chain, islice
from operator import itemgetter
from typing import Any, cast

import numpy as np

from model.errors import Detail, InputError
from model.messages import listed, shown

MAX_DETAILS = 20


RANGE_SLACK = 1e-6  # in scales: rounding to float32 must not put a training row outside the range


FLOAT32_MAX = float(np.finfo(np.float32).max)


Row = Mapping[str, object] | Sequence[object]


@dataclass(frozen=True, slots=True)
class NumericFeature:
    """A feature of numbers, encoded as (value - mean) / scale.

    `low` and `high` are the training range, infinite if it is unknown. `fill` replaces a missing
    value; if it is None, a missing value is an error.
    """

    name: str
    mean: float
    scale: float
    low: float
    high: float
    fill: float | None = None

    @property
    def width(self) -> int:
        """The number of encoded columns."""
        return 1

    @property
    def range(self) -> tuple[float, float] | None:
        """The training range; None if it is unknown."""
        return (self.low, self.high) if math.isfinite(self.low) else None

    def column(self, cells: list[object]) -> Sequence[float]:
        """The cells as numbers; raises TypeError if any cell has another type."""
        if not set(map(type, cells)) <= {int, float}:
            raise TypeError
        return cast("list[float]", cells)

    def plain(self, cell: object) -> float | None:
        """A cell without fault, as a built-in type."""
        return None if cell is None else float(cast("float", cell))

    def fault(self, cell: object) -> str | None:
        """The fault of the cell, worded to follow "feature 'x' "; None if it has none."""
        if cell is None:
            return None if self.fill is not None else "is null; the model needs a number"
        if isinstance(cell, bool) or not isinstance(cell, int | float | np.integer | np.floating):
            return f"is {shown(cell)}, which is not a number"
        try:
            value = float(cell)
        except OverflowError:
            value = math.inf
        if not math.isfinite(value) and isinstance(cell, float | np.floating):
            return f"is {value}; it must be finite"
        z = (value - self.mean) / self.scale
        if abs(z) <= FLOAT32_MAX:
            return None
        if self.range is None:
            return f"is {shown(cell)}, which is too large beside the scale, {self.scale:g}"
        training = f"{self.low:g} to {self.high:g}"
        return f"is {shown(cell)}, which lies too far from the training range, {training}"


@dataclass(frozen=True, slots=True)
class CategoricalFeature:
    """A feature of texts, encoded as a column of 0 and 1 for each category."""

    name: str
    categories: tuple[str, ...]
    fill: str | None = None

    @property
    def width(self) -> int:
        """The number of encoded columns."""
        return len(self.categories)

    def column(self, cells: list[object]) -> Sequence[float]:
        """The cells as indices of categories; raises TypeError or KeyError for any other cell."""
        if not set(map(type, cells)) <= {str}:
            raise TypeError
        index: dict[object, int] = {category: at for at, category in enumerate(self.categories)}
        return [index[cell] for cell in cells]

    def plain(self, cell: object) -> str | None:
        """A cell without fault, as a built-in type."""
        return None if cell is None else str(cell)

    def fault(self, cell: object) -> str | None:
        """The fault of the cell, worded to follow "feature 'x' "; None if it has none."""
        if cell is None:
            wrong = None if self.fill is not None else "is null"
        elif not isinstance(cell, str):
            wrong = f"is {shown(cell)}, which is not a text"
        else:
            wrong = None if cell in self.categories else f"has the unknown category {shown(cell)}"
        return wrong and f"{wrong}; known: {listed(self.categories)}"


Feature = NumericFeature | CategoricalFeature


@dataclass(frozen=True, slots=True)
class Target:
    """The target. A regression has a mean, a scale and a unit for each name, and no classes.

    A classification has one name and its classes, and neither means nor scales.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    units: tuple[str | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Numbers:
    """The numeric features as arrays [numeric features] float64, computed once for all rows.

    `low` and `high` are the ends of the encoded training range, moved outwards by `RANGE_SLACK`.
    """

    features: tuple[NumericFeature, ...]
    positions: tuple[int, ...]  # the encoded column of each
    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray

    @classmethod
    def of(cls, features: Sequence[Feature]) -> "_Numbers":
        starts = accumulate((feature.width for feature in features), initial=0)
        placed = [
            (feature, at)
            for feature, at in zip(features, starts, strict=False)
            if isinstance(feature, NumericFeature)
        ]
        rows = [(each.low, each.high, each.mean, each.scale) for each, _ in placed]
        low, high, mean, scale = np.array(rows, dtype=np.float64).reshape(-1, 4).T
        low, high = (low - mean) / scale, (high - mean) / scale
        return cls(
            tuple(feature for feature, _ in placed),
            tuple(at for _, at in placed),
            mean=mean,
            scale=scale,
            low=low - RANGE_SLACK * (1 + abs(low)),
            high=high + RANGE_SLACK * (1 + abs(high)),
        )

    def standardised(self, block: np.ndarray) -> np.ndarray:
        """The numbers [B, numeric features] standardised, float32; inf where one overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((block - self.mean) / self.scale, dtype=np.float32)


@dataclass(frozen=True)
class Schema:
    """The features, in the network's order."""

    features: tuple[Feature, ...]

    @cached_property
    def _numbers(self) -> "_Numbers":
        return _Numbers.of(self.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def width(self) -> int:
        """The number of encoded columns, D."""
        return sum(feature.width for feature in self.features)

    def encode(self, rows: Sequence[Row] | np.ndarray) -> np.ndarray:
        """The rows encoded for the network, float32 [B, D].

        All rows are objects keyed by feature name, or all are arrays in the schema's order. One
        array [B, features] of numbers is fastest. Raises InputError with one detail per fault, at
        most 20.
        """
        try:
            return self._encode_plain(rows)
        except (LookupError, TypeError, ValueError, OverflowError):
            pass  # some cell has a fault, or a valid but unusual type: check each cell
        cells: Any = rows.tolist() if isinstance(rows, np.ndarray) and rows.ndim else rows
        return self._encode_plain(_checked(self, cells))

    def assemble(self, columns: Sequence[Sequence[float] | np.ndarray]) -> np.ndarray:
        """Encoded rows, float32 [B, D], from a column per feature: numbers, or category indices.

        The result is not finite where a number is missing or overflows float32; callers check that.
        """
        x = np.zeros((len(columns[0]), self.width), dtype=np.float32)  # [B, D]
        numbers, at = [], 0
        for feature, column in zip(self.features, columns, strict=True):
            if isinstance(feature, NumericFeature):
                numbers.append(column)
            else:
                x[np.arange(len(x)), np.asarray(column, dtype=np.intp) + at] = 1
            at += feature.width
        if numbers:
            block = np.array(numbers, dtype=np.float64).T  # [B, numeric features]
            x[:, self._numbers.positions] = self._numbers.standardised(block)
        return x

    def outside(self, x: np.ndarray) -> list[tuple[str, ...]]:
        """The warnings "outside_training_range:<feature>" of each encoded row."""
        numbers = self._numbers
        z = x if len(numbers.positions) == x.shape[1] else x[:, numbers.positions]
        beyond = (z < numbers.low) | (z > numbers.high)  # [B, numeric features]
        codes: list[tuple[str, ...]] = [()] * len(x)
        if not beyond.any():  # the usual case
            return codes
        for row, at in zip(*beyond.nonzero(), strict=True):
            codes[row] += (f"outside_training_range:{numbers.features[at].name}",)
        return codes

    def categorical(self, name: str) -> tuple[CategoricalFeature, int]:
        """The categorical feature of that name and its first encoded column; raises InputError."""
        at = 0
        for feature in self.features:
            if feature.name == name and isinstance(feature, CategoricalFeature):
                return feature, at
            at += feature.width
        texts = [f.name for f in self.features if isinstance(f, CategoricalFeature)]
        known = f"those are {listed(texts)}" if texts else "there is none"
        message = f"{name!r} is no categorical feature; {known}"
        raise InputError(f"by: {message}", [Detail("by", message)])

    def categories(self, name: str, x: np.ndarray) -> list[str]:
        """The category that each encoded row of x [B, D] has in the feature of that name."""
        feature, at = self.categorical(name)
        index = x[:, at : at + feature.width].argmax(-1)
        return [feature.categories[number] for number in index.tolist()]

    def numeric(self) -> tuple[list[NumericFeature], list[int]]:
        """The numeric features, and the encoded column of each."""
        return list(self._numbers.features), list(self._numbers.positions)

    def _encode_plain(self, rows: Sequence[Row] | np.ndarray) -> np.ndarray:
        """The encoded rows, if all cells have built-in types and no fault; otherwise it raises."""
        x = self._encode_array(rows) if isinstance(rows, np.ndarray) else self._encode_cells(rows)
        if not np.isfinite(x).all():
            raise ValueError
        return x

    def _encode_array(self, rows: np.ndarray) -> np.ndarray:
        """The encoded rows of numbers [B, features], if all features are numeric."""
        numeric = len(self.features) == len(self._numbers.features) and rows.dtype.kind in "fiu"
        if not numeric or rows.ndim != 2 or rows.shape[1] != self.width or not len(rows):
            raise TypeError
        return self._numbers.standardised(np.asarray(rows, np.float64, order="C"))

    def _encode_cells(self, rows: Sequence[Row]) -> np.ndarray:
        kinds = set(map(type, rows))
        by_name = kinds == {dict}
        if not (by_name or kinds <= {list, tuple}) or set(map(len, rows)) != {len(self.features)}:
            raise TypeError
        x = self._encode_numbers(rows, by_name)
        return self._encode_columns(rows, by_name) if x is None else x

    def _encode_numbers(self, rows: Sequence[Row], by_name: bool) -> np.ndarray | None:
        """The encoded rows if every cell is a number, which is the usual case; otherwise None."""
        if not len(self.features) == len(self._numbers.features) > 1:
            return None
        lists = cast("Sequence[Sequence[float]]", rows)
        if by_name:
            lists = [*map(itemgetter(*self.names), rows)]
        if not set(map(type, chain.from_iterable(lists))) <= {int, float}:
            return None
        count = len(rows) * len(self.features)
        block = np.fromiter(chain.from_iterable(lists), np.float64, count)
        return self._numbers.standardised(block.reshape(len(rows), -1))

    def _encode_columns(self, rows: Sequence[Row], by_name: bool) -> np.ndarray:
        columns = []
        for position, feature in enumerate(self.features):
            cells = list(map(itemgetter(feature.name if by_name else position), rows))
            if feature.fill is not None and None in cells:
                cells = [feature.fill if cell is None else cell for cell in cells]
            columns.append(feature.column(cells))
        return self.assemble(columns)


def label(value: str | float) -> str:
    """A value as the text of a category or class; a whole number has no decimal point."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == value // 1 else repr(value)


def _checked(schema: Schema, rows: Sequence[Row]) -> list[Row]:
    """The rows as lists of built-in types; raises InputError with every fault."""
    faults = list(islice(_faults(schema, rows), MAX_DETAILS))
    if faults:
        where = ".".join(faults[0].field.split(".")[:2])
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise InputError(f"{where}: {faults[0].message}{more}", faults)
    checked: list[Row] = []
    for row in rows:
        cells = [row[name] for name in schema.names] if isinstance(row, Mapping) else row
        checked.append([f.plain(cell) for f, cell in zip(schema.features, cells, strict=True)])
    return checked


def _faults(schema: Schema, rows: Sequence[Row]) -> Iterator[Detail]:
    """Every fault, row by row."""
    if not len(rows):
        yield Detail("rows", "there are no rows; at least one is needed")
    by_name = [isinstance(row, Mapping) for row in rows]
    for number, row in enumerate(rows):
        where = f"rows.{number}"
        if isinstance(row, Mapping):
            yield from _object_faults(schema, row, where)
        elif not isinstance(row, list | tuple | np.ndarray):
            yield Detail(where, f"{shown(row)} is neither an object nor an array of values")
        elif len(row) != len(schema.features):
            expected = f"{len(schema.features)}: {listed(schema.names)}"
            yield Detail(where, f"the row has {len(row)} values; the model expects {expected}")
        else:
            for feature, cell in zip(schema.features, row, strict=True):
                yield from _cell_fault(feature, cell, where)
        if by_name[number] != by_name[0]:
            yield Detail(where, "rows must be all objects or all arrays; this and the first differ")


def _object_faults(schema: Schema, row: Mapping[str, object], where: str) -> Iterator[Detail]:
    expected = f"the model expects {listed(schema.names)}"
    for feature in schema.features:
        if feature.name in row:
            yield from _cell_fault(feature, row[feature.name], where)
        else:
            message = f"feature {feature.name!r} is missing; {expected}"
            yield Detail(f"{where}.{feature.name}", message)
    known = set(schema.names)
    for name in row:
        if name not in known:  # a text of the sender: the message quotes its printable form only
            message = f"unknown feature {shown(name)}; {expected}"
            yield Detail(f"{where}.{shown(name)[1:-1]}", message)


def _cell_fault(feature: Feature, cell: object, where: str) -> Iterator[Detail]:
    fault = feature.fault(cell)
    if fault:
        yield Detail(f"{where}.{feature.name}", f"feature {feature.name!r} {fault}")
