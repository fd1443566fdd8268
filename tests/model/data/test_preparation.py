"""What training takes from a table: schema, target, encoded arrays and the split."""

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from model.data.feature import CategoricalFeature, NumericFeature
from model.data.preparation import (
    choose_target,
    encode_table,
    encode_target,
    fit_schema,
    fit_target,
    split_rows,
)
from model.data.schema import Schema, Target
from model.data.table import Table
from model.errors import DataError

Cells = list[float] | list[str | None]


def table(**columns: Cells) -> Table:
    arrays = {
        name: np.array(cells, dtype=object if any(isinstance(c, str) for c in cells) else float)
        for name, cells in columns.items()
    }
    return Table("houses.csv", arrays, "")


def everything(data: Table) -> np.ndarray:
    return np.arange(data.row_count)


NAN = float("nan")
HOUSES = table(
    area=[50.0, 70.0, 90.0, 1000.0], quarter=["north", "east", "north", "west"], floor=[1, 1, 1, 2]
)
HOUSES_TRAINING = np.array([0, 1, 2])


def test_statistics_come_from_the_training_rows_alone() -> None:
    schema, _ = fit_schema(HOUSES, ["area"], HOUSES_TRAINING)
    feature = schema.features[0]
    assert feature == NumericFeature("area", 70.0, pytest.approx(np.sqrt(800 / 3)), 50.0, 90.0)


@given(st.lists(st.integers(-(10**6), 10**6), min_size=2, max_size=60))
@example([0] * 99 + [1])  # 9.9 standard deviations
def test_no_training_value_lies_more_than_six_scales_from_the_mean(cells: list[int]) -> None:
    assume(len(set(cells)) > 1)
    data = table(a=[float(cell) for cell in cells])
    values = data.columns["a"]
    schema, _ = fit_schema(data, ["a"], everything(data))
    (feature,) = schema.features
    assert isinstance(feature, NumericFeature)
    reach = np.abs(values - values.mean()).max()
    assert feature.scale == pytest.approx(max(values.std(), reach / 6), rel=1e-6)
    assert np.abs(encode_table(data, schema)).max() <= 6 * (1 + 1e-6)


def test_a_target_far_from_its_mean_keeps_its_standard_deviation() -> None:
    """The unit of the errors that a network learns."""
    data = table(y=[0.0] * 99 + [1000.0])
    target = fit_target(data, ["y"], "regression", everything(data))
    assert target.scales == pytest.approx([np.sqrt(99) * 10])


def test_categories_come_from_all_rows_so_that_all_can_be_encoded() -> None:
    schema, _ = fit_schema(HOUSES, ["quarter"], HOUSES_TRAINING)
    assert schema.features == (CategoricalFeature("quarter", ("east", "north", "west")),)
    assert encode_table(HOUSES, schema).tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]


def test_a_column_that_is_constant_in_the_training_rows_is_dropped_with_a_notice() -> None:
    data = table(a=[1.0, 2.0, 3.0], b=[7.0, 7.0, 8.0], c=["x", "x", "y"])
    schema, notices = fit_schema(data, ["a", "b", "c"], np.array([0, 1]))
    assert schema.names == ("a",)
    assert notices == ("dropped constant column 'b'", "dropped constant column 'c'")


def test_a_table_of_constants_leaves_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="no feature to learn from: dropped constant column 'b'"):
        fit_schema(table(b=[7.0, 7.0]), ["b"], np.array([0, 1]))


def test_a_text_that_differs_in_every_row_is_refused() -> None:
    data = table(name=["ann", "bob", "eve"])
    with pytest.raises(DataError, match=r"column 'name': a different text .* --drop name"):
        fit_schema(data, ["name"], everything(data))


def test_a_text_of_thousands_of_categories_is_refused() -> None:
    data = table(name=[f"n{at // 2}" for at in range(4000)])
    with pytest.raises(DataError, match=r"column 'name': free text.* --drop name"):
        fit_schema(data, ["name"], everything(data))


@pytest.mark.parametrize("cells", [[1.0, NAN, 3.0], ["a", None, "a"]])
def test_a_missing_cell_is_an_error_that_says_where_and_what_to_do(cells: Cells) -> None:
    data = table(x=cells)
    with pytest.raises(DataError, match=r"row 2, column 'x': .* missing; .* --missing impute"):
        fit_schema(data, ["x"], np.array([0, 2]))


