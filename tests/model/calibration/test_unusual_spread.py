"""How unusual the spread of the passes over a row is: a valid p-value, and a warning by it."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from model import PredictOptions, Predictor, Table, TrainOptions, load, train
from model.artifact.card import Card
from model.artifact.folder import read, save

TINY = TrainOptions(members=1, number_encoding="raw", hidden=(24, 24), dropout=(0.1,), epochs=12)
WARNING = "unusual_spread"


def rows(seed: int, count: int, kind: str) -> dict[str, np.ndarray]:
    """A curve whose noise grows with x, or a class that is the less certain the nearer to 0."""
    random = np.random.default_rng(seed)
    x, z = random.normal(size=count), random.normal(size=count)
    curve = np.sin(2 * x) + 0.3 * z
    y = curve + 0.2 * random.normal(size=count) * np.exp(0.5 * x)
    if kind == "classification":
        return {"x": x, "z": z, "y": np.where(y > 0, "up", "down").astype(object)}
    return {"x": x, "z": z, "y": y}


@pytest.fixture(scope="module", params=["regression", "classification"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def predictor(kind: str, tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("spread") / kind
    train(Table("curve", rows(0, 4_000, kind), "0" * 64), "y", folder, options=TINY)
    return load(folder)


def asked(predictor: Predictor, columns: dict[str, np.ndarray], seed: int) -> dict[str, np.ndarray]:
    x = np.stack([columns["x"], columns["z"]], axis=1)
    found = predictor.predict(x, PredictOptions(seed=seed, masks="per_row")).rows.columns
    return {name: np.array(found[name]) for name in ("distance_p_value", "spread_p_value")}


@pytest.mark.parametrize("name", ["distance_p_value", "spread_p_value"])
@pytest.mark.parametrize("level", [0.02, 0.1, 0.5, 0.9])
def test_p_values_of_fresh_rows_are_uniform(
    predictor: Predictor, kind: str, name: str, level: float
) -> None:
    p = asked(predictor, rows(1, 4_000, kind), seed=7)[name]
    assert predictor.card.calibration is not None
    n = predictor.card.calibration.rows
    # given the calibration rows the share is beta distributed around the level
    error = math.sqrt(level * (1 - level) * (1 / (n + 2) + 1 / len(p)))
    assert abs(np.mean(p <= level) - level) < 3.5 * error + 1 / (n + 1)


def test_the_p_value_is_the_share_of_calibration_rows_that_spread_as_much(
    predictor: Predictor, kind: str
) -> None:
    assert predictor.card.calibration is not None
    scores = np.array(predictor.card.calibration.spreads)
    fresh = rows(2, 50, kind)
    x = np.stack([fresh["x"], fresh["z"]], axis=1)
    columns = predictor.predict(x, PredictOptions(seed=3)).rows.columns
    if kind == "regression":
        unit = predictor.card.target.scales[0]
        spread = np.sqrt(columns["total_variance"][:, 0]) / unit
    else:
        spread = np.array(columns["mutual_information"])
    at_least = (scores >= spread[:, None] * (1 - 1e-9)).sum(1)
    np.testing.assert_allclose(columns["spread_p_value"], (1 + at_least) / (1 + len(scores)))


def test_a_spread_beyond_that_of_nearly_all_rows_is_warned_of(
    predictor: Predictor, kind: str
) -> None:
    fresh = rows(3, 2_000, kind)
    x = np.stack([fresh["x"], fresh["z"]], axis=1)
    usual = predictor.predict(x, PredictOptions(seed=1, masks="per_row")).rows
    share = np.mean([WARNING in row.warnings for row in usual])
    assert 0 < share <= 0.01 + 3.5 * math.sqrt(0.01 * (1 / 450 + 1 / 2_000))
    assert all((WARNING in row.warnings) is (row.spread_p_value <= 0.01) for row in usual)
    if kind == "regression":
        (far,) = predictor.predict([[40.0, 0.0]], PredictOptions(seed=1)).rows
        assert far.warnings == ("outside_training_range:x", WARNING)
        assert far.spread_p_value == 1 / 601


def test_several_targets_have_one_spread(two_target_artifact: Path) -> None:
    predictor = load(two_target_artifact)
    assert predictor.card.calibration is not None
    scores = np.array(predictor.card.calibration.spreads)
    (row,) = predictor.predict([[100.0, 4, "north"]], PredictOptions(seed=0)).rows
    scales = predictor.card.target.scales
    parts = [v / s**2 for v, s in zip(row.total_variance.values(), scales, strict=True)]
    spread = math.sqrt(sum(parts) / 2)
    assert row.spread_p_value == (1 + (scores >= spread * (1 - 1e-9)).sum()) / (1 + len(scores))


def test_a_card_from_before_there_were_spreads_is_read_and_answers_none(
    regression_artifact: Path, tmp_path: Path
) -> None:
    artifact = read(regression_artifact)
    assert artifact.card.calibration is not None
    older = artifact.card.calibration.model_copy(update={"spreads": ()})
    card = artifact.card.model_copy(update={"calibration": older})
    save(tmp_path / "older", artifact._replace(card=card))
    assert "spreads" not in card.model_dump(exclude_defaults=True)["calibration"]
    (row,) = load(tmp_path / "older").predict([[100.0, 4, "north"]]).rows
    assert row.spread_p_value is None
    assert WARNING not in row.warnings


@pytest.mark.parametrize("spreads", [[1.0, 2.0], [3.0] * 29 + [1.0], [-1.0] + [1.0] * 29])
def test_spreads_of_another_number_or_order_are_refused(
    regression_artifact: Path, spreads: list[float]
) -> None:
    content = read(regression_artifact).card.model_dump(mode="json")
    assert content["calibration"]["rows"] == 30
    content["calibration"]["spreads"] = spreads
    with pytest.raises(ValueError, match="spreads"):
        Card.model_validate_json(json.dumps(content))
