"""Score a file: its rows become a file of predictions, in memory that does not grow with it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from model.data import ReadOptions, Schema, clean, find_columns
from model.errors import DataError, Detail, InputError
from model.messages import flag, listed, nearest, shown
from model.options import PredictOptions, Resolved
from model.predictor import Predictor, fresh_seed, load
from model.scoring.choice import ROW, chosen
from model.scoring.chunks import BLOCK_ROWS, TILE_ROWS, Source, Wanted
from model.scoring.formats import Format, Layout, format_of
from model.scoring.output import (
    PartialFiles,
    Pipe,
    Sink,
    check_same,
    is_replaceable,
    open_pipe,
    saved_state,
)
from model.scoring.ray_engine import check_ray, scored_on_ray
from model.scoring.scorer import Job, Refusal, Scored
from model.scoring.sources import Input
from model.scoring.stream import PIPE, Stream
from model.scoring.workers import scored
from model.tasks import FlatColumn, flat

KEPT_BESIDE = "input."  # before a kept column that has the name of another column
_REFUSED = tuple(
    FlatColumn(name, name, kind)  # type: ignore[arg-type]
    for name, kind in ((ROW, "count"), ("line", "kept"), ("message", "text"))
)

Engine = Literal["local", "ray"]
Progress = Callable[[int, int | None], None]


@dataclass(frozen=True, slots=True)
class ScoreOptions:
    """How a file is scored; none of these options but `columns` and `keep` changes its bytes.

    `columns`: fields of predictions, or single columns such as mean.price; None for the usual ones.
    `keep`: columns of the input to write too, or True for all. `format` and `out_format`: csv,
    tsv, jsonl or parquet, where the extension does not say it. `engine`: local for processes of
    this machine, or ray for those of a Ray cluster. `workers`: processes that compute; None is one,
    and on Ray one for each CPU. `on_error`: fail at the first row without a prediction, or skip
    such rows, which `rejects` then lists. `resume`: go on after an interrupted run. `block_rows`:
    rows that are read together, a multiple of 512. Raises InputError naming the option.
    """

    columns: tuple[str, ...] | None = None
    keep: tuple[str, ...] | bool = False
    format: str | None = None
    out_format: str | None = None
    engine: Engine = "local"
    workers: int | None = None
    on_error: Literal["fail", "skip"] = "fail"
    rejects: Path | None = None
    resume: bool = False
    block_rows: int = BLOCK_ROWS

    def __post_init__(self) -> None:
        for field, domain, ok in (
            ("workers", "a whole number, 1 or more", self.workers is None or self.workers >= 1),
            ("engine", f"one of {', '.join(get_args(Engine))}", self.engine in get_args(Engine)),
            ("on_error", "one of fail, skip", self.on_error in ("fail", "skip")),
            (
                "block_rows",
                f"a multiple of {TILE_ROWS}",
                self.block_rows > 0 and self.block_rows % TILE_ROWS == 0,
            ),
            (
                "rejects",
                "given with on_error skip",
                self.rejects is None or self.on_error == "skip",
            ),
        ):
            if not ok:
                said = f"must be {domain}, not {shown(getattr(self, field))}"
                raise InputError(f"{field}: {said}", [Detail(field, said)])


@dataclass(frozen=True, slots=True)
class Score:
    """What was done: rows read and refused, the first refused row, and the seed of the masks.

    `resumed` is the number of rows that an interrupted run had done. `notices` say what was read in
    a way that one might not expect.
    """

    rows: int
    refused: int
    first_refusal: Refusal | None
    seed: int
    resumed: int
    notices: tuple[str, ...]


def score_file(
    folder: str | Path,
    source: str | Path,
    out: str | Path,
    predict: PredictOptions | None = None,
    options: ScoreOptions | None = None,
    *,
    reading: ReadOptions | None = None,
    progress: Progress = lambda _done, _of: None,
) -> Score:
    """Predict each row of a file, and write the predictions to a file; "-" stands for a pipe.

    The extensions decide the formats. Cells are read as those of a request: as the model's training
    file was, or as `reading` says. The row with number i from 0 has the masks that row i of a
    request has. The output is whole or not there. Raises DataError naming file, row and line.
    """
    options = options or ScoreOptions()
    given = format_of(source, options.format, "format")
    usual_output = given if str(out) == PIPE else None  # a pipe has no extension
    of = (given, format_of(out, options.out_format or usual_output, "out_format"))
    if options.rejects and format_of(options.rejects, None, "rejects") == "parquet":
        raise DataError(f"{options.rejects}: refused rows are listed in CSV or JSON Lines")
    predictor = load(folder)
    usual = reading or ReadOptions.of(getattr(predictor.card.training, "settings", {}))
    given_rows = Input(str(source), of[0], usual)
    _check_engine(options, source)
    with given_rows.opened() as (stream, rows):
        wanted, notices = wanted_columns(predictor.card.schema_of_rows, stream.name, rows, options)
        asked = _asked(stream, predictor, predict or PredictOptions(), options, of)
        state = _state(out, options, asked) if is_replaceable(out) else None
        seed = state["asked"]["seed"] if state else asked["seed"]
        seed = fresh_seed() if seed is None else seed
        chosen_options = predictor.resolved(replace(predict or PredictOptions(), seed=seed))
        job = _job(folder, predictor, chosen_options, reading, (of[1], rows), wanted, options)
        run = _Run(job, predictor, options, stream.name, given_rows)
        sink = _sink(out, run, {**asked, "seed": seed}, state)
        with closing(sink):
            first = run.all(rows, wanted, sink, progress)
    resumed = state["done"]["rows"] if state else 0
    done = sink.done
    said = (*rows.notices, *notices)
    return Score(done["rows"], done["refused"], first, seed, resumed, said)


@dataclass(frozen=True, slots=True)
class _Run:
    """A job, and how its results are written."""

    job: Job
    predictor: Predictor
    options: ScoreOptions
    name: str
    input: Input

    @property
    def rejects(self) -> Layout | None:
        """The layout of the file of refused rows, if it is asked for."""
        path = self.options.rejects
        return None if path is None else Layout(format_of(path, None, "rejects"), _REFUSED, {})

    @property
    def heads(self) -> tuple[bytes, bytes]:
        """What is written before the rows."""
        return self.job.layout.head(), self.rejects.head() if self.rejects else b""

    def all(self, source: Source, wanted: Wanted, sink: Sink, progress: Progress) -> Refusal | None:
        """Score the rows that are not done; the first that was refused."""
        first, skip = None, sink.done["rows"]
        progress(skip, source.total)
        for result in self._results(source, wanted, skip):
            first = first or next(iter(result.refused), None)
            self._write(result, sink)
            progress(sink.done["rows"], _total(source, sink.done["rows"]))
        if not sink.done["rows"]:
            raise DataError(f"{self.name} has no rows")
        sink.finish()
        return first

    def _results(self, source: Source, wanted: Wanted, skip: int) -> Iterator[Scored]:
        """The results of the chunks after the first `skip` rows, by the engine of the options."""
        rows, workers = self.options.block_rows, self.options.workers
        if self.options.engine == "ray":
            read = partial(self.input.absolute().chunks, wanted, rows, skip)
            return scored_on_ray(read, self.job, self.predictor, workers)
        chunks = source.chunks(wanted, rows, skip)
        return scored(chunks, self.job, self.predictor, workers or 1)

    def _write(self, result: Scored, sink: Sink) -> None:
        if result.refused and self.options.on_error == "fail":
            first = result.refused[0]
            advice = f"{flag('on_error')} skip leaves such rows out"
            raise DataError(f"{self.name}, {first.place}: {first.message}; {advice}")
        lines = {
            ROW: np.array([refusal.row for refusal in result.refused]),
            "line": [refusal.line for refusal in result.refused],
            "message": [refusal.message for refusal in result.refused],
        }
        layout = self.rejects
        refused = layout.body(lines) if layout and result.refused else b""
        rows = sink.done["rows"] + result.rows
        count = sink.done["refused"] + len(result.refused)
        sink.add(result.body, refused, {"rows": rows, "refused": count})


def _total(source: Source, done: int) -> int | None:
    """The number of rows of the source, if need be as its part that is read suggests."""
    if source.total is not None:
        return source.total
    part = source.fraction()
    return max(done, round(done / part)) if part else None


def _check_engine(options: ScoreOptions, source: str | Path) -> None:
    """Raise InputError if Ray would have to read a pipe, which no other process can open again."""
    if options.engine == "ray":
        if not is_replaceable(source):
            said = "Ray reads a file, not a pipe; save the rows to a file first"
            raise InputError(f"engine: {said}", [Detail("engine", said)])
        check_ray()


def wanted_columns(
    schema: Schema, name: str, source: Source, options: ScoreOptions
) -> tuple[Wanted, tuple[str, ...]]:
    """The columns to read; raises DataError for one that the model needs and the file lacks."""
    known, notices = {clean(column): column for column in source.names}, list[str]()
    features = dict[str, str]()
    for feature in schema.features:
        column = known.get(clean(feature.name))
        if column is not None:
            features[feature.name] = column
        elif feature.fill is None:
            asked = f"{shown(feature.name)}{nearest(feature.name, known, among=len(known))}"
            raise DataError(f"{name} has no column {asked}; its columns are {listed(list(known))}")
        else:
            said = f"there is no column {feature.name!r}"
            notices.append(f"{said}; its values are filled in with {shown(feature.fill)}")
    keep = options.keep
    if isinstance(keep, bool):
        return Wanted(features, tuple(source.names) if keep else ()), tuple(notices)
    return Wanted(features, find_columns(keep, source.names, table=name)), tuple(notices)


def _job(
    folder: str | Path,
    predictor: Predictor,
    predict: Resolved,
    reading: ReadOptions | None,
    output: tuple[Format, Source],
    wanted: Wanted,
    options: ScoreOptions,
) -> Job:
    """The job; a prediction of an example row says which columns there are."""
    found = predictor.predict([predictor.example()], predict)
    known = [FlatColumn(ROW, ROW, "count"), *flat(found.rows)]
    columns = chosen(known, options.columns)
    taken = {column.name for column in columns}
    kept = {name: f"{KEPT_BESIDE}{name}" if name in taken else name for name in wanted.kept}
    layout = Layout(
        output[0],
        (*(FlatColumn(name, name, "kept") for name in kept.values()), *columns),
        {kept[name]: output[1].kept_type(name) for name in kept},
    )
    return Job(Path(folder), predict, reading, layout, kept)


def _asked(
    stream: Stream,
    predictor: Predictor,
    predict: PredictOptions,
    options: ScoreOptions,
    formats: Sequence[str],
) -> dict[str, Any]:
    """What decides the bytes of the output, as JSON has it; a resumed run must have the same."""
    keep = options.keep if isinstance(options.keep, bool) else list(options.keep)
    return {
        "input": f"{stream.name}, {stream.size} bytes, changed {stream.changed}",
        "start of the input": hashlib.sha256(stream.head).hexdigest(),
        "model": f"{predictor.card.name} {predictor.card.version}",
        "formats": list(formats),
        "columns": None if options.columns is None else list(options.columns),
        "kept_columns": keep,
        **asdict(predict),
    }


def _state(
    out: str | Path, options: ScoreOptions, asked: Mapping[str, Any]
) -> dict[str, Any] | None:
    """The state of the interrupted run to go on with; None to begin anew."""
    state = saved_state(Path(out), options.rejects) if options.resume else None
    if state:
        seed = state["asked"]["seed"] if asked["seed"] is None else asked["seed"]
        check_same(state, {**asked, "seed": seed})
    return state


def _sink(
    out: str | Path, run: _Run, asked: Mapping[str, Any], state: Mapping[str, Any] | None
) -> Sink:
    """Where the output goes; raises DataError if it cannot be written."""
    rejects, parquet = run.options.rejects, run.job.layout.format == "parquet"
    try:
        if not is_replaceable(out):
            pipe = Pipe(open_pipe(out), rejects.open("wb") if rejects else None, parquet=parquet)
            pipe.add(*run.heads, pipe.done)
            return pipe
        files = PartialFiles(Path(out), rejects, asked, parquet=parquet)
        try:
            files.resume(state) if state else files.start(run.heads)
        except BaseException:
            files.close()
            raise
        return files
    except BrokenPipeError:
        raise
    except OSError as error:
        raise DataError(f"{out} cannot be written: {error.strerror}") from error
