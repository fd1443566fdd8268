"""`python -m model landscape`."""

import shutil
import struct
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

import model
from model import Table, load, read_landscape
from model.commands import main


@pytest.fixture
def folder(regression_artifact: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(regression_artifact, tmp_path / "regression"))


@pytest.fixture
def data(sold: Table, tmp_path: Path) -> Path:
    """The houses as a CSV file."""
    names = ("area", "rooms", "quarter", "price")
    lines = zip(*(sold.columns[name] for name in names), strict=True)
    path = tmp_path / "sold.csv"
    path.write_text("\n".join([",".join(names), *(",".join(map(str, line)) for line in lines)]))
    return path


def run(folder: Path, data: Path, *more: object) -> int:
    return main(["landscape", *map(str, (folder, data, "--points", 5, "--masks", 2, *more))])


def test_it_stores_the_landscape_and_says_what_it_shows(
    folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(folder, data, "--rows", 50, "--seed", 9, "--extent", 2) == 0
    printed = capsys.readouterr().out
    size = (folder / "landscape.json").stat().st_size
    assert f"{size:,} bytes" in printed
    assert "50 of 200 rows" in printed
    assert "with dropout off" in printed
    found = read_landscape(folder, load(folder).card)
    assert found is not None
    assert (found.rows, found.seed, found.masks) == (50, 9, 2)
    assert found.planes[0].x == (-2.0, -1.0, 0.0, 1.0, 2.0)


@pytest.mark.parametrize("kind", ["html", "svg", "png"])
def test_it_writes_a_picture_and_stores_nothing_if_asked(
    folder: Path, data: Path, tmp_path: Path, kind: str
) -> None:
    if kind == "png":
        pytest.importorskip("PIL")
    out = tmp_path / f"picture.{kind}"
    assert run(folder, data, "--out", out, "--no-store") == 0
    assert not (folder / "landscape.json").exists()
    content = out.read_bytes()
    if kind == "html":
        assert content.startswith(b"<!doctype html>")
        assert b"http:" not in content.replace(b"http://www.w3.org/2000/svg", b"")
    elif kind == "svg":
        root = ElementTree.fromstring(content)
        assert len(root.findall("{*}image")) == 2 * (3 + 1)
        assert root.findtext("{*}desc")
    else:
        width, height = struct.unpack(">II", content[16:24])
        assert (width, height) == (1824, 1504)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--points", "60"], "--points: must be an odd number"),
        (["--masks", "0"], "--masks: must be"),
        (["--extent", "-1"], "--extent: must be"),
        (["--no-store"], "nothing to do"),
        (["--out", "nowhere/at/all.svg"], "cannot be written"),
    ],
)
def test_a_mistake_is_named(
    folder: Path, data: Path, capsys: pytest.CaptureFixture[str], more: list[str], said: str
) -> None:
    assert run(folder, data, *more) == 2
    assert said in capsys.readouterr().err


def test_an_unknown_kind_of_picture_is_named(
    folder: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run(folder, data, "--out", "picture.pdf")
    assert caught.value.code == 2
    assert ".html, .png, .svg" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["html", "svg"])
def test_a_write_that_is_interrupted_leaves_no_half_file(
    folder: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    out = tmp_path / f"picture.{kind}"
    out.write_text("before")

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "replace", interrupted)
    assert run(folder, data, "--out", out, "--no-store") == 130
    assert out.read_text() == "before"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_progress_counts_the_points_of_both_planes(regression_artifact: Path, sold: Table) -> None:
    seen: list[tuple[int, int]] = []
    model.landscape(
        load(regression_artifact),
        sold,
        model.LandscapeOptions(points=31, masks=2),
        progress=lambda done, of: seen.append((done, of)),
    )
    assert {of for _, of in seen} == {2 * 31**2}
    assert seen[-1][0] == 2 * 31**2
    assert (np.diff([done for done, _ in seen]) > 0).all()
