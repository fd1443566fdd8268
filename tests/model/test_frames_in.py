"""Every function that takes a table takes it in any form, and options take numbers of numpy."""

from collections import namedtuple
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch

import model
from model.exploration import LandscapeOptions

HOUSES = Path("docs/houses.csv")
OPTIONS = model.PredictOptions(seed=1, passes=10)
VALUES = [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]


@pytest.fixture(scope="module")
def diabetes() -> model.Predictor:
    return model.load(next(each for each in model.shipped() if each.name == "diabetes"))


@pytest.fixture(scope="module")
def houses() -> pd.DataFrame:
    return pd.read_csv(Path(__file__).parents[2] / HOUSES)


@pytest.fixture(scope="module")
def trained(houses: pd.DataFrame, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / "houses"
    options = model.TrainOptions(
        members=1,
        number_encoding="raw",
        hidden=np.array([8, 8]),
        epochs=np.int64(2),
        seed=np.int32(3),
        learning_rate=np.float32(0.01),
    )
    model.train(houses, "price", folder, options=options)
    return folder


def tables_in_any_form(names: list[str]) -> dict[str, Any]:
    backwards, values = names[::-1], VALUES[::-1]
    row = dict(zip(backwards, values, strict=True))
    return {
        "pandas": pd.DataFrame([row], index=pd.Index(["a"], name="patient")),
        "polars": pl.DataFrame([row]),
        "arrow": pl.DataFrame([row]).to_arrow(),
        "arrow stream": pl.DataFrame([row])
        .lazy()
        .collect()
        .select(pl.all())
        .to_arrow()
        .to_reader(),
        "mapping": {name: [value] for name, value in row.items()},
        "tensors by name": {name: torch.tensor([value]) for name, value in row.items()},
        "structured": np.array([tuple(values)], dtype=[(name, "f8") for name in backwards]),
        "named tuples": [namedtuple("Row", backwards)(*values)],
        "records of numpy": [{name: np.float64(value) for name, value in row.items()}],
        "records of tensors": [{name: torch.tensor(value) for name, value in row.items()}],
        "series": [pd.Series(row)],
        "array": np.array([VALUES]),
        "tensor": torch.tensor([VALUES], dtype=torch.float64, requires_grad=True),
        "rows that are tensors": [torch.tensor(VALUES, dtype=torch.float64)],
        "list": [VALUES],
    }


def test_a_row_in_any_form_has_one_prediction(diabetes: model.Predictor) -> None:
    names = [feature.name for feature in diabetes.card.features]
    expected = diabetes.predict([VALUES], OPTIONS).rows[0].mean
    for form, table in tables_in_any_form(names).items():
        found = diabetes.predict(table, OPTIONS).rows
        assert len(found) == 1, form
        assert found[0].mean == pytest.approx(expected, rel=1e-6), form


def test_a_row_of_a_sweep_and_of_an_explanation_goes_by_its_names(
    diabetes: model.Predictor,
) -> None:
    names = [feature.name for feature in diabetes.card.features]
    row = dict(zip(names, VALUES, strict=True))
    backwards = namedtuple("Row", names[::-1])(*VALUES[::-1])
    for other in (backwards, pd.Series(row)):
        swept = model.sweep(diabetes, other, "bmi", points=np.int64(3), options=OPTIONS)
        by_name = model.sweep(diabetes, row, "bmi", points=3)
        np.testing.assert_array_equal(swept.axis.encoded().x, by_name.axis.encoded().x)
        few = {"passes": np.int64(8), "seed": np.int64(1), "background_rows": np.int64(4)}
        assert model.explain(diabetes, other, **few) == model.explain(diabetes, row, **few)


def test_numbers_of_numpy_in_options_are_those_of_python() -> None:
    own = model.PredictOptions(
        passes=np.int64(100), seed=np.uint32(7), coverage=np.float32(0.5), samples=np.bool_(True)
    )
    assert own == model.PredictOptions(passes=100, seed=7, coverage=0.5, samples=True)
    assert [type(value) for value in (own.passes, own.coverage)] == [int, float]
    assert type(LandscapeOptions(points=np.int64(5)).points) is int
    options = model.TrainOptions(
        members=1, number_encoding="raw", hidden=[np.int64(8)], dropout=np.array([0.1])
    )
    assert options == model.TrainOptions(
        members=1, number_encoding="raw", hidden=(8,), dropout=(0.1,)
    )


def test_a_frame_trains_calibrates_and_evaluates_as_its_file_does(
    trained: Path, houses: pd.DataFrame, tmp_path: Path
) -> None:
    predictor = model.load(trained)
    file = Path(__file__).parents[2] / HOUSES
    from_file = model.evaluate(predictor, model.read_table(file), OPTIONS, seeds=1)
    measured = from_file.document()["targets"]
    for frame in (houses, pl.DataFrame(houses.to_dict("list")), houses.to_dict("records")):
        found = model.evaluate(predictor, frame, OPTIONS, seeds=1)
        assert found.part == "test"
        assert found.document()["targets"] == measured
    card = model.train(
        model.read_table(file),
        "price",
        tmp_path / "same",
        options=model.TrainOptions(
            **{
                "members": 1,
                "number_encoding": "raw",
                "hidden": (8, 8),
                "epochs": 2,
                "seed": 3,
                "learning_rate": float(np.float32(0.01)),
            }
        ),
    )
    assert card.metrics == predictor.card.metrics
    fresh = houses.assign(price=houses["price"] * 1.01, sold=pd.Timestamp("2020-01-01"))
    assert model.calibrate(trained, fresh, out=tmp_path / "anew").calibration
    few = LandscapeOptions(points=5, masks=2, rows=20)
    assert model.landscape(predictor, pl.DataFrame(houses), few).rows == 20


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (pd.Series([1.0, 2.0]), r"Series is one column or row.*to_frame\(\)"),
        (pl.DataFrame({"bmi": [1.0]}).lazy(), r"LazyFrame has no rows yet; collect\(\)"),
        ({"bmi": 1.0}, r"'bmi' is 1.0 and no column; .*\[row\]"),
        ("bmi", r"'bmi' is no table: give a list of rows"),
        (iter([[1.0]]), r"list_iterator is no table: give a list"),
        (pd.DataFrame([[1.0, 2.0]], columns=["bmi", "bmi"]), "2 columns named 'bmi'; rename"),
        (pd.DataFrame({("a", "b"): [1.0]}), "column named .* which is no text; rename"),
        ({"bmi": [1.0], "age": [1.0, 2.0]}, "'age' and 'bmi' have 2 and 1 values"),
        (pd.DataFrame({"bim": [1.0]}), "DataFrame: column 'bim' is no feature.*'bmi'.*leave it"),
    ],
)
def test_what_is_refused_names_its_type_and_the_way_out(
    diabetes: model.Predictor, rows: Any, said: str
) -> None:
    with pytest.raises(model.InputError, match=said):
        diabetes.predict(rows)


