"""Write a file of a command, whole or not at all."""

import stat
from pathlib import Path
from secrets import token_hex

from model import DataError


def write_file(path: Path, content: str | bytes) -> None:
    """Write the content; a file is replaced when the new one is complete. Raises DataError."""
    raw = content.encode() if isinstance(content, str) else content
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            path.write_bytes(raw)  # a pipe or a device: nothing to replace
            return
        _replace(path.resolve(), raw)
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def _replace(path: Path, content: bytes) -> None:
    fresh = path.with_name(f".{path.name[:100]}-{token_hex(4)}")
    try:
        with fresh.open("xb") as file:
            file.write(content)
        if path.exists():
            fresh.chmod(stat.S_IMODE(path.stat().st_mode))
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
