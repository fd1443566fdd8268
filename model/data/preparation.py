"""Prepare a table for training: schema, target, arrays and split.

Statistics come from the training rows, which the caller names. Categories and classes come from all
rows, so that every row of the table can be encoded.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np

from model.data.codes import quantile_edges
from model.data.feature import (
    CategoricalFeature,
    Feature,
    NumericFeature,
    category_index,
    label,
)
from model.data.options import option
from model.data.schema import Schema, Target
from model.data.table import Table, missing_cells
from model.errors import DataError
from model.messages import listed, not_one_of, shown

TASK_CHOICES = ("auto", "regression", "binary", "multiclass", "classification")
MISSING_CHOICES = ("error", "impute", "drop")
MANY_CATEGORIES = 50  # of a column: with more a notice says so
MAX_CATEGORIES = 1000  # of a column or the target: with more it is free text, or a number
MIN_ROWS = 20
FARTHEST = 6.0  # from 0: a standardised number of a training row; see docs/training.md
FRACTIONS = (0.6, 0.1, 0.15, 0.15)  # training, validation, calibration, test

_Task = Literal["regression", "binary", "multiclass"]


def fit_schema(
    table: Table,
    names: Sequence[str],
    rows: np.ndarray,
    *,
    missing: str = "error",
    codes: bool = False,
) -> tuple[Schema, tuple[str, ...]]:
    """The schema of the named columns with statistics of the given rows, and notices for the user.

    Columns that are constant in those rows, or have no value there, are dropped. The scale of a
    number is its standard deviation, or a sixth of the distance between its mean and the value
    farthest from it, if that is more: a pixel that is lit in one of 2,500 rows would be 50 standard
    deviations from its mean there, and such rows would rule the network. A missing cell
    becomes the median or the most frequent text with `missing` "impute", and is refused otherwise.
    With `codes`, numbers of three or more values have a piecewise-linear code. Raises DataError
    naming the column.
    """
    if missing not in MISSING_CHOICES:
        raise DataError(f"missing: {not_one_of(missing, MISSING_CHOICES)}")
    features: list[Feature] = []
    notices: list[str] = []
    for name in names:
        gaps = np.flatnonzero(missing_cells(table.column(name)))
        if not len(set(rows.tolist()) - set(gaps.tolist())):
            notices.append(f"dropped column {name!r}, which has no value in the training rows")
            continue
        if len(gaps) and missing != "impute":
            ways = f"{option(missing='impute')}, or {option(missing='drop')}"
            advice = f"fill it in, or train with {ways}"
            raise table.fault(gaps[0], name, f"the value is missing; {advice}")
        feature = _fit_feature(table, name, rows, impute=missing == "impute", codes=codes)
        if feature is None:
            notices.append(f"dropped constant column {name!r}")
            continue
        features.append(feature)
        if len(gaps):
            count = f"{len(gaps)} of {table.row_count} rows"
            notices.append(f"filled missing cells of {name!r} with {feature.fill!r} ({count})")
        if isinstance(feature, CategoricalFeature) and feature.width > MANY_CATEGORIES:
            many = f"{feature.width} different texts, each an input of the network"
            way = option(drop=name)
            notices.append(f"column {name!r} has {many}; if they are not categories, {way}")
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


def choose_target(
    table: Table, names: Sequence[str], *, task: str = "auto", logs: Sequence[str] = ()
) -> _Task:
    """The task for the target columns: `task`, if the columns allow it.

    With "auto", a target of texts is a classification. So are whole numbers with two distinct
    values, or with at most 20 that are at most 5 % of the rows. Everything else is a regression,
    and so are several targets, and `logs`, the targets that are learned by their logarithms.
    """
    if task not in TASK_CHOICES:
        raise DataError(f"task: {not_one_of(task, TASK_CHOICES)}")
    if logs and task not in ("auto", "regression"):
        raise DataError(f"a logarithm is learned by --task regression, not {task}: {listed(logs)}")
    if not names or len(set(names)) < len(names):
        raise DataError(f"the targets must be one or more different columns, not {listed(names)}")
    columns = [_whole_column(table, name) for name in names]
    if task == "auto":
        one = len(names) == 1 and not logs
        task = "classification" if one and _is_class(columns[0]) else "regression"
    if task == "regression":
        return "regression"
    if len(names) > 1:
        raise DataError(
            f"several targets need {option(task='regression')}, not {task}: {listed(names)}"
        )
    classes = len(set(columns[0].tolist()))
    if task == "binary" and classes != 2:
        raise DataError(f"{table.name}, column {names[0]!r}: binary needs 2 values, not {classes}")
    return "multiclass" if classes > 2 or task == "multiclass" else "binary"


def fit_target(
    table: Table, names: Sequence[str], task: str, rows: np.ndarray, *, logs: Sequence[str] = ()
) -> Target:
    """The target with means and scales of the given rows, or with the classes of all rows.

    The means and scales of the targets in `logs` are those of their logarithms. Raises DataError
    for a constant target, or a target that does not suit the task.
    """
    if task == "regression":
        fits = [_standard(table, name, _linear(table, name, logs)[rows]) for name in names]
        for name, fit in zip(names, fits, strict=True):
            if fit is None:
                raise DataError(f"{table.name}, column {name!r}: the target is constant")
        means, scales = zip(*(fit for fit in fits if fit is not None), strict=True)
        return Target(tuple(names), (), means, scales, (None,) * len(names), tuple(logs))
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

    Raises DataError naming a row whose target is missing, whose class is unknown, or whose target
    has no logarithm.
    """
    if not target.classes:
        y = np.stack([_linear(table, name, target.logs) for name in target.names], axis=1)
        return np.asarray((y - np.array(target.means)) / np.array(target.scales))
    (name,) = target.names
    column = _whole_column(table, name)
    index = {cell: category_index(target.classes, cell) for cell in set(column.tolist())}
    for row, cell in enumerate(column.tolist()):
        if index[cell] is None:
            message = f"unknown class {shown(label(cell))}; known: {listed(target.classes)}"
            raise table.fault(row, name, message)
    return np.array([index[cell] for cell in column.tolist()], dtype=np.int64)


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

    def among(self, kept: np.ndarray) -> "Split":
        """The split of a table of which only the rows `kept`, int64 ascending, remain."""
        parts = (getattr(self, field.name) for field in fields(self))
        return Split(*(np.flatnonzero(np.isin(kept, part)) for part in parts))

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
    least: int = MIN_ROWS,
) -> Split:
    """A random split, the same for the same seed.

    With `strata` [rows], each part has about the same share of each class. Every class has a row in
    the training part, if that part has at least as many rows as there are classes. Raises DataError
    for fewer than `least` rows.
    """
    if rows < least:
        raise DataError(f"{rows} rows are too few to train on; at least {least} are needed")
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


