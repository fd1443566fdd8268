"""The command `show`: print a model's card in words."""

import argparse
from pathlib import Path
from typing import Any

from model import load
from model.commands.command import add_command
from model.commands.describe import describe

_EXAMPLES = """examples:
  python -m model show houses
  python -m model show houses --version
"""


def add_show(commands: Any) -> None:
    """`show` with its options."""
    parser = add_command(commands, "show", _show, "print a model's card in words", _EXAMPLES)
    parser.add_argument("folder", metavar="DIR", type=Path)
    parser.add_argument("--version", action="store_true", help="print the model's version only")


def _show(arguments: argparse.Namespace) -> str:
    card = load(arguments.folder).card
    return card.version if arguments.version else describe(card)
