"""Turn a table into arrays: read it, encode features and target, split the rows."""

from model.data.checking import Row
from model.data.choice import choose_features
from model.data.csv_file import Layout, layout_of
from model.data.encoded import Encoded
from model.data.encoding import encoding_of
from model.data.feature import CategoricalFeature, Feature, NumericFeature
from model.data.frames import Tabular, index_of, plain_row
from model.data.names import clean, find_columns, split_list
from model.data.numbers import USUAL_CELLS, CellRule, NumberFormat
from model.data.options import ReadOptions, option
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
from model.data.reading import json_object, read_table
from model.data.schema import Rows, Schema, Target
from model.data.seen import NO_HASHES, Repeats, SeenRows, kept, repeats, row_hashes
from model.data.table import Table, texts_of

__all__ = [
    "NO_HASHES",
    "USUAL_CELLS",
    "CategoricalFeature",
    "CellRule",
    "Encoded",
    "Feature",
    "Layout",
    "NumberFormat",
    "NumericFeature",
    "ReadOptions",
    "Repeats",
    "Row",
    "Rows",
    "Schema",
    "SeenRows",
    "Split",
    "Table",
    "Tabular",
    "Target",
    "choose_features",
    "choose_target",
    "clean",
    "count_classes",
    "encode_table",
    "encode_target",
    "encoding_of",
    "find_columns",
    "fit_schema",
    "fit_target",
    "index_of",
    "json_object",
    "kept",
    "layout_of",
    "option",
    "plain_row",
    "read_table",
    "repeats",
    "row_hashes",
    "share_rare_classes",
    "split_list",
    "split_rows",
    "spread",
    "texts_of",
]
