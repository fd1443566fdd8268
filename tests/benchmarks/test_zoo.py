"""The zoo in small: what holds exactly, or with a huge margin, on networks trained in seconds."""

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.benchmarks.zoo import networks
from tests.benchmarks.zoo.__main__ import main
from tests.benchmarks.zoo.laws import LAWS
from tests.benchmarks.zoo.networks import SMALL, ZOO, case, stale
from tests.benchmarks.zoo.promises import PROMISES


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("zoo")


@pytest.fixture(scope="module")
def zoo(models: Path) -> dict[str, dict[str, Any]]:
    """The findings of the small zoo, by network and promise."""
    out, page = models / "zoo.json", models / "zoo.txt"
    given = ["--models", str(models), "--small", "--json", str(out), "--out", str(page)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["zoo", *given])
        main()
    header = page.read_text().splitlines()[0]
    assert header == f"| network | {' | '.join(PROMISES)} |"
    found: dict[str, dict[str, Any]] = json.loads(out.read_text())
    assert set(found) == set(SMALL)
    return found


def test_no_variance_is_zero_with_dropout_on(zoo: dict[str, dict[str, Any]]) -> None:
    for findings in zoo.values():
        assert all(share == 0 for share in findings["zero"]["figures"]["share"].values())


def test_regions_hold_about_what_they_claim_at_every_seed(zoo: dict[str, dict[str, Any]]) -> None:
    """Ten points off is six standard errors, or three where calibration rows are few."""
    for findings in zoo.values():
        for figures in findings["coverage"]["figures"].values():
            assert abs(figures["off"]) < 0.1
            assert figures["worst"] < 0.05


def test_reduced_is_much_better_than_plain_where_its_control_is_good(
    zoo: dict[str, dict[str, Any]],
) -> None:
    for ratios in zoo["smooth 2 same"]["equal N"]["figures"].values():
        assert ratios["median"] < 0.5


def test_two_ways_to_the_truth_agree(zoo: dict[str, dict[str, Any]]) -> None:
    for findings in zoo.values():
        assert all(z < 4 for z in findings["agreement"]["figures"].values())


def test_every_figure_is_a_number(zoo: dict[str, dict[str, Any]]) -> None:
    assert all(math.isfinite(number) for number in _numbers(zoo))


def _numbers(found: object) -> list[float]:
    if isinstance(found, dict):
        return [number for value in found.values() for number in _numbers(value)]
    if isinstance(found, list):
        return [number for value in found for number in _numbers(value)]
    return [found] if isinstance(found, float) else []


def test_a_network_is_trained_once_and_other_code_is_told(
    zoo: dict[str, dict[str, Any]], models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert zoo
    net, *others = (net for net in ZOO if net.name in SMALL)
    said: list[str] = []
    case(net, None, models, said.append)
    assert not said
    assert not stale((net, *others), models)
    monkeypatch.setattr(networks, "code", lambda: "other")
    assert stale((net,), models) == [net.name]


def test_every_network_has_a_name_and_a_folder_of_its_own() -> None:
    assert len({net.name for net in ZOO}) == len({net.folder for net in ZOO}) == len(ZOO)
    assert set(SMALL) <= {net.name for net in ZOO}
    with pytest.raises(ValueError, match="takes --data"):
        case(next(net for net in ZOO if not net.of_a_law), None, Path("none"), print)


@pytest.mark.parametrize("name", LAWS)
def test_a_law_says_the_truth_about_its_rows(name: str) -> None:
    """Class frequencies follow the probabilities; the noise of repeated rows its variance."""
    drawn = LAWS[name](np.random.default_rng(0), 20_000)
    if drawn.probabilities is not None:
        shares = np.bincount(drawn.y, minlength=drawn.probabilities.shape[1]) / len(drawn.y)
        assert shares == pytest.approx(drawn.probabilities.mean(0), abs=0.02)
        assert drawn.probabilities.sum(1) == pytest.approx(1)
        return
    assert drawn.noise_variance is not None
    assert (drawn.noise_variance >= 0).all()
    explained = drawn.y.var() - drawn.noise_variance.mean()
    assert explained == pytest.approx(0, abs=0.05) if name == "all noise" else explained > 0.3
