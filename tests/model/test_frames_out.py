"""Predictions as frames: a column for each number of a row."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

import model

OPTIONS = model.PredictOptions(seed=1, passes=10)


def shipped(name: str) -> model.Predictor:
    return model.load(next(each for each in model.shipped() if each.name == name))


def examples(predictor: model.Predictor) -> pd.DataFrame:
    return pd.DataFrame([predictor.example()] * 3, index=pd.Index(["x", "y", "z"], name="id"))


@pytest.fixture(scope="module")
def wells(tmp_path_factory: pytest.TempPathFactory) -> model.Predictor:
    """A model of two targets."""
    x = np.random.default_rng(0).normal(size=(200, 2))
    frame = pd.DataFrame(x, columns=["a", "b"]).assign(up=x[:, 0], down=-x[:, 1])
    folder = tmp_path_factory.mktemp("models") / "wells"
    options = model.TrainOptions(members=1, number_encoding="raw", hidden=(8,), epochs=2)
    model.train(frame, ["up", "down"], folder, options=options)
    return model.load(folder)


def test_the_columns_of_a_regression_are_its_fields_and_the_ends_of_the_interval() -> None:
    predictor = shipped("diabetes")
    found = predictor.predict(examples(predictor), OPTIONS)
    frame, row = found.to_pandas(), found.rows[1]
    assert list(frame.index) == ["x", "y", "z"]
    assert frame.index.name == "id"
    assert list(frame.columns) == [
        *("mean", "variance", "std", "mean_error", "variance_error", "deterministic"),
        *("noise_variance", "total_variance", "lower", "upper", "method", "distance"),
        *("distance_p_value", "spread_p_value", "passes", "warnings"),
    ]
    assert isinstance(row, model.RegressionPrediction)
    assert frame.loc["y", ["mean", "lower", "upper"]].tolist() == [
        *(row.mean, row.interval.lower, row.interval.upper)
    ]
    assert frame.loc["y", "method"] == row.interval.method
    assert frame.loc["y", "warnings"] == row.warnings


def test_numbers_of_several_targets_have_the_target_in_the_name(wells: model.Predictor) -> None:
    found = wells.predict([[0.0, 1.0]], model.PredictOptions(seed=1, passes=10, samples=True))
    frame, row = found.to_pandas(), found.rows[0]
    assert isinstance(row, model.RegressionPrediction)
    for target in ("up", "down"):
        assert frame[f"mean.{target}"][0] == row.mean[target]  # type: ignore[index]
        assert frame[f"upper.{target}"][0] == row.interval.upper[target]  # type: ignore[index]
        assert frame[f"samples.{target}"][0].shape == (10,)
    assert "mean" not in frame
    assert "passes" in frame


def test_a_classification_has_a_column_for_each_class_and_tuples_of_labels() -> None:
    predictor = shipped("digits")
    found = predictor.predict(examples(predictor), OPTIONS)
    frame, row = found.to_pandas(), found.rows[0]
    assert isinstance(row, model.ClassificationPrediction)
    assert row.label_set
    assert frame["label"].iloc[0] == row.label
    assert frame["label_set"].iloc[0] == row.label_set.labels
    assert frame[[f"mean.{name}" for name in row.mean]].iloc[0].tolist() == list(row.mean.values())


@pytest.mark.parametrize("samples", [False, True])
@pytest.mark.parametrize("name", ["diabetes", "digits"])
def test_pandas_arrow_and_numpy_have_the_same_columns(name: str, samples: bool) -> None:
    predictor = shipped(name)
    options = model.PredictOptions(seed=1, passes=10, samples=samples)
    found = predictor.predict([predictor.example()] * 2, options)
    frame, table, array = found.to_pandas(), found.to_arrow(), found.to_numpy()
    assert list(frame.columns) == table.column_names == list(array.dtype.names)
    for title in frame.columns:
        arrow = table[title].to_pylist()
        for here in (frame[title].tolist(), array[title].tolist()):
            assert [plain(cell) for cell in here] == [plain(cell) for cell in arrow], title
    assert pl.DataFrame(table).columns == table.column_names


def test_predictions_written_to_a_file_are_read_again(tmp_path: Path) -> None:
    predictor = shipped("diabetes")
    frame = predictor.predict(examples(predictor), OPTIONS).to_pandas()
    frame.to_parquet(tmp_path / "answer.parquet")
    pd.testing.assert_series_equal(
        pd.read_parquet(tmp_path / "answer.parquet")["std"], frame["std"]
    )


def test_some_of_the_rows_keep_their_part_of_the_index() -> None:
    predictor = shipped("diabetes")
    found = predictor.predict(examples(predictor), OPTIONS)
    assert found.of_rows(1, 3).to_pandas().index.tolist() == ["y", "z"]


def plain(cell: Any) -> Any:
    return list(cell) if isinstance(cell, tuple | np.ndarray) else cell
