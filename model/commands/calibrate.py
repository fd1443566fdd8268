"""The command `calibrate`: calibrate a model on new rows."""

import argparse
from pathlib import Path
from typing import Any

from model import calibrate, load
from model.commands.command import add_by, add_command, add_force, check_replaces
from model.commands.describe import describe
from model.commands.table_options import add_table_of_model, asked_table

_EXAMPLES = """examples:
  python -m model calibrate houses sold-in-may.csv
  python -m model calibrate houses sold-in-may.csv --by district --out houses-by-district
  python -m model calibrate churn churn-in-may.csv --by-class
"""


def add_calibrate(commands: Any) -> None:
    """`calibrate` with its options."""
    summary = "calibrate a model on new rows, without training it again"
    parser = add_command(commands, "calibrate", _calibrate, summary, _EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add("data", metavar="DATA", help="a table with the target, without rows of the training")
    add("--out", type=Path, metavar="DIR", help="artifact folder to write (default: the same)")
    add_force(parser)
    add_by(parser, "--by")
    add_table_of_model(parser)


def _calibrate(arguments: argparse.Namespace) -> str:
    if arguments.out and arguments.out.resolve() != arguments.folder.resolve():
        check_replaces(arguments.out, force=arguments.force)
    table = asked_table(load(arguments.folder).card, arguments)
    card = calibrate(
        arguments.folder, table, out=arguments.out, by=arguments.by, by_class=arguments.by_class
    )
    return describe(card)
