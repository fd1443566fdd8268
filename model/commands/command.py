"""A command of the command line: its parser, and the options that several commands have."""

import argparse
from collections.abc import Callable
from typing import Any


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
