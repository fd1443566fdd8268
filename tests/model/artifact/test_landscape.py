"""The file of a landscape beside a model: whole, of its version, and never in the way."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import model
from model import (
    ArtifactError,
    LandscapeOptions,
    LandscapeRecord,
    Table,
    landscape,
    load,
    read_landscape,
    save_landscape,
    shipped,
)
from model.artifact import check_destination, read, save

NAME = "landscape.json"


@pytest.fixture(scope="module")
def record(regression_artifact: Path, sold: Table) -> LandscapeRecord:
    options = LandscapeOptions(points=5, masks=2, rows=20)
    return landscape(load(regression_artifact), sold, options).record()


@pytest.fixture
def folder(regression_artifact: Path, record: LandscapeRecord, tmp_path: Path) -> Path:
    """A model with a landscape."""
    copy = Path(shutil.copytree(regression_artifact, tmp_path / "copy"))
    save_landscape(copy, record)
    return copy


def refused(folder: Path) -> str:
    """The message with which the landscape is refused; the model itself loads."""
    card = load(folder).card
    with pytest.raises(ArtifactError) as caught:
        read_landscape(folder, card)
    assert str(folder) in str(caught.value)
    assert NAME in str(caught.value)
    return str(caught.value)


def rewrite(folder: Path, change: Callable[[Any], object]) -> None:
    content = json.loads((folder / NAME).read_text())
    change(content)
    (folder / NAME).write_text(json.dumps(content))


def test_what_is_stored_is_what_is_read_in_a_copy_of_the_folder_too(
    folder: Path, record: LandscapeRecord, tmp_path: Path
) -> None:
    copied = Path(shutil.copytree(folder, tmp_path / "elsewhere"))
    assert read_landscape(copied, load(copied).card) == record
    assert save_landscape(folder, record) == (folder / NAME).stat().st_size
    assert {path.name for path in folder.iterdir()} == {NAME, "card.json", "weights.safetensors"}


def test_a_model_without_one_has_none(regression_artifact: Path) -> None:
    assert read_landscape(regression_artifact, load(regression_artifact).card) is None


def test_losses_are_rounded_to_four_digits(record: LandscapeRecord) -> None:
    numbers = [v for plane in record.planes for s in plane.surfaces for row in s.z for v in row]
    assert all(float(f"{value:.4g}") == value for value in numbers)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda d: d.pop("loss"), "loss"),
        (lambda d: d["planes"][0]["surfaces"][0]["z"].pop(), "a row for each y"),
        (lambda d: d["planes"][1]["dots"][0].update(distance=-1.0), "greater than or equal to 0"),
        (lambda d: d["planes"][1].update(explained=2.0), "less than or equal to 1"),
        (lambda d: d.update(planes=[]), "planes"),
        (lambda d: d.update(more=1), "more"),
        (lambda d: d["model"].update(version="0123456789abcdef"), "draw it again"),
        (lambda d: d["model"].update(name="other"), "'other'"),
    ],
)
def test_a_damaged_or_stale_one_is_refused_and_the_model_loads(
    folder: Path, change: Callable[[Any], object], said: str
) -> None:
    rewrite(folder, change)
    assert said in refused(folder)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"[" * 100_000, b'{"format": 1', b"null"])
def test_what_is_no_landscape_is_refused_and_the_model_loads(folder: Path, content: bytes) -> None:
    (folder / NAME).write_bytes(content)
    refused(folder)


def test_numbers_that_are_not_finite_are_refused(folder: Path) -> None:
    content = (folder / NAME).read_text()
    (folder / NAME).write_text(content.replace('"loss":', '"loss":NaN,"x":', 1))
    refused(folder)


def test_a_huge_file_a_folder_and_a_link_that_leaves_are_refused(
    folder: Path, tmp_path: Path
) -> None:
    path, outside = folder / NAME, tmp_path / "outside.json"
    path.rename(outside)
    path.symlink_to(outside)
    assert "leaves the folder" in refused(folder)
    path.unlink()
    path.symlink_to(folder / "nowhere")
    refused(folder)
    path.unlink()
    path.mkdir()
    refused(folder)
    path.rmdir()
    with path.open("wb") as file:
        file.truncate(1 << 30)
    assert "bytes" in refused(folder)


def test_it_is_stored_beside_its_own_model_only(
    binary_artifact: Path, record: LandscapeRecord, tmp_path: Path
) -> None:
    other = Path(shutil.copytree(binary_artifact, tmp_path / "other"))
    with pytest.raises(ArtifactError, match="another model"):
        save_landscape(other, record)
    assert not (other / NAME).exists()


def test_a_new_model_in_the_folder_takes_the_place_of_the_landscape_too(folder: Path) -> None:
    """A half written file of a command that was killed is no obstacle."""
    (folder / f".{NAME}-x1y2").write_text("{")
    check_destination(folder)
    save(folder, read(folder))
    assert read_landscape(folder, load(folder).card) is None
    assert {path.name for path in folder.iterdir()} == {"card.json", "weights.safetensors"}


def test_a_failed_write_leaves_the_old_one(
    folder: Path, record: LandscapeRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (folder / NAME).read_bytes()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_landscape(folder, record.model_copy(update={"rows": 7}))
    assert (folder / NAME).read_bytes() == before
    assert {path.name for path in folder.iterdir()} == {NAME, "card.json", "weights.safetensors"}


@pytest.mark.parametrize("folder", shipped(), ids=lambda folder: folder.name)
def test_the_shipped_models_have_one_of_their_version(folder: Path) -> None:
    assert (folder / NAME).stat().st_size < 150_000
    found = read_landscape(folder, load(folder).card)
    assert found is not None
    assert found.data == f"example:{folder.name}"
    assert [plane.name for plane in found.planes] == ["random", "masks"]


def test_the_command_of_the_page_draws_the_landscape_that_is_shipped() -> None:
    """But for rounding: other processors round otherwise."""
    folder = shipped()[0]
    predictor, table = load(folder), model.read_table(f"example:{folder.name}")
    drawn = landscape(predictor, table, LandscapeOptions(points=29)).record()
    stored = read_landscape(folder, predictor.card)
    assert stored is not None
    for one, other in zip(drawn.planes, stored.planes, strict=True):
        assert one.explained == pytest.approx(other.explained, abs=1e-3)
        for mine, theirs in zip(one.surfaces, other.surfaces, strict=True):
            assert mine.name == theirs.name
            for row, shown in zip(mine.z, theirs.z, strict=True):
                assert row == pytest.approx(shown, rel=5e-3, abs=1e-4)
