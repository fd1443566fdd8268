"""Rows by column are the rows that they would be as objects."""

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model import Rows


@dataclass(frozen=True)
class Bounds:
    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Guess:
    mean: float
    bounds: Bounds
    distance: float | None = None
    label: str


def by_column(guesses: list[Guess]) -> Rows[Guess]:
    bounds: dict[str, list[Any]] = {
        "low": [guess.bounds.low for guess in guesses],
        "high": [guess.bounds.high for guess in guesses],
    }
    columns: dict[str, Any] = {
        "mean": [guess.mean for guess in guesses],
        "bounds": Rows(Bounds, bounds),
        "label": [guess.label for guess in guesses],
    }
    return Rows(Guess, columns)


number = st.floats(allow_nan=False)
guesses = st.lists(
    st.builds(Guess, mean=number, bounds=st.builds(Bounds, number, number), label=st.text())
)
bound = st.none() | st.integers(-9, 9)


@given(guesses=guesses, start=bound, stop=bound, step=st.sampled_from([None, 1, 2, -1]))
def test_rows_are_a_sequence_of_their_objects(
    guesses: list[Guess], start: int | None, stop: int | None, step: int | None
) -> None:
    rows = by_column(guesses)
    assert list(rows) == guesses
    assert len(rows) == len(guesses)
    assert [rows[at] for at in range(len(rows))] == guesses
    assert list(rows[start:stop:step]) == guesses[start:stop:step]
    assert rows == by_column(guesses)
    with pytest.raises(IndexError):
        rows[len(guesses)]


@given(parts=st.lists(guesses, min_size=1, max_size=4))
def test_parts_are_joined_in_their_order(parts: list[list[Guess]]) -> None:
    joined = Rows.joined([by_column(part) for part in parts])
    assert joined == by_column([guess for part in parts for guess in part])
