"""Chunks of rows become bytes of the output: what each process does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.data import ReadOptions
from model.errors import InputError
from model.options import PredictOptions
from model.predictor import Predictor, load, use_threads
from model.scoring.choice import ROW
from model.scoring.chunks import TILE_ROWS, Cells, Chunk
from model.scoring.encoding import encode_rows, read_by
from model.scoring.formats import Layout
from model.tasks import FlatColumn, flat


@dataclass(frozen=True, slots=True)
class Refusal:
    """A row that has no prediction: its number in the file, from 1, its line, and the reason."""

    row: int
    line: int | None
    message: str

    @property
    def place(self) -> str:
        """Where the row is in its file."""
        return f"row {self.row}" + (f" (line {self.line})" if self.line is not None else "")


@dataclass(frozen=True, slots=True)
class Scored:
    """The bytes of the rows of a chunk that have predictions, and the other rows."""

    rows: int
    body: bytes
    refused: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """What a process needs to know; `kept` has the names in the output of columns kept."""

    folder: Path
    options: PredictOptions
    reading: ReadOptions | None
    layout: Layout
    kept: Mapping[str, str]


class Scorer:
    """A model that turns chunks into bytes; which rows a chunk has does not change them."""

    def __init__(self, job: Job, predictor: Predictor | None = None) -> None:
        use_threads(1)  # how a product rounds may depend on the number of threads
        self._predictor = predictor or load(job.folder)
        self._job = job
        self._schema = read_by(self._predictor.card.schema_of_rows, job.reading)

    def __call__(self, chunk: Chunk) -> Scored:
        """The predictions of the rows of a chunk that begins with a tile."""
        reasons = dict(chunk.broken)
        tiles = [
            self._tile(chunk, range(start, min(start + TILE_ROWS, chunk.size)), reasons)
            for start in range(0, chunk.size, TILE_ROWS)
        ]
        positions = [at for tile, _ in tiles for at in tile]
        cells = _joined([columns for _, columns in tiles if columns])
        cells[ROW] = np.array(positions, dtype=np.int64) + (chunk.first + 1)
        for name, column in chunk.kept.items():
            cells[self._job.kept[name]] = _taken(column, positions)
        return Scored(
            chunk.size,
            self._job.layout.body(cells) if positions else b"",
            tuple(refusal(chunk, at, reasons[at]) for at in sorted(reasons)),
        )

    def _tile(
        self, chunk: Chunk, rows: range, reasons: dict[int, str]
    ) -> tuple[list[int], dict[str, Any]]:
        """The positions of a tile's rows that have predictions, and their columns."""
        kept = [at for at in rows if at not in reasons]
        encoded, positions, refused = encode_rows(self._schema, chunk.cells, kept)
        x, codes = encoded.x, encoded.codes
        reasons.update(refused)
        while positions:
            row_ids = np.array(positions, dtype=np.int64) + chunk.first
            try:
                found = self._predictor.predict_encoded(x, self._job.options, row_ids=row_ids)
            except InputError as error:
                at, message = overflow(error)
                reasons[positions.pop(at)] = message
                x, codes = np.delete(x, at, axis=0), [*codes[:at], *codes[at + 1 :]]
                continue
            return positions, self._columns(flat(found.warned(codes).rows))
        return [], {}

    def _columns(self, found: Mapping[FlatColumn, Any]) -> dict[str, Any]:
        """Those of the columns that are written."""
        return {c.name: found[c] for c in self._job.layout.columns if c in found}


def overflow(error: InputError) -> tuple[int, str]:
    """The row that an error of a prediction is about; another error is raised again."""
    for detail in error.details:
        if detail.field.startswith("rows."):
            return int(detail.field.split(".")[1]), detail.message
    raise error


def refusal(chunk: Chunk, at: int, message: str) -> Refusal:
    """The refusal of the row at that position of a chunk."""
    line = None if chunk.lines is None else chunk.lines[at]
    return Refusal(chunk.first + at + 1, line, message)


def _joined(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The columns of all tiles, one after the other."""
    if not parts:
        return {}
    return {
        name: np.concatenate([part[name] for part in parts])
        if isinstance(cells, np.ndarray)
        else [cell for part in parts for cell in part[name]]
        for name, cells in parts[0].items()
    }


def _taken(cells: Cells, positions: Sequence[int]) -> Any:
    """The cells at some positions; `cells` may be an Arrow array."""
    if len(positions) == len(cells):
        return cells
    return cells.take(positions) if hasattr(cells, "take") else [cells[at] for at in positions]
