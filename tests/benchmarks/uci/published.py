"""The published splits of a set, and how their train rows are cut."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from model import Split, Table, read_table


@dataclass(frozen=True)
class Published:
    """A set and the rows of one of its splits, all of which are positions in the table."""

    table: Table
    train: np.ndarray
    test: np.ndarray

    @classmethod
    def read(cls, data: Path, name: str, number: int) -> "Published":
        """The split as its index files have it."""
        table = read_table(str(data / "csv" / f"{name}.csv"))
        train, test = (
            np.loadtxt(data / name / f"index_{part}_{number}.txt", dtype=np.int64)
            for part in ("train", "test")
        )
        return cls(table, train, test)

    @property
    def target(self) -> str:
        """The target column's name."""
        return list(self.table.columns)[-1]

    def inner(self) -> "Published":
        """The train rows alone, the last 20 % of them as test rows."""
        fit, validation = parts(self.train)
        return replace(self, train=fit, test=validation)

    def seen_before(self) -> float:
        """The share of test rows that stand among the train rows too, target included."""
        rows = np.stack(list(self.table.columns.values()), axis=1)
        known = {row.tobytes() for row in rows[self.train]}
        return float(np.mean([row.tobytes() in known for row in rows[self.test]]))

    def actual(self, rows: np.ndarray) -> np.ndarray:
        """Their targets [B]."""
        return np.asarray(self.table.columns[self.target][rows], dtype=np.float64)


def parts(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The first 80 % and the last 20 %, as the published experiments cut them."""
    return tuple(np.split(rows, [round(0.8 * len(rows))]))  # type: ignore[return-value]


def cut(rows: np.ndarray) -> Split:
    """Train rows in parts: training, tuning, calibration; no test rows."""
    fit, held = parts(rows)
    count = len(held) // 2 // 20 * 20 - 1
    tuning, calibration = np.split(held, [len(held) - count])
    return Split(*map(np.sort, (fit, tuning, calibration, np.arange(0))))
