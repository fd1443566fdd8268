"""The columns of an output: the usual ones, or those that are asked for."""

from collections.abc import Sequence

from model.errors import Detail, InputError
from model.messages import not_one_of
from model.tasks import FlatColumn

ROW = "row"  # the number of the row in its file, from 1
ALL = "all"
USUAL = (  # the columns of an output, where none are asked for, of those that a model has
    *(ROW, "label", "mean", "std", "lower", "upper", "predictive_entropy"),
    *("mutual_information", "label_set", "accept", "warnings"),
)
LESS_FOR_CLASSES = ("std",)  # usual for numbers only


def chosen(known: Sequence[FlatColumn], asked: Sequence[str] | None) -> list[FlatColumn]:
    """The columns that are asked for, by field or by name; raises InputError for an unknown one."""
    if asked is None:
        labelled = any(column.field == "label" for column in known)
        less = LESS_FOR_CLASSES if labelled else ()
        return [c for name in USUAL for c in known if c.field == name and name not in less]
    found = dict[FlatColumn, None]()
    for name in asked:
        match = [c for c in known if name in (c.name, c.field, ALL)]
        match = list(known) if name == ALL else match
        if not match:
            names = list(dict.fromkeys(column.field for column in known))
            message = not_one_of(name, [*names, ALL])
            raise InputError(f"columns: {message}", [Detail("columns", message)])
        found |= dict.fromkeys(match)
    return list(found)
