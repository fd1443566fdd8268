"""A prediction says which values of its row were missing and are filled in."""

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pytest

from model import PredictOptions, Predictor, Table, TrainOptions, load, score_file, sweep, train

OPTIONS = PredictOptions(passes=10, seed=1)
AREA, QUARTER = "imputed:area", "imputed:quarter"
NONE: tuple[str, ...] = ()


@pytest.fixture(scope="module")
def predictor(imputing_artifact: Path) -> Predictor:
    return load(imputing_artifact)


def imputed(rows: Any) -> list[tuple[str, ...]]:
    """The warnings of each row about values that were filled in."""
    return [tuple(c for c in row.warnings if c.startswith("imputed:")) for row in rows]


@pytest.mark.parametrize(
    "make", [list, pd.DataFrame, pl.DataFrame], ids=["rows", "pandas", "polars"]
)
def test_each_missing_value_is_named_whatever_form_the_table_has(
    predictor: Predictor, make: Any
) -> None:
    rows = [
        {"area": 100.0, "rooms": 4, "quarter": "east"},
        {"area": None, "rooms": 4, "quarter": "east"},
        {"area": None, "rooms": 4, "quarter": None},
        {"area": 90.0, "rooms": 4, "quarter": None},
    ]
    found = predictor.predict(make(rows), OPTIONS).rows
    assert imputed(found) == [NONE, (AREA,), (AREA, QUARTER), (QUARTER,)]


@pytest.mark.parametrize("cell", [None, float("nan"), "NA", "", np.ma.masked])
def test_whatever_says_that_a_value_is_missing_is_named(predictor: Predictor, cell: Any) -> None:
    assert imputed(predictor.predict([[cell, 4, "east"]], OPTIONS).rows) == [(AREA,)]


def test_an_absent_key_and_an_absent_column_are_named(predictor: Predictor) -> None:
    rows = [{"rooms": 4, "quarter": "east"}, {"area": 1.0, "rooms": 4, "quarter": "east"}]
    assert imputed(predictor.predict(rows, OPTIONS).rows) == [(AREA,), NONE]
    frame = pd.DataFrame({"rooms": [4, 5], "quarter": ["east", "north"]})
    assert imputed(predictor.predict(frame, OPTIONS).rows) == [(AREA,), (AREA,)]


def test_numbers_alone_are_named_too(houses: Table, tmp_path: Path) -> None:
    columns = {name: houses.columns[name].copy() for name in ("area", "rooms", "price")}
    columns["area"][::10] = np.nan
    table = Table("gaps.csv", columns, "2" * 64)
    train(
        table,
        "price",
        tmp_path / "m",
        missing="impute",
        options=TrainOptions(hidden=(4,), epochs=1, members=1),
    )
    predictor = load(tmp_path / "m")
    block = np.array([[np.nan, 4.0], [80.0, 4.0]])
    for rows in (block, block.tolist(), np.ma.masked_invalid(block)):
        found = predictor.predict(rows, OPTIONS).rows
        assert imputed(found) == [(AREA,), NONE]
        filled = predictor.card.features[0].fill
        expected = predictor.predict([[filled, 4.0]], OPTIONS).rows[0].mean
        assert found[0].mean == pytest.approx(expected, rel=1e-6)


def test_the_rows_of_a_file_are_named(imputing_artifact: Path, tmp_path: Path) -> None:
    rows = [["area", "rooms", "quarter"], *[["90", "4", "east"]] * 600]
    rows[1], rows[580] = ["", "4", "NA"], ["NA", "4", "east"]
    (tmp_path / "in.csv").write_text("\n".join(map(",".join, rows)))
    score_file(imputing_artifact, tmp_path / "in.csv", tmp_path / "out.csv", OPTIONS)
    with (tmp_path / "out.csv").open() as file:
        found = [row["warnings"] for row in csv.DictReader(file)]
    assert found[0].endswith(f"{AREA};{QUARTER}")
    assert found[579].endswith(AREA)
    assert [at for at, codes in enumerate(found) if "imputed:" in codes] == [0, 579]


def test_the_points_of_a_sweep_name_the_values_that_the_row_lacks(predictor: Predictor) -> None:
    row = {"rooms": 4, "quarter": None}
    swept = sweep(predictor, row, "area", values=[80.0, None], options=OPTIONS)
    assert imputed(swept.predictions.rows) == [(QUARTER,), (AREA, QUARTER)]
