"""Prepare a table for training: schema, target, arrays and split.

Statistics come from the training rows, which the caller names. Categories and classes come from all
rows, so that every row of the table can be encoded.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from model.data.schema import CategoricalFeature, Feature, NumericFeature, Schema, Target, label
from model.data.table import Table
from model.errors import DataError
from model.messages import listed, shown

TASK_CHOICES = ("auto", "regression", "binary", "multiclass", "classification")
MAX_CATEGORIES = 1000  # of a column or the target: with more it is free text, or a number
MIN_ROWS = 20
FRACTIONS = (0.6, 0.1, 0.15, 0.15)  # training, validation, calibration, test

_Task = Literal["regression", "binary", "multiclass"]


def fit_schema(
    table: Table, names: Sequence[str], rows: np.ndarray, *, missing: str = "error"
) -> tuple[Schema, tuple[str, ...]]:
    """The schema of the named columns with statistics of the given rows, and notices for the user.

    Columns that are constant in those rows are dropped. With `missing` "error" a missing cell is
    refused; with "impute" it becomes the median or the most frequent text. Raises DataError naming
    the column.
    """
    if missing not in ("error", "impute"):
        raise DataError(f"missing: {missing!r} is not one of error, impute")
    features: list[Feature] = []
    notices: list[str] = []
    for name in names:
        gaps = np.flatnonzero(_missing(table.column(name)))
        if len(gaps) and missing == "error":
            advice = "fill it in, remove the row, or train with --missing impute"
            raise table.fault(gaps[0], name, f"the value is missing; {advice}")
        feature = _fit_feature(table, name, rows, impute=missing == "impute")
        if feature is None:
            notices.append(f"dropped constant column {name!r}")
            continue
        features.append(feature)
        if len(gaps):
            count = f"{len(gaps)} of {table.row_count} rows"
            notices.append(f"filled missing cells of {name!r} with {feature.fill!r} ({count})")
    if not features:
        why = "; ".join(notices) or "there is no column but the target"
        raise DataError(f"{table.name} has no feature to learn from: {why}")
    return Schema(tuple(features)), tuple(notices)


def encode_table(table: Table, schema: Schema) -> np.ndarray:
    """All rows of a table encoded for the network, float32 [rows, D].

    The result equals `Schema.encode` of the same rows. Raises DataError naming row, column and
    value.
    """
    x = schema.assemble(feature_columns(table, schema))
    if not np.isfinite(x).all():
        row, at = np.argwhere(~np.isfinite(x))[0]
        numeric, positions = schema.numeric()
        feature = numeric[positions.index(at)]
        value = float(table.columns[feature.name][row])
        raise table.fault(row, feature.name, f"the value {feature.fault(value)}")
    return x


def feature_columns(table: Table, schema: Schema) -> list[np.ndarray]:
    """A column [rows] for each feature, without gaps: numbers, or indices of categories.

    Raises DataError naming row, column and value.
    """
    return [
        _numbers(table, feature)
        if isinstance(feature, NumericFeature)
        else _indices(table, feature)
        for feature in schema.features
    ]


def choose_target(table: Table, names: Sequence[str], *, task: str = "auto") -> _Task:
    """The task for the target columns: `task`, if the columns allow it.

    With "auto", a target of texts is a classification. So are whole numbers with two distinct
    values, or with at most 20 that are at most 5 % of the rows. Everything else is a regression,
    and so are several targets.
    """
    if task not in TASK_CHOICES:
        raise DataError(f"task: {task!r} is not one of {', '.join(TASK_CHOICES)}")
    if not names or len(set(names)) < len(names):
        raise DataError(f"the targets must be one or more different columns, not {listed(names)}")
    columns = [_whole_column(table, name) for name in names]
    if task == "auto":
        task = "classification" if len(names) == 1 and _is_class(columns[0]) else "regression"
    if task == "regression":
        return "regression"
    if len(names) > 1:
        raise DataError(f"several targets need --task regression, not {task}: {listed(names)}")
    classes = len(set(columns[0].tolist()))
    if task == "binary" and classes != 2:
        raise DataError(f"{table.name}, column {names[0]!r}: binary needs 2 values, not {classes}")
    return "multiclass" if classes > 2 or task == "multiclass" else "binary"


def fit_target(table: Table, names: Sequence[str], task: str, rows: np.ndarray) -> Target:
    """The target with means and scales of the given rows, or with the classes of all rows.

    Raises DataError for a constant target, or a target that does not suit the task.
    """
    if task == "regression":
        fits = [_standard(table, name, _target_numbers(table, name)[rows]) for name in names]
        for name, fit in zip(names, fits, strict=True):
            if fit is None:
                raise DataError(f"{table.name}, column {name!r}: the target is constant")
        means, scales = zip(*(fit for fit in fits if fit is not None), strict=True)
        return Target(tuple(names), (), means, scales, (None,) * len(names))
    (name,) = names
    column = _whole_column(table, name)
    values = sorted(set(column.tolist()))
    if len(values) < 2:
        raise DataError(f"{table.name}, column {name!r}: the target is constant")
    if len(values) > min(MAX_CATEGORIES, len(column) / 2):
        message = f"{len(values)} different values in {len(column)} rows are too many classes"
        raise DataError(f"{table.name}, column {name!r}: {message}")
    return Target((name,), tuple(map(label, values)), (), (), (None,))


def encode_target(table: Table, target: Target) -> np.ndarray:
    """Standardised values, float64 [rows, T], or class indices, int64 [rows].

    Raises DataError naming a row whose target is missing, or whose class is unknown.
    """
    if not target.classes:
        y = np.stack([_target_numbers(table, name) for name in target.names], axis=1)
        return np.asarray((y - np.array(target.means)) / np.array(target.scales))
    (name,) = target.names
    index = {text: at for at, text in enumerate(target.classes)}
    labels = [label(value) for value in _whole_column(table, name).tolist()]
    for row, text in enumerate(labels):
        if text not in index:
            message = f"unknown class {shown(text)}; known: {listed(target.classes)}"
            raise table.fault(row, name, message)
    return np.array([index[text] for text in labels], dtype=np.int64)


@dataclass(frozen=True, slots=True)
class Split:
    """Disjoint row indices, int64 ascending. `calibration` and `test` may be empty."""

    train: np.ndarray
    validation: np.ndarray
    calibration: np.ndarray
    test: np.ndarray

    def seen(self, *, refit: bool) -> np.ndarray:
        """The rows that the weights learn from: training rows, and with `refit` validation rows."""
        return np.sort(np.concatenate([self.train, self.validation])) if refit else self.train

    def check(self, rows: int) -> None:
        """Raise DataError naming the part, if the split does not fit a table of `rows` rows."""
        parts = {field.name: getattr(self, field.name) for field in fields(self)}
        for name, part in parts.items():
            if part.ndim != 1 or part.dtype.kind != "i":
                raise DataError(f"split, {name}: the rows must be a list of whole numbers")
            if len(part) and not (part.min() >= 0 and part.max() < rows):
                found = f"{part.min()} to {part.max()}"
                raise DataError(f"split, {name}: rows must be in 0 to {rows - 1}, not {found}")
        for name in ("train", "validation"):
            if not len(parts[name]):
                raise DataError(f"split, {name}: at least one row is needed")
        counts = np.bincount(np.concatenate(list(parts.values())))
        if counts.max() > 1:
            raise DataError(f"split: row {int(counts.argmax())} occurs more than once")


def split_rows(
    rows: int,
    seed: int,
    *,
    strata: np.ndarray | None = None,
    fractions: tuple[float, float, float, float] = FRACTIONS,
) -> Split:
    """A random split, the same for the same seed.

    With `strata` [rows], each part has about the same share of each class. Every class has a row in
    the training part, if that part has at least as many rows as there are classes. Raises DataError
    for fewer than 20 rows.
    """
    if rows < MIN_ROWS:
        raise DataError(f"{rows} rows are too few to train on; at least {MIN_ROWS} are needed")
    if min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-9:
        raise DataError(f"the parts of the split must be 0 or more and add up to 1: {fractions}")
    random = np.random.default_rng(seed)
    order = spread(np.zeros(rows) if strata is None else strata, random)
    cuts = np.rint(np.cumsum(fractions[:3]) * rows).astype(int)
    return Split(*(np.sort(part) for part in np.split(order, cuts)))


def spread(strata: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """All rows in a random order in which consecutive rows have each class in its proportion.

    The rows of a class are shuffled and placed at equal steps from 0 to 1, after a random start.
    The first row of each class is placed before all others.
    """
    place = np.empty(len(strata))
    for value in np.unique(strata):
        members = random.permutation(np.flatnonzero(strata == value))
        steps = np.arange(len(members)) - 1 + random.random()
        place[members] = np.where(np.arange(len(members)) == 0, -1, steps / (len(members) - 1 or 1))
    return np.argsort(place, kind="stable")


def _missing(column: np.ndarray) -> np.ndarray:
    """Whether each cell is missing, bool [rows]."""
    if column.dtype != object:
        return np.asarray(np.isnan(column))
    return np.array([cell is None for cell in column], dtype=bool)


def _fit_feature(table: Table, name: str, rows: np.ndarray, *, impute: bool) -> Feature | None:
    """The feature with statistics of the given rows; None if it is constant in them."""
    column = table.column(name)
    present = column[rows][~_missing(column[rows])]
    if not len(present):
        advice = f"leave it out with --drop {name}"
        raise DataError(f"{table.name}, column {name!r}: no training row has a value; {advice}")
    if column.dtype == object:
        return _fit_categories(table, name, present, impute=impute)
    fit = _standard(table, name, present)
    if fit is None:
        return None
    fill = float(np.median(present)) if impute else None
    return NumericFeature(name, *fit, float(present.min()), float(present.max()), fill)


def _fit_categories(
    table: Table, name: str, present: np.ndarray, *, impute: bool
) -> CategoricalFeature | None:
    counts = Counter(present.tolist())
    if len(counts) == 1:
        return None
    categories = sorted({cell for cell in table.column(name).tolist() if cell is not None})
    if len(counts) == len(present) or len(categories) > MAX_CATEGORIES:
        many = "a different text in every row" if len(counts) == len(present) else "free text"
        message = f"{many}, from which a model cannot learn; leave it out with --drop {name}"
        raise DataError(f"{table.name}, column {name!r}: {message}")
    fill = min(counts, key=lambda text: (-counts[text], text)) if impute else None
    return CategoricalFeature(name, tuple(categories), fill)


def _standard(table: Table, name: str, values: np.ndarray) -> tuple[float, float] | None:
    """Mean and population standard deviation; None for a constant.

    The values are first divided by a power of two, so that squares neither overflow nor vanish.
    """
    if values.min() == values.max():
        return None
    _, exponent = np.frexp(np.abs(values).max())
    scaled = np.ldexp(values, -exponent)
    mean, scale = np.ldexp([scaled.mean(), scaled.std()], exponent).tolist()
    if not (np.isfinite(scale) and scale >= np.finfo(np.float64).tiny):
        raise DataError(f"{table.name}, column {name!r}: the values are too large or too close")
    return mean, scale


def _numbers(table: Table, feature: NumericFeature) -> np.ndarray:
    """The column of a numeric feature, with missing cells filled in."""
    column = table.column(feature.name)
    missing = _missing(column)
    if column.dtype == object and not missing.all():
        row = np.flatnonzero(~missing)[0]
        raise table.fault(row, feature.name, f"{shown(column[row])} is not a number")
    if missing.any() and feature.fill is None:
        raise table.fault(np.flatnonzero(missing)[0], feature.name, "the value is missing")
    return np.where(missing, np.nan if feature.fill is None else feature.fill, column).astype(float)


def _indices(table: Table, feature: CategoricalFeature) -> np.ndarray:
    """The column of a categorical feature, as indices of categories."""
    index: dict[str | None, int] = {text: at for at, text in enumerate(feature.categories)}
    indices = []
    column = table.column(feature.name)
    for row, (cell, gap) in enumerate(zip(column.tolist(), _missing(column), strict=True)):
        text = feature.fill if gap else label(cell)
        if text not in index:
            raise table.fault(row, feature.name, f"the value {feature.fault(text)}")
        indices.append(index[text])
    return np.array(indices, dtype=np.intp)


def _whole_column(table: Table, name: str) -> np.ndarray:
    """A target column; raises DataError for a missing cell."""
    column = table.column(name)
    gaps = np.flatnonzero(_missing(column))
    if len(gaps):
        raise table.fault(gaps[0], name, "the target is missing; fill it in or remove the row")
    return column


def _target_numbers(table: Table, name: str) -> np.ndarray:
    column = _whole_column(table, name)
    if column.dtype == object:
        raise table.fault(0, name, f"the target {shown(column[0])} is not a number")
    return column


def _is_class(column: np.ndarray) -> bool:
    """Whether a target has classes rather than amounts; see `choose_target`."""
    if column.dtype == object:
        return True
    distinct = len(np.unique(column))
    whole = bool((column == np.rint(column)).all())
    return whole and (distinct <= 2 or distinct <= min(20, 0.05 * len(column)))
