"""The picture of docs/coverage.md is what its command draws of the figures beside it."""

import json
from pathlib import Path
from xml.etree import ElementTree

import numpy as np

from model import PredictOptions, Table, evaluate, load
from tests.benchmarks.seeds import LEVELS, SEEDS, WAYS, held, main, picture, text

IMAGES = Path(__file__).parents[2] / "docs" / "img"


def test_the_picture_is_what_the_command_draws(tmp_path: Path) -> None:
    figures = IMAGES / "coverage.json"
    main(["--figures", str(figures), "--picture", str(tmp_path / "drawn.svg")])
    assert (tmp_path / "drawn.svg").read_text() == (IMAGES / "coverage.svg").read_text()


def test_every_seed_is_a_dot_at_its_share() -> None:
    figures = json.loads((IMAGES / "coverage.json").read_text())
    root = ElementTree.fromstring(picture(figures))
    circles = [node for node in root.iter() if node.tag.endswith("circle")]
    assert len(circles) == len(figures) * len(WAYS) * len(SEEDS) + len(WAYS)  # and the legend
    for ways in figures.values():
        assert list(ways) == list(WAYS)
        assert all(list(levels) == [str(level) for level in LEVELS] for levels in ways.values())


def test_what_is_promised_is_kept_by_the_figures() -> None:
    """The mean within a point, or what the draw of the rows allows; the worst seed within four."""
    for ways in json.loads((IMAGES / "coverage.json").read_text()).values():
        for level, shares in ways["now"].items():
            assert abs(np.mean(shares) - float(level)) < 0.02
            assert max(abs(share - float(level)) for share in shares) < 0.04
    assert "| 0 | now | 0.9 |" in text(json.loads((IMAGES / "coverage.json").read_text()))


def test_a_share_is_that_of_the_evaluation(regression_artifact: Path, sold: Table) -> None:
    predictor = load(regression_artifact)
    table = Table("others", {**sold.columns, "y": sold.columns["price"]}, "1" * 64)
    (share,) = held(predictor, table, 0.8, [5])
    options = PredictOptions(seed=5, coverage=0.8)
    (outcome,) = evaluate(predictor, table, options, seeds=1).outcomes
    assert outcome.metrics()["interval_coverage"] == share
