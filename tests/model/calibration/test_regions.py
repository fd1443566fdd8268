"""Regions of a trained model hold fresh rows as often as they say, whatever the noise."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from model import (
    CalibrationError,
    DataError,
    LabelSetMethod,
    PredictOptions,
    Predictor,
    TrainOptions,
    calibrate,
    evaluate,
    load,
    report_text,
    train,
)
from model.artifact.folder import read
from model.data.table import Table
from model.evaluation.outcomes import RegressionOutcome
from model.training.fit import initialised

FAST = TrainOptions(
    members=1, number_encoding="raw", hidden=(24, 24), epochs=40, patience=40, batch=64
)
COVERAGES = (0.5, 0.8, 0.9)


def noisy(rows: int, seed: int) -> dict[str, np.ndarray]:
    """A curve whose noise grows with x."""
    random = np.random.default_rng(seed)
    x, z = random.uniform(-2, 2, rows), random.normal(size=rows)
    noise = random.normal(size=rows) * np.exp(0.7 * x)
    return {"x": x, "z": z, "y": np.sin(2 * x) + 0.3 * z + noise}


@pytest.fixture(scope="module", params=["homoscedastic", "heteroscedastic"])
def predictor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Predictor:
    folder = tmp_path_factory.mktemp("noisy") / request.param
    options = TrainOptions(
        members=1,
        number_encoding="raw",
        hidden=(24, 24),
        epochs=40,
        patience=40,
        noise=request.param,
    )
    train(Table("noisy", noisy(1_500, 0), "0" * 64), "y", folder, options=options)
    return load(folder)


def rows_of(columns: dict[str, np.ndarray]) -> list[list[float]]:
    return np.stack([columns["x"], columns["z"]], axis=1).tolist()


@pytest.mark.parametrize("coverage", COVERAGES)
def test_intervals_hold_fresh_targets_as_often_as_they_say(
    predictor: Predictor, coverage: float
) -> None:
    fresh = noisy(4_000, 1)
    options = PredictOptions(coverage=coverage, seed=0)
    inside = [
        row.interval.lower <= y <= row.interval.upper
        for row, y in zip(predictor.predict(rows_of(fresh), options).rows, fresh["y"], strict=True)
    ]
    assert predictor.card.calibration is not None
    n = predictor.card.calibration.rows
    # coverage given the calibration rows is beta distributed around the nominal one
    std = math.sqrt(coverage * (1 - coverage) * (1 / (n + 2) + 1 / len(inside)))
    assert abs(np.mean(inside) - coverage) < 3.5 * std


def test_total_variance_is_the_sum_of_its_parts(predictor: Predictor) -> None:
    (factor,) = predictor.card.tuning.variance_factors
    for row in predictor.predict(rows_of(noisy(50, 2))).rows:
        assert row.total_variance == factor * row.variance + row.noise_variance


def test_heteroscedastic_noise_grows_where_the_data_says_so(predictor: Predictor) -> None:
    quiet, loud = predictor.predict([[-1.5, 0.0], [1.5, 0.0]]).rows
    ratio = loud.noise_variance / quiet.noise_variance
    if predictor.card.tuning.noise == "homoscedastic":
        assert ratio == 1
    else:
        assert ratio > 8  # exp(0.7 * 3)^2 = 67


def test_more_coverage_makes_a_wider_interval(predictor: Predictor) -> None:
    widths = []
    for coverage in COVERAGES:
        (row,) = predictor.predict([[0.3, 0.1]], PredictOptions(coverage=coverage, seed=1)).rows
        widths.append(row.interval.upper - row.interval.lower)
    assert widths == sorted(widths)


def test_a_coverage_that_the_rows_cannot_promise_names_the_number_needed(
    predictor: Predictor,
) -> None:
    with pytest.raises(CalibrationError, match="needs 9999 calibration rows"):
        predictor.predict([[0.0, 0.0]], PredictOptions(coverage=0.9999))


def test_other_passes_than_those_of_the_calibration_are_pointed_out(predictor: Predictor) -> None:
    (row,) = predictor.predict([[0.0, 0.0]], PredictOptions(passes=50)).rows
    assert row.warnings == ("calibrated_with:reduced:100",)


def test_too_few_rows_are_left_uncalibrated_and_say_so(tmp_path: Path) -> None:
    table = Table("few", noisy(40, 0), "0" * 64)
    card = train(table, "y", tmp_path / "few", options=FAST)
    assert card.calibration is None
    assert any("too few" in notice for notice in card.training.notices)
    (row,) = load(tmp_path / "few").predict([[0.0, 0.0]]).rows
    assert row.warnings == ("no_calibration",)
    assert row.interval.method == "normal"


def test_new_rows_calibrate_a_model_without_training_it_again(tmp_path: Path) -> None:
    """On data that is noisier than the model's own, only new calibration rows cover."""
    folder = tmp_path / "model"
    card = train(Table("calm", noisy(600, 3), "1" * 64), "y", folder, options=FAST)
    louder = noisy(800, 4)
    louder["y"] = louder["y"] + 3 * np.random.default_rng(5).normal(size=800)
    first = {name: column[:400] for name, column in louder.items()}
    fresh = {name: column[400:] for name, column in louder.items()}
    again = calibrate(folder, Table("louder", first, "2" * 64), out=tmp_path / "again")
    assert again.calibration is not None
    assert (again.calibration.rows, again.calibration.data) == (400, "louder")
    before, after = read(folder), read(tmp_path / "again")
    assert all(map(torch.equal, before.networks.parameters(), after.networks.parameters()))
    assert before.similarity is not None
    assert after.similarity is not None
    assert torch.equal(before.similarity.reference, after.similarity.reference)
    assert len(after.similarity.scores) == 400
    assert again.version != card.version
    covered = []
    for name in ("model", "again"):
        rows = load(tmp_path / name).predict(rows_of(fresh), PredictOptions(seed=0)).rows
        pairs = zip(rows, fresh["y"], strict=True)
        covered.append(np.mean([r.interval.lower <= y <= r.interval.upper for r, y in pairs]))
    assert covered[0] < 0.75
    assert covered[1] == pytest.approx(0.9, abs=3.5 * math.sqrt(0.09 * 2 / 400))


