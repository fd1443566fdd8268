"""The parts of the service: each has one door, and imports point one way."""

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

APP = Path(__file__).parents[2] / "app"
WINGS = sorted(path.parent.name for path in APP.glob("*/__init__.py"))


def imported(path: Path) -> Iterator[tuple[str, str]]:
    """The modules of `app` that a file imports from, and the names."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "app":
            for alias in node.names:
                yield node.module, alias.name


def wing_of(path: Path) -> str:
    """The wing that a file is in; of a file at the root, its own name."""
    return path.relative_to(APP).parts[0].removesuffix(".py")


def used(path: Path) -> set[str]:
    """The wings and modules at the root that a file imports, without its own."""
    names = {name if module == "app" else module.split(".")[1] for module, name in imported(path)}
    return names - {wing_of(path), "__version__"}


def test_the_wings_are_those_of_the_plan() -> None:
    assert set(WINGS) >= {"compute", "http", "native", "pages", "server", "service", "v2"}
    assert {path.name for path in APP.iterdir() if path.is_dir()} - {"__pycache__"} == set(WINGS)


@pytest.mark.parametrize("wing", WINGS)
def test_a_wing_has_one_door_that_says_what_it_is_for(wing: str) -> None:
    door = import_module(f"app.{wing}")
    assert door.__doc__
    assert door.__doc__.count("\n") == 0
    exported = {name for _, name in imported(APP / wing / "__init__.py")}
    assert exported == set(door.__all__)


@pytest.mark.parametrize("path", sorted(APP.rglob("*.py")), ids=lambda path: path.name)
def test_a_wing_is_entered_by_its_door_only(path: Path) -> None:
    for module, name in imported(path):
        _, *parts = module.split(".")
        if parts and parts[0] in WINGS and parts[0] != wing_of(path):
            assert len(parts) == 1, f"{module}.{name}"


def test_imports_point_one_way_only() -> None:
    arrows: dict[str, set[str]] = {}
    for path in APP.rglob("*.py"):
        arrows.setdefault(wing_of(path), set()).update(used(path))
    assert list(TopologicalSorter(arrows).static_order())  # raises CycleError where they turn back
