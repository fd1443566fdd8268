"""Count the rows of each class, and give rare classes a test row and a calibration row."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from model.data.preparation import Split

TRAIN, VALIDATION, CALIBRATION, TEST = range(4)


def count_classes(classes: Sequence[str], y: np.ndarray) -> dict[str, int]:
    """The number of rows of each class among class indices y [B]."""
    return dict(zip(classes, np.bincount(y, minlength=len(classes)).tolist(), strict=True))


def share_rare_classes(split: Split, classes: np.ndarray, seed: int) -> Split:
    """The split with a test row and a calibration row of every class that has rows enough.

    `split_rows` gives each part about the same share of each class, which of a rare class may be no
    row. Such a part takes a random row of the class from the part that has most to spare, and gives
    a row of its own most frequent class for it. A class of two rows has a training row and a test
    row, a class of three a calibration row too. Without rare classes the split stays as it is.
    """
    random = np.random.default_rng(seed)
    parts = np.empty(len(classes), dtype=np.int64)
    for number, field in enumerate(fields(split)):
        parts[getattr(split, field.name)] = number
    values, counts = np.unique(classes, return_counts=True)
    for rare in values[np.argsort(counts, kind="stable")]:
        for wanted in (TEST, CALIBRATION):
            _give_row(parts, classes, rare, wanted, random)
    return Split(*(np.flatnonzero(parts == number) for number in range(4)))


def _give_row(
    parts: np.ndarray, classes: np.ndarray, rare: int, wanted: int, random: np.random.Generator
) -> None:
    """Change `parts` so that the part has a row of the class, if another part has one to spare."""
    spare = np.bincount(parts[classes == rare], minlength=4)
    inside = np.bincount(classes[parts == wanted], minlength=1)
    if spare[wanted]:
        return
    spare[TRAIN] -= 1
    spare[TEST] -= wanted == CALIBRATION
    donor, frequent = int(spare.argmax()), int(inside.argmax())
    if spare[donor] < 1 or inside[frequent] < 2:
        return
    given = random.choice(np.flatnonzero((parts == donor) & (classes == rare)))
    taken = random.choice(np.flatnonzero((parts == wanted) & (classes == frequent)))
    parts[given], parts[taken] = wanted, donor
