"""Recognise the rows that a model has learned from, in any table, any order and any format.

A row is known by a hash of its features and its target together: a table of a few categories
repeats features by nature, with different targets. Numbers are hashed as read, rounded to the
24 bits of a float32, so neither the spelling of a number nor the file's format matters.
"""

from dataclasses import dataclass
from hashlib import blake2b
from math import erfc, exp, log, sqrt

import numpy as np

from model.data.preparation import encode_target, feature_columns
from model.data.schema import Schema, Target
from model.data.table import Table

BITS = 24  # of a number: as many as a float32 has, so a Parquet file of float32 has the same rows
SURE = 3.0  # standard deviations above the number of repeats that is natural
RARE = 1e-3  # a chance below this is no chance

NO_HASHES = (
    "the artifact is of an older release and has no hashes of the rows that it was trained on: "
    "only the same file is recognised"
)


@dataclass(frozen=True, slots=True)
class SeenRows:
    """The sorted hashes, int64, of the rows that a model has learned from.

    `fitted` rows have fitted the weights, the noise or the temperature; `calibrated` rows the
    scores alone. No row is in both. A row that occurs twice has its hash twice.
    """

    fitted: np.ndarray
    calibrated: np.ndarray

    @classmethod
    def of(cls, fitted: np.ndarray, calibrated: np.ndarray) -> "SeenRows":
        """From hashes in any order."""
        return cls(np.sort(fitted), np.sort(calibrated))

    @property
    def all(self) -> np.ndarray:
        """The sorted hashes of all these rows."""
        return np.sort(np.concatenate([self.fitted, self.calibrated]))


@dataclass(frozen=True, slots=True)
class Repeats:
    """Which rows of a table are seen rows, bool [B].

    `natural` counts rows that equal seen rows, as rows of such data do by chance; they are not
    among `again`.
    """

    again: np.ndarray
    natural: int = 0

    @property
    def count(self) -> int:
        """How many rows are seen rows."""
        return int(self.again.sum())


def row_hashes(table: Table, schema: Schema, target: Target) -> np.ndarray:
    """A hash of each row's features and target, int64 [rows].

    A missing cell has the value that fills it. Raises DataError as `encode_table` and
    `encode_target` do.
    """
    columns = feature_columns(table, schema)
    if target.classes:
        columns.append(encode_target(table, target))
    else:
        columns += [table.column(name) for name in target.names]
    block = np.empty((table.row_count, len(columns)), dtype="<f8")
    for at, column in enumerate(columns):
        block[:, at] = _rounded(column)
    size = block.strides[0]
    content = memoryview(block.tobytes())
    rows = (content[at : at + size] for at in range(0, len(content), size))
    hashes = b"".join(blake2b(row, digest_size=8).digest() for row in rows)
    return np.frombuffer(hashes, dtype="<i8").astype(np.int64)


def repeats(hashes: np.ndarray, seen: np.ndarray, *, same_table: bool = False) -> Repeats:
    """Which rows, by their `hashes` [B], are among the sorted hashes `seen`.

    If a hash is n times among the seen ones, the first n rows that have it are seen rows. Where
    seen rows equal each other, rows of another table equal them too: see `_natural`. Then none is
    taken for a seen row, unless the table is the `same_table` that they came from, or has all of
    them: see `_has_all`.
    """
    counts = _counts(hashes, seen)
    equal = int((counts > 0).sum())
    if not same_table and _natural(equal, len(hashes), seen) and not _has_all(hashes, seen):
        return Repeats(np.zeros(len(hashes), dtype=bool), equal)
    order = np.argsort(hashes, kind="stable")
    ordered = hashes[order]
    rank = np.arange(len(hashes)) - ordered.searchsorted(ordered)  # among the rows of that hash
    again = np.empty(len(hashes), dtype=bool)
    again[order] = rank < counts[order]
    return Repeats(again)


def kept(natural: int, rows: int) -> str:
    """What a note says of the `natural` ones of `rows` rows."""
    return (
        f"{natural} of {rows} rows equal rows that the model has learned from; rows of such data "
        "do so by nature, so they are kept"
    )


def _natural(equal: int, rows: int, seen: np.ndarray) -> bool:
    """Whether fresh rows may well equal seen rows as often as `equal` of `rows`.

    The share of seen rows with a twin among the seen ones estimates the share of fresh rows with
    one. Where no seen row has a twin, no fresh row has one.
    """
    if not equal:
        return True
    share = float((_counts(seen, seen) > 1).mean())
    deviation = sqrt(rows * share * (1 - share) * (1 + rows / len(seen)))
    return equal <= rows * share + SURE * deviation if share else False


def _has_all(hashes: np.ndarray, seen: np.ndarray) -> bool:
    """Whether the rows have each seen row as often as it was seen, which is no chance.

    Of as many fresh rows, n / N times the N seen rows, a hash that was seen c times has c n / N
    rows on average, and by a normal approximation c or more with the probability that is multiplied
    here.
    """
    values, seen_counts = np.unique(seen, return_counts=True)
    if not len(seen) or (_counts(values, np.sort(hashes)) < seen_counts).any():
        return False
    expected = seen_counts * (len(hashes) / len(seen))
    scaled = (seen_counts - 0.5 - expected) / np.sqrt(2 * expected)
    return exp(sum(log(erfc(each) / 2) for each in scaled.tolist())) < RARE


def _counts(hashes: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """How often each hash is among the sorted hashes `seen`, [B]."""
    return np.asarray(seen.searchsorted(hashes, "right") - seen.searchsorted(hashes, "left"))


def _rounded(values: np.ndarray) -> np.ndarray:
    """The values rounded to BITS significant bits, without negative zeros."""
    mantissas, exponents = np.frexp(np.asarray(values, dtype=np.float64))
    return np.asarray(np.ldexp(np.rint(np.ldexp(mantissas, BITS)), exponents - BITS) + 0.0)
