"""What a terminal shows.

No console stops a command. A character that the console's encoding does not have is written as an
escape. A reader that closes the pipe, as `head` does, has seen enough.
"""

import io
import os
import sys
from contextlib import suppress
from typing import TextIO


def write(text: str) -> int:
    """The exit code after the text is written to standard output: 1 if the disk is full.

    The code is 0 if the reader has closed the pipe.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        _print(text, sys.stdout)
    except BrokenPipeError:
        return 0
    except OSError as error:
        complain(f"error: the output cannot be written: {error.strerror}")
        return 1
    return 0


def complain(message: str) -> None:
    """Write a line to standard error, if anyone reads it."""
    with suppress(OSError):
        _print(message, sys.stderr)


def drop_unwritten() -> None:
    """Drop what nobody reads; otherwise Python reports a broken pipe when it ends."""
    for stream in filter(None, (sys.stdout, sys.stderr)):
        try:
            stream.flush()
        except OSError:
            _discard(stream)


def _print(line: str, stream: TextIO) -> None:
    if stream:  # None if it is closed; `print` would take standard output instead
        stream.write(f"{line}\n")
        stream.flush()


def _discard(stream: TextIO) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
