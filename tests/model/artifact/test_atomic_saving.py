"""An artifact is saved whole or not at all."""

import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import ArtifactError, PredictOptions, load
from model.artifact.folder import CARD, WEIGHTS, check_destination, read, save


@pytest.fixture
def copy(regression_artifact: Path, tmp_path: Path) -> Path:
    """An artifact to replace."""
    return Path(shutil.copytree(regression_artifact, tmp_path / "copy"))


def test_saving_again_replaces_the_artifact_and_leaves_nothing_beside_it(
    copy: Path, two_target_artifact: Path
) -> None:
    made = read(two_target_artifact)
    save(copy, made)
    assert read(copy)[0] == made.card
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_saving_makes_the_folders_above_and_follows_a_link(copy: Path, tmp_path: Path) -> None:
    made = read(copy)
    save(tmp_path / "a" / "b" / "c", made)
    assert read(tmp_path / "a" / "b" / "c")[0] == made.card
    (tmp_path / "latest").symlink_to(tmp_path / "a")
    save(tmp_path / "latest" / "d", made)
    assert read(tmp_path / "a" / "d")[0] == made.card
    (tmp_path / "link").symlink_to(copy)
    save(tmp_path / "link", made)
    assert (tmp_path / "link").is_symlink()
    assert {path.name for path in tmp_path.iterdir()} == {"a", "copy", "latest", "link"}


@pytest.mark.parametrize("names", [["notes.txt"], [CARD], [CARD, WEIGHTS, "notes.txt"]])
def test_saving_over_other_things_is_refused_and_loses_nothing(
    regression_artifact: Path, tmp_path: Path, names: list[str]
) -> None:
    made = read(regression_artifact)
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in names:
        (folder / name).write_text("precious")
    for attempt in (lambda: check_destination(folder), lambda: save(folder, made)):
        with pytest.raises(ArtifactError, match="holds something that is not a model"):
            attempt()
    assert {path.name: path.read_text() for path in folder.iterdir()} == dict.fromkeys(
        names, "precious"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_saving_where_no_folder_can_be_is_refused_before_and_after_training(
    regression_artifact: Path, tmp_path: Path
) -> None:
    made = read(regression_artifact)
    (tmp_path / "file").write_text("precious")
    for folder in (tmp_path / "file", tmp_path / "file" / "a" / "b", tmp_path / ("n" * 300)):
        for attempt in (check_destination, lambda f: save(f, made)):
            with pytest.raises(ArtifactError, match="cannot be written") as caught:
                attempt(folder)
            assert str(folder) in str(caught.value)
    assert (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("call", ["os.fsync", "pathlib.Path.rename"])
@pytest.mark.parametrize("after", [0, 1])
def test_a_killed_save_leaves_the_old_artifact_or_none_that_is_half(
    copy: Path, two_target_artifact: Path, call: str, after: int
) -> None:
    old = read(copy)[0]
    script = f"""if True:
        import os, pathlib, signal
        from model.artifact import read, save
        made = read({str(two_target_artifact)!r})
        real, left = {call}, [{after}]
        def deadly(*arguments):
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)
            left[0] -= 1
            return real(*arguments)
        {call} = deadly
        save({str(copy)!r}, made)
        """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True)
    assert done.returncode == -signal.SIGKILL
    kept = copy
    if call == "pathlib.Path.rename" and after == 1:  # between the two: the old one waits beside
        (kept,) = copy.parent.glob(".copy-*-old")
    assert read(kept)[0] == old


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
@pytest.mark.parametrize("call", ["model.artifact.folder.os.fsync", "pathlib.Path.rename"])
def test_a_save_that_fails_leaves_the_old_artifact_and_no_litter(
    copy: Path,
    two_target_artifact: Path,
    call: str,
    error: BaseException,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, made = read(copy)[0], read(two_target_artifact)
    rename, calls = Path.rename, []

    def fail_once(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) == 2:
            raise error
        return rename(*arguments) if call == "pathlib.Path.rename" else None

    monkeypatch.setattr(call, fail_once)
    with pytest.raises((ArtifactError, KeyboardInterrupt)):
        save(copy, made)
    assert read(copy)[0] == old
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_every_answer_of_a_saved_model_survives_the_round_trip(
    artifact: Path, tmp_path: Path
) -> None:
    save(tmp_path / "again", read(artifact))
    options = PredictOptions(passes=20, seed=1)
    x = np.zeros((3, 5), dtype=np.float32)
    one, other = (
        load(folder).predict_encoded(x, options) for folder in (artifact, tmp_path / "again")
    )
    assert one == other
