"""The output grows in a file beside it, which takes its place when it is whole."""

import json
import os
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal, Protocol, cast

from model.errors import DataError, Detail, InputError
from model.messages import flag
from model.scoring.formats import write_parquet
from model.scoring.stream import PIPE

CHECKPOINT_SECONDS = 0.2
PARTIAL = ".partial"
_STATE = ".state"


class Sink(Protocol):
    """Where the bytes of an output go, in order."""

    @property
    def done(self) -> dict[str, int]:
        """What is written already: rows read, rows refused."""
        ...

    def add(self, body: bytes, refused: bytes, done: dict[str, int]) -> None:
        """Append bytes of the output, and of the file of refused rows."""
        ...

    def finish(self) -> None:
        """Make the output whole."""
        ...

    def close(self) -> None:
        """Close the files; of an output that is not whole, what is written can be gone on with."""
        ...


@dataclass(frozen=True, slots=True)
class _Good:
    """The rows that are written, and the bytes of each file that hold them.

    They change together, in one step: an interrupt between a write and its count would otherwise
    leave rows that a resumed run writes again.
    """

    done: dict[str, int]
    sizes: tuple[int, ...]


class PartialFiles:
    """An output and its file of refused rows, each growing in a file beside it.

    A small state says how much of them is good. A run that is killed, or interrupted at any point,
    can go on from there.
    """

    def __init__(
        self, out: Path, rejects: Path | None, asked: Mapping[str, Any], *, parquet: bool
    ) -> None:
        self._out, self._parquet, self._asked = out.resolve(), parquet, dict(asked)
        self._rejects = None if rejects is None else rejects.resolve()
        targets = [self._out, *([self._rejects] if self._rejects else [])]
        self._targets = targets
        self._state = _beside(self._out, _STATE)
        self._files: list[IO[bytes]] = []
        self._good = _Good({"rows": 0, "refused": 0}, (0,) * len(targets))
        self._saved = time.monotonic()

    @property
    def done(self) -> dict[str, int]:
        """What is written already: rows read, rows refused."""
        return self._good.done

    def start(self, heads: tuple[bytes, bytes]) -> None:
        """Begin anew, with what is written before the rows; a partial file is overwritten."""
        self._open("wb")
        self.add(*heads, self.done)
        self._save()

    def resume(self, state: Mapping[str, Any]) -> None:
        """Go on after the rows that the state says are written."""
        self._good = _Good(state["done"], tuple(state["bytes"]))
        self._open("r+b")
        for file, size in zip(self._files, self._good.sizes, strict=True):
            file.truncate(size)
            file.seek(size)

    def add(self, body: bytes, refused: bytes, done: dict[str, int]) -> None:
        parts = (body, refused)[: len(self._files)]
        for file, part in zip(self._files, parts, strict=True):
            file.write(part)
        sizes = zip(self._good.sizes, map(len, parts), strict=True)
        self._good = _Good(done, tuple(map(sum, sizes)))
        if time.monotonic() - self._saved > CHECKPOINT_SECONDS:
            self._save()

    def finish(self) -> None:
        self._save()
        for file, path in zip(self._files, self._targets, strict=True):
            file.close()
            fresh = _beside(path, PARTIAL)
            if path == self._out and self._parquet:
                fresh = _converted(fresh)
            if path.exists():
                fresh.chmod(stat.S_IMODE(path.stat().st_mode))
            fresh.replace(path)
        self._state.unlink()
        _beside(self._out, PARTIAL).unlink(missing_ok=True)

    def close(self) -> None:
        try:
            if any(self._good.sizes) and not any(file.closed for file in self._files):
                self._save()
        finally:
            for file in self._files:
                file.close()

    def _open(self, mode: Literal["wb", "r+b"]) -> None:
        for path in self._targets:
            self._files.append(_beside(path, PARTIAL).open(mode))

    def _save(self) -> None:
        """Write the state, when the bytes that it tells of are on the disk."""
        for file in self._files:
            file.flush()
            os.fsync(file.fileno())
        state = {
            "asked": self._asked,
            "done": self._good.done,
            "bytes": self._good.sizes,
        }
        fresh = _beside(self._state, ".new")
        fresh.write_text(json.dumps(state))
        fresh.replace(self._state)
        self._saved = time.monotonic()


class Pipe:
    """An output that cannot be replaced: standard output, a pipe or a device."""

    def __init__(self, file: IO[bytes], rejects: IO[bytes] | None, *, parquet: bool) -> None:
        self._file, self._rejects = file, rejects
        self._spool = cast("IO[bytes]", tempfile.TemporaryFile()) if parquet else None  # noqa: SIM115
        self.done: dict[str, int] = {"rows": 0, "refused": 0}

    def add(self, body: bytes, refused: bytes, done: dict[str, int]) -> None:
        target = self._spool or self._file
        target.write(body)
        target.flush()
        if self._rejects:
            self._rejects.write(refused)
        self.done = done

    def finish(self) -> None:
        if self._spool:
            self._spool.seek(0)
            write_parquet(self._spool, self._file)
        self._file.flush()

    def close(self) -> None:
        for file in filter(None, (self._spool, self._rejects)):
            file.close()


def saved_state(out: Path, rejects: Path | None) -> dict[str, Any] | None:
    """The state of an interrupted run; None if there is none to go on with."""
    targets = [out, *([rejects] if rejects else [])]
    try:
        state = json.loads(_beside(out.resolve(), _STATE).read_text())
        sizes = [_beside(path.resolve(), PARTIAL).stat().st_size for path in targets]
        good = all(size >= kept for size, kept in zip(sizes, state["bytes"], strict=True))
        return cast("dict[str, Any]", state) if good else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def check_same(state: Mapping[str, Any], asked: Mapping[str, Any]) -> None:
    """Raise InputError if an interrupted run was asked for something else."""
    before = state["asked"]
    other = [name for name in asked if asked[name] != before.get(name)]
    if other:
        said = f"the interrupted run had another {other[0].replace('_', ' ')}"
        message = f"{said}: {before.get(other[0])}, not {asked[other[0]]}"
        advice = f"give the same, or begin anew without {flag('resume')}"
        raise InputError(f"resume: {message}; {advice}", [Detail("resume", message)])


def is_replaceable(out: str | Path) -> bool:
    """Whether an output is a file, which can be replaced when it is whole."""
    if str(out) == PIPE:
        return False
    path = Path(out)
    return not path.exists() or stat.S_ISREG(path.stat().st_mode)


def open_pipe(out: str | Path) -> IO[bytes]:
    """Standard output for "-", or the pipe of that name."""
    if str(out) != PIPE:
        return Path(out).open("wb")
    if sys.stdout is None:
        raise DataError("standard output is closed")
    return sys.stdout.buffer


def _converted(stream: Path) -> Path:
    """The Parquet file of an Arrow stream, beside it."""
    fresh = _beside(stream, ".parquet")
    with stream.open("rb") as batches, fresh.open("wb") as sink:
        write_parquet(batches, sink)
    return fresh


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(path.name + ending)
