"""Baselines beside an evaluated model: the same rows, and the figures of the card."""

from pathlib import Path

import numpy as np
import pytest

from model import Table, evaluate, load, report_page, report_text


def test_on_its_test_rows_a_model_is_beside_the_baselines_of_its_card(
    regression_artifact: Path, houses: Table
) -> None:
    predictor = load(regression_artifact)
    (found,) = (evaluation := evaluate(predictor, houses)).baselines
    assert list(found) == ["mean", "linear model", "boosted trees"]
    for name, entry in predictor.card.baselines.items():
        assert found[name].metrics["rmse"] == pytest.approx(entry.metrics["rmse"], rel=0.1)
    printed, page = report_text(evaluation), report_page(evaluation)
    for name in found:
        assert f"\n  {name} " in printed
        assert name in page
    assert "  By RMSE, " in printed
    assert "By RMSE, " in page


def test_of_new_rows_only_what_the_card_knows_is_beside(
    artifact: Path, houses: Table, sold: Table
) -> None:
    predictor = load(artifact)
    evaluation = evaluate(predictor, sold)
    classes = predictor.card.target.classes
    for outcome, found in zip(evaluation.outcomes, evaluation.baselines, strict=True):
        assert list(found) == ["base rates" if classes else "mean"]
        (each,) = found.values()
        assert each.gain > 0
        if not classes:
            level = np.full(sold.row_count, houses.columns[outcome.target].mean())
            off = float(np.sqrt(np.mean((sold.columns[outcome.target] - level) ** 2)))
            assert each.metrics["rmse"] == pytest.approx(off, rel=0.05)
