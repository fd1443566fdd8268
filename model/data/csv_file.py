"""The layout of a CSV file: its delimiter, its names, its rows, and what is neither."""

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from itertools import islice, pairwise, takewhile
from typing import Any

import numpy as np

from model.data.names import clean, unnamed
from model.data.numbers import plain_number
from model.data.options import ReadOptions, option
from model.errors import DataError
from model.messages import shown

_DELIMITERS = "\t;|,"  # of two that fit, the first: a comma may be the decimal sign
_LOOKED_AT = 30  # lines, to tell the delimiter
_SEPARATOR = re.compile(r'"?sep=(.)"?[ \t]*\r?\n', re.I)  # the first line, as Excel reads it


@dataclass(frozen=True, slots=True)
class Sheet:
    """The cells of a CSV file as texts.

    `cells` is an Arrow table of strings with a column per name. `index` has the columns without a
    name, and `lines` the line number of each row, None if unknown.
    """

    names: list[str]
    cells: Any
    index: tuple[str, ...]
    lines: np.ndarray | None
    notices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """Text, delimiter, names, and the line on which the rows start; `width` is that of the rows."""

    file: str
    text: str
    delimiter: str
    header: list[str]
    start: int
    width: int

    @property
    def body(self) -> str:
        """The text of the rows."""
        lines = islice(io.StringIO(self.text, newline=""), self.start - 1)
        return self.text[sum(map(len, lines)) :]

    @property
    def names(self) -> list[str]:
        """The names of the columns; one without a name gets one, which no other column has."""
        names = list[str]()
        for at, name in enumerate(self.header):
            names.append(name or unnamed([*self.header, *names], at))
        return names


def read_sheet(file: str, text: str, options: ReadOptions) -> Sheet:
    """The cells of the text of a CSV file; raises DataError naming file and line."""
    layout, notices = layout_of(file, text, options)
    text = layout.text
    if not layout.width:
        return Sheet(layout.header, None, (), None, tuple(notices))
    cells = _arrow_cells(layout)
    if text.count('"') % 2:
        _check_quotes(layout)
    lines = _lines(layout, len(cells))
    kept, said = _filled_rows(layout, cells)
    if kept is not None:
        cells, lines = cells.filter(kept), None if lines is None else lines[kept]
    return _named(layout, cells, lines, [*notices, *said])


def layout_of(file: str, text: str, options: ReadOptions) -> tuple[Layout, list[str]]:
    """The layout of the text of a CSV file, or of its first rows, and what was left out.

    Raises DataError for a first line that may be no names.
    """
    text, delimiter, notices = _without_comments(file, text, options)
    return _layout(file, text, delimiter or _delimiter(text), options), notices


def _without_comments(
    file: str, text: str, options: ReadOptions
) -> tuple[str, str | None, list[str]]:
    """The text with empty lines for its comments, its delimiter if it names one, and notices."""
    named = _SEPARATOR.match(text)
    if named:
        text = "\n" + text[named.end() :]
    delimiter = named[1] if named else None
    if options.comment:
        lines = re.compile(rf"^{re.escape(options.comment)}[^\n]*", re.M)
        text, count = lines.subn("", text)
        return text, delimiter, [f"left out {count} comment lines"] if count else []
    lines_above = list(
        takewhile(lambda line: line[:1] in ("#", "\r", "\n"), io.StringIO(text, newline=""))
    )
    above = [line for line in lines_above if line[0] == "#"]
    rest = text[sum(map(len, lines_above)) :]
    if not above or not rest:
        return text, delimiter, []
    sign = delimiter or _delimiter(rest)
    if _width(above[-1], sign) == _width(rest, sign) > 1 and not _has_names(rest, sign):
        raise DataError(
            f"{file}: the first line begins with '#'; leave such lines out with "
            f"{option(comment='#')}, or remove the sign if the line has the names of the columns"
        )
    notice = f"left out {len(above)} comment lines above the names of the columns"
    return "\n" * len(lines_above) + rest, delimiter, [notice]


def _width(text: str, delimiter: str) -> int:
    """The number of values in the first row of a text."""
    return len(next(iter(_loose(text, delimiter)), []))


