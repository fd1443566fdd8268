"""A request names the largest error that it can tolerate; rows are accepted as certified."""

from pathlib import Path

import numpy as np
import pytest

from model import (
    CalibrationError,
    ClassificationPrediction,
    InputError,
    PredictOptions,
    Predictor,
    RegressionPrediction,
    Table,
    TrainOptions,
    calibrate,
    load,
    train,
)
from model.artifact.folder import read, save

FAST = TrainOptions(
    members=1, number_encoding="raw", hidden=(16,), epochs=20, noise="heteroscedastic"
)


def rows(count: int, seed: int) -> dict[str, np.ndarray]:
    """Two numbers, of which one says how noisy the target is; a class that noise turns over."""
    random = np.random.default_rng(seed)
    x, spread = random.uniform(-2, 2, count), random.uniform(0, 1, count)
    y = np.sin(x) + spread**2 * random.uniform(-3, 3, count)
    turned = random.random(count) < 0.4 * spread**3
    kind = np.where((x > 0) ^ turned, "right", "left").astype(object)
    return {"x": x, "spread": spread, "y": y, "kind": kind}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Predictor]:
    """By target: `y`, a number, and `kind`, a class."""
    folder = tmp_path_factory.mktemp("accepting")
    for target, other in (("y", "kind"), ("kind", "y")):
        table = Table("rows.csv", rows(3000, 0), "0" * 64)
        train(table, target, folder / target, drop=[other], options=FAST)
    return {target: load(folder / target) for target in ("y", "kind")}


def inputs(columns: dict[str, np.ndarray]) -> list[list[float]]:
    return np.column_stack([columns["x"], columns["spread"]]).tolist()


@pytest.mark.parametrize(("target", "largest"), [("y", 0.8), ("kind", 0.12)])
def test_the_error_of_accepted_fresh_rows_is_within_its_bound(
    models: dict[str, Predictor], target: str, largest: float
) -> None:
    fresh = rows(4000, 1)
    answer = models[target].predict(
        inputs(fresh), PredictOptions(seed=0, largest_error=largest, passes=30)
    )
    promised = answer.acceptance
    assert promised is not None
    accept = np.array([row.accept for row in answer.rows])
    assert promised.bound <= promised.largest_error == largest
    assert 0.4 < promised.accepted < 1
    assert abs(accept.mean() - promised.accepted) < 0.06
    if target == "y":
        means = np.array([row.mean for row in answer.rows])
        loss = (means - fresh["y"]) ** 2
        risks = [float(np.sqrt(loss[chosen].mean())) for chosen in (accept, ~accept)]
    else:
        labels = [row.label for row in answer.rows if isinstance(row, ClassificationPrediction)]
        loss = np.array(labels) != fresh["kind"]
        risks = [float(loss[chosen].mean()) for chosen in (accept, ~accept)]
    assert risks[0] <= promised.bound
    assert risks[1] > largest  # what was left out would have broken it


def test_a_request_that_tolerates_any_error_gets_every_row_and_one_without_a_limit_no_column(
    models: dict[str, Predictor],
) -> None:
    asked = inputs(rows(50, 2))
    for predictor in models.values():
        every = predictor.predict(asked, PredictOptions(largest_error=1e9))
        assert all(row.accept is True for row in every.rows)
        silent = predictor.predict(asked)
        assert silent.acceptance is None
        assert all(row.accept is None for row in silent.rows)


def test_a_row_is_accepted_by_what_its_task_abstains_by(models: dict[str, Predictor]) -> None:
    asked, options = inputs(rows(400, 3)), PredictOptions(seed=0, largest_error=0.8)
    found = models["y"].predict(asked, options).rows
    by_std = [
        (r.total_variance, r.accept)
        for r in found
        if isinstance(r, RegressionPrediction) and isinstance(r.total_variance, float)
    ]
    least_refused = min(variance for variance, accept in by_std if not accept)
    assert all(variance < least_refused for variance, accept in by_std if accept)


def test_an_error_that_is_not_certified_is_refused_with_the_least_that_is(
    models: dict[str, Predictor],
) -> None:
    with pytest.raises(CalibrationError, match="450 held-out rows do not certify an RMSE") as said:
        models["y"].predict([[0.0, 0.0]], PredictOptions(largest_error=1e-6))
    least = float(str(said.value).rpartition(" ")[2])
    assert models["y"].predict([[0.0, 0.0]], PredictOptions(largest_error=least)).acceptance


@pytest.mark.parametrize("largest", [0, -1.0, float("nan"), float("inf"), "0.1", True])
def test_an_error_that_makes_no_sense_is_refused(largest: object) -> None:
    with pytest.raises(InputError, match="largest_error"):
        PredictOptions(largest_error=largest)  # type: ignore[arg-type]


def test_models_that_cannot_promise_say_why(
    two_target_artifact: Path, regression_artifact: Path, tmp_path: Path
) -> None:
    options = PredictOptions(largest_error=1.0)
    with pytest.raises(CalibrationError, match="a model of one target"):
        load(two_target_artifact).predict([[80.0, 3, "east"]], options)
    made = read(regression_artifact)
    card = made.card.model_copy(update={"calibration": None})
    save(tmp_path / "bare", made._replace(card=card))
    with pytest.raises(CalibrationError, match="has none"):
        load(tmp_path / "bare").predict([[80.0, 3, "east"]], options)


def test_new_rows_promise_anew(models: dict[str, Predictor], tmp_path: Path) -> None:
    """Of data with half the noise, less error is certified."""
    made = models["y"].card
    table = Table("rows.csv", rows(3000, 0), "0" * 64)
    train(table, "y", tmp_path / "y", drop=["kind"], options=FAST)
    calm = {name: column[:450] for name, column in rows(5000, 5).items()}
    calm["spread"] = calm["spread"] / 2
    calm["y"] = np.sin(calm["x"])
    again = calibrate(tmp_path / "y", Table("calm.csv", calm, "1" * 64))
    old, new = (
        [level.bound for level in card.calibration.abstention.levels]
        for card in (made, again)
        if card.calibration and card.calibration.abstention
    )
    assert all(now < before for now, before in zip(new, old, strict=True))
