"""The text of a file: in UTF-8, as its first bytes say, or as the options name its encoding."""

import codecs

from model.data.options import ReadOptions, option
from model.errors import DataError
from model.messages import flag, shown

_MARKS = (  # the longest first: one begins with another
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_LOOKED_AT = 4096  # bytes, to tell UTF-16 without its mark
_GUESS = "cp1252"  # of files that are no UTF-8: that of Windows in the west


def decoded(file: str, data: bytes, options: ReadOptions) -> str:
    """The text of a file; raises DataError naming a line, and the option that reads the file."""
    name = encoding_of(file, data, options)
    try:
        return data.decode(name).removeprefix("\ufeff")
    except UnicodeError as error:
        at = getattr(error, "start", 0)
        line = data[:at].count(b"\n") + 1
        advice = _advice(data, at) if name == "utf-8" else "name another encoding"
        raise DataError(f"{file}, line {line}: not {name.upper()} text; {advice}") from error


def encoding_of(file: str, start: bytes, options: ReadOptions) -> str:
    """The encoding of a file that starts with these bytes; raises DataError for UTF-16 unmarked."""
    if options.encoding:
        return options.encoding
    name = next((known for mark, known in _MARKS if start.startswith(mark)), "utf-8")
    guess = _utf16(start) if name == "utf-8" else None
    if guess:
        raise DataError(f"{file}: not UTF-8 text; read the file with {option(encoding=guess)}")
    return name


def _utf16(data: bytes) -> str | None:
    """The kind of UTF-16, of which every second byte of usual texts is zero; None for others."""
    start = data[:_LOOKED_AT]
    first, second = start[::2].count(0), start[1::2].count(0)
    if max(first, second) * 4 <= len(start) or min(first, second) * 10 > max(first, second):
        return None
    return "utf-16-be" if first > second else "utf-16-le"


def _advice(data: bytes, at: int) -> str:
    """What to do, with the words around a byte, which show whether the guess is right."""
    line = data.rfind(b"\n", 0, at) + 1
    near = data[max(line, at - 20) : at + 20].split(b"\n")[0].strip()
    try:
        data.decode(_GUESS)
    except UnicodeDecodeError:
        return f"name its encoding ({flag('encoding')}), or save the file as UTF-8"
    said = shown(near.decode(_GUESS))
    return f"if {said} is in it, read the file with {option(encoding=_GUESS)}"
