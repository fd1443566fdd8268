"""The schema: check rows and encode them as the input of the network.

A numeric feature is encoded as its standardised number, with the columns of its piecewise-linear
code behind if it has one (`model.data.codes`); a categorical one as a column for each category. The
*plain* columns are all but those of the codes. The codes are functions of the plain columns, and
distances between rows need no more than these.

Shapes: B rows, D encoded columns, N plain columns.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate, chain
from operator import itemgetter
from typing import cast

import numpy as np

from model.data.checking import Row, checked, with_names
from model.data.encoded import Encoded, codes, filled
from model.data.feature import CategoricalFeature, Feature, NumericFeature
from model.data.frame_columns import columns_of, features_of, records_of
from model.data.frames import Frame, Tabular, as_array, frame_with_names
from model.data.names import clean
from model.data.numeric_columns import NumericColumns
from model.errors import DataError, Detail, InputError
from model.messages import listed, nearest, shown

LEAST_LOG = -700.0  # of a decoded target: exp of less is not a normal float64

Rows = Sequence[Row] | np.ndarray | Tabular


@dataclass(frozen=True)
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

    @cached_property
    def by_log(self) -> np.ndarray:
        """Whether each target of a regression is learned by its logarithm, bool [T]."""
        return np.array([name in self.logs for name in self.names], dtype=bool)

    @cached_property
    def _means(self) -> np.ndarray:
        return np.array(self.means)

    @cached_property
    def _scales(self) -> np.ndarray:
        return np.array(self.scales)

    @cached_property
    def stds(self) -> np.ndarray:
        """The std [T] of each target in its own unit.

        Of a target that is learned by its logarithm it is the geometric mean times the std of the
        logarithm: the std to first order.
        """
        middle = np.exp(np.where(self.by_log, self.means, 0.0))
        return np.asarray(middle * self._scales)

    def standardised(self, values: np.ndarray) -> np.ndarray:
        """Numbers [..., T] in the targets' own units as the network has them."""
        linear = np.where(self.by_log, np.log(np.where(self.by_log, values, 1.0)), values)
        return np.asarray((linear - self._means) / self._scales)

    def decoded(self, standardised: np.ndarray) -> np.ndarray:
        """The inverse of `standardised`; never 0 where the logarithm is learned."""
        values = standardised * self._scales + self._means
        if not self.logs:
            return np.asarray(values)
        positive = np.exp(np.where(self.by_log, np.maximum(values, LEAST_LOG), 0.0))
        return np.where(self.by_log, positive, values)


@dataclass(frozen=True)
class Schema:
    """The features, in the network's order."""

    features: tuple[Feature, ...]

    @cached_property
    def _numbers(self) -> NumericColumns:
        return NumericColumns.of(self.features)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the features."""
        return tuple(feature.name for feature in self.features)

    @cached_property
    def _values_of(self) -> Callable[[Row], tuple[float, ...]]:
        """The values of a row that is an object, if there are two features at least."""
        return itemgetter(*self.names)

    @cached_property
    def width(self) -> int:
        """The number of encoded columns, D."""
        return sum(feature.width for feature in self.features)

    def encode(self, rows: Rows) -> np.ndarray:
        """The rows encoded for the network, float32 [B, D]; see `encoded`."""
        return self.encoded(rows).x

    def encoded(self, rows: Rows) -> Encoded:
        """The rows encoded for the network, and which of their values were filled in.

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
        return self._assembled(checked(self.features, with_names(self.names, rows)))

    def _encode_frame(self, frame: Frame) -> Encoded:
        """The encoded rows of a frame: column by column, and cell by cell if one has a fault."""
        columns = features_of(frame, self.features)
        found = columns_of(columns, self.features, frame.row_count)
        if found and frame.row_count:
            encoded = self._assembled(found)
            if np.isfinite(encoded.x).all():
                return encoded
        return self._assembled(checked(self.features, records_of(columns, frame.row_count)))

    def _assembled(self, columns: Sequence[Sequence[float] | np.ndarray]) -> Encoded:
        """Encoded rows from a column per feature as `assemble` takes; nan is filled in."""
        if not self._fills:
            return Encoded(self.assemble(columns))
        columns, imputed = filled(self.features, columns)
        return Encoded(self.assemble(columns), self.names, imputed)

    @cached_property
    def _fills(self) -> bool:
        """Whether a missing value of some feature is filled in."""
        return any(feature.fill is not None for feature in self.features)

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
        return codes("outside_training_range", numbers.names, beyond)

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

    def _encode_plain(self, rows: Sequence[Row] | np.ndarray) -> Encoded:
        """The encoded rows, if all cells have built-in types and no fault; otherwise it raises."""
        plain = self._encode_array(rows) if isinstance(rows, np.ndarray) else self._cells(rows)
        if np.count_nonzero(np.isfinite(plain.x)) != plain.x.size:  # faster than `all`
            raise ValueError
        return plain

    def _encode_array(self, rows: np.ndarray) -> Encoded:
        """The encoded rows of numbers [B, features], if all features are numeric."""
        numeric = len(self.features) == len(self._numbers.features) and rows.dtype.kind in "fiu"
        shaped = rows.ndim == 2 and rows.shape[1] == len(self.features) and len(rows)
        if not numeric or not shaped or np.ma.is_masked(rows):
            raise TypeError
        return self._numbers.read(np.asarray(rows, np.float64, order="C"))

    def _cells(self, rows: Sequence[Row]) -> Encoded:
        kinds = set(map(type, rows))
        by_name = kinds == {dict}
        if not (by_name or kinds <= {list, tuple}):
            raise TypeError
        if set(map(len, rows)) != {len(self.features)}:
            if not by_name or not set(self.names).issuperset(chain.from_iterable(rows)):
                raise TypeError
            objects = cast("Sequence[Mapping[str, object]]", rows)
            rows, by_name = [[row.get(name) for name in self.names] for row in objects], False
        return self._encode_numbers(rows, by_name) or self._encode_columns(rows, by_name)

    def _encode_numbers(self, rows: Sequence[Row], by_name: bool) -> Encoded | None:
        """The encoded rows if every cell is a number, which is the usual case; otherwise None."""
        if not len(self.features) == len(self._numbers.features) > 1:
            return None
        lists = cast("Sequence[Sequence[float]]", rows)
        if by_name:
            lists = [*map(self._values_of, rows)]
        if not set(map(type, chain.from_iterable(lists))) <= {int, float}:
            return None
        count = len(rows) * len(self.features)
        block = np.fromiter(chain.from_iterable(lists), np.float64, count)
        return self._numbers.read(block.reshape(len(rows), -1))

    def _encode_columns(self, rows: Sequence[Row], by_name: bool) -> Encoded:
        columns: list[Sequence[float] | np.ndarray] = []
        for position, feature in enumerate(self.features):
            cells = list(map(itemgetter(feature.name if by_name else position), rows))
            if feature.fill is None or None not in cells:
                columns.append(feature.column(cells))
                continue
            gaps = [cell is None for cell in cells]
            whole = [feature.fill if cell is None else cell for cell in cells]
            columns.append(np.where(gaps, np.nan, feature.column(whole)))
        return self._assembled(columns)
