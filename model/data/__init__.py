"""Turn a table into arrays: read it, encode features and target, split the rows."""

from model.data.preparation import (
    Split,
    choose_target,
    encode_table,
    encode_target,
    fit_schema,
    fit_target,
    split_rows,
    spread,
)
from model.data.rare_classes import count_classes, share_rare_classes
from model.data.reading import read_table
from model.data.schema import CategoricalFeature, Feature, NumericFeature, Row, Schema, Target
from model.data.seen import NO_HASHES, Repeats, SeenRows, kept, repeats, row_hashes
from model.data.table import Table

__all__ = [
    "NO_HASHES",
    "CategoricalFeature",
    "Feature",
    "NumericFeature",
    "Repeats",
    "Row",
    "Schema",
    "SeenRows",
    "Split",
    "Table",
    "Target",
    "choose_target",
    "count_classes",
    "encode_table",
    "encode_target",
    "fit_schema",
    "fit_target",
    "kept",
    "read_table",
    "repeats",
    "row_hashes",
    "share_rare_classes",
    "split_rows",
    "spread",
]
