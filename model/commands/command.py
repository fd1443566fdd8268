"""A command of the command line: its parser, and the options that several commands have."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from model import ArtifactError


def add_command(
    commands: Any,
    name: str,
    command: Callable[[argparse.Namespace], str],
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    """The parser of a new command; `command` returns what it prints."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command, parser=parser)
    return parser


def add_by(parser: argparse.ArgumentParser, flag: str) -> None:
    """The options of a calibration by groups or classes."""
    said = "calibrate each category of this feature by itself"
    parser.add_argument(flag, metavar="FEATURE", help=said)
    said = "calibrate each class by itself, so that label sets hold rare classes as often as others"
    parser.add_argument("--by-class", action="store_true", help=said)


def add_force(parser: argparse.ArgumentParser) -> None:
    """The option to replace a model; see `check_replaces`."""
    said = "replace the model that --out holds; it stays as it is until the new one is whole"
    parser.add_argument("--force", action="store_true", help=said)


def check_replaces(folder: Path, *, force: bool) -> None:
    """Raise ArtifactError if the folder holds a model that `force` does not give up."""
    if not force and (folder / "card.json").exists():
        raise ArtifactError(f"{folder} holds a model already; --force replaces it")
