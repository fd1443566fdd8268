"""Reading a table from a file: CSV, Parquet or JSON lines."""

import csv
import hashlib
import io
import json
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from importlib import import_module
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np

from model.data.examples import example
from model.data.schema import label
from model.data.table import Table
from model.errors import DataError
from model.messages import listed, shown

MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "None", "?")  # CSV cells without a value
NUMERIC_SHARE = 0.9  # with this share of numbers, any other cell of a CSV column is a mistake
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.I | re.A)


def read_table(
    source: str | Path, *, categorical: Collection[str] = (), drop: Collection[str] = ()
) -> Table:
    """The table in a file, or a bundled table such as "example:wine".

    The extension decides the format. A CSV column is numeric if all its cells are numbers; Parquet
    and JSON lines have their own types. `categorical` columns are read as text in every case.
    `drop` columns are left out without being checked. Raises DataError naming file, row, column and
    value.
    """
    if str(source).startswith("example:"):
        table = example(str(source))
        kept = _kept(table.name, list(table.columns), categorical, drop)
        columns = {name: table.columns[name] for name in kept}
        texts = {name: _texts(columns[name].tolist()) for name in kept if name in categorical}
        return replace(table, columns=columns | texts)
    path = Path(source)
    readers = {
        ".csv": _read_csv,
        ".tsv": _read_csv,
        ".parquet": _read_parquet,
        ".jsonl": _read_json_lines,
    }
    read = readers.get(path.suffix.lower())
    if read is None:
        known = listed([*readers, "example:NAME"])
        raise DataError(f"{path}: cannot tell the format from {path.suffix!r}; known are {known}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
    empty = Table(path.name, {}, hashlib.sha256(data).hexdigest())
    table = read(empty, data, categorical, drop)
    if not table.row_count:
        raise DataError(f"{path.name} has no rows")
    return table


def _read_csv(
    empty: Table, data: bytes, categorical: Collection[str], drop: Collection[str]
) -> Table:
    arrow = _library("pyarrow", empty.name)
    text = _decoded(empty.name, data)
    delimiter = _delimiter(text)
    header = _header(empty.name, text, delimiter)
    kept = _kept(empty.name, header, categorical, drop)
    try:
        cells = _csv_cells(data, delimiter, len(header))
    except arrow.ArrowInvalid as error:
        raise _csv_fault(empty.name, text, delimiter, str(error)) from error
    if text.count('"') % 2:
        _check_quotes(empty.name, text, delimiter)
    table = replace(empty, lines=_csv_lines(text, delimiter, len(cells)))
    for name in kept:
        column = cells.column(header.index(name))
        table.columns[name] = _csv_column(table, name, column, text=name in categorical)
    return table


def _delimiter(text: str) -> str:
    """The delimiter: the most frequent of comma, semicolon and tab in the first line's names."""
    first = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    return max(",;\t", key=first.count)


def _header(name: str, text: str, delimiter: str) -> list[str]:
    """The column names, checked."""
    try:
        header = [title.strip() for title in next(_records(text, delimiter), (0, []))[1]]
    except csv.Error as error:
        raise DataError(f"{name} is not CSV: {error}") from error
    if not header:
        raise DataError(f"{name} is empty; the first line must name the columns")
    if "" in header:
        raise DataError(f"{name}: column {header.index('') + 1} has no name in the first line")
    if all(map(_NUMBER.fullmatch, header)) and not all(map(str.isdecimal, header)):
        raise DataError(f"{name}: the first line has only numbers; it must name the columns")
    return header


def _csv_cells(data: bytes, delimiter: str, width: int) -> Any:
    """All cells below the header as an Arrow table of strings; a missing cell is ""."""
    arrow, arrow_csv = import_module("pyarrow"), import_module("pyarrow.csv")
    return arrow_csv.read_csv(
        arrow.BufferReader(data),
        # One block, because a row cannot span two blocks. The header is read as a row, because
        # Arrow cannot read two columns of the same name.
        read_options=arrow_csv.ReadOptions(
            use_threads=False,
            autogenerate_column_names=True,
            block_size=min(max(len(data), 1 << 20), 1 << 30),
        ),
        parse_options=arrow_csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=arrow_csv.ConvertOptions(
            column_types={f"f{at}": arrow.string() for at in range(width)},
            strings_can_be_null=False,
        ),
    ).slice(1)


def _csv_column(table: Table, name: str, cells: Any, *, text: bool) -> np.ndarray:
    """The column as numbers if every cell is a number, and as texts if few are."""
    arrow, compute = import_module("pyarrow"), import_module("pyarrow.compute")
    cells = compute.utf8_trim_whitespace(cells)
    missing = compute.is_in(cells, value_set=arrow.array(MISSING))
    cells = compute.if_else(missing, arrow.scalar(None, arrow.string()), cells)
    if not text:
        try:
            numbers: np.ndarray = compute.cast(cells, arrow.float64()).to_numpy()
        except arrow.ArrowInvalid:
            pass
        else:
            if np.isfinite(numbers).sum() == len(cells) - cells.null_count:
                return numbers.astype(np.float64)
    texts = _texts(cells.to_pylist())
    return texts if text else _mixed_column(table, name, texts)


def _mixed_column(table: Table, name: str, texts: np.ndarray) -> np.ndarray:
    """The texts unchanged; raises DataError if nearly all of them are meant as numbers.

    1,5 and 1,000.5 count as meant too, so that a column of them does not become categories.
    """
    present = [cell for cell in texts if cell is not None]
    meant = [cell for cell in present if _NUMBER.fullmatch(cell.replace(",", ""))]
    if len(meant) < NUMERIC_SHARE * len(present):
        return texts
    for row, cell in enumerate(texts):
        if cell is not None and (not _NUMBER.fullmatch(cell) or not np.isfinite(float(cell))):
            raise table.fault(row, name, _not_a_number(cell, name))
    return np.array([np.nan if cell is None else float(cell) for cell in texts])


def _check_quotes(name: str, text: str, delimiter: str) -> None:
    """Raise DataError for a quote that is never closed, which makes one cell of the rest."""
    good = 1
    try:
        for line, _ in _records(text, delimiter):
            good = line
    except csv.Error as error:
        message = f"a quote that opens after the start of line {good} is not closed as it should be"
        raise DataError(f"{name}: {message} ({error})") from error


def _csv_lines(text: str, delimiter: str, rows: int) -> np.ndarray | None:
    """The line number of each row, with blank lines and quoted line ends; None if unknown."""
    if text.rstrip("\r\n").count("\n") == rows:
        return np.arange(2, rows + 2)
    try:
        lines = [line for line, _ in _records(text, delimiter)][1:]
    except csv.Error:
        return None
    return np.array(lines) if len(lines) == rows else None


def _csv_fault(name: str, text: str, delimiter: str, reason: str) -> DataError:
    """The error of a file with rows of unequal length: the first such row, or the parser's text."""
    width = 0
    try:
        for row, (line, record) in enumerate(_records(text, delimiter)):
            width = width or len(record)
            if len(record) != width:
                message = f"{len(record)} values, but the header has {width} columns"
                return DataError(f"{name}, row {row} (line {line}): {message}")
    except csv.Error as error:
        reason = str(error)
    return DataError(f"{name} is not CSV: {reason.splitlines()[0]}")


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not a blank line, with the number of the line on which it starts."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    for record in reader:
        if record:
            yield line, record
        line = reader.line_num + 1


def _read_parquet(
    empty: Table, data: bytes, categorical: Collection[str], drop: Collection[str]
) -> Table:
    arrow, parquet = (_library(part, empty.name) for part in ("pyarrow", "pyarrow.parquet"))
    try:
        content = parquet.ParquetFile(arrow.BufferReader(data)).read()
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{empty.name} is not Parquet: {str(error).splitlines()[0]}") from error
    for name in _kept(empty.name, content.column_names, categorical, drop):
        column = _parquet_column(empty, name, content.column(name))
        empty.columns[name] = _texts(column.tolist()) if name in categorical else column
    return empty


def _parquet_column(table: Table, name: str, cells: Any) -> np.ndarray:
    arrow = import_module("pyarrow")
    kinds, kind = arrow.types, cells.type
    if kinds.is_dictionary(kind):
        cells, kind = cells.cast(kind.value_type), kind.value_type
    if kinds.is_boolean(kind):
        return _texts(cells.to_pylist())
    if kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind):
        return _texts(cells.to_pylist())
    if not any(test(kind) for test in (kinds.is_integer, kinds.is_floating, kinds.is_decimal)):
        if kinds.is_null(kind):
            return np.full(len(cells), np.nan)
        message = f"its type, {kind}, is neither number nor text; leave it out with --drop {name}"
        raise DataError(f"{table.name}, column {name!r}: {message}")
    numbers = np.asarray(cells.cast(arrow.float64(), safe=False).to_numpy(), dtype=np.float64)
    return _finite(table, name, numbers)


