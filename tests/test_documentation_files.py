"""The blocks of docs about files of rows and explaining run, and no page is forgotten."""

import contextlib
import csv
import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from model.commands import main
from tests.documentation import PAGES, ROOT, blocks, commands, page
from tests.server import serving

RUN = {  # pages whose blocks are run here, or by tests/test_documentation_runs.py and the journeys
    *(
        "answer",
        "client",
        "evaluating",
        "explaining",
        "exporting",
        "frames",
        "importing",
        "labelling",
    ),
    *("landscape", "open-inference", "scikit-learn", "scoring", "training"),
}
NOT_RUN = {
    "http": "the shape of an error, which has no values",
    "defaults": "hours, on data that is not here",
    "container": "Docker",
    "kubernetes": "a cluster",
    "proxies": "tests/deploy runs the proxies",
    "ray": "tests/journeys runs a cluster",
    "scaling": "minutes of load on servers",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file and the model that the pages name, trained briefly."""
    place = tmp_path_factory.mktemp("files")
    (place / "docs").mkdir()
    shutil.copy(ROOT / "docs/houses.csv", place / "docs")
    with contextlib.chdir(place):
        brief = ["--target", "price", "--epochs", "2", "--hidden", "4", "--members", "1"]
        assert main(["train", "docs/houses.csv", "--out", "houses", *brief]) == 0
    return place


def bash(line: str, folder: Path) -> str:
    """What a line of a page prints, run by a shell with this Python."""
    line = line.replace("python ", f"{sys.executable} ")
    run = subprocess.run(
        ["bash", "-c", line],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    return run.stdout


def printed(code: str) -> str:
    """What a block of Python prints."""
    found = io.StringIO()
    with contextlib.redirect_stdout(found):
        exec(code, {"__name__": "block"})
    return found.getvalue()


def test_the_commands_about_scoring_files_run_and_write_what_is_shown(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    for command in commands(page("scoring"), "python -m model"):
        assert main(command[3:]) == 0
        names, row = blocks(page("scoring"), "text")[0].splitlines()
        written = Path("predicted.csv").read_text().splitlines()
        assert written[0] == names
        assert written[1].count(",") == row.count(",")
        assert len(written) == 601
    (piped,) = (b for b in blocks(page("scoring"), "bash") if b.startswith("cat"))
    lines = bash(piped, folder).splitlines()
    assert [json.loads(line)["row"] for line in lines] == [1, 2, 3]
    # One process: new ones would import the test that holds the block.
    (code,) = blocks(page("scoring"), "python")
    assert re.fullmatch(r"600 0 1\n", printed(code.replace(", workers=2", "")))


def test_the_blocks_about_labelling_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    text = page("labelling")
    (command,) = commands(text, "python -m model")
    assert main(command[3:]) == 0
    rows = list(csv.DictReader(Path("to-label.csv").read_text().splitlines()))
    assert len(rows) == 20
    described = re.findall(
        r"`([\w.]+)`", " ".join(re.findall(r"^\| (`.*?) \|", text.split("\n## ")[0], re.M))
    )
    assert described == list(rows[0])
    (piped,) = (b for b in blocks(text, "bash") if b.startswith("cat"))
    found = [json.loads(line) for line in bash(piped, folder).splitlines()]
    assert [each["rank"] for each in found] == [1, 2, 3]
    (code,) = blocks(text, "python")
    lines = printed(code).splitlines()
    assert [line.split()[1] for line in lines] == [str(each["row"]) for each in found]


def test_the_request_about_a_sweep_is_answered() -> None:
    (request,) = blocks(page("explaining"), "json")
    with serving() as url:
        answer = httpx.post(f"{url}/models/diabetes/sweep", content=request, timeout=60)
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["predictions"]) == json.loads(request)["points"]


def test_the_command_that_learns_logarithms_runs(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    (command,) = (
        words
        for words in commands(page("training"), "python -m model train")
        if "--log-target" in words
    )
    assert main([*command[3:], "--epochs", "2", "--members", "1", "--force"]) == 0


def test_no_page_has_blocks_that_are_forgotten() -> None:
    with_blocks = {
        Path(name).stem
        for name, text in PAGES.items()
        if name != "README.md" and any(blocks(text, kind) for kind in ("bash", "python", "json"))
    }
    assert with_blocks == RUN | NOT_RUN.keys()
