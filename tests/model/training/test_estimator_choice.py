"""Many passes over calibration rows decide the allowances and the estimator."""

from pathlib import Path

import numpy as np
import pytest

from model import PredictOptions, Predictor, Table, TrainOptions, load, train
from model.training.estimator_choice import try_estimators
from tests.model.answers import without_allowances

OPTIONS = TrainOptions(
    members=1,
    number_encoding="raw",
    hidden=(40, 40, 40),
    dropout=(0.02,),
    epochs=60,
    noise="homoscedastic",
)


def table(rows: int, seed: int = 0) -> Table:
    random = np.random.default_rng(seed)
    x = random.normal(size=(rows, 3))
    columns = {f"x{i}": x[:, i] for i in range(3)}
    return Table("waves", columns | {"y": np.sin(2 * x[:, 0]) + x[:, 1]}, sha256=f"{seed:064d}")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Predictor:
    """Three layers that drop a unit or two per pass: error bars by themselves are too small."""
    folder: Path = tmp_path_factory.mktemp("models") / "waves"
    train(table(1000), "y", folder, options=OPTIONS)
    return load(folder)


def test_error_bars_of_few_passes_hold_in_every_row(model: Predictor) -> None:
    fresh = table(200, seed=5)
    x = model.encode(np.stack([fresh.columns[f"x{i}"] for i in range(3)], axis=1))
    truth = model.predict_encoded(x, PredictOptions(passes=20_000, seed=77)).rows.columns
    for passes in (32, 100):
        held = {"mean": np.zeros(200), "variance": np.zeros(200)}
        for seed in range(100, 200):
            found = model.predict_encoded(x, PredictOptions(passes=passes, seed=seed)).rows.columns
            for name, count in held.items():
                off = np.abs(found[name][:, 0] - truth[name][:, 0])
                count += off <= 2 * found[f"{name}_error"][:, 0]
        for count in held.values():
            assert count.min() >= 71  # of 100: 85, and the chance of the worst of 200 rows


def test_no_mask_decides_alone_for_all_rows(model: Predictor) -> None:
    """Copies of one row need different allowances: only some of them share their masks."""
    card = model.card.model_copy(update={"calibration": None})
    row = np.full((1, 3), 0.5, dtype=np.float32)
    few, many = (
        try_estimators(card, model._networks, row.repeat(count, axis=0), seed=1).allowances["plain"]
        for count in (16, 64)
    )
    pairs = [(few[name], many[name]) for name in ("mean", "variance")]
    assert all(a <= b for one, other in pairs for a, b in zip(one, other, strict=True))
    assert any(one != other for one, other in pairs)


def test_the_allowances_are_on_the_card_and_what_widens_the_errors(model: Predictor) -> None:
    calibration = model.card.calibration
    assert calibration is not None
    assert set(calibration.allowances) == {"plain", "reduced"}
    without = without_allowances(model)
    x, options = np.zeros((1, 3), dtype=np.float32), PredictOptions(passes=32, seed=1)
    wide, narrow = (p.predict_encoded(x, options).rows[0] for p in (model, without))
    assert (wide.mean, wide.variance) == (narrow.mean, narrow.variance)
    share = calibration.allowances["reduced"]["variance"][0]
    expected = np.hypot(narrow.variance_error, share * narrow.variance)
    assert wide.variance_error == pytest.approx(expected)


def test_an_estimator_that_pays_is_served(model: Predictor) -> None:
    assert model.card.serving.estimator == "reduced"
    assert not model.card.serving.plain_because


@pytest.fixture
def rows() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)


def test_controls_that_do_not_pay_are_left_out(
    model: Predictor, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.training.estimator_choice.PAYS", 1e9)
    card = model.card.model_copy(update={"calibration": None})
    serving = try_estimators(card, model._networks, rows, seed=1).serving
    assert (serving.estimator, serving.controls, serving.plain_because) == ("reduced", False, "")
    without = Predictor(card.model_copy(update={"serving": serving}), model._networks)
    options = {"passes": 200, "seed": 3}
    found, plain, full = (
        predictor.predict_encoded(rows, PredictOptions(**options, estimator=estimator)).rows  # type: ignore[arg-type]
        for predictor, estimator in (
            (without, "reduced"),
            (without, "plain"),
            (Predictor(card, model._networks), "reduced"),
        )
    )
    for row, other, best in zip(found, plain, full, strict=True):
        assert row.variance > 0
        assert abs(row.mean - best.mean) < 4.5 * row.mean_error
        assert best.mean_error < row.mean_error < 1.05 * other.mean_error


def test_an_estimator_that_is_worse_is_not_served_and_the_card_says_why(
    model: Predictor, rows: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("PAYS", "NO_WORSE"):
        monkeypatch.setattr(f"model.training.estimator_choice.{name}", 1e9)
    card = model.card.model_copy(update={"calibration": None})
    serving = try_estimators(card, model._networks, rows, seed=1).serving
    assert serving.estimator == "plain"
    assert "times those of plain" in serving.plain_because
