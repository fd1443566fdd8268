"""Short and printable quotes of values and names, for messages."""

import reprlib
from collections.abc import Sequence

MAX_LISTED = 20  # names in one message


def shown(value: object) -> str:
    """Any value for a message, short and printable."""
    try:
        return reprlib.repr(value)
    except ValueError:  # an integer with more digits than Python prints
        return "a huge integer"


def listed(names: Sequence[str]) -> str:
    """Names for a message: "a, b, c", the first 20 of many."""
    head = ", ".join(names[:MAX_LISTED])
    return head if len(names) <= MAX_LISTED else f"{head}, ... ({len(names)} in all)"
