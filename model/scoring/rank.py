"""Rank the rows of a file by what their labels would tell: which to label next."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.data import ReadOptions, Rows, Schema
from model.errors import DataError, Detail, InputError
from model.messages import flag, shown
from model.options import PredictOptions
from model.predictor import Predictor, load
from model.scoring.chunks import BLOCK_ROWS, TILE_ROWS, Chunk
from model.scoring.encoding import encode_rows, read_by
from model.scoring.formats import Layout, format_of
from model.scoring.score import ScoreOptions, wanted_columns
from model.scoring.scorer import overflow, refusal
from model.scoring.shortlist import Shortlist
from model.scoring.sources import Input
from model.tasks import FlatColumn

PASSES, SEED = 200, 1


@dataclass(frozen=True, slots=True)
class Ranked:
    """A row to label: its rank, its number in the file, both from 1, and its line if any.

    `score` is the information, in nats, that its label would add about the network: to those of the
    rows before it for a regression, by itself for a classifier. `kept` has cells of the input.
    """

    rank: int
    row: int
    line: int | None
    score: float
    kept: Mapping[str, Any]


def rank(
    predictor: Predictor, rows: Rows, *, take: int = 20, passes: int = PASSES, seed: int = SEED
) -> list[Ranked]:
    """The rows of a table that are most worth a label, the best first; see `shortlist`.

    The table has any form that `Predictor.predict` takes. Raises InputError.
    """
    shortlist = _shortlist(predictor, take, passes, seed)
    x = predictor.encode(rows)
    for start in range(0, len(x), TILE_ROWS):
        part = x[start : start + TILE_ROWS]
        places: list[Any] = [(start + at + 1, None, {}) for at in range(len(part))]
        shortlist = shortlist.with_rows(part, places)
    return _ranked(shortlist)


def rank_file(
    folder: str | Path,
    source: str | Path,
    *,
    take: int = 20,
    passes: int = PASSES,
    seed: int = SEED,
    options: ScoreOptions | None = None,
    reading: ReadOptions | None = None,
    progress: Callable[[int, int | None], None] = lambda _done, _of: None,
) -> list[Ranked]:
    """The rows of a file that are most worth a label, the best first; "-" stands for a pipe.

    Memory does not grow with the file. Of `options`, `format`, `keep` and `on_error` count. Raises
    DataError naming file, row and line, and InputError.
    """
    options, predictor = options or ScoreOptions(), load(folder)
    shortlist = _shortlist(predictor, take, passes, seed)
    kind = format_of(source, options.format, "format")
    usual = reading or ReadOptions.of(getattr(predictor.card.training, "settings", {}))
    with Input(str(source), kind, usual).opened() as (stream, rows):
        wanted, _ = wanted_columns(predictor.card.schema_of_rows, stream.name, rows, options)
        schema, done = read_by(predictor.card.schema_of_rows, reading), 0
        for chunk in rows.chunks(wanted, BLOCK_ROWS):
            for start in range(0, chunk.size, TILE_ROWS):
                tile = range(start, min(start + TILE_ROWS, chunk.size))
                shortlist = _with_tile(shortlist, chunk, tile, schema, options, stream.name)
            done += chunk.size
            progress(done, rows.total)
        if not done:
            raise DataError(f"{stream.name} has no rows")
    return _ranked(shortlist)


def ranked_as(found: list[Ranked], out: str | Path, given: str | None = None) -> bytes:
    """The rows as CSV, TSV or JSON Lines, as the name of the file says, or a given format."""
    kind = format_of(out, given, "out_format")
    if kind == "parquet":
        raise DataError("ranked rows are written as CSV, TSV or JSON Lines")
    names = list(found[0].kept) if found else []
    kinds = (("rank", "count"), ("row", "count"), ("line", "kept"), ("score", "number"))
    columns = [FlatColumn(name, name, kind) for name, kind in kinds]  # type: ignore[arg-type]
    columns += [FlatColumn(f"input.{name}", name, "kept") for name in names]
    cells: dict[str, Any] = {
        "rank": np.array([each.rank for each in found], dtype=np.int64),
        "row": np.array([each.row for each in found], dtype=np.int64),
        "line": [each.line for each in found],
        "score": np.array([each.score for each in found]),
        **{f"input.{name}": [each.kept[name] for each in found] for name in names},
    }
    layout = Layout(kind, tuple(columns), {})
    return layout.head() + (layout.body(cells) if found else b"")


def _shortlist(predictor: Predictor, take: int, passes: int, seed: int) -> Shortlist:
    """An empty list; raises InputError."""
    if not (isinstance(take, int | np.integer) and take >= 1):
        message = f"must be a whole number, 1 or more, not {shown(take)}"
        raise InputError(f"take: {message}", [Detail("take", message)])
    if not predictor.networks.config.stochastic and len(predictor.networks) == 1:
        message = "it has neither dropout nor several members: its passes tell no rows apart"
        raise InputError(f"model: {message}", [Detail("model", message)])
    several = not predictor.card.target.classes
    options = PredictOptions(
        passes=passes, seed=seed, estimator="plain", masks="shared", samples=several
    )
    return Shortlist(predictor, predictor.resolved(options), int(take))


def _with_tile(
    shortlist: Shortlist,
    chunk: Chunk,
    tile: range,
    schema: Schema,
    options: ScoreOptions,
    name: str,
) -> Shortlist:
    """The list after the rows of a tile; raises DataError for a row that is refused."""
    reasons = {at: why for at, why in chunk.broken.items() if at in tile}
    kept = [at for at in tile if at not in reasons]
    encoded, positions, refused = encode_rows(schema, chunk.cells, kept)
    reasons |= refused
    x = encoded.x
    while positions:
        try:
            shortlist = shortlist.with_rows(x, [_place(chunk, at) for at in positions])
            break
        except InputError as error:
            at, message = overflow(error)
            reasons[positions.pop(at)] = message
            x = np.delete(x, at, axis=0)
    if reasons and options.on_error == "fail":
        first = refusal(chunk, min(reasons), reasons[min(reasons)])
        advice = f"{flag('on_error')} skip leaves such rows out"
        raise DataError(f"{name}, {first.place}: {first.message}; {advice}")
    return shortlist


def _place(chunk: Chunk, at: int) -> tuple[int, int | None, dict[str, Any]]:
    line = None if chunk.lines is None else chunk.lines[at]
    kept = {name: _cell(cells[at]) for name, cells in chunk.kept.items()}
    return chunk.first + at + 1, line, kept


def _cell(cell: Any) -> Any:
    """A cell as a built-in value; that of an Arrow array has `as_py`."""
    return cell.as_py() if hasattr(cell, "as_py") else cell


def _ranked(shortlist: Shortlist) -> list[Ranked]:
    return [
        Ranked(number, row, line, score, kept)
        for number, ((row, line, kept), score) in enumerate(shortlist.chosen(), 1)
    ]
