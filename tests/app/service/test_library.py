"""Entries of the models' folder that cannot be read, beside those that can."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import model
from app.service.library import Library, read_library
from app.settings import Settings, SettingsError

NOBODY = 65534
ENDLESS = "x" * 300  # a name that no file can have: to look at it is an error for root too


@pytest.fixture
def folder(artifacts: dict[str, Path]) -> Iterator[Path]:
    """A models' folder with `binary` and two versions of `regression`, readable by anyone."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        shutil.copytree(artifacts["binary"], folder / "binary")
        for version in ("1", "2"):
            shutil.copytree(artifacts["regression"], folder / "houses" / version)
        yield folder


@contextmanager
def nobody() -> Iterator[None]:
    """A user that permissions apply to, which they do not to root."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def settings_of(folder: Path) -> Settings:
    return Settings(models_dir=folder)


def unreadable(path: Path) -> str:
    path.chmod(0)
    return "Permission denied"


def dangling(path: Path) -> str:
    path.symlink_to(path.parent / "nowhere")
    return "No such file"


def circular(path: Path) -> str:
    path.symlink_to(path)
    return "symbolic link"


def endless(path: Path) -> str:
    path.symlink_to(ENDLESS)
    return "File name too long"


@pytest.mark.parametrize("bad", [dangling, circular, endless])
@pytest.mark.parametrize("place", ["other", "houses/3", "houses/2/notes", "other/card.json"])
def test_an_entry_that_leads_nowhere_is_a_fault_and_the_others_are_served(
    folder: Path, place: str, bad: object
) -> None:
    settings = settings_of(folder)
    (folder / place).parent.mkdir(exist_ok=True)
    reason = bad(folder / place)  # type: ignore[operator]
    library = read_library(settings)
    assert sorted(library.models) == ["binary", "regression"]
    if place != "houses/2/notes":  # which no model needs
        [fault] = library.faults
        assert place.partition("/card")[0] in fault
        assert "link" in fault or reason in fault
    assert not library.changed(settings)
    shutil.copytree(folder / "binary", folder / "new")
    assert library.changed(settings)


@pytest.mark.parametrize("place", ["binary", "houses", "houses/2", "houses/2/weights.safetensors"])
def test_what_one_may_not_read_keeps_its_model_and_is_read_again_once_one_may(
    folder: Path, place: str
) -> None:
    settings, path = settings_of(folder), folder / place
    mode = path.stat().st_mode
    with nobody():
        before = read_library(settings)
    reason = unreadable(path)
    with nobody():
        first, changed = read_library(settings), before.changed(settings)
        after = read_library(settings, before)
        quiet = not after.changed(settings)
    assert changed
    assert quiet
    assert reason in first.faults[0]
    assert place.partition("/weights")[0] in first.faults[0]
    assert first.models
    assert after.models == before.models
    assert after.faults
    path.chmod(mode)
    with nobody():
        assert after.changed(settings)
        again = read_library(settings, after)
    assert list(again.models) == list(before.models)
    assert not again.faults


def test_a_change_beside_something_unreadable_is_seen(folder: Path) -> None:
    settings = settings_of(folder)
    dangling(folder / "houses/2/notes")
    library = read_library(settings)
    (folder / "houses/2/card.json").write_text("{}")
    assert library.changed(settings)
    later = read_library(settings, library)
    assert later.models["regression"] == library.models["regression"]
    assert any("card.json" in fault for fault in later.faults)


def test_a_file_replaced_by_one_of_the_same_size_and_time_is_seen(folder: Path) -> None:
    settings, path = settings_of(folder), folder / "binary/weights.safetensors"
    library = read_library(settings)
    stat = path.stat()
    other = folder / "binary/.other"
    other.write_bytes(path.read_bytes())
    other.replace(path)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert library.changed(settings)


def test_a_broken_folder_that_is_named_is_refused_and_one_of_many_is_not(folder: Path) -> None:
    (folder / "binary/card.json").write_text("{}")
    assert list(read_library(settings_of(folder)).models) == ["regression"]
    with pytest.raises(model.ArtifactError):
        read_library(Settings(models=(folder / "binary",), models_dir=folder))


def test_a_folder_without_one_readable_model_says_why(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="MCD_MODELS_DIR"):
        read_library(settings_of(tmp_path / "nowhere"))
    dangling(tmp_path / "other")
    with pytest.raises(SettingsError, match=r"holds no model.*other cannot be read"):
        read_library(settings_of(tmp_path), Library())


def test_a_folder_that_is_named_has_that_name_also_after_its_content_has_changed(
    folder: Path,
) -> None:
    home = folder / "binary"
    settings = Settings(names=(("champion", home),))
    library = read_library(settings)
    [(name, [predictor])] = library.models.items()
    version = model.load(home).card.version
    assert (name, predictor.card.name, predictor.card.version) == ("champion", "champion", version)
    shutil.rmtree(home)
    shutil.copytree(folder / "houses" / "1", home)
    assert library.changed(settings)
    [(name, [later])] = read_library(settings, library).models.items()
    assert name == later.card.name == "champion"
    assert later.card.version != version


def test_a_landscape_goes_with_the_name_that_its_model_is_served_under() -> None:
    [home] = [each for each in model.shipped() if each.name == "diabetes"]
    library = read_library(Settings(names=(("champion", home),)))
    [[predictor]] = library.models.values()
    document = library.landscape(predictor).document
    assert document
    assert b'"name":"champion"' in document


def test_two_folders_with_one_name_do_not_start(folder: Path) -> None:
    settings = Settings(models=(folder / "binary",), names=(("binary", folder / "houses" / "1"),))
    with pytest.raises(SettingsError, match="both hold a model named 'binary'"):
        read_library(settings)
