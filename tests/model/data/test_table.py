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
