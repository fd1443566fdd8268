"""From a table to an artifact: everything that a card says of it is so."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import (
    ArtifactError,
    Card,
    DataError,
    Epoch,
    InputError,
    PredictOptions,
    Split,
    Table,
    TrainOptions,
    evaluate,
    load,
    read_table,
    shipped,
    train,
)
from model.artifact.folder import read
from model.data.preparation import split_rows

OPTIONS = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=(0.1,), epochs=3)
OTHERS = ("rent", "dear", "worth")


def trained(table: Table, folder: Path, **changes: Any) -> Card:
    return train(table, "price", folder, **{"drop": OTHERS, "options": OPTIONS, **changes})


def with_column(table: Table, name: str, column: np.ndarray) -> Table:
    return replace(table, columns={**table.columns, name: column})


def test_the_card_records_where_the_weights_come_from(houses: Table, tmp_path: Path) -> None:
    options = replace(OPTIONS, seed=7, batch=50, learning_rate=0.01)
    card = trained(houses, tmp_path / "a", options=options)
    record = card.training
    assert (record.data, record.data_sha256, record.seed) == ("houses.csv", "0" * 64, 7)
    assert record.settings == {
        "number_encoding": "raw",
        "epochs": 3,
        "batch": 50,
        "learning_rate": 0.01,
        "weight_decay": 0.1,
        "refit": True,
    }
    assert set(record.rows) == {"train", "validation", "calibration", "test"}
    assert sum(record.rows.values()) == 200
    assert min(record.rows.values()) > 0
    assert record.epochs == 3
    assert 1 <= record.best_epoch <= 3
    assert record.versions["torch"].startswith("2.")
    assert card == read(tmp_path / "a")[0]


def test_a_model_is_named_after_its_folder_unless_it_is_given_a_name(
    houses: Table, tmp_path: Path
) -> None:
    assert trained(houses, tmp_path / "rent-2.1").name == "rent-2.1"
    assert trained(houses, tmp_path / "b c", name="other").name == "other"


@pytest.mark.parametrize("name", ["my model", "café", "..", "-x", "a/b", "n" * 101, "a\n"])
def test_a_name_that_does_not_fit_into_a_url_is_refused_before_training(
    houses: Table, tmp_path: Path, name: str
) -> None:
    epochs: list[Epoch] = []
    with pytest.raises(InputError, match=r"^name: ") as caught:
        trained(houses, tmp_path / "a", name=name, progress=epochs.append)
    assert repr(name)[:60] in str(caught.value)
    assert not epochs


def test_a_folder_that_holds_other_things_is_refused_before_training(
    houses: Table, tmp_path: Path
) -> None:
    (tmp_path / "notes.txt").write_text("precious")
    epochs: list[Epoch] = []
    with pytest.raises(ArtifactError, match="is not a model"):
        trained(houses, tmp_path, name="a", progress=epochs.append)
    assert not epochs


def test_metrics_are_those_of_rows_that_training_has_not_seen(
    houses: Table, tmp_path: Path
) -> None:
    """Only the test rows are changed, once they are known: the weights must stay the same."""
    first = trained(houses, tmp_path / "a")
    second = trained(changed(houses, split_rows(200, OPTIONS.seed).test), tmp_path / "b")
    assert second.weights_sha256 == first.weights_sha256
    assert second.metrics["rmse"] > first.metrics["rmse"] + 500


def changed(table: Table, rows: np.ndarray) -> Table:
    """The table with other prices in some rows."""
    price = table.columns["price"].copy()
    price[rows] += 1000
    return with_column(table, "price", price)


@pytest.mark.parametrize("refit", [True, False])
def test_calibration_rows_are_kept_from_everything_else_whatever_is_refitted(
    houses: Table, tmp_path: Path, refit: bool
) -> None:
    options = replace(OPTIONS, refit=refit)
    split = split_rows(200, OPTIONS.seed)
    first = trained(houses, tmp_path / "a", options=options)
    second = trained(changed(houses, split.calibration), tmp_path / "b", options=options)
    assert first.calibration
    assert second.calibration
    for mine, other in zip(*(read(tmp_path / name)[1].parameters() for name in "ab"), strict=True):
        assert torch.equal(mine, other)
    assert second.features == first.features
    if refit:  # but for a common factor on the total variance, which moves no interval
        tunings = (first.tuning, second.tuning)
        factors = [tuning.noise_scales[0] for tuning in tunings]
        assert factors[1] > factors[0]
        for name, power in (("variance_factors", 1), ("typical_stds", 0.5)):
            scaled = [
                getattr(tuning, name)[0] / factor**power
                for tuning, factor in zip(tunings, factors, strict=True)
            ]
            assert scaled[1] == pytest.approx(scaled[0])
    else:
        assert second.tuning == first.tuning
    assert second.metrics == first.metrics
    assert second.calibration.scores != first.calibration.scores


def test_a_refit_learns_from_the_validation_rows_too(houses: Table, tmp_path: Path) -> None:
    alone = trained(houses, tmp_path / "a", options=replace(OPTIONS, refit=False))
    both = trained(houses, tmp_path / "b")
    assert (alone.training.refitted, both.training.refitted) == (False, True)
    split, area = split_rows(200, OPTIONS.seed), houses.columns["area"]
    ranges = [card.features[0].range for card in (alone, both)]  # type: ignore[union-attr]
    seen = (split.train, np.concatenate([split.train, split.validation]))
    assert ranges == [(area[rows].min(), area[rows].max()) for rows in seen]
    assert alone.weights_sha256 != both.weights_sha256
    assert both.training.rows == alone.training.rows


def test_the_noise_is_that_of_rows_that_the_weights_had_not_seen(
    houses: Table, tmp_path: Path
) -> None:
    """The validation rows fit it before the weights learn from them: on the first fit's errors."""
    split = replace(split_rows(200, OPTIONS.seed), calibration=np.arange(0))
    first = trained(houses, tmp_path / "a", split=split)
    second = trained(changed(houses, split.validation), tmp_path / "b", split=split)
    assert second.tuning.typical_stds[0] > 2 * first.tuning.typical_stds[0]


