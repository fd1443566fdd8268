"""Encode a frame column by column, with the same result as its rows one by one."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

import numpy as np

from model.data.feature import Feature, NumericFeature
from model.data.frames import Frame
from model.data.names import clean
from model.errors import Detail, InputError
from model.messages import listed, nearest, shown

MAX_NAMES = 20


def features_of(frame: Frame, features: Sequence[Feature]) -> dict[str, np.ndarray]:
    """The columns of the frame by the names of the features, which may be in other Unicode forms.

    Raises InputError for a column that is no feature, and for a feature without a column that
    cannot be filled in.
    """
    own = {clean(feature.name): feature.name for feature in features}
    columns = {own[clean(n)]: cells for n, cells in frame.columns.items() if clean(n) in own}
    expected = f"the model expects {listed(list(own.values()))}"
    free = [name for name in own.values() if name not in columns]
    details = []
    for name in islice((n for n in frame.columns if clean(n) not in own), MAX_NAMES):
        like = nearest(name, free)
        message = f"column {shown(name)} is no feature{like}; {expected}; leave it out"
        details.append(Detail(f"rows.{shown(name)[1:-1]}", message))
    named = [] if frame.index is None else [str(name) for name in frame.index.names]
    for feature in features:
        if feature.name not in columns and feature.fill is None:
            way = "; the index has that name: reset_index()" if feature.name in named else ""
            message = f"feature {shown(feature.name)} is missing; {expected}{way}"
            details.append(Detail(f"rows.{feature.name}", message))
    if details:
        more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise InputError(f"the {frame.name}: {details[0].message}{more}", details)
    return columns


def columns_of(
    columns: Mapping[str, np.ndarray], features: Sequence[Feature], rows: int
) -> list[Any] | None:
    """A column for each feature: numbers, or indices; None if a cell has a fault.

    A value that is to be filled in is nan.
    """
    found = []
    for feature in features:
        cells = columns.get(feature.name)
        found.append([feature.encoded(None)] * rows if cells is None else _column(feature, cells))
    return None if any(column is None for column in found) else found


def records_of(columns: Mapping[str, np.ndarray], rows: int) -> list[dict[str, Any]]:
    """The rows as objects keyed by feature."""
    names, lists = list(columns), [cells.tolist() for cells in columns.values()]
    each = zip(*lists, strict=True) if lists else iter([()] * rows)
    return [dict(zip(names, row, strict=True)) for row in each]


def _column(feature: Feature, cells: np.ndarray) -> Any:
    """The cells as numbers or indices; None if one has a fault."""
    if isinstance(feature, NumericFeature) and cells.dtype != object:
        numbers = cells.astype(np.float64)
        gaps = np.isnan(numbers) | np.isin(numbers, list(feature.rule.missing_numbers))
        if feature.fill is None:
            return None if gaps.any() else numbers
        return np.where(gaps, np.nan, numbers)
    known = cells.tolist()
    try:
        return feature.column(known)
    except (LookupError, TypeError):
        pass  # a cell is missing, or of another type than usual
    if any(feature.fault(cell) for cell in known):
        return None
    return [feature.encoded(cell) for cell in known]
