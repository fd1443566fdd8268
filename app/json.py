"""JSON as it leaves: orjson writes it, and reads it in app/http."""

from typing import Any

import orjson

from model import Columns

to_json = orjson.dumps


def objects(rows: Columns[Any]) -> list[dict[str, Any]]:
    """An object of each row, with the fields that are given."""
    lists = rows.lists()
    columns = [objects(each) if isinstance(each, Columns) else each for each in lists.values()]
    return [dict(zip(lists, values, strict=True)) for values in zip(*columns, strict=True)]
