"""Predictions of all rows of a request, and how they are made of blocks of rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any, Literal

import numpy as np

from model.calibration import Acceptance
from model.errors import DataError, Detail, InputError
from model.options import Estimator, MaskScope, Resolved
from model.passes import Passes
from model.tasks import Columns, FlatColumn, Prediction, Task, TaskName, flat


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of all rows, and the options that give the same numbers again.

    The same seed, rows and options give the same masks. The numbers are equal to float32 rounding,
    about 1e-7 relative: how a matrix product rounds depends on how many rows it has.

    `passes` is the number requested; if every row met the tolerance, the largest number that a row
    took. `stopped` is `tolerance` if every row met it. `estimator` is the one that was used; if it
    is not the one requested, `note` says why.
    """

    task: TaskName
    passes: int
    stopped: Literal["passes", "tolerance"]
    seed: int
    estimator: Estimator
    masks: MaskScope
    rows: Columns[Prediction]
    acceptance: Acceptance | None = None  # if the options have a largest error
    note: str | None = None
    index: Any = field(default=None, compare=False, repr=False)  # of the frame of pandas, if any

    def warned(self, codes: Sequence[tuple[str, ...]]) -> "Predictions":
        """The predictions with further warnings of each row; the same ones if there are none."""
        if not any(codes):
            return self
        rows = self.rows
        warnings = [
            (*known, *new) for known, new in zip(rows.columns["warnings"], codes, strict=True)
        ]
        columns = {**rows.columns, "warnings": warnings}
        return replace(self, rows=Columns(rows.kind, columns, rows.names))

    def to_numpy(self) -> np.ndarray:
        """The rows as a structured array [B], whose fields are the columns of `to_pandas`.

        Texts, tuples and arrays are objects.
        """
        columns = {column.name: cells for column, cells in self._flat()}
        found = np.empty(len(self.rows), [(name, cells.dtype) for name, cells in columns.items()])
        for name, cells in columns.items():
            found[name] = cells
        return found

    def to_pandas(self) -> Any:
        """The rows as a frame of pandas, with the index of the frame that was predicted.

        A field of a row is a column: `mean`, `std`, `warnings`. `lower` and `upper` are the ends of
        the interval, `label_set` the label set, and `method` says how either was made. With several
        targets or classes, a number of each is in the column "field.name", as `mean.price`.
        Label sets and warnings are tuples of texts, samples are arrays. Raises DataError without
        pandas.
        """
        columns = {column.name: cells for column, cells in self._flat()}
        return _library("pandas", "pandas").DataFrame(columns, index=self.index)

    def to_arrow(self) -> Any:
        """The rows as a table of pyarrow, with the columns of `to_pandas`; tuples are lists.

        Polars and others make a frame of it without a copy. Raises DataError without pyarrow.
        """
        arrow = _library("pyarrow", "mc-dropout-service[train]")
        types = {
            "text": arrow.string(),
            "texts": arrow.list_(arrow.string()),
            "numbers": arrow.list_(arrow.float64()),
        }
        return arrow.table({c.name: arrow.array(x, types.get(c.kind)) for c, x in self._flat()})

    def _flat(self) -> Iterator[tuple[FlatColumn, np.ndarray]]:
        """The flat columns as arrays; `coverage` is left out, because the caller asked for it."""
        for column, cells in flat(self.rows).items():
            if column.field != "coverage":
                numeric = column.kind in ("number", "count", "flag")
                yield column, cells if numeric else _objects(cells)

    def of_rows(self, start: int, stop: int) -> "Predictions":
        """The predictions of some of the rows; `dataclasses.replace` takes three times as long."""
        return Predictions(
            self.task,
            self.passes,
            self.stopped,
            self.seed,
            self.estimator,
            self.masks,
            self.rows[start:stop],
            self.acceptance,
            self.note,
            None if self.index is None else self.index[start:stop],
        )


def summarised(
    task: Task[Any],
    parts: Sequence[Passes],
    options: Resolved,
    *,
    kind: TaskName,
    seed: int,
    acceptance: Acceptance | None,
) -> Predictions:
    """The predictions from the passes of consecutive blocks of rows; raises InputError."""
    blocks, start = [task.summarise(part, options) for part in parts], 0
    for block in blocks:
        _check_finite(block, start)
        start += len(block)
    met = options.tolerance is not None and all(part.settled for part in parts)
    estimator = used(task, options)
    return Predictions(
        task=kind,
        passes=_most(parts) if met else options.passes,
        stopped="tolerance" if met else "passes",
        seed=seed,
        estimator=estimator,
        masks=options.masks,
        rows=Columns.joined(blocks),
        acceptance=acceptance,
        note=None if estimator == options.estimator else task.plain_because,
    )


def _most(parts: Sequence[Passes]) -> int:
    """The largest number of passes that a row took."""
    return max(int(part.counts.max(initial=0)) for part in parts)


def _objects(cells: Sequence[Any]) -> np.ndarray:
    """An array of objects; numpy alone would make two axes of tuples of one length."""
    found = np.empty(len(cells), dtype=object)
    for row, cell in enumerate(cells):
        found[row] = cell
    return found


def _library(module: str, package: str) -> Any:
    try:
        return import_module(module)
    except ImportError as error:
        message = f'{module} is not installed: pip install "{package}"'
        raise DataError(message) from error


def used(task: Task[Any], options: Resolved) -> Estimator:
    """The estimator that is used: plain, if the reduced one does not apply to the task."""
    return "plain" if task.plain_because else options.estimator


def density(
    task: Task[Any], samples: Sequence[np.ndarray], actual: np.ndarray, members: int
) -> np.ndarray:
    """Log density [B, T] of the actual targets, from each row's passes [P, V] of the members."""
    counts = np.array([len(passes) for passes in samples])
    found = np.empty((len(samples), 1 if actual.ndim == 1 else actual.shape[1]))
    for count in np.unique(counts):
        (rows,) = np.nonzero(counts == count)
        values = np.stack([samples[row] for row in rows.tolist()], axis=1)  # [P, b, V]
        found[rows] = task.log_density(values, actual[rows], members)
    return found


def _check_finite(block: Columns[Prediction], start: int) -> None:
    """Raise InputError naming the first row whose numbers overflowed; `start` is the block's."""
    found = block.not_finite()
    if found is not None:
        row = start + found
        message = "the model's output is not finite: a value lies too far from the training data"
        raise InputError(f"rows.{row}: {message}", [Detail(f"rows.{row}", message)])
