"""The schema: check rows and encode them as the input of the network.

A numeric feature is encoded as its standardised number, with the columns of its piecewise-linear
code behind if it has one (`model.data.codes`); a categorical one as a column for each category. The
*plain* columns are all but those of the codes. The codes are functions of the plain columns, and
distances between rows need no more than these.

Shapes: B rows, D encoded columns, N plain columns.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain, islice
from operator import itemgetter
from typing import Any, cast

import numpy as np

from model.data.feature import CategoricalFeature, Feature, NumericFeature
from model.data.frame_columns import columns_of, features_of, records_of
from model.data.frames import Frame, Tabular, as_array, frame_with_names, plain_row
from model.data.names import clean
from model.data.numeric import Numbers
from model.errors import DataError, Detail, InputError
from model.messages import listed, nearest, shown

MAX_DETAILS = 20
LEAST_LOG = -700.0  # of a decoded target: exp of less is not a normal float64

Row = Mapping[str, object] | Sequence[object]
Rows = Sequence[Row] | np.ndarray | Tabular


@dataclass(frozen=True, slots=True)
class Target:
    """The target. A regression has a mean, a scale and a unit for each name, and no classes.

    A classification has one name and its classes, and neither means nor scales. The targets named
    in `logs` are learned by their logarithms: their means and scales are those of the logarithms.
    """

    names: tuple[str, ...]
    classes: tuple[str, ...]
    means: tuple[float, ...]
    scales: tuple[float, ...]
    units: tuple[str | None, ...]
    logs: tuple[str, ...] = ()

    @property
    def by_log(self) -> np.ndarray:
        """Whether each target of a regression is learned by its logarithm, bool [T]."""
        return np.array([name in self.logs for name in self.names], dtype=bool)

    @property
    def stds(self) -> np.ndarray:
        """The std [T] of each target in its own unit.

        Of a target that is learned by its logarithm it is the geometric mean times the std of the
        logarithm: the std to first order.
        """
        middle = np.exp(np.where(self.by_log, self.means, 0.0))
        return np.asarray(middle * np.array(self.scales))

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Numbers [..., T] in the targets' own units as the network has them."""
        linear = np.where(self.by_log, np.log(np.where(self.by_log, values, 1.0)), values)
        return np.asarray((linear - np.array(self.means)) / np.array(self.scales))

    def decoded(self, standardised: np.ndarray) -> np.ndarray:
        """The inverse of `standardised`; never 0 where the logarithm is learned."""
        values = standardised * np.array(self.scales) + np.array(self.means)
        if not self.logs:
            return np.asarray(values)
        positive = np.exp(np.where(self.by_log, np.maximum(values, LEAST_LOG), 0.0))
        return np.where(self.by_log, positive, values)


