"""Where in a JSON document a character is, as a dotted path."""

import json
import re

LIMIT_CHARACTERS = 1 << 16  # of the document before the place; reading more takes long

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[\[\]{},:]', re.DOTALL)


def place(document: str, position: int) -> str:
    """The path of the value at the position, such as `rows.3.bmi`; empty if it is far inside.

    The document may be malformed from the position on.
    """
    if position > LIMIT_CHARACTERS:
        return ""
    path: list[str | int] = []
    text = '""'
    for found in _TOKEN.finditer(document, 0, position):
        token = found[0]
        if token in "[{":
            path.append(0 if token == "[" else "")
        elif token[0] == '"':
            text = token
        elif not path:
            break  # no document has this at its top
        elif token in "]}":
            path.pop()
        elif token == ":":
            path[-1] = str(json.loads(text, strict=False))
        else:
            path[-1] = _after(path[-1])
    return ".".join(map(str, path))


def _after(part: str | int) -> str | int:
    return part + 1 if isinstance(part, int) else ""
