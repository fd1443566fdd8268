"""Models come, change and break in their folder while the server serves."""

import shutil
import signal
from pathlib import Path

import pytest

from tests.journeys.serving import ROW, served, until
from tests.load import Load


def broken(folder: Path) -> Path:
    weights = folder / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    return folder


@pytest.mark.parametrize("how", ["signal", "watch"])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_new_version_is_served_without_a_lost_request_and_a_broken_one_is_not(
    versions: list[Path], tmp_path: Path, how: str, workers: str
) -> None:
    models = tmp_path / "models"
    old, new = versions
    shutil.copytree(old, models / "houses" / "9")
    settings = {
        "MCD_MODELS_DIR": str(models),
        "MCD_WATCH_SECONDS": "0.2" if how == "watch" else "0",
        "MCD_WORKERS": workers,
    }
    with served(tmp_path, **settings) as server, Load(server.url, {"rows": [ROW]}) as load:
        first = server.version()
        shutil.copytree(old, models / ".broken")
        broken(models / ".broken").rename(models / "houses" / "10")
        if how == "signal":
            server.process.send_signal(signal.SIGHUP)
        until(lambda: any("not served" in line["message"] for line in server.lines()), 20)
        assert server.ready()
        assert server.version() == first

        shutil.copytree(new, models / ".new")
        (models / ".new").rename(models / "houses" / "11")
        if how == "signal":
            server.process.send_signal(signal.SIGHUP)
        until(lambda: first not in {server.version() for _ in range(8)}, 20)
        assert server.ready()
    assert set(load.outcomes) == {"200"}


def test_entries_that_cannot_be_read_are_logged_and_hide_no_later_change(
    versions: list[Path], tmp_path: Path
) -> None:
    models = tmp_path / "models"
    old, new = versions
    shutil.copytree(old, models / "houses" / "1")
    (models / "dangling").symlink_to(tmp_path / "nowhere")
    settings = {"MCD_MODELS_DIR": str(models), "MCD_WATCH_SECONDS": "0.2"}
    with served(tmp_path, **settings) as server:
        first = server.version()
        (models / "houses" / "1" / "note").symlink_to("x" * 300)
        (models / "endless").symlink_to("x" * 300)
        models.rename(tmp_path / "away")  # as where a disk is mounted again
        until(lambda: any("MCD_MODELS_DIR" in line["message"] for line in server.lines()), 20)
        assert server.version() == first
        (tmp_path / "away").rename(models)
        shutil.copytree(new, models / ".new")
        (models / ".new").rename(models / "houses" / "2")
        until(lambda: server.version() != first, 20)
        for name in ("dangling", "endless"):
            said = [line for line in server.lines() if f"/{name} cannot" in line["message"]]
            assert said
            assert "not served" in said[0]["message"]
