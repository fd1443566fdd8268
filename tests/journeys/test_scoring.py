"""The command `predict` as a process: killed and resumed, between pipes, in several processes."""

import fcntl
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.model.scoring.files import house_rows, read, write

PREDICT = [sys.executable, "-m", "model", "predict"]
COUNT = 9000
SLOW = ["--passes", "1200", "--estimator", "plain", "--seed", "5"]  # some seconds
SLOWER = ["--passes", "5000", *SLOW[2:]]  # for two processes


@pytest.fixture(autouse=True)
def without_the_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let torch compute, so that a run takes seconds and a kill comes half way."""
    monkeypatch.setenv("MCD_KERNEL", "off")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file of many rows."""
    return write(tmp_path_factory.mktemp("rows") / "rows.csv", house_rows(COUNT))


WITHIN_A_LOCK = """
import signal, sys, threading
from model.commands import main


def calls(frame, event, _):
    back = frame.f_back.f_code if frame.f_back else None
    if frame.f_code is threading.Condition.__enter__.__code__ and (
        back.co_filename.endswith("concurrent/futures/_base.py") and back.co_name == "result"
    ):
        return returns


def returns(_, event, __):
    if event == "return":  # with the lock of a result taken
        sys.settrace(None)
        signal.raise_signal(signal.SIGINT)
    return returns


sys.settrace(calls)
sys.exit(main(sys.argv[1:]))
"""
IGNORED = """
import signal, sys, threading, time
from model.commands import main


def interrupt():
    while True:
        time.sleep(0.01)
        signal.raise_signal(signal.SIGINT)


signal.signal(signal.SIGINT, signal.SIG_IGN)
threading.Thread(target=interrupt, daemon=True).start()
sys.exit(main(sys.argv[1:]))
"""


def run(*arguments: object, **streams: object) -> subprocess.CompletedProcess[bytes]:
    command = [*PREDICT, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, timeout=300, **streams)  # type: ignore[call-overload, no-any-return]


