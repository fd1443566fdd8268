"""The rows of a Parquet file, batch by batch."""

import shutil
import tempfile
from collections.abc import Iterator
from importlib import import_module
from typing import IO, Any, cast

import numpy as np

from model.data import clean
from model.errors import DataError
from model.scoring.chunks import Chunk, Wanted
from model.scoring.stream import Stream

_BUFFER_BYTES = 1 << 20


def pyarrow(part: str = "") -> Any:
    """The package pyarrow, or a module of it; raises DataError that says how to install it."""
    try:
        return import_module(f"pyarrow{part}")
    except ImportError as error:
        hint = 'pip install "mc-dropout-service[train]"'
        raise DataError(f"Parquet needs pyarrow: {hint}") from error


class ParquetSource:
    """A Parquet file; a pipe is copied to a temporary file first."""

    notices = ()

    def __init__(self, stream: Stream) -> None:
        arrow, self._name = pyarrow(), stream.name
        try:
            self._file = pyarrow(".parquet").ParquetFile(
                _seekable(stream), buffer_size=_BUFFER_BYTES, pre_buffer=False
            )
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{self._name} is not Parquet: {_first_line(error)}") from error
        self.total: int = self._file.metadata.num_rows
        self._schema = self._file.schema_arrow
        self._titles = {clean(title): title for title in self._schema.names}
        if len(self._titles) < len(self._schema.names):
            raise DataError(f"{self._name} has columns of equal names; give each its own name")
        if not self.total:
            raise DataError(f"{self._name} has no rows")

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self._titles)

    def fraction(self) -> None:
        """None: the number of rows is known."""

    def kept_type(self, name: str) -> Any:
        """The Arrow type of the column; that of the values, if it has a dictionary."""
        kind = self._schema.field(self._titles[name]).type
        return kind.value_type if pyarrow().types.is_dictionary(kind) else kind

    def chunks(self, wanted: Wanted, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """The rows after the first `skip`, in chunks."""
        first = skip
        for table in self._tables([self._titles[name] for name in wanted.names], rows, skip):
            columns = {n: table.column(self._titles[n]).combine_chunks() for n in wanted.names}
            yield Chunk(
                first=first,
                size=len(table),
                lines=None,
                cells={f: self._cells(name, columns[name]) for f, name in wanted.features.items()},
                kept={n: columns[n].cast(self.kept_type(n)) for n in wanted.kept},
                broken={},
            )
            first += len(table)

    def _tables(self, titles: list[str], rows: int, skip: int) -> Iterator[Any]:
        """Tables of `rows` rows, however long the row groups are."""
        arrow, groups = pyarrow(), list(range(self._file.num_row_groups))
        while groups and skip >= self._file.metadata.row_group(groups[0]).num_rows:
            skip -= self._file.metadata.row_group(groups.pop(0)).num_rows
        waiting: list[Any] = []
        try:
            batches = self._file.iter_batches(
                rows, row_groups=groups, columns=titles, use_threads=False
            )
            for batch in batches:
                left_out, skip = min(skip, len(batch)), max(0, skip - len(batch))
                waiting.append(batch.slice(left_out))
                while sum(map(len, waiting)) >= rows:
                    table = arrow.Table.from_batches(waiting)
                    yield table.slice(0, rows)
                    waiting = table.slice(rows).to_batches()
        except (arrow.ArrowException, OSError) as error:
            raise DataError(f"{self._name} cannot be read: {_first_line(error)}") from error
        if sum(map(len, waiting)):
            yield arrow.Table.from_batches(waiting)

    def _cells(self, name: str, cells: Any) -> Any:
        """The cells of a column as a request has them; numbers as float64 with nan."""
        arrow = pyarrow()
        kinds, kind = arrow.types, cells.type
        if kinds.is_dictionary(kind):
            return self._cells(name, cells.cast(kind.value_type))
        if any(test(kind) for test in (kinds.is_integer, kinds.is_floating, kinds.is_decimal)):
            return np.asarray(
                cells.cast(arrow.float64(), safe=False).to_numpy(zero_copy_only=False), np.float64
            )
        if kinds.is_temporal(kind):
            return [None if cell is None else str(cell) for cell in cells.to_pylist()]
        if kinds.is_nested(kind) or kinds.is_binary(kind):
            message = f"its type, {kind}, is neither number nor text"
            raise DataError(f"{self._name}, column {name!r}: {message}")
        return cells.to_pylist()


def _seekable(stream: Stream) -> Any:
    """The file of a stream; a pipe becomes a temporary file, which ends with the process."""
    if stream.size:
        return stream.file
    copy = cast("IO[bytes]", tempfile.TemporaryFile())  # noqa: SIM115  closed with the process
    shutil.copyfileobj(cast("IO[bytes]", stream), copy)
    copy.seek(0)
    return copy


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0]
