"""The benchmark of the estimators' accuracy measures and tells what it says."""

import json
from pathlib import Path

import pytest

from tests.benchmarks import accuracy
from tests.benchmarks.accuracy import main
from tests.benchmarks.test_coverage import small_set


def test_a_case_has_gains_biases_and_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(accuracy, "SEEN_ROWS", 120 * 20)
    monkeypatch.setattr(accuracy, "MANY_ROWS", 8)
    monkeypatch.setattr(accuracy, "LONE_ROWS", 1)
    monkeypatch.setattr(accuracy, "SEGMENT", 3200)
    file, effort = tmp_path / "found.json", ["--rounds", "1", "--seconds", "0"]
    given = ["--data", str(small_set(tmp_path)), "--sets", "concrete", "--nets", "50-50"]
    main([*given, *effort, "--passes", "6400", "--json", str(file)])
    [found] = json.loads(file.read_text()).values()
    assert found["gain"]["mean"]["median"] > 2  # plain passes with the error of a reduced one
    assert found["z"]["mean"] < 3
    assert found["times"].keys() == {"1 row", "8 rows, median", "8 rows, all"}
    for took in found["times"].values():
        assert 0 < took["rms"] < 0.1
    assert "| 50-50 p=.1 | gain of the mean | 40 |" in capsys.readouterr().out