def test_a_way_to_treat_missing_cells_that_is_not_known_is_refused() -> None:
    with pytest.raises(DataError, match="missing: 'skip' is not one of error, impute, drop"):
        fit_schema(HOUSES, ["area"], HOUSES_TRAINING, missing="skip")


def test_a_missing_cell_that_the_schema_cannot_fill_is_refused_by_row_and_column() -> None:
    schema = Schema((NumericFeature("a", 0.0, 1.0, 0.0, 1.0), CategoricalFeature("b", ("x", "y"))))
    with pytest.raises(DataError, match=r"row 2, column 'a': the value is missing"):
        encode_table(table(a=[1.0, NAN], b=["x", "y"]), schema)
    with pytest.raises(DataError, match=r"row 1, column 'b': .* null; known: x, y"):
        encode_table(table(a=[1.0, 1.0], b=[None, "y"]), schema)


def test_numbers_too_close_to_standardise_are_refused() -> None:
    data = table(a=[0.0, 5e-324])
    with pytest.raises(DataError, match="column 'a': the values are too large or too close"):
        fit_schema(data, ["a"], everything(data))


def test_imputing_fills_with_the_training_rows_median_or_most_frequent_text() -> None:
    data = table(a=[1.0, 2.0, 6.0, NAN, 900.0], c=["y", "x", "y", None, "x"])
    schema, notices = fit_schema(data, ["a", "c"], np.arange(4), missing="impute")
    assert [feature.fill for feature in schema.features] == [2.0, "y"]
    assert notices == (
        "filled missing cells of 'a' with 2.0 (1 of 5 rows)",
        "filled missing cells of 'c' with 'y' (1 of 5 rows)",
    )
    assert np.array_equal(encode_table(data, schema)[3], schema.encode([[2.0, "y"]])[0])


def test_of_equally_frequent_texts_the_first_in_the_alphabet_fills() -> None:
    data = table(c=["y", "x", "y", "x", None])
    schema, _ = fit_schema(data, ["c"], everything(data), missing="impute")
    assert schema.features[0].fill == "x"


@pytest.mark.parametrize("missing", ["error", "impute", "drop"])
def test_a_column_without_a_value_in_the_training_rows_is_left_out(missing: str) -> None:
    data = table(a=[NAN, NAN, 1.0], b=[1.0, 2.0, 3.0])
    schema, notices = fit_schema(data, ["a", "b"], np.array([0, 1]), missing=missing)
    assert schema.names == ("b",)
    assert notices == ("dropped column 'a', which has no value in the training rows",)


def test_a_column_of_more_than_fifty_texts_is_told() -> None:
    data = table(
        few=[f"n{at % 50}" for at in range(200)], many=[f"n{at % 51}" for at in range(200)]
    )
    _, notices = fit_schema(data, ["few", "many"], everything(data))
    assert len(notices) == 1
    assert "column 'many' has 51 different texts" in notices[0]
    assert "--drop many" in notices[0]


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_columns_of_any_magnitude_are_standardised(size: float) -> None:
    data = table(a=[1 * size, 2 * size, 3 * size])
    schema, _ = fit_schema(data, ["a"], everything(data))
    assert encode_table(data, schema)[:, 0] == pytest.approx([-(1.5**0.5), 0, 1.5**0.5])


def test_a_value_whose_standardised_form_overflows_is_refused_by_row_and_column() -> None:
    schema = Schema((NumericFeature("a", 0.0, 1.0, 0.0, 1.0),))
    with pytest.raises(DataError, match=r"row 2, column 'a': .*1e\+39.* too far .*0 to 1"):
        encode_table(table(a=[0.0, 1e39]), schema)


def test_a_category_that_training_did_not_know_is_refused_by_row_and_column() -> None:
    schema = Schema((CategoricalFeature("quarter", ("east", "north")),))
    with pytest.raises(DataError, match=r"row 4, column 'quarter': .*'west'; known: east, north"):
        encode_table(HOUSES, schema)


def test_a_text_where_a_number_belongs_is_refused_by_row_and_column() -> None:
    schema = Schema((NumericFeature("quarter", 0.0, 1.0, 0.0, 1.0),))
    with pytest.raises(DataError, match=r"row 1, column 'quarter': 'north' is not a number"):
        encode_table(HOUSES, schema)


def test_a_number_where_a_category_belongs_is_taken_by_its_text() -> None:
    schema = Schema((CategoricalFeature("floor", ("1", "2")),))
    assert encode_table(HOUSES, schema).tolist() == [[1, 0], [1, 0], [1, 0], [0, 1]]


