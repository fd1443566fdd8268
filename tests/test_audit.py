"""The audit of the dependencies: what was not looked up is not called safe."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

SKIPPED = {"name": "torch", "skip_reason": "Dependency not found on PyPI: torch (2.13.0+cpu)"}
SAFE = {"name": "orjson", "version": "3.13.0", "vulns": []}
KNOWN = {"id": "PYSEC-2020-1", "fix_versions": ["1.1"], "aliases": [], "description": "bad"}
UNSAFE = {"name": "leaky", "version": "1.0", "vulns": [KNOWN]}


@pytest.fixture(scope="module")
def audit() -> ModuleType:
    path = Path(__file__).parents[1] / ".ci" / "audit.py"
    spec = spec_from_file_location("audit", path)
    assert spec
    assert spec.loader
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("packages", "vulnerable", "words"),
    [
        ([SAFE], 0, ["1 checked, 0 of them vulnerable"]),
        ([SKIPPED, SAFE], 0, ["1 checked, 0 of them", "UNCHECKED", "told nothing: 1 (torch)"]),
        ([SKIPPED] * 9, 0, ["0 checked", "UNCHECKED", "told nothing: 9 (torch, ", ", ...)"]),
        ([UNSAFE, SAFE], 1, ["2 checked, 1 of them", "leaky 1.0: PYSEC-2020-1, fixed in 1.1"]),
    ],
)
def test_packages_are_counted_as_checked_only_where_the_service_answered(
    audit: ModuleType, packages: list[dict[str, Any]], vulnerable: int, words: list[str]
) -> None:
    text, count = audit.summary({"dependencies": packages, "fixes": []})
    assert count == vulnerable
    assert all(word in text for word in words), text
    assert ("UNCHECKED" in text) is (SKIPPED in packages)
