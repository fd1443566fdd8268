"""The client is a distribution of its own: small, typed, without the service."""

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from shutil import copytree, ignore_patterns

from mc_dropout_client.calls import VERSION
from tests.journeys.serving import ROOT

PROJECT = tomllib.loads((ROOT / "client/pyproject.toml").read_text())["project"]
BLOCKED = ("torch", "numpy", "app", "model", "pandas", "polars", "fastapi", "pydantic")


def built(folder: Path) -> Path:
    """The wheel of the client."""
    copytree(
        ROOT / "client", folder / "client", ignore=ignore_patterns("__pycache__", "*.egg-info")
    )
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    command = [sys.executable, "-c", build, str(folder)]
    subprocess.run(command, cwd=folder / "client", check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return wheel


def test_the_wheel_has_the_package_alone_and_the_command(tmp_path: Path) -> None:
    wheel = built(tmp_path)
    assert wheel.stat().st_size < 100_000
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if "dist-info" not in name}
        archive.extractall(tmp_path / "site")
    source = ROOT / "client/src"
    files = (path for path in source.rglob("*") if path.suffix in (".py", ".typed"))
    assert names == {str(path.relative_to(source)) for path in files}
    (entries,) = (tmp_path / "site").glob("*.dist-info/entry_points.txt")
    assert "mcd = mc_dropout_client.command:run" in entries.read_text()


def test_the_package_runs_where_nothing_but_httpx_is(tmp_path: Path) -> None:
    for name in BLOCKED:
        (tmp_path / f"{name}.py").write_text(f"raise ImportError('{name}')")
    path = f"{tmp_path}:{ROOT / 'client/src'}"
    command = [sys.executable, "-m", "mc_dropout_client", "ask", "--help"]
    found = subprocess.run(
        command, cwd=tmp_path, env={"PYTHONPATH": path}, capture_output=True, text=True, check=True
    )
    assert "mcd ask http://localhost:8000 rows.csv --out answers.csv" in found.stdout


def test_it_depends_on_httpx_only_and_has_one_version() -> None:
    assert [each.partition(">")[0] for each in PROJECT["dependencies"]] == ["httpx"]
    assert PROJECT["version"] == VERSION