def _read_json_lines(
    empty: Table, data: bytes, categorical: Collection[str], drop: Collection[str]
) -> Table:
    lines, records = [], []
    for line, text in enumerate(_decoded(empty.name, data).split("\n"), start=1):
        if text.strip():
            lines.append(line)
            records.append(_json_record(f"{empty.name}, line {line}", text))
    names = list(dict.fromkeys(chain.from_iterable(records)))
    table = replace(empty, lines=np.array(lines))
    for name in _kept(empty.name, names, categorical, drop):
        cells = [record.get(name) for record in records]
        table.columns[name] = _json_column(table, name, cells, text=name in categorical)
    return table


def _json_record(where: str, text: str) -> dict[str, Any]:
    try:
        record = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}") from error
    if not isinstance(record, dict):
        raise DataError(f"{where}: {shown(record)} is not an object keyed by column name")
    return record


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not a JSON number; write null for a missing value")


def _json_column(table: Table, name: str, cells: list[Any], *, text: bool) -> np.ndarray:
    """The column as numbers or as texts; the first cell with a value decides."""
    kinds = {"number": (int, float), "text": (str,), "true or false": (bool,)}
    kind = None
    for row, cell in enumerate(cells):
        if cell is None:
            continue
        found = next((key for key, types in kinds.items() if type(cell) in types), None)
        if found is None:
            raise table.fault(row, name, f"{shown(cell)} is neither a number nor a text")
        kind = kind or found
        if found != kind and not text:
            advice = f"write it as the cells above, or pass --categorical {name}"
            raise table.fault(row, name, f"{shown(cell)} is not a {kind}; {advice}")
    if text or kind in ("text", "true or false"):
        return _texts(cells)
    return _finite(table, name, np.array([_float(cell) for cell in cells]))