def test_an_interrupted_refit_is_saved_and_says_so(houses: Table, tmp_path: Path) -> None:
    def interrupt(epoch: Epoch) -> None:
        if epoch.validation_loss is None:
            raise KeyboardInterrupt

    card = trained(houses, tmp_path / "a", progress=interrupt)
    assert not card.training.refitted
    assert any("again" in notice for notice in card.training.notices)
    assert load(tmp_path / "a").card == card


def test_a_caller_may_say_which_rows_are_for_what(houses: Table, tmp_path: Path) -> None:
    """No calibration rows, and some rows for nothing at all."""
    parts = (np.arange(100), np.arange(100, 130), np.arange(0), np.arange(150, 200))
    card = trained(houses, tmp_path / "a", split=Split(*parts))
    assert card.training.split == "given"
    assert card.training.rows == {"train": 100, "validation": 30, "calibration": 0, "test": 50}
    assert card.calibration is None
    nothing_held_out = Split(*parts[:3], np.arange(0))
    assert trained(houses, tmp_path / "c", split=nothing_held_out).metrics == {}
    unused = trained(
        changed(houses, np.arange(130, 150)), tmp_path / "b", split=Split(*parts), name="a"
    )
    assert unused == card


def test_the_test_rows_of_a_callers_split_are_the_ones_that_are_evaluated(
    houses: Table, tmp_path: Path
) -> None:
    """A split by the seed would have as many."""
    given = Split(*np.split(np.arange(200), [120, 140, 170]))
    trained(houses, tmp_path / "a", split=given)
    found = evaluate(load(tmp_path / "a"), houses)
    assert (found.part, found.row_numbers.tolist()) == ("test", list(range(171, 201)))