def test_rows_that_trained_the_model_and_too_few_rows_are_refused(tmp_path: Path) -> None:
    table = Table("calm", noisy(300, 3), "1" * 64)
    train(table, "y", tmp_path / "model", options=FAST)
    with pytest.raises(DataError, match="model was trained on calm"):
        calibrate(tmp_path / "model", table)
    with pytest.raises(CalibrationError, match="has 5 rows; at least 9 are needed"):
        calibrate(tmp_path / "model", Table("few", noisy(5, 3), "3" * 64))


def test_intervals_by_the_passes_alone_and_by_the_absolute_error_stand_beside(
    predictor: Predictor,
) -> None:
    """On data whose noise differs from row to row all kinds cover; the width tells them apart."""
    fresh = Table("fresh", noisy(4_000, 1), "9" * 64)
    evaluation = evaluate(predictor, fresh, PredictOptions(seed=0, passes=100))
    (outcome,) = evaluation.outcomes
    mean, off = outcome.metrics(), outcome.deterministic_metrics()
    assert predictor.card.calibration is not None
    n = predictor.card.calibration.rows
    band = 3.5 * math.sqrt(0.09 * (1 / (n + 2) + 1 / 4_000))
    for held in ("interval_coverage", "epistemic_interval_coverage"):
        assert mean[held] == pytest.approx(0.9, abs=band)
    assert off["interval_coverage"] == pytest.approx(0.9, abs=band)
    assert isinstance(outcome, RegressionOutcome)
    scores = np.array(predictor.card.calibration.comparisons["deterministic"]["y"])
    reach = scores[math.ceil(0.9 * (n + 1)) - 1] * predictor.card.target.scales[0]
    assert off["interval_width"] == pytest.approx(2 * reach)
    inside = np.abs(outcome.actual - outcome.deterministic) <= reach
    assert off["interval_coverage"] == pytest.approx(inside.mean())
    if predictor.card.tuning.noise == "heteroscedastic":
        assert mean["interval_width"] < 0.9 * off["interval_width"]
    assert "coverage, passes" in report_text(evaluation)


def classes(rows: int, seed: int) -> dict[str, np.ndarray]:
    """Twelve classes around a circle, that overlap with their neighbours."""
    random = np.random.default_rng(seed)
    number = random.integers(0, 12, rows)
    angle = number * math.pi / 6
    x = np.cos(angle) + 0.3 * random.normal(size=rows)
    z = np.sin(angle) + 0.3 * random.normal(size=rows)
    return {"x": x, "z": z, "y": np.array([f"c{n}" for n in number], dtype=object)}


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    folder = tmp_path_factory.mktemp("circle") / "circle"
    train(Table("circle", classes(1_500, 0), "0" * 64), "y", folder, options=FAST)
    return load(folder)


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_label_sets_hold_fresh_classes_as_often_as_they_say(
    classifier: Predictor, method: LabelSetMethod
) -> None:
    fresh = classes(2_000, 1)
    answer = classifier.predict(rows_of(fresh), PredictOptions(label_set=method, seed=0))
    held, (first, *_) = [], answer.rows
    for row, y in zip(answer.rows, fresh["y"], strict=True):
        assert row.label_set.method == method
        assert row.label_set.labels == tuple(
            sorted(row.label_set.labels, key=row.mean.__getitem__, reverse=True)
        )
        held.append(y in row.label_set.labels)
    assert classifier.card.calibration is not None
    n = classifier.card.calibration.rows
    assert np.mean(held) > 0.9 - 3.5 * math.sqrt(0.09 * (1 / (n + 2) + 1 / 2_000))
    assert len(first.label_set.labels) < 12


def test_a_kind_of_label_set_that_was_not_calibrated_is_refused(classifier: Predictor) -> None:
    made = classifier.card.calibration
    assert made is not None
    scores = {name: scores for name, scores in made.scores.items() if name != "raps"}
    older = classifier.card.model_copy(
        update={"calibration": made.model_copy(update={"scores": scores})}
    )
    network = initialised(older.config, torch.Generator().manual_seed(0))
    predictor = Predictor(older, network.requires_grad_(False))
    with pytest.raises(CalibrationError, match="no scores for raps; run python -m model calibrate"):
        predictor.predict([[0.0, 0.0]], PredictOptions(label_set="raps"))
