"""The rows of a JSON Lines file."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from model.data import ReadOptions, clean, json_object
from model.errors import DataError
from model.scoring.chunks import Chunk, Wanted
from model.scoring.stream import Stream

Record = tuple[int, dict[str, Any], str]  # line, object, and what is wrong if anything


class JsonSource:
    """A JSON Lines file; its first MB names the columns."""

    total = None

    def __init__(self, stream: Stream, options: ReadOptions) -> None:
        self._text = stream.text(options, newline="\n")
        self.notices: tuple[str, ...] = ()
        self.fraction = stream.fraction
        titles = dict.fromkeys(
            key for _, record, _ in _records(iter(self._text.head.split("\n"))) for key in record
        )
        self._titles = {clean(title): title for title in titles}
        if not self._titles:
            raise DataError(f"{stream.name} has no rows")

    @property
    def names(self) -> list[str]:
        """The names of the columns."""
        return list(self._titles)

    def kept_type(self, name: str) -> None:
        """None: cells of any type become texts where a column has one type."""

    def chunks(self, wanted: Wanted, rows: int, skip: int = 0) -> Iterator[Chunk]:
        """The rows after the first `skip`, in chunks."""
        records, first = _records(self._text), skip
        next(islice(records, skip, skip), None)
        while found := list(islice(records, rows)):
            columns = {
                name: [record.get(self._titles[name]) for _, record, _ in found]
                for name in wanted.names
            }
            yield Chunk(
                first=first,
                size=len(found),
                lines=[line for line, _, _ in found],
                cells={feature: columns[name] for feature, name in wanted.features.items()},
                kept={name: columns[name] for name in wanted.kept},
                broken={at: wrong for at, (_, _, wrong) in enumerate(found) if wrong},
            )
            first += len(found)


def _records(lines: Iterator[str]) -> Iterator[Record]:
    for line, text in enumerate(lines, start=1):
        if text.strip():
            try:
                yield line, json_object(text), ""
            except ValueError as error:
                yield line, {}, str(error)
