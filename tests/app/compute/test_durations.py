"""What is expected of a batch follows from what others of its kind have taken."""

import math

import pytest

from app.compute.durations import KINDS, Durations


def test_what_has_not_been_seen_takes_for_ever() -> None:
    durations = Durations()
    durations.took("a", 1, 1.0)
    assert durations.expected_seconds("b", 1) == math.inf


def test_the_expectation_follows_what_it_takes_and_one_outlier_does_not_stay() -> None:
    durations = Durations()
    for _ in range(100):
        durations.took("a", 1, 0.001)
    assert durations.expected_seconds("a", 1) == pytest.approx(0.001)
    durations.took("a", 1, 0.1)
    assert 0.01 < durations.expected_seconds("a", 1) < 0.1
    for _ in range(30):
        durations.took("a", 1, 0.001)
    assert durations.expected_seconds("a", 1) == pytest.approx(0.001, rel=0.2)


def test_twice_the_rows_take_twice_as_long_at_most_and_half_of_them_no_longer() -> None:
    durations = Durations()
    durations.took("a", 16, 0.002)
    assert durations.expected_seconds("a", 64) == pytest.approx(0.008)
    assert durations.expected_seconds("a", 1) == pytest.approx(0.002)
    durations.took("a", 64, 0.1)  # beside a busy event loop, say
    assert durations.expected_seconds("a", 64) == pytest.approx(0.008)
    durations.took("a", 1, 0.001)
    assert durations.expected_seconds("a", 1) == pytest.approx(0.001)


def test_the_kinds_that_are_remembered_are_the_last_ones() -> None:
    durations = Durations()
    for kind in range(KINDS + 10):
        durations.took(0, 1, 0.5)
        durations.took(kind, 1, 0.1)
    known = [kind for kind in range(KINDS + 10) if durations.expected_seconds(kind, 1) < math.inf]
    assert len(known) == KINDS
    assert 0 in known
    assert 1 not in known
