"""Files of predictions, CSV and JSON Lines: whole or not at all."""

import csv
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from mc_dropout_client.sources import FileError, Format
from mc_dropout_client.tables import one_text

ROW = "row"  # the number of the row in its file, from 1
USUAL = (
    *(ROW, "label", "mean", "std", "lower", "upper", "predictive_entropy"),
    *("mutual_information", "label_set", "accept", "warnings"),
)


@contextmanager
def writing(path: str) -> Iterator[TextIO]:
    """A stream to the file, which appears once all is written; `-` is standard output."""
    if path == "-":
        yield sys.stdout
        sys.stdout.flush()
        return
    partial = Path(f"{path}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as stream:
            yield stream
        partial.replace(path)
    finally:
        with suppress(OSError):
            partial.unlink(missing_ok=True)


class Sink:
    """Writes rows of columns; the first row decides which columns there are."""

    def __init__(
        self, stream: TextIO, kind: Format, asked: Sequence[str] | None, keep: Sequence[str] | bool
    ) -> None:
        self._stream, self._kind = stream, kind
        self._asked, self._keep = asked, keep
        self._names: list[str] = []
        self._kept: list[str] = []
        self._csv = csv.writer(stream, lineterminator="\n")

    def write(self, number: int, kept: Mapping[str, Any], predicted: Mapping[str, Any]) -> None:
        """Write a row; raises FileError for columns that there are not, or are twice."""
        values = {ROW: number, **predicted}
        if not self._names:
            self._begin(kept, values)
        row = {
            **{name: kept.get(name) for name in self._kept},
            **{name: values.get(name) for name in self._names},
        }
        if self._kind == "csv":
            self._csv.writerow([_csv_cell(cell) for cell in row.values()])
        else:
            self._stream.write(json.dumps(row, ensure_ascii=False) + "\n")

    def _begin(self, kept: Mapping[str, Any], values: Mapping[str, Any]) -> None:
        self._names = list(self._chosen(values))
        self._kept = list(kept) if self._keep is True else list(self._keep or ())
        for name in self._kept:
            if name not in kept:
                raise FileError(f"--keep-columns: the input has no column {name!r}")
            if name in self._names:
                raise FileError(f"--keep-columns: {name!r} is a column of the predictions too")
        if self._kind == "csv":
            self._csv.writerow([*self._kept, *self._names])

    def _chosen(self, values: Mapping[str, Any]) -> Sequence[str]:
        """The names of the columns: of a field with several, all of them."""
        if self._asked is None:
            usual = [name for name in USUAL if "label" not in values or name != "std"]
            return [name for field in usual for name in values if _is(name, field)]
        found: dict[str, None] = {}
        for asked in self._asked:
            match = [name for name in values if asked == "all" or _is(name, asked)]
            if not match:
                fields = dict.fromkeys(name.partition(".")[0] for name in values)
                raise FileError(f"--columns: {asked!r} is none of {', '.join(fields)}, all")
            found |= dict.fromkeys(match)
        return list(found)


def _is(name: str, asked: str) -> bool:
    return name == asked or name.startswith(f"{asked}.")


def _csv_cell(cell: Any) -> Any:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, dict | list):
        return json.dumps(cell, ensure_ascii=False)
    return one_text(cell)
