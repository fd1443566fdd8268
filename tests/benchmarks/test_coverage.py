"""The benchmark of error bars trains its networks and judges what users get."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pytest

from model.passes import fused
from model.passes.fused import variants
from tests.benchmarks import coverage
from tests.benchmarks.coverage import WAYS, main


def small_set(folder: Path) -> Path:
    """The folder, with one small set in it, the target last."""
    draw = np.random.default_rng(0)
    x = draw.normal(size=(120, 3))
    y = x[:, 0] * x[:, 1] + 0.1 * draw.normal(size=120)
    rows = [",".join(map(str, row)) for row in np.column_stack([x, y]).tolist()]
    (folder / "concrete.csv").write_text("\n".join(["a,b,c,y", *rows]))
    return folder


@pytest.mark.parametrize("kernel", [True, False])
def test_a_case_is_judged_by_the_kernel_and_by_torch(
    kernel: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if kernel and not variants() and not os.environ.get("CI"):
        pytest.skip("the kernel is not compiled")
    monkeypatch.setattr(coverage, "TRUTH", 20_000)
    monkeypatch.setattr("tests.benchmarks.accuracy.SEEN_ROWS", 120 * 20)
    if not kernel:
        monkeypatch.setenv("MCD_KERNEL", "off")
        fused._library.cache_clear()
        fused._numbers.cache_clear()
    file, data = tmp_path / "found.json", small_set(tmp_path)
    given = ["--data", str(data), "--sets", "concrete", "--nets", "50-50", "--json", str(file)]
    monkeypatch.setattr(sys, "argv", ["coverage", *given, "--passes", "64", "--seeds", "40"])
    try:
        main()
    finally:
        monkeypatch.undo()
        fused._library.cache_clear()
        fused._numbers.cache_clear()
    said = capsys.readouterr().out
    assert said.startswith("Computed by: compiled" if kernel else "Computed by: torch")
    found = json.loads(file.read_text())
    assert len(found) == len(WAYS)
    for shares in found.values():
        assert 40 <= shares["mean 1 SE"] <= 95
        assert shares["mean 2 SE"] > 80
