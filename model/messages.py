"""Short and printable quotes of values and names, for messages."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from itertools import islice

import numpy as np

MAX_LISTED = 20  # names in one message
MAX_SHOWN = 80  # characters of one value

_MAX_COMPARED = 300  # names, and characters of each: the comparison takes time
_LEAST, _MOST = 1e-4, 1e15  # sizes outside of this range are written with an exponent


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
            return "an array"
        case dict():
            return "an object"
    return f"a value of type {type(value).__name__[:MAX_SHOWN]}"


def listed(names: Sequence[str], most: int = MAX_LISTED) -> str:
    """Names for a message: "a, b, c", the first of many."""
    head = ", ".join(_cut(name) for name in names[:most])
    return head if len(names) <= most else f"{head}, ... ({len(names)} in all)"


def nearest(name: object, known: Iterable[str]) -> str:
    """The question " (did you mean 'x'?)" if a known name is like this one, otherwise nothing."""
    few = (each for each in islice(known, _MAX_COMPARED) if len(each) <= _MAX_COMPARED)
    if not isinstance(name, str) or len(name) > _MAX_COMPARED:
        return ""
    by_lower = {each.lower(): each for each in few}
    near = get_close_matches(name.lower(), by_lower, n=1)
    return f" (did you mean {shown(by_lower[near[0]])}?)" if near else ""


def number(value: float | None) -> str:
    """The value with four digits, or with all digits before the point: 0.4375, 123.5, 50,370.

    A metric that is not defined is None and becomes "-".
    """
    if value is None:
        return "-"
    if value and not _LEAST <= abs(value) < _MOST:
        return f"{value:.4g}"
    return f"{value:,.0f}" if abs(value) >= 999.95 else f"{value or 0.0:.4g}"


def _whole(value: int) -> str:
    try:
        text = str(value)
    except ValueError:  # more digits than Python prints
        return "a huge integer"
    return _cut(text)


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."
