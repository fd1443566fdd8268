"""The command `train`: train a model on a table and save it."""

import argparse
from pathlib import Path
from typing import Any, get_args

from model import NoiseKind, ReadOptions, TrainOptions, read_table, train, use_threads
from model.commands.command import add_by, add_command, add_force, check_replaces
from model.commands.describe import describe
from model.commands.parsing import rates, widths
from model.commands.progress import ProgressBar
from model.commands.table_options import add_names, add_reading, read_options

_EXAMPLES = """examples:
  python -m model train example:diabetes --target progression --out diabetes
  python -m model train houses.csv --target price --out houses --hidden 64,64 --dropout 0.05
  python -m model train houses.csv --target price --out houses --dropout learn
  python -m model train houses.csv --target price --out houses --log-target
  python -m model train wells.parquet --target yield,purity --out wells --missing impute
  python -m model train churn.csv --target churned --task binary --drop customer_id --out churn
"""


def add_train(commands: Any) -> None:
    """`train` with its options."""
    defaults = TrainOptions()
    parser = add_command(
        commands, "train", _train, "train a model on a table and save it", _EXAMPLES
    )
    add = parser.add_argument
    add("data", metavar="DATA", help="a .csv, .parquet or .jsonl file, or example:NAME")
    add("--target", required=True, action="append", metavar="COL", help="column, or columns: a,b")
    add("--out", required=True, type=Path, metavar="DIR", help="artifact folder to write")
    add_force(parser)
    add("--name", help="the model's name (default: the folder's)")
    add(
        "--task",
        default="auto",
        choices=("auto", "regression", "classification", "binary", "multiclass"),
        help="default: the target column decides",
    )
    add(
        "--log-target",
        nargs="?",
        const=True,
        action="append",
        metavar="COL",
        help="learn the logarithms of all targets, or of these: a,b; for targets above 0, such as"
        " prices (no interval begins below 0)",
    )
    add_names(parser, "--drop", "columns to leave out: a,b")
    add_names(parser, "--keep", "columns to learn from though they number the rows: a,b")
    add_names(parser, "--categorical", "columns to read as text even if they have numbers: a,b")
    add(
        "--missing",
        default="error",
        choices=("error", "impute", "drop"),
        help="refuse missing cells; or fill in the median or the most frequent category; or leave"
        " their rows out (impute and drop both leave out rows without a target)",
    )
    add_reading(parser)
    add_by(parser, "--calibrate-by")
    _add_network(parser, defaults)
    _add_fitting(parser, defaults)


def _add_network(parser: argparse.ArgumentParser, defaults: TrainOptions) -> None:
    add = parser.add_argument
    add(
        "--members",
        type=int,
        default=defaults.members,
        metavar="M",
        help="train so many networks from different first weights, and spread the passes over them"
        f" (default: {defaults.members})",
    )
    add(
        "--number-encoding",
        default=defaults.number_encoding,
        choices=("auto", "raw", "piecewise", "mixed"),
        help="what the networks see of a number: itself, its piecewise-linear code too, or one of"
        " these in turn (default: auto, validation rows choose)",
    )
    add(
        "--hidden",
        type=widths,
        metavar="W,W",
        help="widths of the hidden layers (default: 100,100; 100,100,100 for a regression with"
        " 5,000 training rows or more)",
    )
    add(
        "--dropout",
        type=rates,
        metavar="P",
        help="one rate for all hidden layers, or one for each: 0.1,0.2 (default: validation rows"
        " choose from 0.005, 0.02 and 0.05; with --members 1 it is 0.1, or less for a regression"
        " with more than 1,200 training rows); search: choose from eight rates up to 0.5; learn:"
        " find a rate for each hidden layer with concrete dropout,"
        " in a first training",
    )
    add("--input-dropout", type=float, default=defaults.input_dropout, metavar="P")
    add(
        "--input-noise",
        type=float,
        default=defaults.input_noise,
        metavar="SD",
        help="std of Gaussian noise on the standardised inputs, in training and in every pass",
    )
    add("--activation", default=defaults.activation, metavar="NAME", help="default: relu")
    add(
        "--noise",
        default=defaults.noise,
        choices=get_args(NoiseKind),
        help="the noise of a regression: the same for all rows, or learned for every row",
    )


def _add_fitting(parser: argparse.ArgumentParser, defaults: TrainOptions) -> None:
    for name, kind in (
        ("epochs", int),
        ("patience", int),
        ("batch", int),
        ("learning_rate", float),
        ("weight_decay", float),
        ("seed", int),
    ):
        default = getattr(defaults, name)
        flag = f"--{name.replace('_', '-')}"
        usual = "off" if name == "patience" else "depends on the task and the number of rows"
        said = usual if default is None else default
        parser.add_argument(flag, type=kind, default=default, help=f"default: {said}")
    parser.add_argument(
        "--refit",
        action=argparse.BooleanOptionalAction,
        default=defaults.refit,
        help="train again with the validation rows, after they have chosen (default: yes)",
    )


def _log_target(given: list[str | bool] | None) -> bool | list[str]:
    """All targets if the option has no name, and otherwise the names."""
    names = [name for name in given or [] if isinstance(name, str)]
    return names if names else bool(given)


def _train(arguments: argparse.Namespace) -> str:
    check_replaces(arguments.out, force=arguments.force)
    options = TrainOptions(
        members=arguments.members,
        number_encoding=arguments.number_encoding,
        hidden=arguments.hidden,
        dropout=arguments.dropout,
        input_dropout=arguments.input_dropout,
        input_noise=arguments.input_noise,
        activation=arguments.activation,
        noise=arguments.noise,
        epochs=arguments.epochs,
        patience=arguments.patience,
        batch=arguments.batch,
        learning_rate=arguments.learning_rate,
        weight_decay=arguments.weight_decay,
        refit=arguments.refit,
        seed=arguments.seed,
    )
    table = read_table(
        arguments.data,
        categorical=arguments.categorical,
        drop=arguments.drop,
        keep=[*arguments.keep, *arguments.target],
        options=read_options(arguments, ReadOptions()),
    )
    use_threads(1)  # a training step is too short to share among threads
    with ProgressBar() as bar:
        card = train(
            table,
            arguments.target,
            arguments.out,
            name=arguments.name,
            task=arguments.task,
            missing=arguments.missing,
            keep=[*arguments.keep, *arguments.categorical],
            log_target=_log_target(arguments.log_target),
            options=options,
            calibrate_by=arguments.calibrate_by,
            by_class=arguments.by_class,
            progress=bar.show,
        )
    served = f"serve it: python -m app --model {arguments.out}"
    return f"{describe(card)}\n\nsaved to {arguments.out}; {served}"
