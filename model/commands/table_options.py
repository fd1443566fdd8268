"""The options of the commands about a table, and the table that they ask for."""

import argparse
from dataclasses import replace
from itertools import chain

from model import Card, ReadOptions, ScoreOptions, Table
from model.artifact import table_of_model
from model.commands.terminal import complain
from model.data import split_list

FORMATS = ("csv", "tsv", "jsonl", "parquet")


def add_rows(parser: argparse.ArgumentParser) -> None:
    """A file of rows without targets, and how it is read; see `rows_options`."""
    add = parser.add_argument
    add("source", metavar="FILE", help="a .csv, .parquet or .jsonl file of rows, or - for a pipe")
    add("--format", choices=FORMATS, help="of FILE, where its name does not say it")
    add(
        "--keep-columns",
        nargs="?",
        const=True,
        action="append",
        metavar="COL",
        help="write all columns of the input too, or these: a,b",
    )
    add(
        "--on-error",
        choices=("fail", "skip"),
        default="fail",
        help="stop at a row that the model refuses, or leave it out (default: fail)",
    )
    add_reading(parser, usual=" (default: as the training file was)")


def rows_options(arguments: argparse.Namespace) -> ScoreOptions:
    """The options of `add_rows`, but for those of reading; see `reading_of`."""
    keep = arguments.keep_columns or []
    names = tuple(name for name in keep if isinstance(name, str))
    return ScoreOptions(
        keep=names or bool(keep), format=arguments.format, on_error=arguments.on_error
    )


def add_names(parser: argparse.ArgumentParser, flag: str, said: str) -> None:
    """An option of names of columns, which may be given several times."""
    parser.add_argument(flag, action="append", default=[], metavar="COL", help=said)


def add_reading(parser: argparse.ArgumentParser, *, usual: str = "") -> None:
    """The options of `ReadOptions`; `usual` says what holds if none of them is given."""
    group = parser.add_argument_group("how the texts of the file are read" + usual)
    add = group.add_argument
    add(
        "--missing-values",
        action="append",
        metavar="TEXT",
        help="texts or numbers that say that a value is missing: -999,unknown (besides an empty"
        " cell, NA, NULL, NaN, ? and the like; in columns of numbers also -)",
    )
    add("--decimal", metavar="SIGN", help="the decimal sign, '.' or ','")
    add("--thousands", metavar="SIGN", help="the sign between thousands, such as ',' or ' '")
    add("--units", action="append", metavar="TEXT", help="units to leave out of numbers: kg,EUR")
    add(
        "--header",
        choices=("auto", "yes", "no"),
        help="whether the first line of a CSV file names the columns (default: yes, and refuse a"
        " line that may be a row); no: the names are column_1, column_2, ...",
    )
    add(
        "--encoding",
        metavar="NAME",
        help="of a text file, such as cp1252 (default: UTF-8, or what its first bytes say)",
    )
    add("--comment", metavar="TEXT", help="leave out lines that begin with this: '#'")


def add_table_of_model(parser: argparse.ArgumentParser) -> None:
    """The options of a table for a model that exists."""
    add_names(parser, "--drop", "columns to leave out: a,b")
    parser.add_argument(
        "--missing",
        choices=("error", "drop"),
        help="refuse rows without a target or without a value that the model cannot fill in, or"
        " leave them out (default: as the model was trained)",
    )
    add_reading(parser, usual=" (default: as the model was trained)")


def asked_table(card: Card, arguments: argparse.Namespace) -> Table:
    """The columns of the table that the model needs, read as those of its training were.

    Standard error has the table's notices.
    """
    settings = getattr(card.training, "settings", {})
    table = table_of_model(
        card,
        arguments.data,
        drop=arguments.drop,
        missing=arguments.missing,
        options=read_options(arguments, ReadOptions.of(settings)),
    )
    for notice in table.notices:
        complain(f"note: {notice}")
    return table


def read_options(arguments: argparse.Namespace, usual: ReadOptions) -> ReadOptions:
    """The options of the command line for reading, `usual` where none is given."""
    lists = ("missing_values", "units")
    names = (*lists, "decimal", "thousands", "header", "comment", "encoding")
    given = {name: getattr(arguments, name) for name in names}
    parts = {name: tuple(chain(*map(split_list, given[name]))) for name in lists if given[name]}
    return replace(usual, **{name: v for name, v in given.items() if v is not None} | parts)


def reading_of(card: Card, arguments: argparse.Namespace) -> ReadOptions | None:
    """The options for reading, None if none is given: the model's card then says it all."""
    usual = ReadOptions.of(getattr(card.training, "settings", {}))
    given = read_options(arguments, usual)
    return None if given == usual else given
