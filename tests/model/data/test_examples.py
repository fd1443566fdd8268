"""The bundled data sets come as tables with plain names."""

import re
import sys

import numpy as np
import pytest

from model.data.examples import TARGETS, example
from model.errors import DataError


@pytest.mark.parametrize(
    ("name", "rows", "columns"),
    [("diabetes", 442, 11), ("breast-cancer", 569, 31), ("digits", 1797, 65), ("wine", 178, 14)],
)
def test_an_example_is_a_table_whose_last_column_is_the_target(
    name: str, rows: int, columns: int
) -> None:
    table = example(f"example:{name}")
    assert (table.name, table.row_count, len(table.columns)) == (f"example:{name}", rows, columns)
    assert list(table.columns)[-1] == TARGETS[name]
    assert all(re.fullmatch("[a-z][a-z0-9_]*", column) for column in table.columns)
    assert table.sha256 == example(f"example:{name}").sha256


def test_the_diabetes_features_are_in_their_own_units() -> None:
    columns = example("example:diabetes").columns
    assert columns["age"].min() == 19
    assert sorted(np.unique(columns["sex"])) == [1, 2]
    assert columns["progression"].dtype == np.float64


def test_classes_have_names() -> None:
    def classes(name: str) -> set[str]:
        return set(example(f"example:{name}").columns[TARGETS[name]])

    assert classes("breast-cancer") == {"malignant", "benign"}
    assert classes("wine") == {"class_0", "class_1", "class_2"}
    assert classes("digits") == set("0123456789")


def test_the_examples_differ_in_their_hash() -> None:
    assert len({example(f"example:{name}").sha256 for name in TARGETS}) == 4


def test_an_unknown_example_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(DataError, match="no example 'iris'; there are diabetes, breast-cancer"):
        example("example:iris")


def test_without_scikit_learn_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(DataError, match=r'pip install "mc-dropout-service\[train\]"'):
        example("example:wine")
