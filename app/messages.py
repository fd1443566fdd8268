"""Short quotes of what a client or an operator has sent, for messages.

`model` has the same for its own messages; this module costs no import of torch.
"""

import json
import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from itertools import islice
from typing import Any

MAX_SHOWN = 80  # characters of one value
_WORDS = {"a valid list": "an array", "a valid dictionary": "an object"}
_MAX_COMPARED = 100  # names: the comparison takes time


def shown(value: object) -> str:
    """A value of a request as JSON, cut; an array or an object is a word."""
    if isinstance(value, dict | list | tuple):
        return "an object" if isinstance(value, dict) else "an array"
    text = json.dumps(value[:MAX_SHOWN] if isinstance(value, str) else value, default=str)
    return (
        cut(text) if not isinstance(value, str) or len(value) <= MAX_SHOWN else f'{text[:-1]}..."'
    )


def quoted(text: str) -> str:
    """A name in quotes, printable, cut."""
    return repr(cut(text))


def cut(text: str) -> str:
    """The text, or its first characters."""
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


def listed(names: Iterable[str]) -> str:
    """The first 20 names, with commas."""
    first = [cut(name) for name in islice(names, 21)]
    return ", ".join([*first[:20], "..."] if len(first) > 20 else first)


def expected(fault: Mapping[str, Any]) -> str:
    """What pydantic expected of a value, in the words of JSON, and which choice may be meant."""
    words = str(fault["msg"]).replace("Input should be", "must be")
    for theirs, ours in _WORDS.items():
        words = words.replace(theirs, ours)
    choices = re.findall(r"'([^']*)'", words) if fault["type"] == "literal_error" else ()
    return words + nearest(fault["input"], choices)


def nearest(name: object, known: Iterable[str]) -> str:
    """The question " (did you mean 'x'?)" if a known name is like this one, otherwise nothing."""
    if not isinstance(name, str) or len(name) > MAX_SHOWN:
        return ""
    by_lower = {each.lower(): each for each in islice(known, _MAX_COMPARED)}
    near = get_close_matches(name.lower(), by_lower, n=1, cutoff=0.65)
    return f" (did you mean {by_lower[near[0]]!r}?)" if near else ""