@pytest.mark.parametrize(
    ("table", "said"),
    [
        (np.zeros((30, 2)), r"ndarray has no names of columns; .*dict\(zip"),
        (torch.zeros(30, 2), "Tensor has no names of columns"),
        ([[1.0, 2.0]], "row 1, .* does not name its columns; give objects"),
        (7, "int is not a table; give a frame of pandas, polars or pyarrow"),
        (
            pl.DataFrame({"day": [pd.Timestamp("2020-01-02")] * 30, "y": list(range(30))}),
            r"'day': it has dates or times, such as '2020-01-02 00:00:00'; leave .* drop='day'",
        ),
        (
            [{"day": pd.Timestamp("2020-01-02"), "y": y} for y in range(30)],
            r"'day': it has dates or times, such as '2020-01-02 00:00:00'; leave .* drop='day'",
        ),
        (
            pd.DataFrame({"parts": [[1, 2]] * 30, "y": range(30)}),
            "'parts': .*neither a number nor a text",
        ),
    ],
)
def test_a_table_that_cannot_train_a_model_is_refused_with_the_way_out(
    tmp_path: Path, table: Any, said: str
) -> None:
    with pytest.raises(model.DataError, match=said):
        model.train(table, "y", tmp_path / "model")


def test_a_feature_in_the_index_is_told(diabetes: model.Predictor) -> None:
    names = [feature.name for feature in diabetes.card.features]
    frame = pd.DataFrame([VALUES], columns=names).set_index("bmi")
    with pytest.raises(model.InputError, match=r"'bmi' is missing.*index.*reset_index\(\)"):
        diabetes.predict(frame)
