"""Frames, arrays and records are read by one rule, for training and for predictions."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.data import Schema, encode_table, fit_schema, read_table

MAKERS: dict[str, Callable[[dict[str, list[Any]]], Any]] = {
    "pandas": pd.DataFrame,
    "pandas nullable": lambda columns: pd.DataFrame(columns).convert_dtypes(),
    "pandas of arrow": lambda columns: pd.DataFrame(columns).convert_dtypes(
        dtype_backend="pyarrow"
    ),
    "polars": pl.DataFrame,
    "arrow": pa.table,
    "mapping": dict,
    "records": lambda columns: [
        dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)
    ],
}
CELLS = {
    "whole": st.integers(-(2**40), 2**40),
    "real": st.floats(-1e6, 1e6, width=32),
    "text": st.sampled_from(["north", "süd", "east"]),
    "truth": st.booleans(),
}


@st.composite
def columns(draw: st.DrawFn) -> dict[str, list[Any]]:
    """Columns of each kind whose cells may be missing, with equal values and others."""
    count = draw(st.integers(4, 12))
    first = {
        "whole": [1, 2, 2],
        "real": [0.5, 1.5, 1.5],
        "text": ["east", "north", "north"],
        "truth": [True, False, False],
    }
    return {
        name: first[name] + draw(st.lists(st.none() | cells, min_size=count, max_size=count))
        for name, cells in CELLS.items()
    }


def fitted(table: Any) -> Schema:
    table = read_table(table)
    names = list(table.columns)
    return fit_schema(table, names, np.arange(table.row_count), missing="impute")[0]


@settings(deadline=None, max_examples=60)
@given(columns())
def test_a_table_in_any_form_is_read_and_encoded_as_its_records(
    given: dict[str, list[Any]],
) -> None:
    schema = fitted(MAKERS["records"](given))
    expected = schema.encode(MAKERS["records"](given))
    hashes = set()
    for name, make in MAKERS.items():
        source = make(given)
        assert fitted(source) == schema, name
        table = read_table(source)
        hashes.add(table.sha256)
        np.testing.assert_array_equal(encode_table(table, schema), expected, err_msg=name)
        np.testing.assert_array_equal(schema.encode(source), expected, err_msg=name)
    assert len(hashes) == 1


@pytest.mark.parametrize("missing", [None, math.nan, pd.NA, np.ma.masked, pd.NaT])
def test_whatever_says_that_a_cell_is_missing_is_a_missing_cell(missing: Any) -> None:
    columns = {"a": [1.0, 2.0, 5.0, missing], "b": ["x", "y", "y", missing]}
    schema = fitted(MAKERS["records"](columns))
    assert [feature.fill for feature in schema.features] == [2.0, "y"]
    expected = schema.encode([{"a": 2.0, "b": "y"}])
    for make in (MAKERS["records"], dict):
        np.testing.assert_array_equal(schema.encode(make(columns))[3:], expected)
