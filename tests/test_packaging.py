"""What is installed, without the checkout, is whole; what it imports is declared."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path
from shutil import copytree, ignore_patterns

import httpx
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.server import serving

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = ("PIL", "pyarrow", "sklearn", "tqdm")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder like site-packages, with nothing in it but this project's wheel."""
    folder = tmp_path_factory.mktemp("packaging")
    source, wheels = folder / "source", folder / "wheels"
    source.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for package in ("app", "model"):
        copytree(ROOT / package, source / package, ignore=ignore_patterns("__pycache__"))
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    subprocess.run(
        [sys.executable, "-c", build, str(wheels)],
        cwd=source,
        check=True,
        capture_output=True,
        env=os.environ | {"MCD_KERNEL": "off"},  # compiling takes 20 s
    )
    (wheel,) = wheels.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def files(folder: Path) -> set[str]:
    """The files of both packages below a folder."""
    return {
        str(path.relative_to(folder))
        for package in ("app", "model")
        for path in (folder / package).rglob("*")
        if path.is_file() and not {"__pycache__", "kernel"} & {*path.parts} and path.suffix != ".so"
    }


def imported(path: Path) -> Iterator[str]:
    """The top-level names that a module imports, in functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_the_wheel_holds_every_file_of_both_packages_and_the_license(installed: Path) -> None:
    assert files(installed) == files(ROOT)
    (metadata,) = installed.glob("*.dist-info")
    assert (metadata / "licenses/LICENSE").read_text() == (ROOT / "LICENSE").read_text()


def test_the_installed_package_serves_the_shipped_models_without_checkout_or_training_libraries(
    installed: Path, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    for name in OPTIONAL:
        (blocked / f"{name}.py").write_text(f"raise ImportError('{name} is optional')")
    search = {"PYTHONPATH": os.pathsep.join([str(installed), str(blocked)])}
    environment = {**os.environ, **search, "PYTHONSAFEPATH": "1"}
    where = "import app, model; print(app.__file__, model.__file__)"
    found = subprocess.run(
        [sys.executable, "-c", where],
        cwd=tmp_path,
        env=environment,
        check=True,
        capture_output=True,
    )
    assert found.stdout.decode().count(str(installed)) == 2
    with serving(folder=tmp_path, environment=environment) as url:
        listed = httpx.get(f"{url}/models", timeout=60).json()
        names = [entry["name"] for entry in listed["models"]]
        assert names == ["diabetes", "breast-cancer", "digits"]
        document = httpx.get(f"{url}/openapi.json").json()
        operation = document["paths"]["/models/{name}/predict"]["post"]
        requests = operation["requestBody"]["content"]["application/json"]["examples"]
        for name in names:
            sent = requests[name]["value"]
            assert httpx.post(f"{url}/models/{name}/predict", json=sent).status_code == 200
        assert httpx.get(f"{url}/docs/swagger-ui.css").status_code == 200


@pytest.mark.parametrize("package", ["app", "model"])
def test_every_library_that_is_imported_is_declared(package: str) -> None:
    extras = PROJECT["optional-dependencies"]
    declared = {
        re.split(r"[^\w.-]", requirement)[0].lower().replace("_", "-")
        for requirement in chain(
            PROJECT["dependencies"],
            *(extras[name] for name in ("mlflow", "onnx", "png", "ray", "train")),
        )
    }
    distributions = packages_distributions()
    for path in (ROOT / package).rglob("*.py"):
        for name in set(imported(path)) - {"app", "model"} - sys.stdlib_module_names:
            of_name = {each.lower().replace("_", "-") for each in distributions.get(name, [name])}
            assert of_name & declared, f"{path.relative_to(ROOT)} imports {name}"


def locked(name: str) -> dict[str, set[str]]:
    """The versions of every package in a lock file; a package may have one per Python version."""
    text = (ROOT / "locks" / f"{name}.txt").read_text()
    assert "://" not in text  # whoever installs chooses the index
    found: dict[str, set[str]] = {}
    for entry in re.findall(r"^[^\s#].*\n(?: .*\n)*", text, re.M):
        requirement = Requirement(entry.partition("\\")[0].strip())
        assert re.search(r"--hash=sha256:[0-9a-f]{64}\b", entry), requirement
        [pin] = requirement.specifier
        assert pin.operator == "=="
        found.setdefault(canonicalize_name(requirement.name), set()).add(pin.version)
    return found


def test_every_dependency_is_locked_with_hashes_to_a_version_that_the_project_takes() -> None:
    ci, service, torch = locked("ci"), locked("service"), locked("torch")
    extras = PROJECT["optional-dependencies"]
    for names, lock in (
        (PROJECT["dependencies"], service | torch),
        ([*PROJECT["dependencies"], *chain(*extras.values())], ci | torch),
    ):
        for requirement in map(Requirement, names):
            name = canonicalize_name(requirement.name)
            if name != PROJECT["name"]:
                assert lock.get(name), f"{name} is not locked; run python .ci/lock.py"
                for version in lock[name]:
                    assert requirement.specifier.contains(version), f"{requirement}: {version}"
    assert service.items() <= ci.items()
    assert not torch.keys() & ci.keys()


def test_the_shipped_models_weigh_under_2_megabytes() -> None:
    weight = sum(path.stat().st_size for path in (ROOT / "model/artifact/pretrained").glob("*/*.*"))
    assert weight < 2_000_000


def test_the_image_is_healthy_while_the_service_is_ready(tmp_path: Path) -> None:
    dockerfile = (ROOT / "Dockerfile").read_text().replace("\\\n", "")
    command = re.search(r"^HEALTHCHECK .* CMD (\[.*\])$", dockerfile, re.M)
    assert command
    _, *arguments = json.loads(command[1])

    def check(port: int, path: str = "") -> int:
        environment = {**os.environ, "MCD_PORT": str(port), "MCD_UDS": path}
        check = [sys.executable, *arguments]
        return subprocess.run(check, env=environment, capture_output=True).returncode

    with serving() as url:
        port = httpx.URL(url).port
        assert port
        assert check(port) == 0
        program = [sys.executable, *arguments[:-1]]
        said = "; print(*sorted(sys.modules))"
        settled = arguments[-1].replace("sys.exit(", "print(")
        loaded = subprocess.run(
            [*program, settled + said],
            env={**os.environ, "MCD_PORT": str(port)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        assert len(loaded) < 70  # a container with little memory must have room for the check
        assert not {"torch", "numpy", "http", "email", "ssl", "site"} & set(loaded)
    assert check(port) != 0
    path = str(tmp_path / "sock")
    with serving("--uds", path):
        assert check(port, path) == 0
    assert check(port, path) != 0
