"""The bytes of an input, a file or a pipe, of which the start is looked at first."""

import io
import os
import sys
from pathlib import Path
from typing import IO, Any

from model.data import ReadOptions, encoding_of
from model.errors import DataError
from model.messages import flag

HEAD_BYTES = 1 << 20
PIPE = "-"


class Stream(io.RawIOBase):
    """Bytes from their start on; `head` has the first of them, and they are read again."""

    def __init__(self, name: str, file: IO[bytes], size: int | None, changed: int = 0) -> None:
        self.name = name
        self.size = size
        self.changed = changed  # ns since 1970, of a file
        self.head = file.read(HEAD_BYTES) or b""
        self.given = 0
        self._file = file

    @property
    def file(self) -> IO[bytes]:
        """The file itself, from its start."""
        self._file.seek(0)
        return self._file

    @property
    def whole(self) -> bool:
        """Whether `head` is all that there is."""
        return len(self.head) < HEAD_BYTES

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer with the next bytes; the number of bytes."""
        start = self.given
        part = self.head[start : start + len(buffer)] if start < len(self.head) else b""
        part = part or self._file.read(len(buffer)) or b""
        buffer[: len(part)] = part
        self.given += len(part)
        return len(part)

    def fraction(self) -> float | None:
        """The part that is read, if the size is known."""
        return min(1.0, self.given / self.size) if self.size else None

    def text(self, options: ReadOptions, *, newline: str) -> "Text":
        """The text, decoded as the options and the first bytes say."""
        return Text(self, encoding_of(self.name, self.head, options), newline)

    def close(self) -> None:
        """Close the file, but not standard input."""
        if self._file is not getattr(sys.stdin, "buffer", None):
            self._file.close()
        super().close()


class Text:
    """The lines of a stream; an iterator that raises DataError where they cannot be decoded."""

    def __init__(self, stream: Stream, encoding: str, newline: str) -> None:
        self._name, self._encoding, self._count = stream.name, encoding, 0
        head = stream.head.decode(encoding, errors="ignore").removeprefix("\ufeff")
        self.head = head if stream.whole else head[: head.rfind("\n") + 1] or head
        buffered = io.BufferedReader(stream, HEAD_BYTES)
        self._lines = io.TextIOWrapper(buffered, encoding, newline=newline)

    def __iter__(self) -> "Text":
        return self

    def __next__(self) -> str:
        try:
            line = next(self._lines)
        except UnicodeError as error:
            advice = f"name its encoding ({flag('encoding')}), or save it as UTF-8"
            said = f"{self._name}, after line {self._count}: not {self._encoding.upper()} text"
            raise DataError(f"{said}; {advice}") from error
        self._count += 1
        return line.removeprefix("\ufeff") if self._count == 1 else line


def open_stream(source: str | Path) -> Stream:
    """The stream of a file, or of standard input for "-"; raises DataError."""
    if str(source) == PIPE:
        if sys.stdin is None:
            raise DataError("standard input is closed")
        return Stream("standard input", sys.stdin.buffer, None)
    path = Path(source)
    try:
        file = path.open("rb")
        found = os.fstat(file.fileno())
        return Stream(path.name, file, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from error
