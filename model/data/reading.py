"""Reading a table from a file: CSV, Parquet or JSON lines."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from itertools import chain
from operator import itemgetter
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from model.data.cells import Column, marks_notice, unlearnable
from model.data.csv_file import check_names, read_sheet
from model.data.encoding import decoded
from model.data.examples import example
from model.data.frames import Frame, Kind, Tabular, frame_of
from model.data.names import clean, find_columns, unnamed
from model.data.options import ReadOptions, option
from model.data.table import Table, texts_of
from model.errors import DataError
from model.messages import listed, shown


@dataclass(frozen=True, slots=True)
class _Choice:
    """The columns that a caller asks for; `only` None stands for all but those to drop."""

    categorical: str | Collection[str]
    drop: str | Collection[str]
    keep: str | Collection[str]
    only: Collection[str] | None


def read_table(
    source: str | Path | Tabular,
    *,
    categorical: str | Collection[str] = (),
    drop: str | Collection[str] = (),
    keep: str | Collection[str] = (),
    only: Collection[str] | None = None,
    options: ReadOptions | None = None,
) -> Table:
    """The table in a file, a bundled table such as "example:wine", or a table in any other form.

    A frame of pandas, polars or pyarrow is a table, and so are a list of objects, a mapping of
    columns and a structured array. The extension of a file decides its format. In every format a
    column is numeric if each of its cells is a number, or a text that is one; see `ReadOptions`.
    `categorical` columns are read as text in every case. Columns that the file calls an index, or
    that have no name, are left out unless `keep` has them. Neither `drop` columns nor those that
    `only` does not have are checked. A text in `categorical`, `drop` or `keep` is the name of a
    column, or else a list with commas. Raises DataError naming file, row, column and value.
    """
    options, asked = options or ReadOptions(), _Choice(categorical, drop, keep, only)
    if not isinstance(source, str | PathLike):
        return _read_frame(frame_of(source), options, asked)
    if str(source).startswith("example:"):
        return _example(str(source), asked)
    path = Path(source)
    readers: dict[str, Callable[[Table, bytes, _Choice], Table]] = {
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
    empty = Table(path.name, {}, hashlib.sha256(data).hexdigest(), reading=options)
    table = read(empty, data, asked)
    if not table.row_count:
        raise DataError(f"{path.name} has no rows")
    return table


def _example(source: str, asked: _Choice) -> Table:
    table = example(source)
    kept, texts, _ = _kept(table.name, list(table.columns), (), asked)
    columns = {name: table.columns[name] for name in kept}
    as_text = {name: texts_of(columns[name].tolist()) for name in kept if name in texts}
    return replace(table, columns=columns | as_text)


def _read_csv(empty: Table, data: bytes, asked: _Choice) -> Table:
    _library("pyarrow", empty.name)
    sheet = read_sheet(empty.name, decoded(empty.name, data, empty.reading), empty.reading)
    kept, texts, index = _kept(empty.name, sheet.names, sheet.index, asked)
    if sheet.cells is None:
        return empty
    empty = replace(empty, lines=sheet.lines, notices=sheet.notices, index=index)

    def read(column: Column) -> np.ndarray:
        cells = sheet.cells.column(sheet.names.index(column.name))
        if column.name in texts:
            return column.texts(_trimmed(cells).to_pylist())
        return _arrow_texts(column, cells)

    table = _filled(empty, kept, read)
    if empty.reading.header == "auto":
        check_names(table.name, table.columns)
    return table


def _filled(empty: Table, kept: Iterable[str], read: Callable[[Column], np.ndarray]) -> Table:
    """The table with the columns that `read` returns, and what was noticed."""
    notices, marks, columns, signs = list(empty.notices), {}, {}, {}
    if empty.index:
        named = option(keep=empty.index)
        said = listed(list(map(repr, empty.index)))
        notices.append(f"left out {said}, the number or name of a row; {named} learns from it")
    for name in kept:
        column = Column(empty, name, empty.reading, notices)
        columns[name], marks[name] = read(column), column.marks
        signs[name] = column.rule.sign
    return replace(empty, columns=columns, notices=(*notices, *marks_notice(marks)), signs=signs)


def _trimmed(cells: Any) -> Any:
    return import_module("pyarrow.compute").utf8_trim_whitespace(cells)


def _arrow_texts(column: Column, cells: Any) -> np.ndarray:
    """A column of Arrow texts; fast if all are plain numbers or empty."""
    arrow, compute = import_module("pyarrow"), import_module("pyarrow.compute")
    cells = _trimmed(cells)
    if column.options.decimal == ".":
        filled = compute.if_else(compute.equal(cells, ""), arrow.scalar(None, cells.type), cells)
        try:
            numbers = np.asarray(compute.cast(filled, arrow.float64()).to_numpy(), np.float64)
        except arrow.ArrowInvalid:
            numbers = np.array([np.nan])
        codes = compute.any(compute.match_substring_regex(filled, "^0[0-9]")).as_py()
        if np.isfinite(numbers).sum() == len(cells) - filled.null_count and not codes:
            if not column.options.thousands and _all_match(filled, column.grouped, having="."):
                column.note_thousands(next(c for c in filled.to_pylist() if c and "." in c))
            return column.numbers(numbers)
    return column.numbers_or_texts(cells.to_pylist())


def _all_match(cells: Any, pattern: str, *, having: str) -> bool:
    """Whether all Arrow texts match the pattern, and at least one has that sign."""
    compute = import_module("pyarrow.compute")
    if not compute.any(compute.match_substring(cells, having)).as_py():
        return False
    return bool(compute.all(compute.match_substring_regex(cells, f"^(?:{pattern})$")).as_py())


def _read_parquet(empty: Table, data: bytes, asked: _Choice) -> Table:
    arrow, parquet = (_library(part, empty.name) for part in ("pyarrow", "pyarrow.parquet"))
    try:
        content = parquet.ParquetFile(arrow.BufferReader(data)).read()
    except (arrow.ArrowException, OSError) as error:
        raise DataError(f"{empty.name} is not Parquet: {str(error).splitlines()[0]}") from error
    names, known = _titles(content.column_names), _pandas_index(content)
    raw = zip(names, content.column_names, strict=True)
    found = [name for name, title in raw if title in known or _is_index(name)]
    kept, texts, index = _kept(empty.name, names, found, asked)

    def read(column: Column) -> np.ndarray:
        cells = content.column(names.index(column.name))
        return _parquet_column(column, cells, text=column.name in texts)

    return _filled(replace(empty, index=index), kept, read)


def _titles(columns: Sequence[str]) -> list[str]:
    """The names of columns as they are used here; a column without a name gets one."""
    cleaned = [clean(name) for name in columns]
    return [name or unnamed(cleaned, at) for at, name in enumerate(cleaned)]


def _is_index(name: str) -> bool:
    return name.startswith(("__index_level_", "Unnamed: "))


def _pandas_index(content: Any) -> set[str]:
    """The columns that pandas wrote as an index, as the metadata of the file say."""
    try:
        found = json.loads((content.schema.metadata or {}).get(b"pandas", b"{}"))
        return {name for name in found.get("index_columns", ()) if isinstance(name, str)}
    except (ValueError, AttributeError, TypeError):
        return set()


def _parquet_column(column: Column, cells: Any, *, text: bool) -> np.ndarray:
    arrow = import_module("pyarrow")
    kinds, kind = arrow.types, cells.type
    if kinds.is_dictionary(kind):  # a categorical column of pandas, or a factor of R
        cells, kind, text = cells.cast(kind.value_type), kind.value_type, True
    if any(test(kind) for test in (kinds.is_string, kinds.is_large_string, kinds.is_string_view)):
        cells = cells.cast(arrow.large_string())
        return column.texts(cells.to_pylist()) if text else _arrow_texts(column, cells)
    if kinds.is_boolean(kind):
        return texts_of(cells.to_pylist())
    if kinds.is_temporal(kind):
        moment = str(next((cell for cell in cells.to_pylist() if cell is not None), kind))
        if text:
            return column.texts([None if c is None else str(c) for c in cells.to_pylist()])
        said = unlearnable(moment, column.name, few=len(cells.unique()) <= 50)
        raise DataError(f"{column.table.name}, column {column.name!r}: {said}")
    if kinds.is_null(kind):
        return np.full(len(cells), np.nan)
    if not any(test(kind) for test in (kinds.is_integer, kinds.is_floating, kinds.is_decimal)):
        advice = f"leave it out with {option(drop=column.name)}"
        message = f"its type, {kind}, is neither number nor text; {advice}"
        raise DataError(f"{column.table.name}, column {column.name!r}: {message}")
    numbers = np.asarray(cells.cast(arrow.float64(), safe=False).to_numpy(), dtype=np.float64)
    numbers = column.numbers(numbers)
    return texts_of(numbers.tolist()) if text else numbers


def _read_json_lines(empty: Table, data: bytes, asked: _Choice) -> Table:
    lines, records = [], []
    for line, text in enumerate(decoded(empty.name, data, empty.reading).split("\n"), start=1):
        if text.strip():
            lines.append(line)
            records.append(_json_record(f"{empty.name}, line {line}", text))
    raw = list(dict.fromkeys(chain.from_iterable(records)))
    names = _titles(raw)
    kept, texts, index = _kept(empty.name, names, list(filter(_is_index, names)), asked)

    def read(column: Column) -> np.ndarray:
        title = raw[names.index(column.name)]
        cells = [record.get(title) for record in records]
        return column.texts(cells) if column.name in texts else column.objects(cells)

    return _filled(replace(empty, lines=np.array(lines), index=index), kept, read)


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


def _read_frame(frame: Frame, options: ReadOptions, asked: _Choice) -> Table:
    names, titles = _titles(list(frame.columns)), list(frame.columns)
    kept, texts, index = _kept(frame.name, names, list(filter(_is_index, names)), asked)

    def read(column: Column) -> np.ndarray:
        title = titles[names.index(column.name)]
        kind, text = frame.kind(title), column.name in texts
        return _frame_column(column, frame.columns[title], kind, text=text)

    empty = Table(frame.name, {}, frame.sha256, reading=options, index=index)
    table = _filled(empty, kept, read)
    if not table.row_count:
        raise DataError(f"{table.name} has no rows")
    return table


def _frame_column(column: Column, cells: np.ndarray, kind: Kind, *, text: bool) -> np.ndarray:
    known = cells.tolist()
    if kind == "moments" and not text:
        moments = [cell for cell in known if cell is not None]
        moment = str(moments[0]) if moments else "NaT"
        said = unlearnable(moment, column.name, few=len(set(map(str, moments))) <= 50)
        raise DataError(f"{column.table.name}, column {column.name!r}: {said}")
    if cells.dtype != object:
        numbers = column.numbers(cells.astype(np.float64))
        return texts_of(numbers.tolist()) if text else numbers
    return column.texts(known) if text or kind == "categories" else column.objects(known)


def _kept(
    table: str, columns: Sequence[str], index: Collection[str], asked: _Choice
) -> tuple[list[str], set[str], tuple[str, ...]]:
    """The columns to read, those of them to read as text, and those left out as an index.

    Raises DataError for unknown and equal names.
    """
    most, count = max(Counter(columns).items(), key=itemgetter(1), default=("", 0))
    if count > 1:
        raise DataError(f"{table} has {count} columns named {most!r}; give each its own name")
    texts, drop, keep, only = (
        find_columns(() if names is None else names, columns, table=table)
        for names in (asked.categorical, asked.drop, asked.keep, asked.only)
    )
    wanted = columns if asked.only is None else only
    left = {*drop, *(set(index) - {*keep, *texts, *only})}
    kept = [column for column in columns if column in wanted and column not in left]
    unasked = () if asked.only is not None else index
    return kept, set(texts), tuple(dict.fromkeys(n for n in unasked if n in left and n not in drop))


def _library(module: str, name: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        hint = 'pip install "mc-dropout-service[train]"'
        raise DataError(f"{name} needs pyarrow to be read: {hint}") from error
