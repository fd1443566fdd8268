"""The benchmark of a device, on the CPU."""

import json
from pathlib import Path

import pytest
import torch

from tests.benchmarks.device import PARTS, main


def test_all_parts_have_figures_or_say_why_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "found.json"
    asked = ["--device", "cpu", "--nets", "8-50", "--seconds", "6", "--work", "1e8"]
    main([*asked, "--json", str(file)])
    found = json.loads(file.read_text())
    assert found.keys() == {"device", *PARTS}
    equal = [line["equal"] for line in found["equal"]]
    assert len(equal) == 12  # three models, two estimators, two scopes of masks
    assert set(equal) <= {"yes", ""}
    assert "yes" in equal
    batched = {line["batched"] for line in found["passes"]}
    assert "too much work" in batched
    assert any(one[0].isdigit() for one in batched)
    said = capsys.readouterr().out
    assert all(f"## {part}" in said for part in PARTS)


def test_a_case_for_which_no_time_is_left_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--device", "cpu", "--seconds", "0", "--work", "1e12"])
    lines = [line for line in capsys.readouterr().out.splitlines() if "| 8-50-50-1 p=.1 |" in line]
    assert lines
    assert all("no time is left" in line or "too much work" in line for line in lines)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_without_a_device_it_says_so() -> None:
    with pytest.raises(SystemExit, match="there is no CUDA device here"):
        main([])
