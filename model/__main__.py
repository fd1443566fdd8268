"""The command line: `python -m model train|import|calibrate|evaluate|show`."""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, get_args

from model import (
    Card,
    DataError,
    NoiseKind,
    PredictOptions,
    ReadOptions,
    Table,
    TrainOptions,
    calibrate,
    evaluate,
    import_model,
    load,
    read_table,
    report_page,
    report_text,
    train,
    use_threads,
)
from model.table_options import (
    add_names,
    add_reading,
    add_table_of_model,
    read_options,
    table_of_model,
)
from model.terminal import (
    CommandParser,
    ProgressBar,
    complain,
    describe,
    drop_unwritten,
    rates,
    refuse_unknown,
    run,
    widths,
)

_TRAIN_EXAMPLES = """examples:
  python -m model train example:diabetes --target progression --out diabetes
  python -m model train houses.csv --target price --out houses --hidden 64,64 --dropout 0.05
  python -m model train houses.csv --target price --out houses --dropout learn
  python -m model train wells.parquet --target yield,purity --out wells --missing impute
  python -m model train churn.csv --target churned --task binary --drop customer_id --out churn
"""
_IMPORT_EXAMPLES = """examples:
  python -m model import --architecture net.json --weights net.pt --out net
  python -m model import --architecture net.json --weights net.safetensors --out net --name wells
"""
_EVALUATE_EXAMPLES = """examples:
  python -m model evaluate houses houses.csv
  python -m model evaluate houses sold-since.parquet --report houses.html
  python -m model evaluate diabetes example:diabetes --passes 1000 --json
"""
_CALIBRATE_EXAMPLES = """examples:
  python -m model calibrate houses sold-in-may.csv
  python -m model calibrate houses sold-in-may.csv --by district --out houses-by-district
  python -m model calibrate churn churn-in-may.csv --by-class
"""
_SHOW_EXAMPLES = "examples:\n  python -m model show houses\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code: 0 when done, 1 if the output cannot be written, 2 for a mistake of the user.

    A command returns its output. It has saved its files by then, whatever happens to the output.
    """
    options, unknown = _parser().parse_known_args(arguments)
    if unknown:
        refuse_unknown(options.parser, unknown)
    return run(options.command, options)


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog="python -m model", description="Train, import, calibrate and evaluate models."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_train(commands)
    _add_import(commands)
    _add_evaluate(commands)
    _add_calibrate(commands)
    _add_show(commands)
    return parser


def _add_train(commands: Any) -> None:
    defaults = TrainOptions()
    parser = _command(
        commands, "train", _train, "train a model on a table and save it", _TRAIN_EXAMPLES
    )
    add = parser.add_argument
    add("data", metavar="DATA", help="a .csv, .parquet or .jsonl file, or example:NAME")
    add("--target", required=True, action="append", metavar="COL", help="column, or columns: a,b")
    add("--out", required=True, type=Path, metavar="DIR", help="artifact folder to write")
    add("--name", help="the model's name (default: the folder's)")
    add(
        "--task",
        default="auto",
        choices=("auto", "regression", "classification", "binary", "multiclass"),
        help="default: the target column decides",
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
    _add_by(parser, "--calibrate-by")
    _add_network(parser, defaults)
    _add_fitting(parser, defaults)


def _add_by(parser: argparse.ArgumentParser, flag: str) -> None:
    said = "calibrate each category of this feature by itself"
    parser.add_argument(flag, metavar="FEATURE", help=said)
    said = "calibrate each class by itself, so that label sets hold rare classes as often as others"
    parser.add_argument("--by-class", action="store_true", help=said)


def _add_network(parser: argparse.ArgumentParser, defaults: TrainOptions) -> None:
    add = parser.add_argument
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
        help="one rate for all hidden layers, or one for each: 0.1,0.2 (default: 0.1; less for a"
        " regression with more than 1,200 training rows); search: try several rates and keep the"
        " best on validation rows; learn: find a rate for each hidden layer with concrete dropout,"
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


def _add_import(commands: Any) -> None:
    summary = "import a network that was trained elsewhere"
    parser = _command(commands, "import", _import, summary, _IMPORT_EXAMPLES)
    add = parser.add_argument
    add(
        "--architecture",
        required=True,
        type=Path,
        metavar="FILE.json",
        help="the specification, see docs/importing.md",
    )
    add(
        "--weights",
        required=True,
        type=Path,
        metavar="FILE",
        help="the state dict: a safetensors file, or a file from torch.save, of any ending",
    )
    add(
        "--ignore",
        action="append",
        default=[],
        metavar="PATTERN",
        help="keys of the state dict that belong to no layer, repeatable: 'loss_fn.*'",
    )
    add("--out", required=True, type=Path, metavar="DIR", help="artifact folder to write")
    add("--name", help="the model's name (default: the specification's, or the folder's)")


def _add_evaluate(commands: Any) -> None:
    defaults = PredictOptions()
    summary = "measure a model on a table that has the target"
    parser = _command(commands, "evaluate", _evaluate, summary, _EVALUATE_EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add(
        "data",
        metavar="DATA",
        help="a table; rows that the model was trained or calibrated on are left out",
    )
    add("--json", action="store_true", help="print one JSON document, with the curves")
    add("--report", type=Path, metavar="FILE.html", help="also write a page with pictures")
    add("--passes", type=int, help="default: as many as the model is served with")
    add("--seed", type=int, default=1, help="default: 1")
    add(
        "--seeds",
        type=int,
        default=5,
        metavar="K",
        help="measure the coverage under K seeds, from --seed on (default: 5)",
    )
    add("--coverage", type=float, default=defaults.coverage, help=f"default: {defaults.coverage}")
    add(
        "--largest-error",
        type=float,
        metavar="R",
        help="accept rows as for a request with this largest RMSE or error rate",
    )
    add_table_of_model(parser)


def _add_calibrate(commands: Any) -> None:
    summary = "calibrate a model on new rows, without training it again"
    parser = _command(commands, "calibrate", _calibrate, summary, _CALIBRATE_EXAMPLES)
    add = parser.add_argument
    add("folder", metavar="DIR", type=Path)
    add("data", metavar="DATA", help="a table with the target, without rows of the training")
    add("--out", type=Path, metavar="DIR", help="artifact folder to write (default: the same)")
    _add_by(parser, "--by")
    add_table_of_model(parser)


def _add_show(commands: Any) -> None:
    parser = _command(commands, "show", _show, "print a model's card in words", _SHOW_EXAMPLES)
    parser.add_argument("folder", metavar="DIR", type=Path)


def _command(
    commands: Any,
    name: str,
    command: Callable[[argparse.Namespace], str],
    summary: str,
    examples: str,
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=examples,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command=command, parser=parser)
    return parser


def _train(arguments: argparse.Namespace) -> str:
    options = TrainOptions(
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
            options=options,
            calibrate_by=arguments.calibrate_by,
            by_class=arguments.by_class,
            progress=bar.show,
        )
    served = f"serve it: python -m app --model {arguments.out}"
    return f"{describe(card)}\n\nsaved to {arguments.out}; {served}"


def _import(arguments: argparse.Namespace) -> str:
    card = import_model(
        arguments.architecture,
        arguments.weights,
        arguments.out,
        name=arguments.name,
        ignore=arguments.ignore,
    )
    calibrated = f"calibrate it: python -m model calibrate {arguments.out} DATA"
    return f"{describe(card)}\n\nsaved to {arguments.out}; {calibrated}"


def _calibrate(arguments: argparse.Namespace) -> str:
    table = _table_of_model(load(arguments.folder).card, arguments)
    card = calibrate(
        arguments.folder, table, out=arguments.out, by=arguments.by, by_class=arguments.by_class
    )
    return describe(card)


def _table_of_model(card: Card, arguments: argparse.Namespace) -> Table:
    table = table_of_model(card, arguments)
    for notice in table.notices:
        complain(f"note: {notice}")
    return table


def _evaluate(arguments: argparse.Namespace) -> str:
    options = PredictOptions(
        passes=arguments.passes,
        seed=arguments.seed,
        coverage=arguments.coverage,
        largest_error=arguments.largest_error,
    )
    predictor = load(arguments.folder)
    table = _table_of_model(predictor.card, arguments)
    evaluation = evaluate(predictor, table, options, seeds=arguments.seeds)
    if arguments.report:
        _write(arguments.report, report_page(evaluation))
    if arguments.json:
        return json.dumps(evaluation.document(), indent=2, allow_nan=False)
    return report_text(evaluation)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error.strerror}") from error


def _show(arguments: argparse.Namespace) -> str:
    return describe(load(arguments.folder).card)


if __name__ == "__main__":
    try:
        sys.exit(main())
    finally:
        drop_unwritten()