@contextmanager
def killed_at_the_end(command: list[str], **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """A process, which is killed at the end, should it still run."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


def running(*arguments: object, **options: Any) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """The command `predict` as such a process."""
    return killed_at_the_end([*PREDICT, *map(str, arguments)], **options)


def kill_half_way(out: Path, *arguments: object) -> int:
    """Start the command and kill it when it has written some rows; how many are safe."""
    state = out.with_name(f"{out.name}.state")
    with running(*arguments, stderr=subprocess.DEVNULL) as process:
        until = time.monotonic() + 200
        while time.monotonic() < until and process.poll() is None:
            rows = json.loads(state.read_text())["done"]["rows"] if state.exists() else 0
            if rows:
                process.kill()
                process.wait()
                return int(json.loads(state.read_text())["done"]["rows"])
            time.sleep(0.01)
    raise AssertionError("the command wrote nothing, or all at once")


def count_of_workers(parent: int) -> int:
    """How many processes of `multiprocessing` a process has started, and they have begun."""
    count = 0
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        try:
            count += b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
        except OSError:  # it has ended
            continue
    return count


def is_gone(group: int, until: float) -> bool:
    """Whether all processes of a group end in time; the last of them may take a moment."""
    while time.monotonic() < until:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_a_run_that_is_killed_goes_on_to_the_same_bytes(
    regression_artifact: Path, source: Path, tmp_path: Path, suffix: str
) -> None:
    whole, out = tmp_path / f"whole{suffix}", tmp_path / f"out{suffix}"
    options = [*SLOW, "--keep-columns", "id"]
    assert run(regression_artifact, source, "--out", whole, *options).returncode == 0
    done = kill_half_way(out, regression_artifact, source, "--out", out, *options)
    assert 0 < done < COUNT
    assert not out.exists()
    arguments = (regression_artifact, source, "--out", out, "--keep-columns", "id", "--resume")
    other = run(*arguments, "--passes", "7")
    assert other.returncode == 2
    assert b"--resume: the interrupted run had another passes: 1200, not 7" in other.stderr
    with out.with_name(f"{out.name}.partial").open("ab") as partial:
        partial.write(b"half a row")  # what a kill leaves after the last checkpoint
    resumed = run(*arguments, *SLOW[:4], "--workers", "2")
    assert resumed.returncode == 0, resumed.stderr
    assert f"{done:,} of them before, seed 5".encode() in resumed.stdout
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, whole.name]


def test_a_run_that_a_bad_row_has_stopped_goes_on_without_it(
    regression_artifact: Path, tmp_path: Path
) -> None:
    rows = house_rows(5000)
    rows[4500]["quarter"] = "west"
    bad, out = write(tmp_path / "bad.csv", rows), tmp_path / "out.csv"
    arguments = (regression_artifact, bad, "--out", out, "--passes", "5")
    stopped = run(*arguments)
    assert stopped.returncode == 2
    assert stopped.stderr.startswith(b"error: bad.csv, row 4501 (line 4502): feature 'quarter' has")
    assert not out.exists()
    resumed = run(*arguments, "--resume", "--on-error", "skip")
    assert resumed.returncode == 0
    assert b"predicted 4,999 of 5,000 rows" in resumed.stdout
    assert b"4,096 of them before" in resumed.stdout
    assert b"left out 1 rows, such as row 4501 (line 4502): feature 'quarter'" in resumed.stdout
    assert [int(row["row"]) for row in read(out)] == [n for n in range(1, 5001) if n != 4501]


def test_the_file_of_refused_rows_is_whole_after_a_kill_too(
    regression_artifact: Path, tmp_path: Path
) -> None:
    rows = house_rows(COUNT)
    for at in (3, 5500):
        rows[at]["quarter"] = "west"
    bad, out, rejects = write(tmp_path / "bad.csv", rows), tmp_path / "out.csv", tmp_path / "no.csv"
    skip = ["--on-error", "skip", "--rejects", rejects]
    arguments = (regression_artifact, bad, "--out", out, *SLOW, *skip)
    kill_half_way(out, *arguments)
    assert not rejects.exists()
    assert run(*arguments, "--resume").returncode == 0
    assert [row["row"] for row in read(rejects)] == ["4", "5501"]
    assert len(read(out)) == COUNT - 2


def test_two_processes_write_what_one_writes(
    regression_artifact: Path, source: Path, tmp_path: Path
) -> None:
    found = []
    for workers in (1, 2):
        out = tmp_path / f"{workers}.csv"
        options = ("--out", out, "--seed", "1", "--passes", "5", "--workers", workers)
        assert run(regression_artifact, source, *options).returncode == 0
        found.append(out.read_bytes())
    assert found[0] == found[1]


@pytest.mark.parametrize("format", ["csv", "jsonl", "parquet"])
def test_pipes_carry_rows_in_and_predictions_out(
    regression_artifact: Path, tmp_path: Path, format: str
) -> None:
    piped = write(tmp_path / f"in.{format}", house_rows(50))
    options = ("--format", format, "--seed", "1", "--passes", "5")
    done = run(regression_artifact, "-", "--out", "-", *options, input=piped.read_bytes())
    assert done.returncode == 0
    assert b"predicted 50 of 50 rows" in done.stderr
    out = tmp_path / f"out.{format}"
    assert run(regression_artifact, piped, "--out", out, *options[2:]).returncode == 0
    assert done.stdout == out.read_bytes()


def test_a_reader_that_has_seen_enough_ends_the_command_in_peace(
    regression_artifact: Path, source: Path
) -> None:
    arguments = (regression_artifact, source, "--out", "-", "--passes", "5")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with running(*arguments, **pipes) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline().startswith(b"row,mean")
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 0


@pytest.mark.parametrize("at_work", [False, True], ids=["while they start", "at work"])
def test_ctrl_c_ends_all_processes_and_leaves_a_run_to_resume(
    regression_artifact: Path, source: Path, tmp_path: Path, at_work: bool
) -> None:
    out = tmp_path / "out.csv"
    arguments = (regression_artifact, source, "--out", out, *SLOWER)
    pipe = {"stderr": subprocess.PIPE, "start_new_session": True}
    with running(*arguments, "--workers", "2", **pipe) as process:
        until = time.monotonic() + 100
        if at_work:
            state = tmp_path / "out.csv.state"
            while not (state.exists() and json.loads(state.read_text())["done"]["rows"]):
                assert time.monotonic() < until
                time.sleep(0.01)
        else:
            while count_of_workers(process.pid) == 0:
                assert time.monotonic() < until
            time.sleep(0.03)  # Python itself is starting in it
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(100) == 130
        assert process.stderr
        assert b"Traceback" not in process.stderr.read()
    assert is_gone(process.pid, until)
    assert run(*arguments, "--resume").returncode == 0
    assert len(read(out)) == COUNT


@pytest.mark.parametrize(
    ("code", "exit_code"),
    [pytest.param(WITHIN_A_LOCK, 130, id="in a lock"), pytest.param(IGNORED, 0, id="ignored")],
)
def test_ctrl_c_is_answered_wherever_it_comes_unless_it_is_ignored(
    regression_artifact: Path, source: Path, tmp_path: Path, code: str, exit_code: int
) -> None:
    """In a lock of the pool it would leave it locked, and the command would wait for ever."""
    arguments = (regression_artifact, source, "--out", tmp_path / "out.csv", "--workers", "2")
    command = [sys.executable, "-c", code, "predict", *map(str, arguments), "--passes", "5"]
    with killed_at_the_end(command, stderr=subprocess.PIPE) as process:
        assert process.wait(100) == exit_code
        assert process.stderr
        assert process.stderr.read() == b""


def test_a_terminal_has_a_bar_with_rows_per_second_and_the_time_left(
    regression_artifact: Path, source: Path, tmp_path: Path
) -> None:
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
    command = [*PREDICT, regression_artifact, source, "--out", tmp_path / "out.csv", *SLOW]
    subprocess.run(
        list(map(str, command)), stdout=subprocess.DEVNULL, stderr=terminal, check=True, timeout=300
    )
    drawn = os.read(master, 1 << 16)
    os.close(terminal)
    os.close(master)
    assert b"rows/s" in drawn or b"s/ rows" in drawn
    assert b"%|" in drawn
