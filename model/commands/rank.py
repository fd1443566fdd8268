"""The command `rank`: which rows of a file to label next."""

import argparse
from pathlib import Path
from typing import Any

from model import load, rank_file, ranked_as
from model.commands.command import add_command
from model.commands.output import write_file
from model.commands.progress import CountBar
from model.commands.table_options import FORMATS, add_rows, reading_of, rows_options

_EXAMPLES = """examples:
  python -m model rank houses unsold.csv --take 20
  python -m model rank houses unsold.csv --take 50 --out to-label.csv --keep-columns id,district
  cat unsold.jsonl | python -m model rank houses - --format jsonl
"""


def add_rank(commands: Any) -> None:
    """`rank` with its options."""
    summary = "say which rows of a file to label next"
    parser = add_command(commands, "rank", _rank, summary, _EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add_rows(parser)
    add("--take", type=int, default=20, metavar="K", help="how many rows (default: 20)")
    add("--out", default="-", metavar="FILE", help="a .csv, .tsv or .jsonl file (default: a pipe)")
    add("--out-format", choices=FORMATS[:3], help="of the output (default for a pipe: csv)")
    add("--passes", type=int, default=200, help="default: 200")
    add("--seed", type=int, default=1, help="of the masks (default: 1)")


def _rank(arguments: argparse.Namespace) -> str:
    with CountBar("rows", scale=True) as bar:
        found = rank_file(
            arguments.folder,
            arguments.source,
            take=arguments.take,
            passes=arguments.passes,
            seed=arguments.seed,
            options=rows_options(arguments),
            reading=reading_of(load(arguments.folder).card, arguments),
            progress=bar.show,
        )
    piped = arguments.out == "-"
    written = ranked_as(found, arguments.out, arguments.out_format or ("csv" if piped else None))
    if piped:
        return written.decode().removesuffix("\n")
    write_file(Path(arguments.out), written)
    return f"saved the {len(found)} rows that are most worth a label to {arguments.out}"
