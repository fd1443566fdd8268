"""Commands on consoles that lack characters, and into pipes that their reader closes."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from model import load
from tests.journeys.test_command import started

NARROW = [
    {"PYTHONIOENCODING": "cp1252"},
    {"PYTHONIOENCODING": "latin-1"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]
TRAIN = (
    "train sizes.csv --target y --task regression --out out --force"
    " --members 1 --epochs 2 --hidden 4"
)


@pytest.fixture(scope="module")
def greek(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with sizes.csv, whose columns have Greek names, and `out`, a model trained on it."""
    folder = tmp_path_factory.mktemp("greek")
    rows = [f"{row % 9 + 0.5},{row % 7},{2 * row}" for row in range(40)]
    text = "\n".join(["größe,Δ,y", *rows]) + "\n"
    (folder / "sizes.csv").write_text(text, encoding="utf-8")
    done = run(f"python -m model {TRAIN}", folder, PYTHONIOENCODING="cp1252")
    assert done.returncode == 0
    assert all(b": epoch " in line for line in done.stderr.splitlines()), done.stderr
    assert done.stdout.splitlines()[-1].startswith(b"saved to out; serve it:")
    assert load(folder / "out").card.features[1].name == "Δ"
    return folder


def run(line: str, folder: Path, **environment: str) -> "subprocess.CompletedProcess[bytes]":
    """The end of a line of a shell; `python` is this interpreter."""
    return subprocess.run(
        ["bash", "-c", f"python() {{ '{sys.executable}' \"$@\"; }}\n{line}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.getcwd(), **environment},
        capture_output=True,
        timeout=120,
    )


@pytest.mark.parametrize("environment", NARROW, ids=str)
def test_a_console_without_the_characters_gets_escapes(
    greek: Path, environment: dict[str, str]
) -> None:
    for command in ("show out", "evaluate out sizes.csv --passes 5 --seeds 1"):
        done = run(f"python -m model {command}", greek, **environment)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.startswith(b"out (version ")


def test_the_escapes_tell_which_characters_they_stand_for(greek: Path) -> None:
    shown = run("python -m model show out", greek, PYTHONIOENCODING="ascii").stdout
    assert rb"gr\xf6\xdfe  number, 0.5 to 8.5" in shown
    assert rb"\u0394      number, 0 to 6" in shown


def test_a_mistake_is_told_on_such_a_console(greek: Path) -> None:
    done = run("python -m model show Δ", greek, LC_ALL="C", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    ("command", "reader"),
    [
        ("show out", "| head -1"),
        ("evaluate out sizes.csv --json --passes 5 --seeds 1", "| head -1"),
        ("evaluate out sizes.csv --passes 5 --seeds 1", "2>&1 | head -c 0"),
        ("calibrate --help", "| head -c 0"),
        (TRAIN.replace("--out out", "--out piped"), "2>&1 | head -c 0"),
    ],
)
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_ends_a_command_quietly(
    greek: Path, command: str, reader: str, unbuffered: str
) -> None:
    line = f"python -m model {command} {reader}; exit ${{PIPESTATUS[0]}}"
    done = run(line, greek, PYTHONUNBUFFERED=unbuffered)
    assert (done.returncode, done.stderr) == (0, b"")
    if "piped" in command:
        assert load(greek / "piped").card.task == "regression"


@pytest.mark.parametrize("closed", ["2>&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_exit_code_and_write_nowhere_else(
    greek: Path, closed: str
) -> None:
    good = run(f"python -m model evaluate out sizes.csv --passes 5 --seeds 1 {closed}", greek)
    assert (good.returncode, good.stderr) == (0, b"")
    bad = run(f"python -m model show nowhere {closed}", greek)
    assert (bad.returncode, bad.stdout) == (2, b"")


def test_a_mistake_that_nobody_reads_has_its_exit_code(greek: Path) -> None:
    line = "python -m model show nowhere 2>&1 | head -c 0; exit ${PIPESTATUS[0]}"
    assert run(line, greek).returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full disk to try")
def test_a_full_disk_is_said_and_has_an_exit_code(greek: Path) -> None:
    done = run("python -m model show out > /dev/full", greek)
    assert done.returncode == 1
    assert done.stderr == b"error: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_server_serves_although_nobody_reads_what_it_prints(
    artifacts: dict[str, Path], workers: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    options = ("--model", artifacts["regression"], "--port", str(port), "--workers", workers)
    with started(*options, MCD_ACCESS_LOG="1", MCD_DRAIN_SECONDS="1") as process:
        for stream in (process.stdout, process.stderr):
            assert stream
            stream.close()
        transport = httpx.HTTPTransport(retries=12)  # until the process listens
        with httpx.Client(transport=transport, timeout=60) as client:
            url = f"http://127.0.0.1:{port}/v2/health/ready"
            assert [client.get(url).status_code for _ in range(3)] == [200, 200, 200]
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


def test_a_server_that_cannot_start_gives_its_exit_code_although_nobody_reads_why(
    tmp_path: Path,
) -> None:
    line = "python -m app --port 0 --host nowhere.invalid"
    assert run(f"{line} >&- 2>&-", tmp_path).returncode == 2
    assert run(f"{line} 2>&1 | head -c 0; exit ${{PIPESTATUS[0]}}", tmp_path).returncode == 2
