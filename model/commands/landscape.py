"""The command `landscape`: draw the loss over planes of weights, with dropout."""

import argparse
from pathlib import Path
from typing import Any

from model import LandscapeOptions, landscape, load, save_landscape, use_threads
from model.commands.command import add_command
from model.commands.progress import CountBar
from model.commands.table_options import add_table_of_model, table_of_model

_EXAMPLES = """examples:
  python -m model landscape houses houses.csv
"""


def add_landscape(commands: Any) -> None:
    """`landscape` with its options."""
    defaults = LandscapeOptions()
    summary = "draw the loss over planes of weights, with dropout, and store it beside the model"
    parser = add_command(commands, "landscape", _landscape, summary, _EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add("data", metavar="DATA", help="a table that has the target; the loss is that of its rows")
    for name, kind, said in (
        ("points", int, "points along each side of a plane, an odd number"),
        ("extent", float, "how far the planes reach, as a multiple of the usual reach"),
        ("masks", int, "how many thinned networks are averaged"),
        ("rows", int, "the most rows; of more a random subset is taken"),
        ("seed", int, "of the rows, the directions and the masks"),
    ):
        default = getattr(defaults, name)
        add(f"--{name}", type=kind, default=default, help=f"{said} (default: {default})")
    add_table_of_model(parser)


def _landscape(arguments: argparse.Namespace) -> str:
    names = ("points", "extent", "masks", "rows", "seed")
    options = LandscapeOptions(**{name: getattr(arguments, name) for name in names})
    predictor = load(arguments.folder)
    table = table_of_model(predictor.card, arguments)
    use_threads(1)  # the products of a small network are too short to share among threads
    with CountBar("point") as bar:
        found = landscape(predictor, table, options, progress=bar.show)
    size = save_landscape(arguments.folder, found.record())
    return f"stored {size:,} bytes beside the model"