def _fit_feature(
    table: Table, name: str, rows: np.ndarray, *, impute: bool, codes: bool
) -> Feature | None:
    """The feature with statistics of the given rows; None if it is constant in them."""
    column = table.column(name)
    present = column[rows][~missing_cells(column[rows])]
    if column.dtype == object:
        return _fit_categories(table, name, present, impute=impute)
    fit = _standard(table, name, present, farthest=FARTHEST)
    if fit is None:
        return None
    fill = float(np.median(present)) if impute else None
    ends = float(present.min()), float(present.max())
    edges = quantile_edges(present, fit[1]) if codes else ()
    return NumericFeature(name, *fit, *ends, fill, table.rule(name), edges)


def _fit_categories(
    table: Table, name: str, present: np.ndarray, *, impute: bool
) -> CategoricalFeature | None:
    counts = Counter(present.tolist())
    if len(counts) == 1:
        return None
    categories = sorted({cell for cell in table.column(name).tolist() if cell is not None})
    if len(counts) == len(present) or len(categories) > MAX_CATEGORIES:
        many = "a different text in every row" if len(counts) == len(present) else "free text"
        message = f"{many}, from which a model cannot learn; leave it out with {option(drop=name)}"
        raise DataError(f"{table.name}, column {name!r}: {message}")
    fill = min(counts, key=lambda text: (-counts[text], text)) if impute else None
    return CategoricalFeature(name, tuple(categories), fill, table.rule(name))


