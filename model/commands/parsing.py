"""Arguments of the command line, and mistakes in them in its own words."""

import argparse
import re
from collections.abc import Collection, Sequence
from typing import Literal, NoReturn, cast

from model import ModelError
from model.messages import nearest

_CHOICE = re.compile(r"invalid choice: '(.*?)' \(choose from (.*)\)", re.DOTALL)


class CommandParser(argparse.ArgumentParser):
    """A parser whose refusal of a choice asks whether the nearest one was meant."""

    def error(self, message: str) -> NoReturn:
        """Write usage and message to standard error, and exit with code 2."""
        found = _CHOICE.search(message)
        like = nearest(found[1], re.findall(r"[\w-]+", found[2])) if found else ""
        super().error(message + like)


def refuse_unknown(parser: argparse.ArgumentParser, unknown: Sequence[str]) -> NoReturn:
    """Exit with code 2, naming the unknown arguments, and the option that the first is like."""
    flags = re.findall(r"--[\w-]+", parser.format_usage())
    parser.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], flags)}")


def in_flags(error: ModelError, known: Collection[str]) -> str:
    """The message of an error; an option has the form that one types: --learning-rate."""
    message, field = str(error), error.details[0].field if error.details else ""
    option = "calibrate_by" if field == "by" and "calibrate_by" in known else field
    if option in known and message.startswith(f"{field}: "):
        return f"--{option.replace('_', '-')}{message.removeprefix(field)}"
    return message


def widths(text: str) -> tuple[int, ...]:
    """The numbers in an argument such as 64,64."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no list of widths like 64,64") from None


def rates(text: str) -> tuple[float, ...] | Literal["search", "learn"]:
    """The numbers in an argument such as 0.1,0.2, or how to find them."""
    if text in ("search", "learn"):
        return cast(Literal["search", "learn"], text)
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        message = f"{text!r} is no list of rates like 0.1,0.2, nor 'search' or 'learn'"
        raise argparse.ArgumentTypeError(message) from None
