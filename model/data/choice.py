"""Which columns of a table are features: not the targets, nor what only tells rows apart."""

import re
from collections.abc import Collection, Sequence

import numpy as np

from model.data.names import find_columns
from model.data.options import option
from model.data.table import Table, missing_cells
from model.errors import DataError

_NUMBERS_ROWS = re.compile(
    r"(.*[_ .-])?(id|ids|idx|index|uuid|guid|key|row|rowid|nr|no)|.*[a-z](Id|ID)"
)


def choose_features(
    table: Table, targets: Collection[str], *, drop: Sequence[str], keep: Sequence[str]
) -> tuple[list[str], tuple[str, ...]]:
    """The names of the features, and a notice for each column that is left out.

    Columns that only tell rows apart are left out, unless `keep` has them. Raises DataError for a
    column to drop or to keep that is not there, and if no feature remains.
    """
    known = list(table.columns)
    drop, keep = (find_columns(names, known, table=table.name) for names in (drop, keep))
    names, notices = list[str](), list[str]()
    for name in known:
        if name in targets or name in drop:
            continue
        why = None if name in keep else _why_not(name, table.column(name))
        if why is None:
            names.append(name)
        else:
            notices.append(f"left out {name!r}: {why}; {option(keep=name)} learns from it")
    if not names:
        why = "; ".join(notices) or "there is no column but the target"
        raise DataError(f"{table.name} has no feature to learn from: {why}")
    return names, tuple(notices)


def _why_not(name: str, column: np.ndarray) -> str | None:
    """The reason for which a column only tells rows apart; None for a feature."""
    present = column[~missing_cells(column)]
    if len(present) < 2:
        return None
    if column.dtype == object:
        distinct = len(set(present.tolist())) == len(present)
        return "it has a different text in every row" if distinct else None
    distinct = len(np.unique(present)) == len(present)
    if not distinct or len(present) < len(column) or not (present == np.rint(present)).all():
        return None
    if present.max() - present.min() == len(present) - 1:
        return "it numbers the rows"
    if _NUMBERS_ROWS.fullmatch(name) or _NUMBERS_ROWS.fullmatch(name.lower()):
        return "its name and a different number in every row tell the rows apart"
    return None