def _standard(
    table: Table, name: str, values: np.ndarray, farthest: float = math.inf
) -> tuple[float, float] | None:
    """Mean and scale; None for a constant.

    The scale is the population standard deviation, or more where a value would otherwise be more
    than `farthest` scales away from the mean.

    The values are first divided by a power of two, so that squares neither overflow nor vanish.
    """
    if values.min() == values.max():
        return None
    _, exponent = np.frexp(np.abs(values).max())
    scaled = np.ldexp(values, -exponent)
    mean = scaled.mean()
    scale = max(scaled.std(), np.abs(scaled - mean).max() / farthest)
    mean, scale = np.ldexp([mean, scale], exponent).tolist()
    if not (np.isfinite(scale) and scale >= np.finfo(np.float64).tiny):
        raise DataError(f"{table.name}, column {name!r}: the values are too large or too close")
    return mean, scale


def _numbers(table: Table, feature: NumericFeature) -> np.ndarray:
    """The column of a numeric feature, with missing cells filled in."""
    column = table.column(feature.name)
    missing = missing_cells(column)
    if column.dtype == object and not missing.all():
        row = np.flatnonzero(~missing)[0]
        raise table.fault(row, feature.name, f"{shown(column[row])} is not a number")
    if missing.any() and feature.fill is None:
        raise table.fault(np.flatnonzero(missing)[0], feature.name, "the value is missing")
    return np.where(missing, np.nan if feature.fill is None else feature.fill, column).astype(float)


def _indices(table: Table, feature: CategoricalFeature) -> np.ndarray:
    """The column of a categorical feature, as indices of categories."""
    column = table.column(feature.name)
    missing = missing_cells(column).tolist()
    cells = [feature.fill if gap else cell for cell, gap in zip(column, missing, strict=True)]
    index = {cell: category_index(feature.categories, cell) for cell in set(cells)}
    for row, cell in enumerate(cells):
        if index[cell] is None:
            said = cell if cell is None else label(cell)
            raise table.fault(row, feature.name, f"the value {feature.fault(said)}")
    return np.array([index[cell] for cell in cells], dtype=np.intp)


def _whole_column(table: Table, name: str) -> np.ndarray:
    """A target column; raises DataError for a missing cell."""
    column = table.column(name)
    gaps = np.flatnonzero(missing_cells(column))
    if len(gaps):
        advice = f"fill it in, or leave such rows out with {option(missing='drop')}"
        raise table.fault(gaps[0], name, f"the target is missing; {advice}")
    return column


def _target_numbers(table: Table, name: str) -> np.ndarray:
    column = _whole_column(table, name)
    if column.dtype == object:
        raise table.fault(0, name, f"the target {shown(column[0])} is not a number")
    return column


def _linear(table: Table, name: str, logs: Sequence[str]) -> np.ndarray:
    """The numbers of a target column, or their logarithms if it is one of `logs`."""
    column = _target_numbers(table, name)
    if name not in logs:
        return column
    low = np.flatnonzero(column <= 0)
    if len(low):
        said = f"the target {shown(column[low[0]])} is not above 0, and has no logarithm to learn"
        raise table.fault(low[0], name, said)
    return np.asarray(np.log(column))


def _is_class(column: np.ndarray) -> bool:
    """Whether a target has classes rather than amounts; see `choose_target`."""
    if column.dtype == object:
        return True
    distinct = len(np.unique(column))
    whole = bool((column == np.rint(column)).all())
    return whole and (distinct <= 2 or distinct <= min(20, 0.05 * len(column)))
