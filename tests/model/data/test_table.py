"""A table: named columns of equal length."""

import numpy as np
import pytest

from model.data.table import Table
from model.errors import DataError


def test_a_tables_fault_counts_rows_from_one_and_names_the_line() -> None:
    table = Table("a.csv", {"x": np.zeros(3)}, "", lines=np.array([2, 3, 5]))
    assert str(table.fault(2, "x", "odd")) == "a.csv, row 3 (line 5), column 'x': odd"
    assert str(Table("a", {}, "").fault(0, "x", "odd")) == "a, row 1, column 'x': odd"


def test_asking_for_a_column_that_is_not_there_lists_those_that_are() -> None:
    table = Table("a.csv", {"x": np.zeros(3), "y": np.zeros(3)}, "")
    assert table.row_count == 3
    with pytest.raises(DataError, match=r"a\.csv has no column 'z'; its columns are x, y"):
        table.column("z")


def test_a_masked_cell_is_missing() -> None:
    table = Table(
        "t",
        {
            "a": np.ma.array([1.0, 99.0], mask=[False, True]),
            "b": np.ma.array(["x", "y"], mask=[True, False], dtype=object),
            "c": np.ma.array([1, 2]),
        },
        "",
    )
    assert np.isnan(table.columns["a"]).tolist() == [False, True]
    assert table.columns["b"].tolist() == [None, "y"]
    assert table.columns["c"].tolist() == [1.0, 2.0]
    assert not any(np.ma.isMaskedArray(cells) for cells in table.columns.values())


def test_arrays_of_other_kinds_become_numbers_and_texts() -> None:
    nan = float("nan")
    cells = {
        "whole": (np.arange(2), [0.0, 1.0]),
        "truth": (np.array([True, False]), ["true", "false"]),
        "texts": (np.array(["x", "y"]), ["x", "y"]),
        "boxed": (np.array([1, None], dtype=object), [1.0, None]),
        "mixed": (np.array([1.0, "x"], dtype=object), ["1", "x"]),
        "gap": (np.array(["x", nan], dtype=object), ["x", None]),
    }
    table = Table("t", {name: array for name, (array, _) in cells.items()}, "")
    for name, (_, expected) in cells.items():
        found = [None if cell != cell else cell for cell in table.columns[name].tolist()]
        assert found == expected, name
    for wrong in (np.array([[1], [2]], dtype=complex), np.array([[1], {}], dtype=object)):
        with pytest.raises(DataError, match="neither number nor text"):
            Table("t", {"a": wrong}, "")


def test_rows_that_are_left_out_do_not_move_the_others_in_messages() -> None:
    table = Table("t", {"a": np.array([1.0, np.nan, 3.0])}, "", lines=np.array([2, 3, 4]))
    kept = table.rows(table.complete_rows(["a"]))
    assert kept.columns["a"].tolist() == [1.0, 3.0]
    assert str(kept.fault(1, "a", "no")) == "t, row 3 (line 4), column 'a': no"
    assert str(kept.rows(np.array([1])).fault(0, "a", "no")).startswith("t, row 3 (line 4)")
