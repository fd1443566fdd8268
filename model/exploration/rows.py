"""One row of a request: find its features, encode it, and name its faults."""

from collections.abc import Mapping

import numpy as np

from model.data import Encoded, Row, Schema, clean
from model.errors import Detail, InputError
from model.messages import listed, nearest, shown


def find_feature(schema: Schema, name: object) -> int:
    """The position of the feature of that name; raises InputError."""
    for at, known in enumerate(schema.names):
        if is_name(name, known):
            return at
    like = nearest(name, schema.names)
    raise fault("feature", f"unknown feature {shown(name)}{like}; known: {listed(schema.names)}")


def encoded_row(schema: Schema, row: Row) -> Encoded:
    """One row encoded, x [1, D]; raises InputError that names the field `row`."""
    try:
        return schema.encoded([row])
    except InputError as error:
        details = [Detail(f"row{each.field[6:]}", each.message) for each in error.details]
        raise InputError(f"row{str(error).removeprefix('rows.0')}", details) from None


def cells(schema: Schema, row: Row) -> tuple[float | str | None, ...]:
    """The values of a row without fault, in the order of the features; None is missing."""
    if isinstance(row, Mapping):
        named = {clean(name): cell for name, cell in row.items()}
        found = [named.get(clean(name)) for name in schema.names]
    else:
        found = list(row)
    return tuple(f.plain(cell) for f, cell in zip(schema.features, found, strict=True))


def with_cell(schema: Schema, row: Row, at: int, cell: object) -> Row:
    """The row with another value of one feature; a row with a fault stays as it is."""
    name = schema.names[at]
    if isinstance(row, Mapping):
        others = {key: of for key, of in row.items() if not is_name(key, name)}
        return {**others, name: cell}
    if isinstance(row, list | tuple | np.ndarray) and len(row) == len(schema.features):
        return [*row[:at], cell, *row[at + 1 :]]
    return row


def is_name(text: object, name: str) -> bool:
    """Whether a text is that name, perhaps in another Unicode form."""
    return isinstance(text, str) and clean(text) == clean(name)


def fault(field: str, message: str) -> InputError:
    """The error of one field of a request."""
    return InputError(f"{field}: {message}", [Detail(field, message)])
