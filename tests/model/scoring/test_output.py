"""The growing output: whatever line an interrupt comes at, a resumed run writes the same bytes."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from model.scoring import output
from model.scoring.output import PartialFiles, saved_state

ASKED = {"seed": 1}
HEADS = (b"row\n", b"refused\n")
CHUNKS = [(b"1\n2\n", b""), (b"3\n", b"4\n")]
WHOLE = (b"row\n1\n2\n3\n", b"refused\n4\n")


def write(out: Path, rejects: Path) -> None:
    """Write all chunks, each of two rows; go on after an interrupted run, if there is one."""
    state = saved_state(out, rejects)
    files = PartialFiles(out, rejects, ASKED, parquet=False)
    with closing(files):
        files.resume(state) if state else files.start(HEADS)
        for body, refused in CHUNKS[files.done["rows"] // 2 :]:
            count = files.done["refused"] + len(refused) // 2
            files.add(body, refused, {"rows": files.done["rows"] + 2, "refused": count})
        files.finish()


class Interrupter:
    """Raises KeyboardInterrupt at the line with this number, of those of the module that run."""

    def __init__(self, line: int) -> None:
        self.lines, self._line = 0, line

    def __call__(self, frame: FrameType, event: str, _: Any) -> Callable[..., Any] | None:
        if frame.f_code.co_filename != output.__file__:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self._line:
                raise KeyboardInterrupt
        return self


def interrupted(at: int, out: Path, rejects: Path) -> bool:
    """Whether the line was reached, and the run interrupted there."""
    before, interrupter = sys.gettrace(), Interrupter(at)
    sys.settrace(interrupter)
    try:
        write(out, rejects)
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(before)
    return False


@pytest.mark.parametrize("seconds", [0, 60], ids=["saved at each chunk", "saved at the end"])
def test_a_run_that_is_interrupted_anywhere_goes_on_to_the_same_bytes(
    tmp_path: Path, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "CHECKPOINT_SECONDS", seconds)
    reached, line = True, 0
    # A trace that raises in an `except` leaves its thread with that exception, in Python 3.11.
    with ThreadPoolExecutor(1) as thread:
        while reached:
            line += 1
            paths = tmp_path / f"{line}.csv", tmp_path / f"{line}-no.csv"
            reached = thread.submit(interrupted, line, *paths).result()
            if reached:
                write(*paths)
            found = tuple(path.read_bytes() for path in paths)
            assert found == WHOLE, f"interrupted at line {line}"
    assert line > 50
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv"}
