"""Predictions by column are the rows that they would be as objects; a field is defined once."""

from dataclasses import dataclass, fields
from typing import Annotated

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import (
    ClassificationPrediction,
    Columns,
    Interval,
    LabelSet,
    RegressionPrediction,
    field_infos,
)
from model.tasks.columns import About

NAMES = ("a", "b")


@dataclass(frozen=True)
class Bounds:
    low: Annotated[float, About("The lower one.", kind="number")]
    method: Annotated[str, About("How.", kind="text")]


@dataclass(frozen=True, kw_only=True)
class Guess:
    mean: Annotated[dict[str, float], About("What is guessed.")]
    bounds: Annotated[Bounds, About("Between which.", kind="region")]
    distance: Annotated[float | None, About("From whom.", kind="number")] = None
    label: Annotated[str, About("The best.", kind="class")]
    labels: Annotated[tuple[str, ...], About("The good ones.", kind="classes")]
    passes: Annotated[int, About("How many.", kind="count")]
    accept: Annotated[bool, About("Whether.", kind="flag")]
    warnings: Annotated[tuple[str, ...], About("Why not.", kind="codes")]
    samples: Annotated[tuple[dict[str, float], ...], About("All.", kind="samples")]


number = st.floats(allow_nan=False, allow_infinity=False)
values = st.fixed_dictionaries(dict.fromkeys(NAMES, number))
guess = st.builds(
    Guess,
    mean=values,
    bounds=st.builds(Bounds, number, st.text()),
    distance=st.none(),
    label=st.sampled_from(NAMES),
    labels=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
    passes=st.integers(0, 1 << 40),
    accept=st.booleans(),
    warnings=st.lists(st.text()).map(tuple),
    samples=st.lists(values, min_size=1).map(tuple),
)
guesses = st.lists(guess)
bound = st.none() | st.integers(-9, 9)


def array(rows: list[dict[str, float]]) -> np.ndarray:
    return np.array([[row[name] for name in NAMES] for row in rows]).reshape(-1, 2)


def by_column(rows: list[Guess]) -> Columns[Guess]:
    labels = np.full((len(rows), len(NAMES)), -1)
    for row, each in enumerate(rows):
        labels[row, : len(each.labels)] = [NAMES.index(name) for name in each.labels]
    bounds = {
        "low": np.array([row.bounds.low for row in rows], dtype=np.float64),
        "method": [row.bounds.method for row in rows],
    }
    columns = {
        "mean": array([row.mean for row in rows]),
        "bounds": Columns(Bounds, bounds),
        "label": np.array([NAMES.index(row.label) for row in rows], dtype=np.int64),
        "labels": labels,
        "passes": np.array([row.passes for row in rows], dtype=np.int64),
        "accept": np.array([row.accept for row in rows], dtype=bool),
        "warnings": [row.warnings for row in rows],
        "samples": [array(list(row.samples)) for row in rows],
    }
    return Columns(Guess, columns, NAMES)


@given(rows=guesses, start=bound, stop=bound, step=st.sampled_from([None, 1, 2, -1]))
def test_columns_are_a_sequence_of_their_rows(
    rows: list[Guess], start: int | None, stop: int | None, step: int | None
) -> None:
    columns = by_column(rows)
    assert list(columns) == rows
    assert len(columns) == len(rows)
    assert [columns[at] for at in range(len(columns))] == rows
    assert list(columns[start:stop:step]) == rows[start:stop:step]
    with pytest.raises(IndexError):
        columns[len(rows)]


@given(parts=st.lists(guesses, min_size=1, max_size=4))
def test_parts_are_joined_in_their_order(parts: list[list[Guess]]) -> None:
    joined = Columns.joined([by_column(part) for part in parts])
    assert list(joined) == [row for part in parts for row in part]


@given(
    rows=st.lists(guess, min_size=1), at=st.integers(0, 99), value=st.sampled_from([np.nan, np.inf])
)
def test_a_row_with_a_number_that_is_not_finite_is_found(
    rows: list[Guess], at: int, value: float
) -> None:
    columns, row = by_column(rows), at % len(rows)
    assert columns.not_finite() is None
    for spoiled in (columns.columns["mean"][:, 1], columns.columns["bounds"].columns["low"]):
        kept, spoiled[row] = spoiled[row], value
        assert columns.not_finite() == row
        spoiled[row] = kept


@pytest.mark.parametrize("rows", [1, 9])
def test_large_numbers_are_finite_and_infinities_do_not_cancel(rows: int) -> None:
    for values, found in ([1e308, 1e308], None), ([np.inf, -np.inf], 0):
        column = np.array([values] * rows)
        assert Columns(Guess, {"mean": column}, NAMES).not_finite() == found


def test_a_row_of_one_value_without_a_name_is_a_plain_number() -> None:
    @dataclass(frozen=True)
    class Number:
        mean: Annotated[float, About("A number.")]

    columns = Columns(Number, {"mean": np.array([[1.5], [2.5]])})
    assert list(columns) == [Number(1.5), Number(2.5)]


@pytest.mark.parametrize(
    "kind", [RegressionPrediction, ClassificationPrediction, Interval, LabelSet]
)
def test_every_field_of_a_prediction_says_what_it_is(kind: type) -> None:
    infos = field_infos(kind)
    assert list(infos) == [field.name for field in fields(kind)]
    for info in infos.values():
        assert info.about.meaning.endswith(".")


@given(guesses, st.integers(0, 40))
def test_blocks_are_the_rows_in_order_and_a_row_at_least(rows: list[Guess], numbers: int) -> None:
    whole = by_column(rows)
    blocks = list(whole.blocks(numbers))
    assert [record for block in blocks for record in block.records()] == whole.records()
    assert [row for block in blocks for row in block] == rows
    if rows:
        assert all(len(block) for block in blocks)
        each = max(len(row.samples) for row in rows) * len(NAMES) + 10
        assert all(len(block) <= max(1, numbers) for block in blocks) or numbers < each


def test_blocks_of_a_large_answer_make_their_records_one_by_one() -> None:
    row = Guess(
        mean={"a": 1.0, "b": 2.0},
        bounds=Bounds(0.0, "how"),
        label="a",
        labels=("a",),
        passes=3,
        accept=True,
        warnings=(),
        samples=({"a": 1.0, "b": 2.0},),
    )
    whole = by_column([row] * 5000)
    first = next(whole[:4000].blocks(100))
    assert 0 < len(first.records()) < 100
    assert whole._records == []
    assert whole.columns["bounds"]._records == []
