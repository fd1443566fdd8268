"""Which columns are features: not those that only tell rows apart."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.choice import choose_features
from model.data.reading import read_table
from model.data.table import Table
from model.errors import DataError

ROWS = 30
NOISE = np.random.default_rng(0).normal(size=ROWS)


def chosen(keep: tuple[str, ...] = (), **columns: object) -> tuple[list[str], tuple[str, ...]]:
    arrays = {name: np.asarray(cells) for name, cells in columns.items()}
    table = Table("t.csv", {"x": NOISE, "y": NOISE, **arrays}, "")
    return choose_features(table, ["y"], drop=(), keep=keep)


@pytest.mark.parametrize(
    ("name", "cells", "why"),
    [
        ("a", np.arange(ROWS), "it numbers the rows"),
        ("a", np.arange(1, ROWS + 1), "it numbers the rows"),
        ("a", np.random.default_rng(0).permutation(ROWS) + 500.0, "it numbers the rows"),
        ("a", [f"n{row}" for row in range(ROWS)], "it has a different text in every row"),
        ("customer_id", np.arange(ROWS) * 7, "its name and a different number in every row"),
        ("customerId", np.arange(ROWS) * 7, "its name and a different number in every row"),
        ("ID", np.arange(ROWS) * 7, "its name and a different number in every row"),
    ],
)
def test_what_only_tells_rows_apart_is_left_out_with_a_note(
    name: str, cells: object, why: str
) -> None:
    names, notices = chosen(**{name: cells})
    assert names == ["x"]
    assert len(notices) == 1
    assert notices[0].startswith(f"left out {name!r}: {why}")
    assert notices[0].endswith(f"; --keep {name} learns from it")
    assert chosen(keep=(name,), **{name: cells}) == (["x", name], ())


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("salary", np.arange(ROWS) * 7),
        ("id", [1, 1, *range(2, ROWS)]),
        ("id", NOISE),
        ("a", NOISE),
        ("a", ["x", "x", *(f"n{row}" for row in range(ROWS - 2))]),
    ],
)
def test_what_may_mean_something_is_kept(name: str, cells: object) -> None:
    assert chosen(**{name: cells}) == (["x", name], ())


def test_a_table_with_nothing_else_is_refused_with_the_way_out() -> None:
    table = Table("t.csv", {"a": np.arange(9.0), "y": NOISE[:9]}, "")
    with pytest.raises(DataError, match=r"no feature to learn from: .*--keep a learns from it"):
        choose_features(table, ["y"], drop=(), keep=())


def test_the_index_that_pandas_wrote_is_left_out(tmp_path: Path) -> None:
    meta = {"index_columns": ["__index_level_0__", "patient, no"], "columns": []}
    columns = {"x": NOISE, "__index_level_0__": NOISE, "patient, no": ["a"] * ROWS}
    table = pa.table(columns).replace_schema_metadata({"pandas": json.dumps(meta)})
    pq.write_table(table, tmp_path / "t.parquet")
    found = read_table(tmp_path / "t.parquet")
    assert list(found.columns) == ["x"]
    assert found.index == ("__index_level_0__", "patient, no")
    assert "--keep '__index_level_0__,\"patient, no\"' learns from it" in found.notices[0]
    assert list(read_table(tmp_path / "t.parquet", keep="patient, no").columns)[1] == "patient, no"
    assert read_table(tmp_path / "t.parquet", drop=["__index_level_0__"]).index == ("patient, no",)


@pytest.mark.parametrize("meta", [b"", b"[]", b"{", b'{"index_columns": [{"kind": "range"}]}'])
def test_metadata_that_names_no_column_do_no_harm(tmp_path: Path, meta: bytes) -> None:
    table = pa.table({"x": NOISE}).replace_schema_metadata({"pandas": meta})
    pq.write_table(table, tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").columns) == ["x"]


def test_an_index_of_dates_is_left_out_before_it_is_read(tmp_path: Path) -> None:
    meta = json.dumps({"index_columns": ["when"]})
    days = pa.array(range(ROWS), pa.timestamp("s"))
    table = pa.table({"x": NOISE, "when": days}).replace_schema_metadata({"pandas": meta})
    pq.write_table(table, tmp_path / "t.parquet")
    assert list(read_table(tmp_path / "t.parquet").columns) == ["x"]
