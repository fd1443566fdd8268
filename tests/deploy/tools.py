"""Tools of others that the tests of `deploy` take: without them, these are skipped, and fail in CI.

What is skipped in CI is not checked anywhere.
"""

import importlib
import importlib.util
import os
import shutil
import sys
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
_PLACES = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"], "/usr/sbin"])


def program(name: str, of: str) -> str:
    """The path of a program, which a package `of` that name has."""
    return shutil.which(name, path=_PLACES) or _without(name, of)


def library(name: str, of: str) -> ModuleType:
    """A library, which a package `of` that name has."""
    try:
        return importlib.import_module(name)
    except ImportError:
        return _without(name, of)


def check_installed(name: str, of: str) -> None:
    """Skip the test, or fail, without a library, which a package `of` that name has."""
    if importlib.util.find_spec(name) is None:
        _without(name, of)


def _without(name: str, of: str) -> NoReturn:
    message = f"{name} is missing; install {of}"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)
