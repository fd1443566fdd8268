"""The sets of a data folder and their splits: the rows that every method gets, and gets alike."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from model import Split, Table, read_table
from model.data.preparation import choose_target, encode_target, fit_target, split_rows
from tests.benchmarks.uci.published import Published

CELLS = 800_000  # the most cells of a table; of a larger one, rows are drawn
PARTS = (0.7, 0.82)  # where the train rows of a published split are cut: `train`'s proportions


@dataclass(frozen=True)
class Rows:
    """Inputs x [B, D] and targets y [B]: numbers, or the positions of the classes."""

    x: np.ndarray
    y: np.ndarray

    def __len__(self) -> int:
        return len(self.y)

    def at_most(self, count: int) -> "Rows":
        """So many of them, drawn at random; all of them if they are fewer."""
        kept = np.random.default_rng(0).permutation(len(self))[:count]
        return Rows(self.x[kept], self.y[kept])


@dataclass(frozen=True)
class Case:
    """A set, and one split of it."""

    name: str
    number: int
    table: Table
    task: str
    split: Split

    @property
    def target(self) -> str:
        """The target column's name: the last one."""
        return list(self.table.columns)[-1]

    @cached_property
    def classes(self) -> int:
        """The number of classes; 0 for a regression."""
        return len(fit_target(self.table, [self.target], self.task, self._seen).classes)

    @cached_property
    def y(self) -> np.ndarray:
        """The targets of all rows [R], as the file has them, or the positions of the classes."""
        if self.task == "regression":
            return np.asarray(self.table.columns[self.target], dtype=np.float64)
        target = fit_target(self.table, [self.target], self.task, self._seen)
        return np.asarray(encode_target(self.table, target)).ravel().astype(np.int64)

    @cached_property
    def x(self) -> np.ndarray:
        """The inputs of all rows [R, D] for the other methods.

        Numbers are standardised and missing ones become the median; each text has a column.
        Statistics are those of the training and validation rows.
        """
        columns = [self.table.columns[name] for name in list(self.table.columns)[:-1]]
        numeric = [column for column in columns if column.dtype.kind == "f"]
        texts = [column for column in columns if column.dtype.kind != "f"]
        parts = []
        if numeric:
            cells = np.stack(numeric, axis=1)
            middle = np.nanmedian(cells[self._seen], axis=0)
            cells = np.where(np.isnan(cells), middle, cells)
            parts.append(StandardScaler().fit(cells[self._seen]).transform(cells))
        if texts:
            words = np.stack([[str(cell) for cell in column] for column in texts], axis=1)
            codes = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
            parts.append(codes.fit(words[self._seen]).transform(words))
        return np.concatenate(parts, axis=1)

    @property
    def rows_used(self) -> int:
        """The number of rows in the parts of the split: of a drawn law, not all of the table's."""
        return sum(len(getattr(self.split, part.name)) for part in fields(self.split))

    @property
    def _seen(self) -> np.ndarray:
        return self.split.seen(refit=True)

    def rows(self, part: str) -> Rows:
        """The rows of a part of the split, or of "seen": training and validation rows."""
        at = self._seen if part == "seen" else getattr(self.split, part)
        return Rows(self.x[at], self.y[at])


def found(data: Path) -> dict[str, Path]:
    """The file of every set in the folder: all CSV files, by name."""
    return {path.stem: path for path in sorted(data.rglob("*.csv"))}


def chosen(files: Mapping[str, Path], names: list[str] | None) -> Iterator[tuple[str, Path]]:
    """The sets that were asked for; raises SystemExit for one that the folder does not have."""
    for name in names or files:
        if name not in files:
            raise SystemExit(f"there is no {name}.csv; the sets are {', '.join(files)}")
        yield name, files[name]


def case(path: Path, number: int) -> Case:
    """A split of the set in that file.

    A file `csv/SET.csv` beside a folder `SET` of index files is a regression with published splits.
    Any other is split by `train`'s proportions, with the number as seed.
    """
    folder = path.parent.parent
    if (folder / path.stem / f"index_train_{number}.txt").exists():
        published = Published.read(folder, path.stem, number)
        return Case(path.stem, number, *_reduced(published, number))
    table = _drawn(read_table(str(path)))
    target = list(table.columns)[-1]
    task = choose_target(table, [target])
    strata = None
    if task != "regression":
        every = fit_target(table, [target], task, np.arange(table.row_count))
        strata = np.asarray(encode_target(table, every)).ravel()
    return Case(path.stem, number, table, task, split_rows(table.row_count, number, strata=strata))


def _reduced(published: Published, number: int) -> tuple[Table, str, Split]:
    """The table, its task and the split, whose train rows are shuffled and cut in three."""
    rows = np.random.default_rng(number).permutation(published.train)
    cuts = [round(share * len(rows)) for share in PARTS]
    parts = (*np.split(rows, cuts), published.test)
    return published.table, "regression", Split(*(np.sort(part) for part in parts))


def _drawn(table: Table) -> Table:
    """The table itself, or rows of it that make no more than CELLS cells."""
    most = CELLS // len(table.columns)
    if table.row_count <= most:
        return table
    return table.rows(np.sort(np.random.default_rng(0).permutation(table.row_count)[:most]))
