"""What is expected of a batch follows from what others of its kind have taken."""

import math

import pytest

from app.compute.durations import KINDS, Durations


def test_what_has_not_been_seen_takes_for_ever() -> None:
    durations = Durations()
    durations.took("a", 1, 100, 1.0)
    assert durations.expected_seconds("b", 1, 100) == math.inf


def test_the_expectation_follows_what_it_takes_and_one_outlier_does_not_stay() -> None:
    durations = Durations()
    for _ in range(100):
        durations.took("a", 1, 100, 0.001)
    assert durations.expected_seconds("a", 1, 100) == pytest.approx(0.001)
    durations.took("a", 1, 100, 0.1)
    assert 0.01 < durations.expected_seconds("a", 1, 100) < 0.1
    for _ in range(30):
        durations.took("a", 1, 100, 0.001)
    assert durations.expected_seconds("a", 1, 100) == pytest.approx(0.001, rel=0.2)


def test_twice_the_rows_take_twice_as_long_at_most_and_half_of_them_no_longer() -> None:
    durations = Durations()
    durations.took("a", 16, 100, 0.002)
    assert durations.expected_seconds("a", 64, 100) == pytest.approx(0.008)
    assert durations.expected_seconds("a", 1, 100) == pytest.approx(0.002)
    durations.took("a", 64, 100, 0.1)  # beside a busy event loop, say
    assert durations.expected_seconds("a", 64, 100) == pytest.approx(0.008)
    durations.took("a", 1, 100, 0.001)
    assert durations.expected_seconds("a", 1, 100) == pytest.approx(0.001)


def test_other_numbers_of_passes_bound_a_number_never_seen() -> None:
    durations = Durations()
    durations.took("a", 1, 100, 0.002)
    assert durations.expected_seconds("a", 1, 50) == pytest.approx(0.002)
    assert durations.expected_seconds("a", 1, 400) == pytest.approx(0.008)
    durations.took("a", 1, 50, 0.0015)
    assert durations.expected_seconds("a", 1, 50) == pytest.approx(0.0015)


def test_the_rows_within_a_time_are_those_of_the_largest_batch_that_tells() -> None:
    durations = Durations()
    assert durations.rows_within("a", 100, 0.1) is None
    durations.took("a", 1, 100, 0.002)
    assert durations.rows_within("a", 100, 0.1) == 50
    assert durations.rows_within("a", 200, 0.1) == 25
    durations.took("a", 64, 100, 0.008)
    assert durations.rows_within("a", 100, 0.1) == 800
    assert not durations.exceeded("b", 100, 0.5)
    durations.took("b", 64, 100, 1.0)
    assert durations.exceeded("b", 100, 0.5)
    assert not durations.exceeded("b", 100, 1.5)
    assert durations.exceeded("b", 1000, 0.5)
    assert not durations.exceeded("b", 10, 0.5)  # fewer passes may take less
    assert durations.rows_within("b", 100, 0.1) == 6


def test_the_kinds_that_are_remembered_are_the_last_ones() -> None:
    durations = Durations()
    for kind in range(KINDS + 10):
        durations.took(0, 1, 100, 0.5)
        durations.took(kind, 1, 100, 0.1)
    known = [
        kind for kind in range(KINDS + 10) if durations.expected_seconds(kind, 1, 100) < math.inf
    ]
    assert len(known) == KINDS
    assert 0 in known
    assert 1 not in known
