"""The command `predict`: score a file of rows."""

import argparse
import time
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, get_args

from model import (
    Engine,
    Estimator,
    MaskScope,
    PredictOptions,
    Score,
    ScoreOptions,
    load,
    score_file,
)
from model.commands.command import add_command
from model.commands.progress import CountBar
from model.commands.table_options import FORMATS, add_rows, reading_of, rows_options
from model.commands.terminal import complain
from model.data import split_list

_EXAMPLES = """examples:
  python -m model predict houses new-houses.csv --out predicted.csv
  python -m model predict houses new-houses.parquet --out predicted.parquet --workers 4
  python -m model predict houses new-houses.csv --out predicted.csv --columns mean,lower,upper \\
    --keep-columns id,district
  python -m model predict houses new-houses.csv --out predicted.csv --on-error skip \\
    --rejects refused.csv
  cat new-houses.jsonl | python -m model predict houses - --format jsonl --out - | head
"""


def add_predict(commands: Any) -> None:
    """`predict` with its options."""
    defaults = PredictOptions()
    summary = "predict each row of a file, which may be larger than memory"
    parser = add_command(commands, "predict", _predict, summary, _EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add_rows(parser)
    add("--out", required=True, metavar="FILE", help="the file to write, or - for a pipe")
    _add_output(parser)
    add("--passes", type=int, help="default: as many as the model is served with")
    add("--seed", type=int, help="of the masks (default: a new one, which the command prints)")
    add("--estimator", choices=get_args(Estimator), help="default: as the model is served")
    add("--masks", choices=get_args(MaskScope), help="default: as the model is served")
    add("--coverage", type=float, default=defaults.coverage, help=f"default: {defaults.coverage}")
    add(
        "--largest-error",
        type=float,
        metavar="R",
        help="also say whether to accept each row, as a request with this largest error",
    )


def _add_output(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--columns",
        action="append",
        metavar="NAMES",
        help="fields to write, or single columns: mean,std,lower,upper or mean.price; all for all"
        " (default: row, and the usual ones of the task)",
    )
    add("--out-format", choices=FORMATS, help="of the output (default for a pipe: that of FILE)")
    add(
        "--engine",
        choices=get_args(Engine),
        default="local",
        help="processes of this machine, or those of the Ray cluster at RAY_ADDRESS"
        " (default: local)",
    )
    add(
        "--workers",
        type=int,
        metavar="N",
        help="processes (default: 1; on Ray, one for each CPU)",
    )
    add("--rejects", type=Path, metavar="FILE", help="a .csv or .jsonl file of rows left out")
    add("--resume", action="store_true", help="go on after a run that was interrupted")


def _predict(arguments: argparse.Namespace) -> str:
    start = time.monotonic()
    with CountBar("rows", scale=True) as bar:
        try:
            score = score_file(
                arguments.folder,
                arguments.source,
                arguments.out,
                PredictOptions(
                    passes=arguments.passes,
                    seed=arguments.seed,
                    coverage=arguments.coverage,
                    estimator=arguments.estimator,
                    masks=arguments.masks,
                    largest_error=arguments.largest_error,
                ),
                _options(arguments),
                reading=reading_of(load(arguments.folder).card, arguments),
                progress=bar.show,
            )
        except BrokenPipeError:  # the reader of the pipe has seen enough
            return ""
    said = _said(score, arguments, time.monotonic() - start)
    if str(arguments.out) != "-":
        return said
    complain(said)
    return ""


def _options(arguments: argparse.Namespace) -> ScoreOptions:
    columns = arguments.columns
    return replace(
        rows_options(arguments),
        columns=None if columns is None else tuple(chain(*map(split_list, columns))),
        out_format=arguments.out_format,
        engine=arguments.engine,
        workers=arguments.workers,
        rejects=arguments.rejects,
        resume=arguments.resume,
    )


def _said(score: Score, arguments: argparse.Namespace, seconds: float) -> str:
    """What was done, in a line, after a line for each notice."""
    for notice in score.notices:
        complain(f"note: {notice}")
    fresh = score.rows - score.resumed
    rate = f"{fresh / max(seconds, 1e-9):,.0f} rows/s"
    done = f"predicted {score.rows - score.refused:,} of {score.rows:,} rows ({rate})"
    resumed = f", {score.resumed:,} of them before" if score.resumed else ""
    parts = [f"{done}{resumed}, seed {score.seed}"]
    if score.refused:
        first = score.first_refusal
        example = f", such as {first.place}: {first.message}" if first else ""
        parts.append(f"left out {score.refused:,} rows{example}")
    if str(arguments.out) != "-":
        parts.append(f"saved to {arguments.out}")
    return "; ".join(parts)