@pytest.mark.parametrize(
    ("part", "rows", "said"),
    [
        ("train", [0, 1, 150], "row 150 occurs more than once"),
        ("train", [], "split, train: at least one row"),
        ("validation", [], "split, validation: at least one row"),
        ("test", [199, 200], r"split, test: rows must be in 0 to 199, not 199 to 200"),
        ("calibration", [-1], r"split, calibration: rows must be in 0 to 199, not -1 to -1"),
        ("train", [0.5, 1.5], "split, train: the rows must be a list of whole numbers"),
        ("train", [[0, 1]], "split, train: the rows must be a list of whole numbers"),
    ],
)
def test_a_split_that_the_table_does_not_have_is_refused(
    houses: Table, tmp_path: Path, part: str, rows: list[Any], said: str
) -> None:
    split = Split(*np.split(np.arange(200), [120, 140, 170]))
    array = np.array(rows) if rows else np.arange(0)
    with pytest.raises(DataError, match=said):
        trained(houses, tmp_path / "a", split=replace(split, **{part: array}))
    assert not (tmp_path / "a").exists()


def test_metrics_can_be_measured_again_from_the_artifact(houses: Table, tmp_path: Path) -> None:
    card = trained(houses, tmp_path / "a")
    test = split_rows(200, OPTIONS.seed).test
    names = [feature.name for feature in card.features]
    rows = [[houses.columns[name].tolist()[at] for name in names] for at in test]
    found = load(tmp_path / "a").predict(rows, PredictOptions(seed=0)).rows
    errors = [p.mean - y for p, y in zip(found, houses.columns["price"][test], strict=True)]  # type: ignore[operator]
    assert card.metrics["rmse"] == pytest.approx(math.sqrt(np.mean(np.square(errors))), rel=1e-5)
    assert card.metrics["mae"] == pytest.approx(np.mean(np.abs(errors)), rel=1e-5)


def test_the_same_seed_gives_the_same_version_and_leaves_the_global_random_states_alone(
    houses: Table, tmp_path: Path
) -> None:
    cards = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        np.random.seed(global_seed)
        before = torch.get_rng_state(), np.random.get_state()[1].copy()
        cards.append(trained(houses, tmp_path / str(global_seed), name="same"))
        assert torch.equal(torch.get_rng_state(), before[0])
        assert np.array_equal(np.random.get_state()[1], before[1])
    assert cards[0] == cards[1]
    other = trained(houses, tmp_path / "c", name="same", options=replace(OPTIONS, seed=1))
    assert other.weights_sha256 != cards[0].weights_sha256