def _has_names(text: str, delimiter: str) -> bool:
    """Whether the first row of a text has texts alone, and the second a number."""
    numbers = [any(plain_number(c.strip()) is not None for c in r) for r in _loose(text, delimiter)]
    return numbers[:2] == [False, True]


def _loose(text: str, delimiter: str) -> list[list[str]]:
    """The first rows of a text, read without checks."""
    lines = islice((line for line in io.StringIO(text, newline="") if line.strip()), _LOOKED_AT)
    try:
        return list(csv.reader(lines, delimiter=delimiter))
    except csv.Error:
        return []


def _delimiter(text: str) -> str:
    """The delimiter by which the first rows are as wide as the names; else the most frequent."""
    widths = {sign: [len(row) for row in _loose(text, sign)] for sign in _DELIMITERS}
    fit = {
        sign: found[0]
        for sign, found in widths.items()
        if found and found[0] > 1 and all(abs(width - found[0]) <= 1 for width in found)
    }
    if fit:
        return max(fit, key=lambda sign: fit[sign])
    first = re.sub(r'"[^"]*"', "", text.lstrip().partition("\n")[0])
    return max(",;\t|", key=first.count)


def _layout(file: str, text: str, delimiter: str, options: ReadOptions) -> Layout:
    try:
        head = list(islice(_records(text, delimiter), 2))
    except csv.Error as error:
        raise DataError(f"{file} is not CSV: {error}") from error
    if not head:
        raise DataError(f"{file} is empty; the first line must name the columns")
    (line, first), (below, row) = head[0], head[1] if len(head) > 1 else (0, [])
    if options.header == "no":
        names = [f"column_{at + 1}" for at in range(len(first))]
        return Layout(file, text, delimiter, names, line, len(first))
    header = list(map(clean, first))
    if options.header == "auto":
        _check_header(file, header)
    if row and len(row) == len(header) - 1 and not header[-1]:
        header = header[:-1]
    elif len(row) == len(header) + 1:
        # A delimiter at the end of each row, or names of rows before it, as R writes them.
        header = [*header, ""] if not row[-1].strip() else ["", *header]
    return Layout(file, text, delimiter, header, below, len(row))


def _check_header(file: str, header: list[str]) -> None:
    """Raise DataError if the first line may be a row: if it has numbers, or one text twice."""
    numbers = [number for number in map(plain_number, header) if number is not None]
    if numbers and not _are_names(numbers, alone=len(numbers) == len(header)):
        what = "only numbers" if len(numbers) == len(header) else f"the number {numbers[0]:g}"
        no, yes = option(header="no"), option(header="yes")
        advice = f"read the file with {no} if it is a row, {yes} if it has the names"
        raise DataError(f"{file}: the first line has {what}; {advice}")
    name, most = max(Counter(filter(None, header)).items(), key=lambda i: i[1], default=("", 0))
    if most > 1:
        said = f"{file} has {most} columns named {name!r}; give each its own name"
        raise DataError(
            f"{said}, or read the file with {option(header='no')} if the first line is a row"
        )


def _are_names(numbers: list[float], *, alone: bool) -> bool:
    """Whether numbers in a first line are names, as 0 to 783 are of pixels, or 2019 to 2023."""
    running = all(late - early == 1 for early, late in pairwise(numbers)) and len(numbers) > 1
    start = numbers[0]
    return running and start.is_integer() and (not alone or start == 0 or len(numbers) >= 5)


def _arrow_cells(layout: Layout) -> Any:
    """All cells of the rows as an Arrow table of strings; a missing cell is ""."""
    arrow, arrow_csv = import_module("pyarrow"), import_module("pyarrow.csv")
    data = layout.body.encode() + b"\n"  # Arrow takes a single row without its end for none
    try:
        cells = arrow_csv.read_csv(
            arrow.BufferReader(data),
            read_options=arrow_csv.ReadOptions(
                use_threads=False,
                autogenerate_column_names=True,
                # One block, because a row cannot span two blocks.
                block_size=min(max(len(data), 1 << 20), 1 << 30),
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=layout.delimiter, newlines_in_values=True
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types={f"f{at}": arrow.string() for at in range(layout.width)},
                strings_can_be_null=False,
            ),
        )
    except arrow.ArrowInvalid as error:
        raise _fault(layout, str(error)) from error
    if len(cells.column_names) != len(layout.header):
        raise _fault(layout, "the rows are not as wide as the first line")
    return cells


