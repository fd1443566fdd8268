"""Names of columns: one form of each, and the columns that a text asks for."""

import csv
import unicodedata
from collections.abc import Collection, Iterable, Sequence

from model.errors import DataError
from model.messages import listed, nearest, shown


def clean(name: str) -> str:
    """The name without spaces around it, in the composed Unicode form (NFC).

    Two texts that look alike, such as an ü in one or in two characters, are then one name.
    """
    return unicodedata.normalize("NFC", name).strip()


def split_list(text: str) -> tuple[str, ...]:
    """The parts of a list in which a comma separates, and quotes hold a part with a comma."""
    parts = next(csv.reader([text], skipinitialspace=True), [])
    return tuple(part.strip() for part in parts if part.strip())


def find_columns(
    asked: str | Iterable[str], columns: Sequence[str], *, table: str
) -> tuple[str, ...]:
    """The columns that each text names: one column, or else a list of columns with commas.

    Raises DataError naming the table, for a column that is not there.
    """
    known, found = set(columns), list[str]()
    for text in (asked,) if isinstance(asked, str) else asked:
        whole = clean(text)
        parts = (whole,) if whole in known else tuple(map(clean, split_list(text)))
        if whole and not parts:
            raise DataError(f"{shown(whole)} names no column of {table}")
        for part in parts:
            if part not in known:
                asked = f"{shown(part)}{nearest(part, columns, among=len(columns))}"
                raise DataError(f"{table} has no column {asked}; its columns are {listed(columns)}")
        found += parts
    return tuple(found)


def unnamed(columns: Collection[str], position: int) -> str:
    """A name for a column without one, "Unnamed: 0", which no other column has."""
    name, more = f"Unnamed: {position}", 0
    while name in columns:
        more += 1
        name = f"Unnamed: {position}.{more}"
    return name