def test_an_interrupted_training_is_saved_and_says_so(houses: Table, tmp_path: Path) -> None:
    def interrupt(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    card = trained(houses, tmp_path / "a", progress=interrupt)
    assert card.training.epochs == 2
    assert "training was interrupted after epoch 2" in card.training.notices
    assert load(tmp_path / "a").card == card


def test_constant_columns_are_dropped_with_a_notice(houses: Table, tmp_path: Path) -> None:
    table = with_column(houses, "planet", np.full(200, "Earth", dtype=object))
    card = trained(table, tmp_path / "a")
    assert "planet" not in [feature.name for feature in card.features]
    assert any("planet" in notice for notice in card.training.notices)


def test_missing_cells_are_an_error_or_imputed(houses: Table, tmp_path: Path) -> None:
    area = houses.columns["area"].copy()
    area[3] = math.nan
    table = with_column(houses, "area", area)
    with pytest.raises(DataError, match="row 4, column 'area'"):
        trained(table, tmp_path / "a")
    card = trained(table, tmp_path / "a", missing="impute")
    filled = {feature.name: feature.fill for feature in card.features}
    assert filled["area"] == pytest.approx(np.nanmedian(area), abs=20)
    (found,) = load(tmp_path / "a").predict([[None, 3, None]]).rows
    assert math.isfinite(found.mean)  # type: ignore[arg-type]


def test_dropped_columns_and_targets_are_no_features(houses: Table, tmp_path: Path) -> None:
    card = trained(houses, tmp_path / "a", drop=[*OTHERS, "rooms"])
    assert [feature.name for feature in card.features] == ["area", "quarter"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"drop": ["romos"]},
            "no column 'romos' (did you mean 'rooms'?); its columns are area, rooms, quarter",
        ),
        ({"targets": "prise"}, "no column 'prise'"),
        ({"targets": []}, "one or more different columns"),
        ({"targets": ["price", "price"]}, "one or more different columns"),
        ({"targets": "quarter", "task": "regression"}, "quarter"),
        ({"task": "ranking"}, "'ranking'"),
        ({"missing": "guess"}, "'guess'"),
        ({"drop": ["area", "rooms", "quarter", *OTHERS]}, "no feature to learn from"),
    ],
)
def test_a_table_that_cannot_be_used_as_asked_is_refused(
    houses: Table, tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    asked = {"targets": "price", "drop": OTHERS, "options": OPTIONS, **changes}
    with pytest.raises(DataError) as caught:
        train(houses, folder=tmp_path / "a", **asked)
    assert said in str(caught.value)
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("scale", [1e-150, 1e150])
def test_a_target_whose_variance_would_not_be_a_number_is_refused(
    houses: Table, tmp_path: Path, scale: float
) -> None:
    table = with_column(houses, "price", houses.columns["price"] * scale)
    with pytest.raises(DataError, match=r"column 'price': .* use another unit"):
        trained(table, tmp_path / "a")


@pytest.mark.parametrize("scale", [1e-90, 1e90])
def test_predictions_scale_with_the_targets_unit(
    houses: Table, tmp_path: Path, scale: float
) -> None:
    trained(houses, tmp_path / "a")
    trained(with_column(houses, "price", houses.columns["price"] * scale), tmp_path / "b")
    options = PredictOptions(seed=1)
    one, other = (
        load(tmp_path / name).predict([[90, 3, "east"]], options).rows[0] for name in "ab"
    )
    assert other.mean == pytest.approx(one.mean * scale, rel=1e-4)  # type: ignore[operator]
    assert other.std == pytest.approx(one.std * scale, rel=1e-4)  # type: ignore[operator]
    assert other.variance == pytest.approx(one.variance * scale**2, rel=1e-4)  # type: ignore[operator]


@pytest.mark.parametrize("name", ["diabetes", "breast-cancer", "digits"])
def test_a_shipped_model_can_be_trained_again_from_its_card(name: str, tmp_path: Path) -> None:
    """Its held-out error comes back within 5 %: other processors round differently."""
    card = next(load(folder).card for folder in shipped() if folder.name == name)
    record, shape = card.training, card.architecture
    assert record is not None
    table = read_table(record.data)
    assert table.sha256 == record.data_sha256
    options = TrainOptions(
        members=shape.members,
        hidden=shape.hidden,
        input_dropout=shape.dropout[0],
        input_noise=shape.input_noise,
        activation=shape.activation,
        noise=card.tuning.noise,
        seed=record.seed,
        **{
            "dropout": shape.dropout[1:],
            "refit": record.refitted,
            "number_encoding": "raw",
            **record.settings,
        },  # type: ignore[arg-type]
    )
    again = train(table, card.target.names, tmp_path / card.name, task=card.task, options=options)
    assert [feature.name for feature in again.features] == [f.name for f in card.features]
    scales = [[getattr(f, "scale", 1.0) for f in one.features] for one in (again, card)]
    assert scales[0] == pytest.approx(scales[1])
    assert again.training.rows == record.rows
    for metric, value in card.metrics.items():
        assert again.metrics[metric] == pytest.approx(value, rel=0.05)