def _filled_rows(layout: Layout, cells: Any) -> tuple[np.ndarray | None, list[str]]:
    """Which rows are neither empty nor the names again, bool; None if all are; and notices."""
    compute = import_module("pyarrow.compute")
    blank = re.search(rf'^[ "{re.escape(layout.delimiter)}]+\r?$', layout.body, re.M)
    name = next(filter(None, layout.header), "")
    again = layout.body.count(name) if name else 0
    if not (blank or again):
        return None, []
    empty = np.ones(len(cells), dtype=bool)
    names = np.ones(len(cells), dtype=bool)
    for at, title in enumerate(layout.header):
        if not (empty.any() or names.any()):
            break
        column = compute.utf8_trim_whitespace(cells.column(at))
        empty &= np.asarray(compute.equal(column, ""))
        names &= np.asarray(compute.equal(column, title))
    said = [f"left out {empty.sum()} empty rows"] if empty.any() else []
    said += [f"left out {names.sum()} rows that repeat the names"] if names.any() else []
    return (~(empty | names), said) if said else (None, [])


def _named(layout: Layout, cells: Any, lines: np.ndarray | None, notices: list[str]) -> Sheet:
    """The sheet with names for columns that have none; an empty column without name is left out."""
    compute = import_module("pyarrow.compute")
    names, kept, index = list[str](), list[int](), list[str]()
    for at, name in enumerate(layout.header):
        if not name:
            column = compute.utf8_trim_whitespace(cells.column(at))
            if compute.all(compute.equal(column, "")).as_py() is not False:
                continue
            name = unnamed([*layout.header, *names], at)
            index.append(name)
        names.append(name)
        kept.append(at)
    index += [name for name in names if re.fullmatch(r"Unnamed: \d+(\.\d+)?", name)]
    return Sheet(names, cells.select(kept), tuple(dict.fromkeys(index)), lines, tuple(notices))


def _check_quotes(layout: Layout) -> None:
    """Raise DataError for a quote that is never closed, which makes one cell of the rest."""
    good = 1
    try:
        for line, _ in _records(layout.text, layout.delimiter):
            good = line
    except csv.Error as error:
        message = f"a quote that opens after the start of line {good} is not closed as it should be"
        raise DataError(f"{layout.file}: {message} ({error})") from error


def _lines(layout: Layout, rows: int) -> np.ndarray | None:
    """The line number of each row, with blank lines and quoted line ends; None if unknown."""
    if layout.body.rstrip("\r\n").count("\n") == rows - 1:
        return np.arange(layout.start, layout.start + rows)
    try:
        records = _records(layout.text, layout.delimiter)
        lines = [line for line, _ in records if line >= layout.start]
    except csv.Error:
        return None
    return np.array(lines) if len(lines) == rows else None


def _fault(layout: Layout, reason: str) -> DataError:
    """The error of a file with rows of unequal length: the first such row, or the parser's text."""
    try:
        records = _records(layout.text, layout.delimiter)
        rows = ((line, record) for line, record in records if line >= layout.start)
        for row, (line, record) in enumerate(rows, start=1):
            if len(record) != len(layout.header):
                named = len(layout.header)
                message = f"{len(record)} values, but the header has {named} columns"
                if record[0].startswith("#"):
                    message += f"; leave out such lines with {option(comment='#')}"
                return DataError(f"{layout.file}, row {row} (line {line}): {message}")
    except csv.Error as error:
        reason = str(error)
    return DataError(f"{layout.file} is not CSV: {reason.splitlines()[0]}")


def _records(text: str, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Each record that is not a blank line, with the number of the line on which it starts."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    for record in reader:
        if record:
            yield line, record
        line = reader.line_num + 1


def check_names(file: str, columns: Mapping[str, np.ndarray]) -> None:
    """Raise DataError if columns of texts have their own name among their texts, half or more."""
    texts = [name for name, cells in columns.items() if cells.dtype == object]
    found = [name for name in texts if name in columns[name]]
    if found and len(found) >= len(texts) / 2:
        said = f"{file}: {shown(found[0])} is the name of a column and one of its texts"
        no, yes = option(header="no"), option(header="yes")
        way = f"read the file with {no} if its first line is a row, else {yes}"
        raise DataError(f"{said}; {way}")
