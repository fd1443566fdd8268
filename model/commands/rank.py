"""The command `rank`: which rows of a file to label next."""

import argparse
from itertools import chain
from pathlib import Path
from typing import Any

from model import ScoreOptions, load, rank_file, ranked_as
from model.commands.command import add_command
from model.commands.output import write_file
from model.commands.progress import CountBar
from model.commands.table_options import add_reading, reading_of
from model.data import split_list

_EXAMPLES = """examples:
  python -m model rank houses unsold.csv --take 20
  python -m model rank houses unsold.csv --take 50 --out to-label.csv --keep-columns id,district
  cat unsold.jsonl | python -m model rank houses - --format jsonl
"""
_FORMATS = ("csv", "tsv", "jsonl", "parquet")


def add_rank(commands: Any) -> None:
    """`rank` with its options."""
    summary = "say which rows of a file to label next"
    parser = add_command(commands, "rank", _rank, summary, _EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add("source", metavar="FILE", help="a .csv, .parquet or .jsonl file of rows, or - for a pipe")
    add("--take", type=int, default=20, metavar="K", help="how many rows (default: 20)")
    add("--out", default="-", metavar="FILE", help="a .csv, .tsv or .jsonl file (default: a pipe)")
    add(
        "--keep-columns",
        nargs="?",
        const=True,
        action="append",
        metavar="COL",
        help="write all columns of the input too, or these: a,b",
    )
    add("--format", choices=_FORMATS, help="of FILE, where its name does not say it")
    add("--out-format", choices=_FORMATS[:3], help="of the output (default for a pipe: csv)")
    add("--passes", type=int, default=200, help="default: 200")
    add("--seed", type=int, default=1, help="of the masks (default: 1)")
    add(
        "--on-error",
        choices=("fail", "skip"),
        default="fail",
        help="stop at a row that the model refuses, or leave it out (default: fail)",
    )
    add_reading(parser, usual=" (default: as the training file was)")


def _rank(arguments: argparse.Namespace) -> str:
    keep = arguments.keep_columns or []
    names = tuple(chain(*(split_list(name) for name in keep if isinstance(name, str))))
    with CountBar("rows", scale=True) as bar:
        found = rank_file(
            arguments.folder,
            arguments.source,
            take=arguments.take,
            passes=arguments.passes,
            seed=arguments.seed,
            options=ScoreOptions(
                keep=names or bool(keep), format=arguments.format, on_error=arguments.on_error
            ),
            reading=reading_of(load(arguments.folder).card, arguments),
            progress=bar.show,
        )
    piped = arguments.out == "-"
    written = ranked_as(found, arguments.out, arguments.out_format or ("csv" if piped else None))
    if piped:
        return written.decode().removesuffix("\n")
    write_file(Path(arguments.out), written)
    return f"saved the {len(found)} rows that are most worth a label to {arguments.out}"
