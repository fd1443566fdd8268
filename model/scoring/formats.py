"""Rows of an output as bytes: CSV, JSON Lines, or Parquet by way of an Arrow stream."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, get_args

from model.errors import DataError, Detail, InputError
from model.messages import listed, not_one_of
from model.scoring.parquet_source import pyarrow
from model.tasks import FlatColumn

Format = Literal["csv", "tsv", "jsonl", "parquet"]
GROUP_ROWS = 1 << 16  # of a row group of Parquet
BETWEEN = ";"  # the texts of one cell of a CSV file
_SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".parquet": "parquet",
}


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of an output, in their order; `types` has the Arrow types of columns kept."""

    format: Format
    columns: tuple[FlatColumn, ...]
    types: Mapping[str, Any]

    def head(self) -> bytes:
        """What is written before the rows."""
        names = [column.name for column in self.columns]
        match self.format:
            case "csv" | "tsv":
                return _csv([names], self.format)
            case "jsonl":
                return b""
            case "parquet":
                return bytes(self._schema.serialize())

    def body(self, cells: Mapping[str, Any]) -> bytes:
        """The rows, from a column of cells by each name."""
        if self.format == "parquet":
            return self._batch(cells)
        listed_as = _json_list if self.format == "jsonl" else _csv_list
        lists = [listed_as(column.kind, cells[column.name]) for column in self.columns]
        rows = zip(*lists, strict=True)
        if self.format != "jsonl":
            return _csv(rows, self.format)
        names = [column.name for column in self.columns]
        return _json_lines(dict(zip(names, row, strict=True)) for row in rows)

    @property
    def _schema(self) -> Any:
        arrow = pyarrow()
        kinds = {
            "number": arrow.float64(),
            "count": arrow.int64(),
            "flag": arrow.bool_(),
            "text": arrow.string(),
            "texts": arrow.list_(arrow.string()),
            "kept": arrow.string(),
        }
        found = {c.name: self.types.get(c.name) or kinds[c.kind] for c in self.columns}
        return arrow.schema(list(found.items()))

    def _batch(self, cells: Mapping[str, Any]) -> bytes:
        arrow, schema = pyarrow(), self._schema
        arrays = [
            cells[column.name]
            if isinstance(cells[column.name], arrow.Array)
            else arrow.array(
                _texts(cells[column.name]) if column.kind == "kept" else cells[column.name],
                type=schema.field(column.name).type,
            )
            for column in self.columns
        ]
        return bytes(arrow.RecordBatch.from_arrays(arrays, schema=schema).serialize())


def format_of(path: str | Path, asked: str | None, option: str) -> Format:
    """The format that is asked for, or that a file's extension says; raises InputError."""
    if asked is not None:
        if asked not in get_args(Format):
            message = not_one_of(asked, get_args(Format))
            raise InputError(f"{option}: {message}", [Detail(option, message)])
        return asked  # type: ignore[return-value]
    suffix = Path(path).suffix.lower()
    if suffix not in _SUFFIXES:
        formats = ", ".join(get_args(Format))
        if str(path) == "-":
            message = f"a pipe needs its format: one of {formats}"
            raise InputError(f"{option}: {message}", [Detail(option, message)])
        known = listed(list(_SUFFIXES))
        raise DataError(f"{path}: cannot tell the format from {suffix!r}; known are {known}")
    return _SUFFIXES[suffix]


def write_parquet(stream: IO[bytes], sink: IO[bytes]) -> None:
    """Write the batches of an Arrow stream as Parquet, in row groups of equal size."""
    arrow = pyarrow()
    reader = pyarrow(".ipc").open_stream(stream)
    with pyarrow(".parquet").ParquetWriter(sink, reader.schema) as writer:
        waiting: list[Any] = []
        for batch in reader:
            waiting.append(batch)
            while sum(map(len, waiting)) >= GROUP_ROWS:
                table = arrow.Table.from_batches(waiting)
                writer.write_table(table.slice(0, GROUP_ROWS), row_group_size=GROUP_ROWS)
                waiting = table.slice(GROUP_ROWS).to_batches()
        if waiting:
            writer.write_table(arrow.Table.from_batches(waiting), row_group_size=GROUP_ROWS)


def _csv(rows: Iterable[Sequence[Any]], kind: Format) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter="\t" if kind == "tsv" else ",", lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _json_lines(rows: Iterator[dict[str, Any]]) -> bytes:
    encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=str).encode
    text = "".join(f"{encode(row)}\n" for row in rows)
    return text.encode("utf-8", "backslashreplace")  # a lone surrogate becomes its JSON escape


def _csv_list(kind: str, cells: Any) -> Sequence[Any]:
    match kind:
        case "flag":
            return ["true" if cell else "false" for cell in cells.tolist()]
        case "texts":
            return list(map(BETWEEN.join, cells))
        case "kept":
            return _texts(cells)
        case "text":
            return list(cells)
    return cells.tolist()  # type: ignore[no-any-return]


def _json_list(kind: str, cells: Any) -> Sequence[Any]:
    match kind:
        case "kept":
            found = cells.to_pylist() if hasattr(cells, "to_pylist") else cells
            return [None if cell != cell else cell for cell in found]
        case "text" | "texts":
            return list(cells)
    return cells.tolist()  # type: ignore[no-any-return]


def _texts(cells: Any) -> list[str | None]:
    """Cells that are kept as texts; what is no text as JSON writes it."""
    found = cells.to_pylist() if hasattr(cells, "to_pylist") else cells
    return [cell if cell is None or isinstance(cell, str) else _text(cell) for cell in found]


def _text(cell: object) -> str:
    if isinstance(cell, bool | int | float | list | dict):
        return json.dumps(cell, ensure_ascii=False, default=str)
    return str(cell)
