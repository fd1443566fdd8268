"""The notebooks of docs run as they are, and draw their pictures."""

import os
import subprocess
import sys
from pathlib import Path

import jupytext
import pytest

from tests.documentation import ROOT, page

EXAMPLES = sorted((ROOT / "docs/examples").glob("*.py"))
ENVIRONMENT = {"PYTHONPATH": str(ROOT), "MPLBACKEND": "agg", "PYTHONWARNINGS": "error"}


def test_there_are_five_and_the_page_shows_the_picture_of_each() -> None:
    assert len(EXAMPLES) == 5
    for path in EXAMPLES:
        assert f"](examples/{path.name})" in page("examples")
        assert f"](img/example-{path.stem}.svg)" in page("examples")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_runs_and_draws(path: Path, tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, path],
        cwd=tmp_path,
        env=os.environ | ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout
    picture = (tmp_path / f"{path.stem}.svg").read_text()
    kept = (ROOT / f"docs/img/example-{path.stem}.svg").read_text()
    assert picture.startswith("<?xml")
    assert kept.splitlines()[:3] == picture.splitlines()[:3]


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_an_example_is_a_notebook(path: Path) -> None:
    cells = jupytext.read(path).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert {"markdown", "code"} == {cell.cell_type for cell in cells}
