"""Files of rows, CSV and JSON Lines, read in parts: no file is held whole."""

import csv
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, TextIO, TypeAlias

from mc_dropout_client.tables import Table

Format: TypeAlias = Literal["csv", "jsonl"]
ENDINGS: dict[str, Format] = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
SEPARATORS = ",;\t"


class FileError(Exception):
    """A file is not as it should be; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Part:
    """Consecutive rows of a file, and the line of each; `kept` are their cells as they came."""

    table: Table
    lines: Sequence[int]
    kept: Sequence[dict[str, Any]]


def parts_of(stream: TextIO, name: str, kind: Format, rows: int) -> Iterator[Part]:
    """The parts of a file, of so many rows each; raises FileError, also if there are no rows."""
    read = _csv_rows(stream, name) if kind == "csv" else _json_rows(stream, name)
    found = False
    try:
        while piece := list(islice(read, rows)):
            found = True
            yield _part(piece, kind)
    except UnicodeDecodeError as error:
        raise FileError(f"{name} is not text in UTF-8: {error.reason}") from None
    except csv.Error as error:
        raise FileError(f"{name}: {error}") from None
    if not found:
        raise FileError(f"{name} has no rows")


def _part(piece: Sequence[tuple[int, Any]], kind: Format) -> Part:
    lines, rows = [line for line, _ in piece], [row for _, row in piece]
    if kind == "csv":
        names = tuple(rows[0])
        return Part(Table([list(row.values()) for row in rows], names), lines, rows)
    return Part(Table(rows), lines, [row if isinstance(row, dict) else {} for row in rows])


def _csv_rows(stream: TextIO, name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """The line and the cells of every row; the header tells what separates cells."""
    header = stream.readline()
    separator = max(SEPARATORS, key=header.count)
    [names] = list(csv.reader([header], delimiter=separator)) or [[]]
    twice = next((each for each in names if names.count(each) > 1), None)
    if twice is not None:
        raise FileError(f"{name}, line 1: two columns are named {twice!r}")
    reader = csv.reader(stream, delimiter=separator)
    line = 2
    for cells in reader:
        if cells and len(cells) != len(names):
            raise FileError(f"{name}, line {line}: {len(cells)} cells, but {len(names)} columns")
        if cells:
            yield line, dict(zip(names, cells, strict=True))
        line = reader.line_num + 2


def _json_rows(stream: TextIO, name: str) -> Iterator[tuple[int, Any]]:
    for line, text in enumerate(stream, start=1):
        if not text.strip():
            continue
        try:
            row = json.loads(text)
        except ValueError as error:
            raise FileError(f"{name}, line {line}: not JSON: {error}") from None
        if not isinstance(row, dict | list):
            raise FileError(f"{name}, line {line}: an object or an array is needed")
        yield line, row
