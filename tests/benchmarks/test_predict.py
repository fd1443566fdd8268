"""The benchmark of whole predictions measures and tells what it says."""

import json
from pathlib import Path

import pytest

from tests.benchmarks.predict import TARGETS, Case, main


def test_every_way_of_a_case_is_timed_and_judged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    asked = ["--nets", "8-50", "--rows", "1", "--passes", "100", "--rounds", "1", "--seconds", "0"]
    main([*asked, "--json", str(file)])
    [found] = json.loads(file.read_text())["cases"]
    assert found["seconds"].keys() == {"loop", "batched", "vmap", "plain", "reduced"}
    case = Case(**found)
    [row] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| 8-50")]
    assert f"{case.ratio('plain'):.3g} (1.5)" in row
    assert f"{case.ratio('reduced'):.3g} (0.8)" in row


def test_the_ratio_is_that_to_the_fastest_naive_way() -> None:
    seconds = {"loop": 9.0, "batched": 4.0, "vmap": 6.0, "plain": 2.0, "reduced": 5.0}
    case = Case("13-100-100", 4096, 1000, seconds)
    assert (case.ratio("plain"), case.ratio("reduced")) == (2.0, 0.8)
    assert case.targets == {"plain": 25, "reduced": 12}
    assert Case("five", 1, 100).targets == {}
    assert len(TARGETS) == 14


def test_one_large_call_has_a_rate(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--nets", "8-50", "--large", "1000"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[2] for line in lines[2:]] == ["plain", "reduced"]
    assert all(float(line.split(" | ")[3].split()[0]) > 0 for line in lines[2:])
