"""JSON as it leaves: orjson writes it, and reads it in app/http."""

from typing import Any

import orjson

from model import Rows

to_json = orjson.dumps


def objects(rows: Rows[Any]) -> list[dict[str, Any]]:
    """An object of each row, with the fields that are given."""
    columns = [
        objects(column) if type(column) is Rows else column for column in rows.columns.values()
    ]
    names = tuple(rows.columns)
    return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
