"""A file of rows that can be opened again, by another process too."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from model.data import ReadOptions
from model.scoring.chunks import Chunk, Source, Wanted
from model.scoring.csv_source import CsvSource
from model.scoring.formats import Format
from model.scoring.json_source import JsonSource
from model.scoring.parquet_source import ParquetSource
from model.scoring.stream import Stream, open_stream


@dataclass(frozen=True, slots=True)
class Input:
    """A file, or "-" for standard input: its format, and how its texts are read."""

    path: str
    format: Format
    reading: ReadOptions

    def absolute(self) -> "Input":
        """The same file for a process in another folder."""
        return replace(self, path=str(Path(self.path).resolve()))

    @contextmanager
    def opened(self) -> Iterator[tuple[Stream, Source]]:
        """The bytes and the rows; raises DataError."""
        with closing(open_stream(self.path)) as stream:
            yield stream, source_of(stream, self.format, self.reading)

    def chunks(self, wanted: Wanted, rows: int, skip: int) -> Iterator[Chunk]:
        """The rows after the first `skip`, in chunks, of a file that is opened for them."""
        with self.opened() as (_, source):
            yield from source.chunks(wanted, rows, skip)


def source_of(stream: Stream, kind: Format, reading: ReadOptions) -> Source:
    """The rows of a stream of that format."""
    if kind == "parquet":
        return ParquetSource(stream)
    return JsonSource(stream, reading) if kind == "jsonl" else CsvSource(stream, reading)
