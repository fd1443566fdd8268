"""Positive targets with and without `--log-target`.

    python -m tests.benchmarks.log_target --data DIR --out FILE [--sets yacht] [--splits 0 1]

DIR and the splits of `concrete` and `yacht` are those of `tests.benchmarks.uci`. The splits of
docs/houses.csv and of `diabetes`, from scikit-learn, are random: a tenth of the rows tests.
`model.train` makes two models for each split, from the same parts of the other rows and with all
other options at their defaults. The test rows measure both, over five seeds; they choose nothing.
OUT gets a line for each model; a run that is begun again goes on after them. At the end the table
of docs/defaults.md is printed.
"""

import argparse
import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from model import PredictOptions, Predictor, load, read_table, train, use_threads
from model.data.preparation import encode_table, encode_target
from model.formulas.scores import interval_score
from model.messages import readable
from tests.benchmarks.uci.published import Published, cut

FILES = {"houses": "docs/houses.csv", "diabetes": "example:diabetes"}
SETS = *FILES, "concrete", "yacht"
SEEDS = range(100, 105)  # none is the calibration's
FIRST = 1000  # of the seeds that split a set at random
COVERAGE = 0.9
HEADER = """\
| set | | begin below 0 | hold | width | interval score | log-likelihood | RMSE | z |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""

Figures = dict[str, Any]


def read(data: Path, name: str, number: int) -> Published:
    """A set and one of its splits."""
    if name not in FILES:
        return Published.read(data, name, number)
    table = read_table(FILES[name])
    order = np.random.default_rng(FIRST + number).permutation(table.row_count)
    test, rest = np.split(order, [table.row_count // 10])
    return Published(table, rest, test)


def measured(case: Published, *, log: bool) -> Figures:
    """The figures of one model on the test rows of a split: means over the rows and seeds."""
    with TemporaryDirectory() as folder:
        out = Path(folder) / "net"
        train(case.table, case.target, out, log_target=log, split=cut(case.train))
        predictor = load(out)
    each = [under(case, predictor, seed) for seed in SEEDS]
    found = {name: float(np.mean([one[name] for one in each])) for name in each[0]}
    return found | {"passes": predictor.card.serving.passes}


def under(case: Published, predictor: Predictor, seed: int) -> Figures:
    """The figures under one seed."""
    card, y = predictor.card, case.actual(case.test)
    x = encode_table(case.table, card.schema_of_rows)[case.test]
    encoded = encode_target(case.table, card.target_of_rows)[case.test]
    options = PredictOptions(coverage=COVERAGE, seed=seed)
    predictions, densities = predictor.predict_with_density(x, encoded, options)
    columns = predictions.rows.columns
    lower, upper = (columns["interval"].columns[end][:, 0] for end in ("lower", "upper"))
    squares = (columns["mean"][:, 0] - y) ** 2
    return {
        "below": float(np.mean(lower < 0)),
        "held": float(np.mean((lower <= y) & (y <= upper))),
        "width": float(np.mean(upper - lower)),
        "score": interval_score(lower, upper, y, COVERAGE),
        "log_likelihood": float(densities.mean()),
        "rmse": float(np.sqrt(squares.mean())),
        "z": float(np.mean(squares / columns["total_variance"][:, 0])),
    }


def table(lines: Sequence[Figures]) -> str:
    """The figures as a table: means over the splits of each set."""
    rows = [HEADER]
    for name, log in product(dict.fromkeys(line["set"] for line in lines), (False, True)):
        of = [line for line in lines if (line["set"], line["log"]) == (name, log)]
        mean = {
            key: float(np.mean([line[key] for line in of])) for key in of[0] if key not in TEXTS
        }
        rows.append(
            f"| {name} | {'`--log-target`' if log else ''} | {mean['below']:.0%} | "
            f"{mean['held']:.1%} | {readable(mean['width'], 3)} | {readable(mean['score'], 3)} | "
            f"{mean['log_likelihood']:.2f} | {readable(mean['rmse'], 3)} | {mean['z'] ** 0.5:.2f} |"
        )
    return "\n".join(rows)


TEXTS = "set", "split", "log"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sets", nargs="+", default=SETS)
    parser.add_argument("--splits", nargs="+", type=int, default=range(5))
    arguments = parser.parse_args()
    use_threads(1)
    known = arguments.out.read_text().splitlines() if arguments.out.exists() else []
    lines: list[Figures] = [json.loads(line) for line in known]
    done = {tuple(line[key] for key in TEXTS) for line in lines}
    for number, name, log in product(arguments.splits, arguments.sets, (False, True)):
        if (name, number, log) in done:
            continue
        case = read(arguments.data, name, number)
        found = {"set": name, "split": number, "log": log} | measured(case, log=log)
        lines.append(found)
        with arguments.out.open("a") as file:
            print(json.dumps(found), file=file)
        print(found, flush=True)
    print(table(lines))


if __name__ == "__main__":
    main()
