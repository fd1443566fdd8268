"""Turn a table into arrays: read it, encode features and target, split the rows."""

from model.data.choice import choose_features
from model.data.feature import CategoricalFeature, Feature, NumericFeature
from model.data.names import find_columns
from model.data.options import ReadOptions
from model.data.preparation import (
    Split,
    choose_target,
    encode_table,
    encode_target,
    fit_schema,
    fit_target,
    split_rows,
)
from model.data.reading import read_table
from model.data.schema import Row, Schema, Target
from model.data.table import Table

__all__ = [
    "CategoricalFeature",
    "Feature",
    "NumericFeature",
    "ReadOptions",
    "Row",
    "Schema",
    "Split",
    "Table",
    "Target",
    "choose_features",
    "choose_target",
    "encode_table",
    "encode_target",
    "find_columns",
    "fit_schema",
    "fit_target",
    "read_table",
    "split_rows",
]
