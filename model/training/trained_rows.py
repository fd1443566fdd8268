"""Which rows of a table a model was trained on: they must not calibrate it."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.artifact import Card, TrainingRecord
from model.data import NO_HASHES, Repeats, SeenRows, Table, kept, repeats, row_hashes
from model.errors import DataError


@dataclass(frozen=True, slots=True)
class TrainedRows:
    """Which rows of a table the model was trained on, and what the card says of them."""

    hashes: np.ndarray  # of the table's rows
    repeats: Repeats
    fitted: np.ndarray | None  # the hashes that the artifact has; None for an old one
    notices: tuple[str, ...]

    @property
    def again(self) -> np.ndarray:
        """Whether the model was trained on each row, bool [B]."""
        return self.repeats.again

    def seen(self, tuning: np.ndarray, calibrating: np.ndarray) -> SeenRows | None:
        """The seen rows after rows of these numbers have tuned, and others have calibrated."""
        if self.fitted is None:
            return None
        fitted = np.concatenate([self.fitted, self.hashes[tuning]])
        return SeenRows.of(fitted, self.hashes[calibrating])


def trained_rows(card: Card, seen: SeenRows | None, table: Table) -> TrainedRows:
    """The rows of a table that the model was trained on.

    Raises DataError for the table that trained it, and if most rows have trained it.
    """
    if table.sha256 == card.training.data_sha256:
        raise DataError(f"{card.name} was trained on {table.name}; calibrate it on other rows")
    hashes = row_hashes(table, card.schema_of_rows, card.target_of_rows)
    old = seen is None and isinstance(card.training, TrainingRecord)
    fitted = np.empty(0, dtype=np.int64) if seen is None else seen.fitted
    found = repeats(hashes, fitted)
    if found.count > table.row_count / 2:
        raise DataError(
            f"{found.count} of {table.row_count} rows of {table.name} are rows that {card.name} "
            "was trained on; calibrate it on other rows"
        )
    notices = tuple(_notices(found, table, old=old))
    return TrainedRows(hashes, found, None if old else fitted, notices)


def _notices(found: Repeats, table: Table, *, old: bool) -> Iterator[str]:
    if old:
        yield NO_HASHES
    if found.count:
        yield (
            f"left out {found.count} of {table.row_count} rows of {table.name}: the model was "
            "trained on them"
        )
    if found.natural:
        yield kept(found.natural, table.row_count)
