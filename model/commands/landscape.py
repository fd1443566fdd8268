"""The command `landscape`: draw the loss over planes of weights, with dropout."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model import (
    DataError,
    Landscape,
    LandscapeOptions,
    check_png,
    landscape,
    landscape_page,
    landscape_png,
    landscape_svg,
    load,
    save_landscape,
    use_threads,
)
from model.commands.command import add_command
from model.commands.output import write_file
from model.commands.progress import CountBar
from model.commands.table_options import add_table_of_model, asked_table

_EXAMPLES = """examples:
  python -m model landscape houses houses.csv --out houses-landscape.html
  python -m model landscape houses houses.csv --out loss.svg --points 101 --extent 0.5 --no-store
  python -m model landscape houses sold-since.parquet
"""
_DRAW: dict[str, Callable[[Landscape], str | bytes]] = {
    ".html": landscape_page,
    ".png": landscape_png,
    ".svg": landscape_svg,
}


def add_landscape(commands: Any) -> None:
    """`landscape` with its options."""
    defaults = LandscapeOptions()
    summary = "draw the loss over planes of weights, with dropout, and store it beside the model"
    parser = add_command(commands, "landscape", _landscape, summary, _EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add("data", metavar="DATA", help="a table that has the target; the loss is that of its rows")
    said = "the picture to write: .html (a page with the film of the masks), .png or .svg"
    add("--out", type=_picture, metavar="FILE", help=said)
    said = "do not store the landscape in DIR, where `python -m app` finds it"
    add("--no-store", action="store_true", help=said)
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


def _picture(text: str) -> Path:
    path = Path(text)
    if path.suffix.lower() not in _DRAW:
        raise argparse.ArgumentTypeError(f"{text!r} does not end in {', '.join(_DRAW)}")
    return path


def _landscape(arguments: argparse.Namespace) -> str:
    out, names = arguments.out, ("points", "extent", "masks", "rows", "seed")
    options = LandscapeOptions(**{name: getattr(arguments, name) for name in names})
    if out is None and arguments.no_store:
        raise DataError("nothing to do: give --out FILE, or leave --no-store out")
    if out is not None and out.suffix.lower() == ".png":
        check_png()
    predictor = load(arguments.folder)
    table = asked_table(predictor.card, arguments)
    use_threads(1)  # the products of a small network are too short to share among threads
    with CountBar("point") as bar:
        found = landscape(predictor, table, options, progress=bar.show)
    lines = [f"{found.summary} {found.rows} of {table.row_count} rows; {found.loss}."]
    if not arguments.no_store:
        size = save_landscape(arguments.folder, found.record())
        lines.append(f"stored in {arguments.folder} ({size:,} bytes); it is served with the model")
    if out is not None:
        write_file(out, _DRAW[out.suffix.lower()](found))
        lines.append(f"written to {out}")
    return "\n".join(lines)
