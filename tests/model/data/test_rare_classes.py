"""A rare class has a test row and a calibration row, and all other rows stay where they were."""

from dataclasses import fields

import numpy as np
import pytest

from model.data.preparation import Split, split_rows
from model.data.rare_classes import count_classes, share_rare_classes


def parts(split: Split) -> list[np.ndarray]:
    return [getattr(split, field.name) for field in fields(split)]


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("rare", [2, 3, 4, 5, 8])
def test_a_class_of_two_rows_is_tested_and_of_three_calibrated_too(seed: int, rare: int) -> None:
    classes = np.random.default_rng(seed).permutation(np.repeat([0, 1], [500 - rare, rare]))
    before = split_rows(500, seed, strata=classes)
    split = share_rare_classes(before, classes, seed)
    train, _, calibration, test = (int(classes[part].sum()) for part in parts(split))
    assert train
    assert test
    assert bool(calibration) is (rare > 2)
    assert list(map(len, parts(split))) == list(map(len, parts(before)))
    split.check(500)
    moved = sum(len(np.setdiff1d(a, b)) for a, b in zip(parts(split), parts(before), strict=True))
    assert moved <= 4


def test_classes_that_are_in_every_part_leave_the_split_as_it_is() -> None:
    classes = np.arange(400) % 4
    before = split_rows(400, 5, strata=classes)
    after = share_rare_classes(before, classes, 5)
    for mine, other in zip(parts(after), parts(before), strict=True):
        np.testing.assert_array_equal(mine, other)


def test_more_classes_than_rows_of_a_part_do_no_harm() -> None:
    classes = np.arange(60) % 30
    split = share_rare_classes(split_rows(60, 0, strata=classes), classes, 0)
    split.check(60)
    assert set(classes[split.train]) == set(range(30))


def test_rows_are_counted_by_class() -> None:
    assert count_classes(("a", "b", "c"), np.array([2, 0, 2])) == {"a": 1, "b": 0, "c": 2}
