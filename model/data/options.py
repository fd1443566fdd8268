"""How the texts of a file are to be read, and how messages name the options for it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from itertools import starmap
from typing import Any, Literal, Self

from model.data.names import split_list
from model.data.numbers import CellRule, NumberFormat
from model.errors import Detail, InputError
from model.messages import flag, is_typed

Header = Literal["auto", "yes", "no"]
_PREFIX = "read_"  # of the names under which a card keeps these options


@dataclass(frozen=True)
class ReadOptions:
    """How the texts of a file are read; the card of a model keeps what is not the default.

    `missing_values`: more texts or numbers that say that a value is missing. `decimal`: the
    decimal sign, "." or ",". `thousands`: the sign between thousands, such as "," or a space.
    `units`: texts beside numbers that are left out, such as kg. `header`: whether the first line of
    a CSV file has the names of the columns; "auto" refuses a line that may be a row. `comment`:
    lines of a CSV file that begin with this text are left out. `encoding`: that of a text file, as
    "cp1252"; without one, a file is UTF-8, or what its first bytes say. Raises InputError naming
    the option.
    """

    missing_values: tuple[str, ...] = ()
    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()
    header: Header = "auto"
    comment: str = ""
    encoding: str = ""

    def __post_init__(self) -> None:
        for field, domain, ok in (
            ("decimal", "'.' or ','", self.decimal in (".", ",")),
            ("thousands", "one sign that is no digit", _separates(self.thousands)),
            ("thousands", "another sign than decimal", self.thousands != self.decimal),
            ("header", "one of auto, yes, no", self.header in ("auto", "yes", "no")),
            ("encoding", "a text encoding such as cp1252", _is_encoding(self.encoding)),
        ):
            if not ok:
                message = f"must be {domain}, not {getattr(self, field)!r}"
                raise InputError(f"{field}: {message}", [Detail(field, message)])

    @cached_property
    def numbers(self) -> NumberFormat:
        """How numbers are written."""
        return NumberFormat(self.decimal, self.thousands, self.units)

    def rule(self, sign: str = "") -> CellRule:
        """How the cells of a column are read whose numbers have that sign."""
        return CellRule(self.numbers, sign, self.missing_values)

    @property
    def settings(self) -> dict[str, str]:
        """The options that are not the default, as texts for a card."""
        found = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value != field.default:
                found[_PREFIX + field.name] = value if isinstance(value, str) else _joined(value)
        return found

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """The options that a card keeps."""
        kept: dict[str, Any] = {}
        for field in fields(cls):
            if _PREFIX + field.name in settings:
                value = str(settings[_PREFIX + field.name])
                kept[field.name] = value if isinstance(field.default, str) else split_list(value)
        return cls(**kept)


def option(**given: str | tuple[str, ...]) -> str:
    """Options with their values, as one types them in a shell, or as Python has them.

    That is --drop 'price, EUR', or drop='price, EUR'; options of a file are those of `ReadOptions`.
    """
    if is_typed():
        return " ".join(starmap(_in_shell, given.items()))
    said = ", ".join(f"{name}={value!r}" for name, value in given.items())
    reading = {field.name for field in fields(ReadOptions)}
    return f"options=ReadOptions({said})" if given.keys() <= reading else said


def _in_shell(name: str, value: str | tuple[str, ...]) -> str:
    text = value if isinstance(value, str) else ",".join(map(_quoted, value))
    joint = "=" if text.startswith("-") else " "
    return f"{flag(name)}{joint}{shlex.quote(text)}"


def _quoted(part: str) -> str:
    """A part of a list, in quotes if a comma or a quote is in it."""
    return '"' + part.replace('"', '""') + '"' if "," in part or '"' in part else part


def _is_encoding(name: str) -> bool:
    try:
        return not name or bool("a".encode(name))
    except (LookupError, ValueError):
        return False


def _separates(sign: str) -> bool:
    return len(sign) <= 1 and not sign.isalnum() and sign not in ("+", "-")


def _joined(parts: tuple[str, ...]) -> str:
    """A list that `split_list` takes apart again."""
    return ",".join('"' + part.replace('"', '""') + '"' for part in parts)
