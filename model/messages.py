"""Short and printable quotes of values and names, for messages."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from difflib import get_close_matches
from itertools import islice
from typing import TypeGuard

import numpy as np

MAX_LISTED = 20  # names in one message
MAX_SHOWN = 80  # characters of one value
MAX_COMPARED = 100  # names in a message to a client of a server

_MAX_ITEMS = 5  # of an array
_LEAST, _MOST = 1e-4, 1e15  # sizes outside of this range are written with an exponent
_typed: ContextVar[bool] = ContextVar("typed", default=False)


@contextmanager
def in_command() -> Iterator[None]:
    """Within the block, messages name options as one types them: --learning-rate."""
    token = _typed.set(True)
    try:
        yield
    finally:
        _typed.reset(token)


def is_typed() -> bool:
    """Whether messages name options as one types them, and not as Python has them."""
    return _typed.get()


def flag(name: str) -> str:
    """The name of an option for a message: --learning-rate in a command, else learning_rate."""
    return f"--{name.replace('_', '-')}" if is_typed() else name


def shown(value: object) -> str:
    """Any value for a message, short and printable; booleans and null are written as in JSON."""
    match value:
        case None:
            return "null"
        case bool() | np.bool_():
            return "true" if value else "false"
        case str() | bytes():
            text = repr(value[:MAX_SHOWN])
            return text if len(value) <= MAX_SHOWN else f"{text[:-1]}...{text[-1]}"
        case float() | np.floating():
            return repr(float(value))
        case int() | np.integer():
            return _whole(int(value))
        case list() | tuple() | np.ndarray():
            return _array(value)
        case dict():
            return "an object"
    return f"a value of type {type(value).__name__[:MAX_SHOWN]}"


def listed(names: Sequence[str], most: int = MAX_LISTED) -> str:
    """Names for a message: "a, b, c", the first of many."""
    head = ", ".join(_cut(name) for name in names[:most])
    return head if len(names) <= most else f"{head}, ... ({len(names)} in all)"


def nearest(
    name: object, known: Iterable[object], *, least: float = 0.65, among: int = MAX_COMPARED
) -> str:
    """The question " (did you mean 'x'?)" if a known name is like this one, otherwise nothing.

    `least` is the least likeness, from 0 to 1. The first names are compared, `among` of them,
    because a comparison takes up to 50 microseconds.
    """
    if not _is_short_text(name):
        return ""
    by_lower = {each.lower(): each for each in islice(known, among) if _is_short_text(each)}
    near = get_close_matches(name.lower(), by_lower, n=1, cutoff=least)
    return f" (did you mean {shown(by_lower[near[0]])}?)" if near else ""


def not_one_of(value: object, known: Sequence[str]) -> str:
    """That the value is none of the choices, and which of them may be meant."""
    return f"{shown(value)} is not one of {listed(known)}{nearest(value, known)}"


def readable(value: float | None, digits: int = 4) -> str:
    """The value with four digits, or with all digits before the point: 0.4375, 123.5, 50,370.

    A metric that is not defined is None and becomes "-".
    """
    if value is None:
        return "-"
    if value and not _LEAST <= abs(value) < _MOST:
        return f"{value:.{digits}g}"
    return f"{value:,.0f}" if abs(value) >= 999.95 else f"{value or 0.0:.{digits}g}"


def _is_short_text(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and len(value) <= MAX_SHOWN


def _array(value: Sequence[object] | np.ndarray) -> str:
    """A few numbers or texts, or a word for many, or for arrays of anything else."""
    if len(value) > _MAX_ITEMS or any(not isinstance(each, str | int | float) for each in value):
        return "an array"
    return f"[{', '.join(map(shown, value))}]"


def _whole(value: int) -> str:
    try:
        text = str(value)
    except ValueError:  # more digits than Python prints
        return "a huge integer"
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
