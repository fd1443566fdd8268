"""The command `evaluate`: measure a model on a table that has the target."""

import argparse
import json
from pathlib import Path
from typing import Any

from model import PredictOptions, evaluate, load, report_page, report_text
from model.commands.command import add_command
from model.commands.output import write_file
from model.commands.table_options import add_table_of_model, asked_table

_EXAMPLES = """examples:
  python -m model evaluate houses houses.csv
  python -m model evaluate houses sold-since.parquet --report houses.html
  python -m model evaluate diabetes example:diabetes --passes 1000 --json
"""


def add_evaluate(commands: Any) -> None:
    """`evaluate` with its options."""
    defaults = PredictOptions()
    summary = "measure a model on a table that has the target"
    parser = add_command(commands, "evaluate", _evaluate, summary, _EXAMPLES)
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


def _evaluate(arguments: argparse.Namespace) -> str:
    options = PredictOptions(
        passes=arguments.passes,
        seed=arguments.seed,
        coverage=arguments.coverage,
        largest_error=arguments.largest_error,
    )
    predictor = load(arguments.folder)
    table = asked_table(predictor.card, arguments)
    evaluation = evaluate(predictor, table, options, seeds=arguments.seeds)
    if arguments.report:
        write_file(arguments.report, report_page(evaluation))
    if arguments.json:
        return json.dumps(evaluation.document(), indent=2, allow_nan=False)
    return report_text(evaluation)
