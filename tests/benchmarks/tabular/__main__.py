"""Our models beside the ordinary ways to learn a table, on every set of a folder.

    python -m tests.benchmarks.tabular DIR [--sets concrete energy] [--splits 5] [--json FILE]

DIR holds the sets as CSV files at any depth, the target last. A file `csv/SET.csv` beside a folder
`SET` of index files is a regression with published splits, of which the first are taken; of any
other set, a target of texts or few whole numbers is a class, and the splits are drawn by `train`'s
proportions. Of tables of more than 800,000 cells, rows are drawn. Every method gets the same rows:

- training rows to learn from, and validation rows to choose by: among the two to four options of a
  small fixed grid (`peers.PEERS`), and when boosting stops. Then it learns both together.
- calibration rows set what it says of its uncertainty: one factor of all stds, or the temperature
  of a classifier, and split conformal intervals. Ours does the same by itself.
- test rows judge. NLL and CRPS are of a normal law of the mean and the std, except that ours has
  the NLL of the mixture of its passes, and the forest the CRPS of its quantiles. `equal width` is
  the mean width of the intervals once one factor has made them hold 90 % of the test rows; `width`
  and `coverage` are as promised. `rank` is the rank correlation of the std with the error's size,
  or the AUROC of a classifier's errors by its entropy.

A Gaussian process learns from 2,000 rows at most, and chooses its lengths on 500; one of classes
from 500. NGBoost and CatBoost are left out where they are not installed, and any other method on a
split on which it fails, as NGBoost may where classes are separable. Everything runs on one thread,
one split after the other. FILE gets a line for every set, split and method that is done, and a run
that is begun again goes on after them. `measured.jsonl` beside this module has the lines of the
page in the docs, and `generated.jsonl` those of the tables that `generated.py` draws.
"""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from model import use_threads
from tests.benchmarks.bookkeeping import option, read_lines
from tests.benchmarks.tabular.report import TITLE, Line, markdown, text
from tests.benchmarks.tabular.sets import Case, case, chosen, found
from tests.benchmarks.tabular.trial import FAILURES, METHODS, OURS, measured, reason


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description="Ours beside the ordinary ways to learn a table.")
    add = made.add_argument
    add("data", type=Path, metavar="DIR", help="folder of the sets")
    add("--sets", nargs="+", metavar="SET", help="by name (default: all)")
    add("--splits", type=int, default=5, help="of each set, from 0 (default: 5)")
    add("--methods", nargs="+", choices=METHODS, default=METHODS, metavar="NAME")
    add(
        "--option", type=option, nargs="+", default=[], metavar="NAME=VALUE", help="of our training"
    )
    add("--json", type=Path, metavar="FILE", help="a line per set, split and method, kept")
    add("--markdown", type=Path, metavar="FILE", help="write the tables as a page")
    add("--title", default=TITLE, help="of that page")
    return made


def pending(
    lines: Sequence[Line], sets: Sequence[tuple[str, Path]], splits: int, methods: Sequence[str]
) -> Iterator[tuple[Case, str]]:
    """What has no line yet, split by split, so that a short run has all sets."""
    known = {(line["set"], line["split"], line["method"]) for line in lines}
    for number in range(splits):
        for name, path in sets:
            left = [method for method in methods if (name, number, method) not in known]
            if left:
                one = case(path, number)
                yield from ((one, method) for method in left)


def main() -> None:
    """Measure what is missing, and print the tables."""
    asked = parser().parse_args()
    use_threads(1)
    sets = list(chosen(found(asked.data), asked.sets))
    lines: list[Line] = read_lines(asked.json) if asked.json else []
    with threadpool_limits(1):
        for one, method in pending(lines, sets, asked.splits, asked.methods):
            if why := reason(one, method):
                print(f"{one.name} {one.number}, {method} is left out: {why}", flush=True)
                continue
            try:
                lines.append(_line(one, method, dict(asked.option)))
            except FAILURES as error:
                if method in OURS:
                    raise
                print(f"{one.name} {one.number}, {method} is left out: it fails: {error}")
                continue
            if asked.json:
                with asked.json.open("a") as out:
                    out.write("\n" + json.dumps(lines[-1]))
            print(_progress(lines[-1]), flush=True)
    names = [name for name, _ in sets]
    lines = [line for line in lines if line["set"] in names and line["split"] < asked.splits]
    print(text(lines))
    if asked.markdown:
        asked.markdown.write_text(markdown(lines, asked.title))


def _line(one: Case, method: str, options: Mapping[str, Any]) -> Line:
    return {
        "set": one.name,
        "split": one.number,
        "method": method,
        "task": "classification" if one.classes else "regression",
        "rows": one.rows_used,
        "inputs": one.x.shape[1],
        **measured(one, method, options),
    }


def _progress(line: Line) -> str:
    """One line while it runs."""
    said = ", ".join(f"{name} {v:.3g}" for name, v in line.items() if isinstance(v, float))
    return f"{line['set']} {line['split']}, {line['method']}: {said}"


if __name__ == "__main__":
    main()
