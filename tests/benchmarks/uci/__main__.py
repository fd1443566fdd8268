"""The published experiments of six small regressions, by what `train` does by default.

    python -m tests.benchmarks.uci --data DIR --out uci.jsonl [--sets yacht] [--splits 0 1]
    python -m tests.benchmarks.uci --data DIR --out uci.jsonl --markdown docs/uci.md --json all.json

DIR holds `csv/SET.csv`, the target last, and `SET/index_train_N.txt`, `SET/index_test_N.txt`: the
20 splits of Hernandez-Lobato and Adams 2015, which Gal and Ghahramani 2016 and all after them used.
Of each,

- `model.train` makes a model on the first 80 % of the train rows, with its defaults and the split's
  number as seed. Of the other 20 %, one half tunes the noise, and rows of the other, used for
  nothing else, calibrate the intervals. Their number is one less than a multiple of 20, for which
  the promised coverage is exact at all three levels.
- Then all of the 20 % tune the noise, and the weights are trained again on all train rows, as the
  published protocol has it, for accuracy. RMSE of the mean and the rank correlation of the total
  std with |error| are of the reduced estimator, the log-likelihood of the mixture of all passes.

OUT gets a line for every split that is done; a run that is begun again goes on after them.
`measured.jsonl` beside this module has the lines of the page in the docs. Test rows choose nothing:
`--validation` measures on the last 20 % of the train rows instead, and trains on the others alone,
to choose options by (`--option dropout=(0.05,)`).
"""

import argparse
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np
import torch

from model import (
    Card,
    PredictOptions,
    Predictor,
    Split,
    TrainOptions,
    train,
    use_threads,
)
from model.artifact import TrainingRecord
from model.artifact.folder import Artifact, read
from model.data.preparation import encode_table, encode_target
from model.formulas.conformal import quantile, sorted_scores
from model.formulas.scores import rank_correlation
from model.tasks.task import TASKS
from model.training.calibrate import fit_tuning, with_noise_powers
from model.training.fit import Dataset, Fit, refit
from tests.benchmarks.bookkeeping import option, read_lines
from tests.benchmarks.uci.published import Published, cut, parts
from tests.benchmarks.uci.report import LEVELS, PUBLISHED, Figures, document, markdown, text

SPLITS = 20
TEST_SEEDS = range(100, 105)  # none is the calibration's
REDUCED_PASSES = 1_000  # whose mean is known better than that of 10,000 plain ones
BLOCK = 128  # rows whose passes are held at once


def trained(case: Published, split: Split, options: TrainOptions) -> Artifact:
    """A model of these parts."""
    with TemporaryDirectory() as folder:
        out, options = Path(folder) / "net", replace(options, refit=False)
        train(case.table, case.target, out, task="regression", options=options, split=split)
        return read(out)


def retrained(case: Published, first: Artifact, options: TrainOptions) -> Predictor:
    """The model on all train rows, its noise tuned by the first one's errors on the last 20 %."""
    card, target = first.card, first.card.target_of_rows
    task = TASKS["regression"](target, *card.fitted)
    x, y = encode_table(case.table, card.schema_of_rows), encode_target(case.table, target)
    fit, held = parts(case.train)
    codes = torch.from_numpy(card.schema_of_rows.code_columns)
    rows = Dataset(torch.from_numpy(x[case.train]), torch.from_numpy(y[case.train]).float(), codes)
    record, plan = card.training, as_chosen(card, options).plan(task, len(fit))
    assert isinstance(record, TrainingRecord)
    last = refit(task, rows, Fit(first.networks, record.epochs, record.best_epoch), plan)
    again = fit_tuning(card, first.networks, x[held], y[held])
    network = with_noise_powers(last.networks, card.tuning.noise_powers)
    network = with_noise_powers(network, again.noise_powers)
    return Predictor(card.model_copy(update={"tuning": again, "calibration": None}), network)


def as_chosen(card: Card, options: TrainOptions) -> TrainOptions:
    """The options with all that validation rows have chosen for the model."""
    assert isinstance(card.training, TrainingRecord)
    settings: dict[str, Any] = card.training.settings
    found = {name: settings[name] for name in ("number_encoding", "weight_decay", "epochs")}
    shape = card.architecture
    return replace(options, hidden=shape.hidden, dropout=tuple(shape.dropout[1:]), **found)


def accuracy(case: Published, predictor: Predictor, passes: int) -> Figures:
    """RMSE, log-likelihood and rank correlation on the test rows."""
    x = encode_table(case.table, predictor.card.schema_of_rows)[case.test]
    y = case.actual(case.test)
    rows: Sequence[Any] = predictor.predict_encoded(
        x, PredictOptions(REDUCED_PASSES, seed=TEST_SEEDS[0])
    ).rows
    error, off, total, std = (
        np.array([getattr(row, name) for row in rows])
        for name in ("mean", "deterministic", "total_variance", "std")
    )
    error, off = error - y, off - y
    return {
        "rmse": float(np.sqrt(np.mean(error**2))),
        "deterministic_rmse": float(np.sqrt(np.mean(off**2))),
        "log_likelihood": log_likelihood(case, predictor, x, passes),
        "spearman": rank_correlation(np.sqrt(total), np.abs(error)),
        "spearman_epistemic": rank_correlation(std, np.abs(error)),
        "z_rms": float(np.sqrt(np.mean(error**2 / total))),
        "variance_factor": predictor.card.tuning.variance_factors[0],
        "noise_scale": predictor.card.tuning.noise_scales[0],
    }


