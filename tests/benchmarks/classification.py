"""What classifiers know of what they do not know: calibration, abstention, label sets, novelty.

    python -m tests.benchmarks.classification [--splits 10] [--data DIR] [--json FILE]

Trains on `example:digits` and `example:breast-cancer`, one model per split, and judges each on the
test rows that its training set apart:

- calibration: accuracy, and the ECE of the passes' average. A perfect model has an ECE too, of some
  hundred rows: its expectation stands beside it, and the ECE of all splits' rows taken together;
- abstention: the error rate among the 90 % of each split's rows that are least uncertain, over that
  of all rows, by what ranks them;
- label sets: the share that holds the true class, and in how many splits it is below or above the
  band in which it lies with a probability of 99.9 % if the promise is kept with equality (a
  beta-binomial law). A set always has the most probable class, so it holds the truth at least as
  often as the classifier is right: beside it, how often the true class itself was near enough;
- the error of the mutual information: how often 1 and 2 of its standard errors hold what 20,000
  passes say.

With DIR, which holds `satimage.csv`, `mnist_t10k_14x14.csv` and `notmnist_t10k_14x14.csv`, the
target last: the first one too; and a network trained on 8,000 of the handwritten digits tells the
other 2,000 from letters.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import betabinom
from tqdm import tqdm

from model import (
    LabelSetMethod,
    PredictOptions,
    Predictor,
    Table,
    TrainOptions,
    evaluate,
    load,
    read_table,
    train,
)
from model.data.preparation import encode_table, split_rows
from model.evaluation.outcomes import ClassificationOutcome
from model.formulas.conformal import lac, quantile, true_scores
from model.formulas.scores import auroc, reliability

WIDE = TrainOptions(hidden=(128, 128), dropout=(0.2,))
SETS = {  # the first two as the shipped models are trained
    "digits": ("example:digits", "digit", WIDE),
    "breast-cancer": ("example:breast-cancer", "diagnosis", TrainOptions(dropout=(0.2,))),
    "satimage": ("satimage.csv", "target", WIDE),
}
# Chosen on validation rows of the digits, never on letters: width, epochs, weight decay and input
# dropout by the log loss, of the rates the largest within a standard error of the best (.3: .175,
# .2: .174, .5: .193).
LETTERS = TrainOptions(
    hidden=(512, 512), dropout=(0.3,), input_dropout=0.2, epochs=30, weight_decay=0.1
)
TRAINED = 8_000  # rows of the digits; the others are to be told from letters
ACCEPTED = 0.9
TEST_SEED = 100  # any but the calibration's
EXACT = "lac, if sets could be empty"
COVERAGES = 0.8, 0.9, 0.95
METHODS: tuple[LabelSetMethod, ...] = "lac", "aps"
BAND = 0.999
LEVELS = 0.0, 0.001, 0.01, 0.05, 9.0  # of mutual information, in nats
TRUE_PASSES, PASSES, SEEDS = 20_000, (30, 100), 200
PARTS = "examples", "agreement", "novelty"
DRAWS = 1000  # of the labels of a perfect model

Figures = dict[str, Any]


@dataclass(frozen=True)
class Judged:
    """One split's test rows, [B] each, and its label sets' coverage by method and coverage."""

    correct: np.ndarray
    confidence: np.ndarray
    rankings: dict[str, np.ndarray]
    covered: dict[tuple[str, float], tuple[int, float | None]]  # rows that are, sets' mean size
    calibration_rows: int
    off: float  # accuracy with dropout off


def judged(table: Table, target: str, options: TrainOptions, split: int) -> Judged:
    """A model of the table, trained on that split, beside what came true."""
    with TemporaryDirectory() as folder:
        options = replace(options, seed=split)
        train(table, target, Path(folder) / "model", task="classification", options=options)
        predictor = load(Path(folder) / "model")
    covered: dict[tuple[str, float], tuple[int, float | None]] = {}
    for method in METHODS:
        for coverage in COVERAGES:
            asked = PredictOptions(seed=TEST_SEED, coverage=coverage, label_set=method)
            (outcome,) = evaluate(predictor, table, asked).outcomes
            assert isinstance(outcome, ClassificationOutcome)
            assert outcome.label_sets is not None
            inside = outcome.label_sets[np.arange(len(outcome.actual)), outcome.actual]
            covered[method, coverage] = int(inside.sum()), float(outcome.label_sets.sum(1).mean())
            covered[EXACT, coverage] = _hits(outcome, predictor, coverage), None
    assert isinstance(outcome, ClassificationOutcome)
    made = predictor.card.calibration
    assert made is not None
    return Judged(
        correct=outcome.probabilities.argmax(1) == outcome.actual,
        confidence=outcome.probabilities.max(1),
        rankings={
            "1 - largest probability": 1 - outcome.probabilities.max(1),
            "predictive entropy": outcome.predictive_entropy,
            "mutual information": outcome.mutual_information,
        },
        covered=covered,
        calibration_rows=made.rows,
        off=float(np.mean(outcome.deterministic.argmax(1) == outcome.actual)),
    )


def _hits(outcome: ClassificationOutcome, predictor: Predictor, coverage: float) -> int:
    """How many true classes have a LAC score within the quantile, whether or not others have."""
    assert predictor.card.calibration is not None
    reach = quantile(np.array(predictor.card.calibration.scores["lac"]), coverage)
    scores = true_scores(lac(outcome.probabilities), outcome.actual)
    return int((scores <= reach + 1e-9).sum())


def calibration(splits: list[Judged]) -> Figures:
    """Accuracy and calibration errors: mean and standard deviation over the splits."""
    random = np.random.default_rng(0)
    found: dict[str, list[float]] = {}
    for split in splits:
        figures = {"accuracy": float(split.correct.mean()), "accuracy, dropout off": split.off}
        for what, equal in (("ECE", False), ("ECE, equal mass", True)):
            error = partial(_ece, split.confidence, equal_mass=equal)
            perfect = random.random((DRAWS, len(split.correct))) < split.confidence
            figures[what] = error(split.correct)
            figures[f"{what}, of a perfect model"] = float(np.mean([error(p) for p in perfect]))
        for what, value in figures.items():
            found.setdefault(what, []).append(value)
    confidence = np.concatenate([split.confidence for split in splits])
    correct = np.concatenate([split.correct for split in splits])
    return {what: (float(np.mean(v)), float(np.std(v, ddof=1))) for what, v in found.items()} | {
        "ECE of all rows together": (_ece(confidence, correct), None),
        "ECE of all rows together, equal mass": (_ece(confidence, correct, equal_mass=True), None),
    }


def _ece(confidence: np.ndarray, correct: np.ndarray, *, equal_mass: bool = False) -> float:
    return reliability(confidence, correct, equal_mass=equal_mass).calibration_error


def abstention(splits: list[Judged]) -> Figures:
    """Errors among accepted rows, and among all, by what ranks the rows."""
    errors = sum(int((~split.correct).sum()) for split in splits)
    rows = sum(len(split.correct) for split in splits)
    found: Figures = {"rows": rows, "errors": errors}
    for ranking in splits[0].rankings:
        accepted = wrong = 0
        for split in splits:
            count = round(ACCEPTED * len(split.correct))
            kept = np.argsort(split.rankings[ranking], kind="stable")[:count]
            accepted, wrong = accepted + count, wrong + int((~split.correct[kept]).sum())
        found[ranking] = {
            "errors": wrong,
            "ratio": (wrong / accepted) / (errors / rows),
            "AUROC of errors": float(
                np.nanmean([auroc(s.rankings[ranking], ~s.correct) for s in splits])
            ),
        }
    return found


def label_sets(splits: list[Judged]) -> Figures:
    """Mean coverage and size, and how many splits are inside, below and above the band."""
    found: Figures = {}
    for method in (EXACT, *METHODS):
        for coverage in COVERAGES:
            shares, sizes, below, above = [], [], 0, 0
            for split in splits:
                hits, size = split.covered[method, coverage]
                low, high = band(len(split.correct), split.calibration_rows, coverage)
                shares.append(hits / len(split.correct))
                sizes.append(size if size is not None else np.nan)
                below, above = below + (hits < low), above + (hits > high)
            found[f"{method} {coverage}"] = {
                "coverage": float(np.mean(shares)),
                "size": float(np.mean(sizes)),
                "below": below,
                "above": above,
            }
    return found


def band(rows: int, calibration_rows: int, coverage: float) -> tuple[int, int]:
    """The least and most of `rows` that are covered, with probability BAND, by exact sets."""
    index = int(np.ceil(round((calibration_rows + 1) * coverage, 9)))
    low, high = betabinom.interval(BAND, rows, index, calibration_rows + 1 - index)
    return int(low), int(high)


def agreement(seeds: int = SEEDS) -> Figures:
    """Percent of runs whose mutual information is within its standard errors of the truth.

    By how much of it there is: where passes hardly ever disagree, few of them have seen it once.
    """
    source, target, options = SETS["digits"]
    table = read_table(source)
    with TemporaryDirectory() as folder:
        train(table, target, Path(folder) / "model", options=options)
        predictor = load(Path(folder) / "model")
    labels = np.unique(table.columns[target], return_inverse=True)[1]
    rows = split_rows(table.row_count, options.seed, strata=labels).test
    x = encode_table(table, predictor.card.schema_of_rows)[rows]
    truth, _ = _information(predictor, x, TRUE_PASSES, seed=SEEDS + 1)
    found: Figures = {}
    for passes in PASSES:
        runs = [_information(predictor, x, passes, seed=seed) for seed in range(seeds)]
        value, error = (np.stack(part) for part in zip(*runs, strict=True))  # [seeds, B]
        off = np.abs(value - truth)
        for low, high in pairwise(LEVELS):
            of = (low <= truth) & (truth < high)
            held = {k: 100 * np.mean(off[:, of] <= k * error[:, of], axis=0) for k in (1, 2)}
            found[f"{passes} passes, {low:g} to {high:g} nats"] = {
                "rows": int(of.sum()),
                **{f"within {k} SE, median row": float(np.median(held[k])) for k in held},
                "bias": float((value[:, of].mean() - truth[of].mean()) / truth[of].mean()),
            }
    return found


def _information(
    predictor: Predictor, x: np.ndarray, passes: int, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """The mutual information [B] and its standard error."""
    rows: Any = predictor.predict_encoded(x, PredictOptions(passes=passes, seed=seed)).rows
    return (
        np.array([row.mutual_information for row in rows]),
        np.array([row.mutual_information_error for row in rows]),
    )


def novelty(data: Path) -> Figures:
    """AUROC of letters against digits that training has not seen, by what tells them apart."""
    digits = read_table(data / "mnist_t10k_14x14.csv")
    target = list(digits.columns)[-1]
    seen, unseen = _part(digits, slice(TRAINED)), _part(digits, slice(TRAINED, None))
    with TemporaryDirectory() as folder:
        card = train(seen, target, Path(folder) / "model", task="multiclass", options=LETTERS)
        predictor = load(Path(folder) / "model")
    letters = read_table(data / "notmnist_t10k_14x14.csv")
    found = [_scores(predictor, table) for table in (unseen, letters)]
    new = np.repeat([False, True], [unseen.row_count, letters.row_count])
    aurocs = {
        score: auroc(np.concatenate([part[score] for part in found]), new) for score in found[0]
    }
    return {"accuracy": card.metrics["accuracy"], "log loss": card.metrics["log_loss"]} | aurocs


def _part(table: Table, rows: slice) -> Table:
    columns = {name: column[rows] for name, column in table.columns.items()}
    return replace(table, columns=columns, lines=None)


def _scores(predictor: Predictor, table: Table) -> dict[str, np.ndarray]:
    """What may tell that a row is new, [B] each."""
    x = encode_table(table, predictor.card.schema_of_rows)
    rows: Any = predictor.predict_encoded(x, PredictOptions(seed=TEST_SEED)).rows
    off = np.array([list(row.deterministic.values()) for row in rows])
    return {
        "mutual information": np.array([row.mutual_information for row in rows]),
        "predictive entropy": np.array([row.predictive_entropy for row in rows]),
        "entropy, dropout off": -(off * np.log(np.maximum(off, 1e-30))).sum(1),
        "distance": np.array([row.distance for row in rows]),
    }


def report(name: str, found: Figures) -> Iterator[str]:
    """A part of the figures as the lines of a table."""
    columns = list(dict.fromkeys(key for row in found.values() if _many(row) for key in row))
    yield f"\n| {name} | {' | '.join(columns) or 'found'} |"
    yield f"| --- |{' ---: |' * max(len(columns), 1)}"
    for what, row in found.items():
        cells = [_cell(row.get(c)) for c in columns] if _many(row) else [_cell(row)]
        yield f"| {what} | {' | '.join(cells)} |"


def _many(row: object) -> bool:
    return isinstance(row, dict)


def _cell(value: object) -> str:
    if isinstance(value, Sequence):
        return " +- ".join(_cell(part) for part in value if part is not None)
    if value is None or value != value:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure, and print what was found; write JSON where asked."""
    parser = argparse.ArgumentParser(description="Figures of classifiers.")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--data", type=Path, help="folder of the MNIST and notMNIST files")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found: Figures = {}
    for name, part in parts(arguments):
        print("\n".join(report(name, part)), flush=True)
        found[name] = part
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=2))


def parts(arguments: argparse.Namespace) -> Iterator[tuple[str, Figures]]:
    """What was asked for, part by part."""
    wanted, data = arguments.only, arguments.data
    for name, (source, target, options) in SETS.items() if "examples" in wanted else ():
        if source.endswith(".csv") and not data:
            continue
        table = read_table(data / source if source.endswith(".csv") else source)
        numbers = tqdm(range(arguments.splits), desc=name)
        splits = [judged(table, target, options, split) for split in numbers]
        for judge in (calibration, abstention, label_sets):
            yield f"{name}: {judge.__name__.replace('_', ' ')}", judge(splits)
    if "agreement" in wanted:
        yield "digits: error of the mutual information", agreement()
    if "novelty" in wanted and data:
        yield "letters against digits: AUROC", novelty(data)


if __name__ == "__main__":
    main()