@dataclass(frozen=True)
class Schema:
    """The features, in the network's order."""

    features: tuple[Feature, ...]

    @cached_property
    def _numbers(self) -> Numbers:
        return Numbers.of(self.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def width(self) -> int:
        """The number of encoded columns, D."""
        return sum(feature.width for feature in self.features)

    def encode(self, rows: Rows) -> np.ndarray:
        """The rows encoded for the network, float32 [B, D].

        All rows are objects keyed by feature name, or all are arrays in the schema's order. Named
        tuples are objects. A frame, a structured array and a mapping of columns go by the names of
        their columns. One array [B, features] of numbers is fastest. A value that is missing,
        masked, NaN, NA or NaT is filled in if the schema says so. Raises InputError with one detail
        per fault, at most 20.
        """
        if not isinstance(rows, list | tuple):
            try:
                frame, rows = frame_with_names(rows), as_array(rows)
            except DataError as error:
                raise InputError(f"rows: {error}", [Detail("rows", str(error))]) from error
            if frame:
                return self._encode_frame(frame)
        try:
            return self._encode_plain(rows)
        except (LookupError, TypeError, ValueError, OverflowError):
            pass  # some cell has a fault, or a valid but unusual type: check each cell
        return self.assemble(_checked(self, _with_names(self.names, rows)))

    def _encode_frame(self, frame: Frame) -> np.ndarray:
        """The encoded rows of a frame: column by column, and cell by cell if one has a fault."""
        columns = features_of(frame, self.features)
        found = columns_of(columns, self.features, frame.row_count)
        if found and frame.row_count:
            x = self.assemble(found)
            if np.isfinite(x).all():
                return x
        return self.assemble(_checked(self, records_of(columns, frame.row_count)))

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
            self._numbers.put(self._numbers.standardised(block), x)
        return x

    @cached_property
    def _plain(self) -> np.ndarray:
        """The numbers of the plain columns [N]."""
        return np.setdiff1d(np.arange(self.width), self._numbers.code_columns)

    def plain(self, x: np.ndarray) -> np.ndarray:
        """The plain columns [B, N] of encoded rows x [B, D]: x itself without codes."""
        return x if len(self._plain) == x.shape[1] else np.ascontiguousarray(x[:, self._plain])

    def whole(self, plain: np.ndarray) -> np.ndarray:
        """The encoded rows [B, D] that have these plain columns [B, N]."""
        if len(self._plain) == self.width:
            return plain
        x = np.empty((len(plain), self.width), dtype=plain.dtype)
        x[:, self._plain] = plain
        self._numbers.put(x[:, self._numbers.positions], x)
        return x

    @property
    def code_columns(self) -> np.ndarray:
        """Whether each encoded column is one of a code, bool [D]."""
        found = np.ones(self.width, dtype=bool)
        found[self._plain] = False
        return found

    @property
    def plain_width(self) -> int:
        """The number of plain columns, N."""
        return len(self._plain)

    @cached_property
    def without_codes(self) -> "Schema":
        """The schema whose encoded columns are the plain ones."""
        return Schema(
            tuple(
                replace(feature, edges=()) if isinstance(feature, NumericFeature) else feature
                for feature in self.features
            )
        )

    def example(self, x: np.ndarray) -> dict[str, float | str]:
        """A row like the encoded training rows x [n, D], as its sender would write it.

        Its values are those of the rows' middle, so that training rows have each of them. Take rows
        that are near each other: no row may have the combination of the medians of all rows.
        """
        row, at = dict[str, float | str](), 0
        for feature in self.features:
            row[feature.name] = feature.example(x[:, at : at + feature.width])
            at += feature.width
        return row

    def outside(self, x: np.ndarray) -> list[tuple[str, ...]]:
        """The warnings "outside_training_range:<feature>" of each encoded row."""
        numbers = self._numbers
        z = x if len(numbers.positions) == x.shape[1] else x[:, numbers.positions]  # [B, F]
        beyond = (z < numbers.low) | (z > numbers.high)  # [B, numeric features]
        codes: list[tuple[str, ...]] = [()] * len(x)
        if not beyond.any():  # the usual case
            return codes
        for row, at in zip(*beyond.nonzero(), strict=True):
            codes[row] += (f"outside_training_range:{numbers.features[at].name}",)
        return codes

    @cached_property
    def columns(self) -> tuple[slice, ...]:
        """The encoded columns of each feature."""
        ends = accumulate(feature.width for feature in self.features)
        return tuple(slice(end - f.width, end) for f, end in zip(self.features, ends, strict=True))

    def nearest(self, x: np.ndarray) -> np.ndarray:
        """The encoded rows nearest to x [B, D]: exactly one category of each feature, as 1."""
        x = x.copy()
        for feature, at in zip(self.features, self.columns, strict=True):
            if isinstance(feature, CategoricalFeature):
                x[:, at] = np.eye(feature.width, dtype=x.dtype)[x[:, at].argmax(1)]
        return x

    def categorical(self, name: str) -> tuple[CategoricalFeature, int]:
        """The categorical feature of that name and its first encoded column; raises InputError."""
        at = 0
        for feature in self.features:
            if clean(feature.name) == clean(name) and isinstance(feature, CategoricalFeature):
                return feature, at
            at += feature.width
        texts = [f.name for f in self.features if isinstance(f, CategoricalFeature)]
        known = f"those are {listed(texts)}" if texts else "there is none"
        message = f"{shown(name)}{nearest(name, texts)} is no categorical feature; {known}"
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
        shaped = rows.ndim == 2 and rows.shape[1] == len(self.features) and len(rows)
        if not numeric or not shaped or np.ma.is_masked(rows):
            raise TypeError
        return self._numbers.read(np.asarray(rows, np.float64, order="C"))

    def _encode_cells(self, rows: Sequence[Row]) -> np.ndarray:
        kinds = set(map(type, rows))
        by_name = kinds == {dict}
        if not (by_name or kinds <= {list, tuple}):
            raise TypeError
        if set(map(len, rows)) != {len(self.features)}:
            if not by_name or not set(self.names).issuperset(chain.from_iterable(rows)):
                raise TypeError
            objects = cast("Sequence[Mapping[str, object]]", rows)
            rows, by_name = [[row.get(name) for name in self.names] for row in objects], False
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
        return self._numbers.read(block.reshape(len(rows), -1))

    def _encode_columns(self, rows: Sequence[Row], by_name: bool) -> np.ndarray:
        columns = []
        for position, feature in enumerate(self.features):
            cells = list(map(itemgetter(feature.name if by_name else position), rows))
            if feature.fill is not None and None in cells:
                cells = [feature.fill if cell is None else cell for cell in cells]
            columns.append(feature.column(cells))
        return self.assemble(columns)


def _with_names(names: Sequence[str], rows: Any) -> Any:
    """The rows as objects or lists; a name in another Unicode form becomes the schema's."""
    rows = rows.tolist() if isinstance(rows, np.ndarray) and rows.ndim else rows
    if not isinstance(rows, Sequence) or isinstance(rows, str | bytes):
        way = "give a list of rows, an array [rows, features] or a frame"
        message = f"{shown(rows)} is no table: {way}"
        raise InputError(f"rows: {message}", [Detail("rows", message)])
    known = {clean(name): name for name in names}
    return [_row_with_names(known, row) for row in rows]


def _row_with_names(known: Mapping[str, str], row: Any) -> Any:
    row = plain_row(row)
    if not isinstance(row, Mapping) or set(known.values()).issuperset(row):
        return row
    own = {name: known.get(clean(name), name) if isinstance(name, str) else name for name in row}
    counts = Counter(own.values())
    return {own[name] if counts[own[name]] == 1 else name: row[name] for name in row}


def _checked(schema: Schema, rows: Sequence[Row]) -> list[list[float]]:
    """A column per feature, of numbers or indices; raises InputError with every fault."""
    faults = list(islice(_faults(schema, rows), MAX_DETAILS))
    if faults:
        where = ".".join(faults[0].field.split(".")[:2])
        more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
        raise InputError(f"{where}: {faults[0].message}{more}", faults)
    lists = [
        [row.get(name) for name in schema.names] if isinstance(row, Mapping) else row
        for row in rows
    ]
    return [
        [feature.encoded(row[at]) for row in lists] for at, feature in enumerate(schema.features)
    ]


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
    known = set(schema.names)
    unknown = islice((name for name in row if name not in known), MAX_DETAILS)
    likes = {name: nearest(name, schema.names) for name in unknown}
    yield from (_unknown(name, like, expected, where) for name, like in likes.items() if like)
    for feature in schema.features:
        if feature.name in row:
            yield from _cell_fault(feature, row[feature.name], where)
        elif feature.fill is None:
            message = f"feature {shown(feature.name)} is missing; {expected}"
            yield Detail(f"{where}.{feature.name}", message)
    yield from (_unknown(name, like, expected, where) for name, like in likes.items() if not like)


def _unknown(name: object, like: str, expected: str, where: str) -> Detail:
    """The fault of an unknown name, a text of the sender: quoted in its printable form only."""
    quoted = shown(name)
    return Detail(f"{where}.{quoted[1:-1]}", f"unknown feature {quoted}{like}; {expected}")


def _cell_fault(feature: Feature, cell: object, where: str) -> Iterator[Detail]:
    fault = feature.fault(cell)
    if fault:
        yield Detail(f"{where}.{feature.name}", f"feature {shown(feature.name)} {fault}")
