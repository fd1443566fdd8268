"""The command `import`: import a network that was trained elsewhere."""

import argparse
from pathlib import Path
from typing import Any

from model import import_model
from model.commands.command import add_command, add_force, check_replaces
from model.commands.describe import describe

_EXAMPLES = """examples:
  python -m model import --architecture net.json --weights net.pt --out net
  python -m model import --architecture net.json --weights net.safetensors --out net --name wells
"""


def add_import(commands: Any) -> None:
    """`import` with its options."""
    summary = "import a network that was trained elsewhere"
    parser = add_command(commands, "import", _import, summary, _EXAMPLES)
    add = parser.add_argument
    add(
        "--architecture",
        required=True,
        type=Path,
        metavar="FILE.json",
        help="the specification, see docs/importing.md",
    )
    add(
        "--weights",
        required=True,
        action="append",
        type=Path,
        metavar="FILE",
        help="the state dict: a safetensors file, or a file from torch.save, of any ending; repeat"
        " it for an ensemble: one file for each member",
    )
    add(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="keys of the state dict that belong to no layer, repeatable: 'loss_fn.*'",
    )
    add("--out", required=True, type=Path, metavar="DIR", help="artifact folder to write")
    add_force(parser)
    add("--name", help="the model's name (default: the specification's, or the folder's)")


def _import(arguments: argparse.Namespace) -> str:
    check_replaces(arguments.out, force=arguments.force)
    card = import_model(
        arguments.architecture,
        arguments.weights,
        arguments.out,
        name=arguments.name,
        ignore=arguments.ignore,
    )
    calibrated = f"calibrate it: python -m model calibrate {arguments.out} DATA"
    return f"{describe(card)}\n\nsaved to {arguments.out}; {calibrated}"