def _float(cell: int | float | None) -> float:
    try:
        return np.nan if cell is None else float(cell)
    except OverflowError:
        return np.inf


def _finite(table: Table, name: str, numbers: np.ndarray) -> np.ndarray:
    infinite = np.flatnonzero(np.isinf(numbers))
    if len(infinite):
        row = int(infinite[0])
        raise table.fault(row, name, _not_a_number(str(numbers[row]), name))
    return numbers


def _not_a_number(cell: str, name: str) -> str:
    advice = f"write it as a number, or pass --categorical {name}"
    return f"{shown(cell)} is not a {'finite ' if _NUMBER.fullmatch(cell) else ''}number; {advice}"


def _texts(cells: Sequence[object]) -> np.ndarray:
    """The cells as texts: numbers as `label` writes them, truth values as JSON writes them."""
    texts = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        if isinstance(cell, bool):
            texts[row] = "true" if cell else "false"
        elif isinstance(cell, int | float):
            texts[row] = None if cell != cell else label(cell)
        else:
            texts[row] = cell
    return texts


def _kept(
    name: str, columns: Sequence[str], categorical: Collection[str], drop: Collection[str]
) -> list[str]:
    """The columns that are not dropped; raises DataError for duplicate and unknown names."""
    most, count = max(Counter(columns).items(), key=itemgetter(1), default=("", 0))
    if count > 1:
        raise DataError(f"{name} has {count} columns named {most!r}; give each its own name")
    for asked in (*categorical, *drop):
        if asked not in columns:
            raise DataError(f"{name} has no column {asked!r}; its columns are {listed(columns)}")
    return [column for column in columns if column not in drop]


def _decoded(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DataError(f"{name}, line {line}: not UTF-8 text; save the file as UTF-8") from error


def _library(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        hint = 'pip install "mc-dropout-service[train]"'
        raise DataError(f"{name} needs pyarrow to be read: {hint}") from error
