"""What is expected of a batch is what those of its kind have taken."""

import math

import pytest

from app.compute.durations import KINDS, Durations


def test_what_has_not_been_seen_takes_for_ever() -> None:
    pace = Durations()
    pace.took("a", 1.0)
    assert pace.expected_seconds("b") == math.inf


def test_the_expectation_follows_what_it_takes_and_one_outlier_does_not_stay() -> None:
    pace = Durations()
    for _ in range(100):
        pace.took("a", 0.001)
    assert pace.expected_seconds("a") == pytest.approx(0.001)
    pace.took("a", 0.1)
    assert 0.01 < pace.expected_seconds("a") < 0.1
    for _ in range(30):
        pace.took("a", 0.001)
    assert pace.expected_seconds("a") == pytest.approx(0.001, rel=0.2)


def test_the_kinds_that_are_remembered_are_the_last_ones() -> None:
    pace = Durations()
    for kind in range(KINDS + 10):
        pace.took(0, 0.5)
        pace.took(kind, 0.1)
    known = [kind for kind in range(KINDS + 10) if pace.expected_seconds(kind) < math.inf]
    assert len(known) == KINDS
    assert 0 in known
    assert 1 not in known
