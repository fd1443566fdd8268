"""The rows of a CSV file, record by record."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import islice

from model.data import Layout, ReadOptions, layout_of, option
from model.errors import DataError
from model.scoring.chunks import Chunk, Wanted
from model.scoring.stream import Stream

Record = tuple[int, list[str], str]  # line, cells, and what is wrong with the record if anything


class CsvSource:
    """A CSV file whose first rows show its layout, as that of a training file."""

    total = None

    def __init__(self, stream: Stream, options: ReadOptions) -> None:
        self._text = stream.text(options, newline="")
        self._layout, self.notices = _layout(stream.name, self._text.head, options)
        self.fraction = stream.fraction
        self._comment = options.comment

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return self._layout.names

    def kept_type(self, name: str) -> None:
        """None: the cells are texts."""

    def chunks(self, wanted: Wanted, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """The rows after the first `skip`, in chunks."""
        records, first = self._records(), skip
        next(islice(records, skip, skip), None)
        while found := list(islice(records, rows)):
            yield self._chunk(wanted, first, found)
            first += len(found)

    def _chunk(self, wanted: Wanted, first: int, found: Sequence[Record]) -> Chunk:
        blank = [""] * len(self.names)
        broken = {at: wrong for at, (_, _, wrong) in enumerate(found) if wrong}
        rows = [blank if at in broken else record for at, (_, record, _) in enumerate(found)]
        by_name = dict(zip(self.names, zip(*rows, strict=True), strict=True))
        return Chunk(
            first=first,
            size=len(found),
            lines=[line for line, _, _ in found],
            cells={feature: by_name[column] for feature, column in wanted.features.items()},
            kept={column: by_name[column] for column in wanted.kept},
            broken=broken,
        )

    def _records(self) -> Iterator[Record]:
        """Each row, without empty ones and those that repeat the names."""
        header, start = self._layout.header, self._layout.start
        reader = csv.reader(
            islice(self._lines(), start - 1, None), delimiter=self._layout.delimiter, strict=True
        )
        while True:
            line = start + reader.line_num
            try:
                record = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield line, [], f"not CSV: {error}"
                continue
            if not record or _is_left_out(record, header):
                continue
            fits = len(record) == len(header)
            said = f"{len(record)} values, but the header has {len(header)} columns"
            yield line, record, "" if fits else said

    def _lines(self) -> Iterator[str]:
        if not self._comment:
            return self._text
        return ("\n" if line.startswith(self._comment) else line for line in self._text)


def _layout(name: str, head: str, options: ReadOptions) -> tuple[Layout, list[str]]:
    layout, notices = layout_of(name, head, options)
    if not layout.width:
        raise DataError(f"{name} has no rows")
    most, count = Counter(filter(None, layout.header)).most_common(1)[0]
    if count > 1:
        advice = f"give each its own name, or read the file with {option(header='no')}"
        raise DataError(f"{name} has {count} columns named {most!r}; {advice}")
    return layout, notices


def _is_left_out(record: list[str], header: list[str]) -> bool:
    """Whether the cells are all empty, or the names again; mostly the first cell tells."""
    first = record[0].strip()
    if not first and not any(cell.strip() for cell in record):
        return True
    return first == header[0] and [cell.strip() for cell in record] == header and any(header)
