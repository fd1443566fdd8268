"""The command `show`: print a model's card in words."""

import argparse
from pathlib import Path
from typing import Any

from model import load
from model.commands.command import add_command
from model.commands.describe import describe

_EXAMPLES = "examples:\n  python -m model show houses\n"


def add_show(commands: Any) -> None:
    """`show` with its options."""
    parser = add_command(commands, "show", _show, "print a model's card in words", _EXAMPLES)
    parser.add_argument("folder", metavar="DIR", type=Path)


def _show(arguments: argparse.Namespace) -> str:
    return describe(load(arguments.folder).card)