def test_a_table_without_a_feature_of_the_schema_is_refused() -> None:
    schema = Schema((NumericFeature("rooms", 0.0, 1.0, 0.0, 1.0),))
    with pytest.raises(DataError, match=r"no column 'rooms'; its columns are area, quarter"):
        encode_table(HOUSES, schema)


@given(
    st.lists(
        st.tuples(
            st.floats(-1e30, 1e30) | st.none(),
            st.sampled_from(["x", "y", "z"]) | st.none(),
            st.floats(-1.0, 1.0),
        ),
        min_size=3,
        max_size=30,
    )
)
def test_a_table_and_the_same_rows_encode_alike_to_the_bit(
    rows: list[tuple[float | None, str | None, float]],
) -> None:
    anchors: list[tuple[float | None, str | None, float]] = [(1.0, "x", 0.5), (2.0, "z", 0.25)]
    rows = anchors * 2 + rows
    numbers, texts, others = zip(*rows, strict=True)
    data = table(
        a=[NAN if cell is None else cell for cell in numbers], b=list(texts), c=list(others)
    )
    schema, _ = fit_schema(data, ["a", "b", "c"], np.arange(len(rows)), missing="impute")
    objects = [dict(zip(("a", "b", "c"), row, strict=True)) for row in rows]
    assert np.array_equal(encode_table(data, schema), schema.encode(objects))
    assert np.array_equal(encode_table(data, schema), schema.encode(rows))


@pytest.mark.parametrize(
    ("cells", "task"),
    [
        (["yes", "no"] * 20, "binary"),
        (["a", "b", "c", "a"] * 10, "multiclass"),
        ([0.0, 1.0] * 10, "binary"),
        ([3.0, 5.0, 7.0, 3.0] * 25, "multiclass"),
        ([3.0, 5.0, 7.5, 3.0] * 25, "regression"),  # not whole
        (list(range(20)) * 20, "multiclass"),  # 20 values in 400 rows
        (list(range(20)) * 10, "regression"),  # more than 5 % of the rows
        (list(range(21)) * 100, "regression"),  # more than 20 values
    ],
)
def test_the_task_is_found_from_the_targets_values(cells: Cells, task: str) -> None:
    assert choose_target(table(y=cells), ["y"]) == task


def test_a_found_task_can_be_overridden() -> None:
    data = table(y=[0.0, 1.0, 2.0] * 50)
    assert choose_target(data, ["y"]) == "multiclass"
    assert choose_target(data, ["y"], task="regression") == "regression"
    assert choose_target(table(y=[1.5, 2.5] * 20), ["y"], task="classification") == "binary"
    assert choose_target(table(y=[0.0, 1.0] * 20), ["y"], task="multiclass") == "multiclass"


def test_several_targets_are_a_regression_and_nothing_else() -> None:
    data = table(y=[0.0, 1.0] * 20, z=[1.0, 2.0] * 20)
    assert choose_target(data, ["y", "z"]) == "regression"
    with pytest.raises(DataError, match="several targets need --task regression"):
        choose_target(data, ["y", "z"], task="binary")


@pytest.mark.parametrize(
    ("names", "task", "message"),
    [
        (["y"], "ranking", "'ranking' is not one of auto, regression"),
        (["w"], "auto", "has no column 'w'"),
        ([], "auto", "one or more different columns"),
        (["y", "y"], "auto", "one or more different columns"),
        (["y"], "binary", "column 'y': binary needs 2 values, not 3"),
        (["gap"], "auto", "row 2, column 'gap': the target is missing"),
    ],
)
def test_a_target_that_cannot_be_is_refused(names: list[str], task: str, message: str) -> None:
    data = table(y=[0.0, 1.0, 2.0], gap=["a", None, "b"])
    with pytest.raises(DataError, match=message):
        choose_target(data, names, task=task)


def test_a_regression_target_is_standardised_by_the_training_rows() -> None:
    data = table(y=[1.0, 3.0, 100.0], z=[10.0, 30.0, 20.0])
    target = fit_target(data, ["y", "z"], "regression", np.array([0, 1]))
    assert target == Target(("y", "z"), (), (2.0, 20.0), (1.0, 10.0), (None, None))
    y = encode_target(data, target)
    assert y.tolist() == [[-1, -1], [1, 1], [98, 0]]
    assert y.dtype == np.float64


