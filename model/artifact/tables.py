"""The table for a model that exists: only its columns, read as those of its training were."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from model.artifact.card import Card
from model.data import ReadOptions, Table, Tabular, read_table


def table_of_model(
    card: Card,
    source: Table | str | Path | Tabular,
    *,
    drop: Collection[str] = (),
    missing: str | None = None,
    options: ReadOptions | None = None,
) -> Table:
    """The features and targets of a table, read as the model's training table was.

    Rows without a target, or without a value that the model cannot fill in, are left out if
    `missing` is "drop", or is None and the model was not trained with "error". A Table is read
    already and stays as it is. Raises DataError as `read_table` does.
    """
    if isinstance(source, Table):
        return source
    settings = getattr(card.training, "settings", {})
    texts = [entry.name for entry in card.features if entry.kind == "categorical"]
    table = read_table(
        source,
        categorical=[*texts, *(card.target.names if card.target.classes else ())],
        drop=drop,
        only=[*(entry.name for entry in card.features), *card.target.names],
        options=options or ReadOptions.of(settings),
    )
    if (missing or settings.get("missing", "error")) == "error":
        return table
    needed = [entry.name for entry in card.features if entry.fill is None]
    kept = table.complete_rows([*needed, *card.target.names])
    if len(kept) == table.row_count:
        return table
    notice = f"left out {table.row_count - len(kept)} rows, which have a missing value"
    return replace(table.rows(kept), notices=(*table.notices, notice))
