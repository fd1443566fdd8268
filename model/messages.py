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


def listed(names: Sequence[str], most: int = MAX_LISTED) -> str:
    """Names for a message: "a, b, c", the first of many."""
    head = ", ".join(names[:most])
    return head if len(names) <= most else f"{head}, ... ({len(names)} in all)"
