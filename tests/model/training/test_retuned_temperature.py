"""Weights that learn from the validation rows too need another temperature than was found there."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import PredictOptions, Table, TrainOptions, load, train
from model.calibration.tuning import Tuning
from model.data.preparation import encode_target, fit_target, split_rows
from model.data.schema import Target
from model.tasks.classification import Classification
from model.training.calibrate import split_tuning_rows

FAST = TrainOptions(
    members=1, number_encoding="raw", hidden=(16,), dropout=(0.1,), epochs=10, weight_decay=0.0
)
CLASSES = Target(("y",), ("a", "b", "c"), (), (), (None,))


def table(rows: int) -> Table:
    """Three classes, a feature that says much of them, and one that says nothing."""
    random = np.random.default_rng(0)
    x, z = random.normal(size=rows), random.normal(size=rows)
    y = np.digitize(x + random.normal(0, 0.5, rows), [-0.5, 0.5])
    return Table("abc", {"x": x, "z": z, "y": np.array(list("abc"), dtype=object)[y]}, "0" * 64)


@pytest.mark.parametrize(
    ("rows", "refit", "tuning"), [(2_000, True, 75), (2_000, False, 0), (800, True, 0)]
)
def test_a_quarter_of_many_calibration_rows_corrects_the_temperature_and_calibrates_nothing(
    rows: int, refit: bool, tuning: int, tmp_path: Path
) -> None:
    options = replace(FAST, refit=refit)
    card = train(table(rows), "y", tmp_path / "m", options=options)
    assert card.calibration is not None
    kept = card.training.rows["calibration"]
    assert (card.calibration.rows, card.calibration.tuning_rows) == (kept - tuning, tuning)
    assert len(card.calibration.spreads) == kept - tuning


def test_calibrating_rows_do_not_move_the_temperature_and_tuning_rows_do(tmp_path: Path) -> None:
    whole = table(2_000)
    labels = whole.columns["y"]
    encoded = encode_target(
        whole, fit_target(whole, ["y"], "multiclass", np.arange(whole.row_count))
    )
    rows = split_rows(whole.row_count, FAST.seed, strata=encoded).calibration
    first, others = (rows[part] for part in split_tuning_rows(len(rows)))
    split = split_rows(whole.row_count, FAST.seed, strata=encoded)

    def temperature(changed: np.ndarray) -> float:
        y = labels.copy()
        y[changed] = np.roll(labels[changed], 1)
        wrong = replace(whole, columns={**whole.columns, "y": y})
        card = train(wrong, "y", tmp_path / "m", options=FAST, split=split)
        return card.tuning.temperature

    unchanged = temperature(rows[:0])
    assert temperature(others) == unchanged
    assert temperature(first) > 1.1 * unchanged


def test_a_regression_calibrates_with_all_of_its_rows(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=2_000)
    numbers = Table("line", {"x": x, "y": x + random.normal(size=2_000)}, "0" * 64)
    card = train(numbers, "y", tmp_path / "m", options=FAST)
    assert card.calibration is not None
    assert (card.calibration.rows, card.calibration.tuning_rows) == (300, 0)


@pytest.mark.parametrize("found", [0.7, 1.0, 1.5])
def test_many_rows_find_the_temperature_that_is_right_whichever_was_found_before(
    found: float,
) -> None:
    random = np.random.default_rng(1)
    logits = 2 * random.normal(size=(5, 1, 3)) + 2 * random.normal(size=(1, 20_000, 3))
    shares = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    actual = (shares.mean(0).cumsum(-1) > random.random((20_000, 1))).argmax(-1)
    tempered = np.exp(logits / found) / np.exp(logits / found).sum(-1, keepdims=True)
    values = np.concatenate([tempered, np.zeros((5, 20_000, 1))], axis=-1)
    task = Classification(CLASSES, Tuning(temperature=found, rank_penalty=0.1, free_ranks=2))
    again = task.retuned(values, actual)
    assert again.temperature == pytest.approx(1, abs=0.03)
    assert replace(again, temperature=found) == task.tuning


def test_few_rows_hardly_move_the_factor() -> None:
    values = np.array([[[0.9, 0.05, 0.05, 0.0]] * 4] * 3)
    task = Classification(CLASSES, Tuning(temperature=1.3))
    moved = task.retuned(values, np.array([0, 0, 0, 0])).temperature
    assert 0.9 * 1.3 < moved < 1.3


def test_label_sets_of_a_retuned_classifier_have_their_coverage(tmp_path: Path) -> None:
    whole = table(6_000)
    columns = {name: column[:3_000] for name, column in whole.columns.items()}
    train(replace(whole, columns=columns), "y", tmp_path / "m", options=FAST)
    fresh = np.stack([whole.columns["x"][3_000:], whole.columns["z"][3_000:]], axis=1)
    predictor = load(tmp_path / "m")
    options = PredictOptions(coverage=0.8, seed=9, masks="per_row", label_set="aps")
    found = predictor.predict(fresh, options).rows
    inside = [
        y in row.label_set.labels for row, y in zip(found, whole.columns["y"][3_000:], strict=True)
    ]
    assert predictor.card.calibration is not None
    n = predictor.card.calibration.rows
    assert np.mean(inside) > 0.8 - 3.5 * np.sqrt(0.16 * (1 / (n + 2) + 1 / len(inside)))
