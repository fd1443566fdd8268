"""An imported network knows no noise and no ranges: calibration rows give it both."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import (
    CalibrationError,
    calibrate,
    evaluate,
    load,
)
from model.data.table import Table
from tests.model.importing.networks import DEAR, PRICE, ROWS, brought, network, noisy, table


def test_calibrating_fits_the_noise_on_rows_of_its_own_and_learns_the_ranges(
    tmp_path: Path,
) -> None:
    brought(tmp_path, network(1), PRICE)
    card = calibrate(tmp_path / "net", table(1, noisy(200.0)))
    assert card.tuning.fitted
    assert card.calibration is not None
    assert (card.calibration.rows, card.calibration.tuning_rows) == (ROWS * 3 // 4, ROWS // 4)
    assert any("rooms are those of fresh.csv" in notice for notice in card.training.notices)
    area, rooms, _ = card.features
    assert area.kind == rooms.kind == "numeric"
    assert area.range == (10, 200)
    assert rooms.range == (1, 8)
    predictor = load(tmp_path / "net")
    (row,) = predictor.predict([[100.0, 1e4, "east"]]).rows
    assert row.warnings == ("outside_training_range:rooms", "unusual_spread")
    assert math.sqrt(row.noise_variance) == pytest.approx(200, rel=0.15)


@pytest.mark.parametrize("noise_std", [None, 25.0])
def test_intervals_of_an_imported_network_hold_fresh_targets(
    noise_std: float | None, tmp_path: Path
) -> None:
    target = PRICE if noise_std is None else PRICE | {"noise_std": noise_std}
    card = brought(tmp_path, network(1), target)
    assert card.tuning.fitted is (noise_std is not None)
    card = calibrate(tmp_path / "net", table(1, noisy(25.0)))
    assert card.calibration is not None
    n = card.calibration.rows
    assert n == (ROWS if noise_std else ROWS * 3 // 4)  # nothing left to tune: all calibrate
    found = evaluate(load(tmp_path / "net"), table(2, noisy(25.0))).outcomes[0].metrics()
    std = math.sqrt(0.09 * (1 / (n + 2) + 1 / ROWS))
    assert found["interval_coverage"] == pytest.approx(0.9, abs=3.5 * std)


def test_calibrating_a_classifier_fits_its_temperature_once(tmp_path: Path) -> None:
    """Labels drawn at half the network's logits: a temperature of 2."""

    def labels(x: torch.Tensor, random: np.random.Generator) -> dict[str, Any]:
        p = (network(1)(x)[:, 0] * 5 / 2).sigmoid().numpy()
        return {"dear": np.where(random.random(ROWS) < p, "yes", "no").astype(object)}

    net = network(1)
    net[3].weight *= 5
    net[3].bias *= 5
    brought(tmp_path, net, DEAR)
    first = calibrate(tmp_path / "net", table(1, labels))
    assert 1.2 < first.tuning.temperature < 4
    again = calibrate(tmp_path / "net", table(2, labels))
    assert again.tuning == first.tuning
    assert again.calibration is not None
    assert (again.calibration.rows, again.calibration.tuning_rows) == (ROWS, 0)


def test_too_few_rows_to_tune_and_calibrate_are_refused_with_the_number(tmp_path: Path) -> None:
    brought(tmp_path, network(1), PRICE)
    few = table(1, noisy(25.0))
    few = Table("few.csv", {name: column[:18] for name, column in few.columns.items()}, "1" * 64)
    with pytest.raises(CalibrationError, match=r"few\.csv has 18 rows; at least 19 are needed"):
        calibrate(tmp_path / "net", few)