def log_likelihood(case: Published, predictor: Predictor, x: np.ndarray, passes: int) -> float:
    """Mean log density of the test rows' targets under the mixture of the passes' normals."""
    y, total = encode_target(case.table, predictor.card.target_of_rows)[case.test], 0.0
    for start in range(0, len(x), BLOCK):
        block = slice(start, start + BLOCK)
        options = PredictOptions(passes=passes, seed=TEST_SEEDS[0], masks="shared")
        total += float(predictor.predict_with_density(x[block], y[block], options)[1].sum())
    return total / len(y)


def intervals(case: Published, predictor: Predictor, calibration: np.ndarray) -> Figures:
    """Coverage and width at every level, beside those of the deterministic network."""
    x = encode_table(case.table, predictor.card.schema_of_rows)
    y, count = case.actual(case.test), len(calibration)
    found: Figures = {"calibration_rows": count, "test_rows": len(y)}
    for level in LEVELS:
        held, rows = [], list[Any]()
        for seed in reversed(TEST_SEEDS):
            asked = PredictOptions(coverage=level, seed=seed)
            rows = list(predictor.predict_encoded(x[case.test], asked).rows)
            lower, upper = (np.array([getattr(row.interval, end) for row in rows]) for end in ENDS)
            held.append(int(np.sum((lower <= y) & (y <= upper))))
        found[f"covered_{level}"] = held[-1]
        found[f"seeds_apart_{level}"] = (max(held) - min(held)) / len(y)
        found[f"width_{level}"] = float(np.mean(upper - lower))
        off = np.array([row.deterministic for row in rows])
        reach = deterministic_reach(predictor, x[calibration], case.actual(calibration), level)
        found[f"deterministic_covered_{level}"] = int(np.sum(np.abs(off - y) <= reach))
        found[f"deterministic_width_{level}"] = 2 * reach
    return found


ENDS = ("lower", "upper")


def deterministic_reach(
    predictor: Predictor, x: np.ndarray, y: np.ndarray, coverage: float
) -> float:
    """Split conformal on the absolute error with dropout off: half the width, the same for all."""
    few = PredictOptions(passes=2 * len(predictor.networks), seed=TEST_SEEDS[0])
    rows: Sequence[Any] = predictor.predict_encoded(x, few).rows
    error = np.abs(np.array([row.deterministic for row in rows]) - y)
    return quantile(sorted_scores(error), coverage)


def measured(case: Published, options: TrainOptions, passes: int) -> Figures:
    """All figures of a split, and the processor seconds that they took."""
    start, split = process_time(), cut(case.train)
    first = trained(case, split, options)
    found = intervals(case, Predictor(first.card, first.networks), split.calibration)
    found |= accuracy(case, retrained(case, first, options), passes)
    return found | {"seen_before": case.seen_before(), "seconds": process_time() - start}


def pending(
    done: Iterable[Figures], sets: Sequence[str], splits: Sequence[int]
) -> Iterator[tuple[str, int]]:
    """The sets and splits without a line yet, split by split, so that a short run has all sets."""
    known = {(line["set"], line["split"]) for line in done}
    return ((name, number) for number, name in product(splits, sets) if (name, number) not in known)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description="The published experiments on six small sets.")
    add = found.add_argument
    add("--data", type=Path, required=True, help="folder of the sets")
    add("--out", type=Path, required=True, metavar="FILE.jsonl", help="a line per split, kept")
    add("--sets", nargs="+", default=list(PUBLISHED), choices=list(PUBLISHED), metavar="SET")
    add("--splits", nargs="+", type=int, default=list(range(SPLITS)), metavar="N")
    add("--passes", type=int, default=10_000, help="of the log-likelihood (default: 10000)")
    add("--option", type=option, nargs="+", default=[], metavar="NAME=VALUE", help="of training")
    add("--validation", action="store_true", help="look at no test row; see above")
    add("--threads", type=int, default=1)
    add("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    add("--markdown", type=Path, metavar="FILE", help="write the tables as Markdown")
    return found


def main() -> None:
    """Measure what is missing, and print the tables."""
    chosen = parser().parse_args()
    use_threads(chosen.threads)
    options = TrainOptions(**dict(chosen.option))
    lines = read_lines(chosen.out)
    for name, number in pending(lines, chosen.sets, chosen.splits):
        case = Published.read(chosen.data, name, number)
        case = case.inner() if chosen.validation else case
        found = measured(case, replace(options, seed=number), chosen.passes)
        lines.append({"set": name, "split": number, **found})
        with chosen.out.open("a") as out:
            out.write("\n" + json.dumps(lines[-1]))
        print(progress(lines[-1]), flush=True)
    lines = [
        line for line in lines if line["set"] in chosen.sets and line["split"] in chosen.splits
    ]
    print(text(lines))
    writers: dict[str, Callable[[list[Figures]], str]] = {"json": document, "markdown": markdown}
    for form, write in writers.items():
        if path := getattr(chosen, form):
            path.write_text(write(lines))


def progress(line: Figures) -> str:
    """One line while it runs."""
    figures = ("rmse", "log_likelihood", "spearman", "width_0.9", "deterministic_width_0.9")
    said = ", ".join(f"{name} {line[name]:.3f}" for name in figures)
    return f"{line['set']} {line['split']}: {said} ({line['seconds']:.0f} s)"


if __name__ == "__main__":
    main()