def test_classes_are_sorted_texts_and_the_target_their_index() -> None:
    data = table(y=["b", "a", "c", "b", "a", "c"])
    target = fit_target(data, ["y"], "multiclass", np.array([0, 1]))
    assert target == Target(("y",), ("a", "b", "c"), (), (), (None,))
    y = encode_target(data, target)
    assert y.tolist() == [1, 0, 2, 1, 0, 2]
    assert y.dtype == np.int64


def test_whole_numbers_as_classes_have_no_point_and_sort_as_numbers() -> None:
    data = table(y=[10.0, 9.0, -1.0, 0.5] * 2)
    target = fit_target(data, ["y"], "multiclass", everything(data))
    assert target.classes == ("-1", "0.5", "9", "10")
    assert encode_target(data, target).tolist() == [3, 2, 0, 1] * 2


@pytest.mark.parametrize(
    ("task", "cells", "message"),
    [
        ("regression", [1.0, 1.0, 1.0, 2.0], "column 'y': the target is constant"),
        ("binary", ["a", "a", "a", "a"], "column 'y': the target is constant"),
        ("regression", ["a", "b", "a", "b"], "row 1, column 'y': the target 'a' is not a number"),
        ("multiclass", [1.0, 2.0, 3.0, 3.5], "column 'y': 4 different values in 4 rows are too"),
    ],
)
def test_a_target_that_does_not_suit_the_task_is_refused(
    task: str, cells: Cells, message: str
) -> None:
    with pytest.raises(DataError, match=message):
        fit_target(table(y=cells), ["y"], task, np.array([0, 1, 2]))


def test_a_class_that_training_did_not_know_is_refused_by_row() -> None:
    target = Target(("y",), ("a", "b"), (), (), (None,))
    with pytest.raises(DataError, match=r"row 3, column 'y': unknown class 'z'; known: a, b"):
        encode_target(table(y=["a", "b", "z"]), target)


@given(st.integers(20, 300), st.integers(0, 2**32), st.integers(1, 6))
def test_the_parts_of_a_split_are_disjoint_and_together_all_rows(
    rows: int, seed: int, classes: int
) -> None:
    strata = np.random.default_rng(seed).integers(classes, size=rows)
    split = split_rows(rows, seed, strata=strata)
    parts = (split.train, split.validation, split.calibration, split.test)
    assert sorted(np.concatenate(parts).tolist()) == list(range(rows))
    assert [len(part) / rows for part in parts] == pytest.approx([0.6, 0.1, 0.15, 0.15], abs=0.05)
    assert set(strata[split.train]) == set(strata)


def test_a_split_is_repeated_by_its_seed_and_by_no_other() -> None:
    first, again, other = (split_rows(200, seed) for seed in (3, 3, 4))
    assert np.array_equal(first.test, again.test)
    assert not np.array_equal(first.test, other.test)


def test_classes_are_spread_evenly_over_the_parts() -> None:
    strata = np.array([0] * 900 + [1] * 100)
    split = split_rows(1000, 0, strata=strata)
    shares = [strata[part].mean() for part in (split.train, split.calibration, split.test)]
    assert shares == pytest.approx([0.1] * 3, abs=0.011)


def test_a_class_of_one_row_goes_to_the_training_part() -> None:
    for seed in range(30):
        assert 57 in split_rows(100, seed, strata=np.arange(100) == 57).train


def test_the_second_row_of_a_small_class_may_come_into_any_part() -> None:
    strata = (np.arange(100) >= 98).astype(int)
    splits = [split_rows(100, seed, strata=strata) for seed in range(100)]
    for part in ("train", "validation", "calibration", "test"):
        alone = [strata[getattr(split, part)].sum() == 1 for split in splits]
        assert any(alone), part


def test_every_row_is_as_likely_in_the_test_part_as_any_other() -> None:
    counts = np.zeros(40)
    for seed in range(2000):
        counts[split_rows(40, seed).test] += 1
    spread = np.sqrt(2000 * 0.15 * 0.85)
    assert np.abs(counts - 2000 * 0.15).max() < 4 * spread


def test_other_fractions_can_be_asked_for() -> None:
    split = split_rows(100, 0, fractions=(0.5, 0.5, 0.0, 0.0))
    assert [len(split.train), len(split.validation), len(split.test)] == [50, 50, 0]
    with pytest.raises(DataError, match="add up to 1"):
        split_rows(100, 0, fractions=(0.5, 0.1, 0.1, 0.1))


def test_too_few_rows_to_split_are_refused() -> None:
    with pytest.raises(DataError, match="19 rows are too few to train on; at least 20"):
        split_rows(19, 0)
