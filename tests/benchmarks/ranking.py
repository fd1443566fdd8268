"""How well can the sizes of a model's errors be ranked at all?

    python -m tests.benchmarks.ranking --data DIR [--sets energy concrete] [--folds 6] [--json]

DIR holds `SET.csv`, the target last. The rank correlation of the total std with |error| has a
ceiling below 1: an error is the noise's draw as much as its size. What rows themselves tell of the
size is shown by learners that are given what no network has: errors on rows that it was not trained
on, 80 % of the rows left by the outer fold at a time. Two forests learn log |error| from the
features of those rows. Both, alone and together with the total std, are judged on the outer fold's
rows, on the errors of a network that has seen none of them.
"""

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor

from model import PredictOptions, Split, Table, TrainOptions, load, read_table, train, use_threads
from model.data.preparation import encode_table
from model.formulas.scores import rank_correlation

OUTER, INNER = 10, 5
VALIDATION = 0.1  # of the rows that train
LEAST = 1e-3  # of the mean |error|, added before the logarithm
FORESTS = {
    "random forest": RandomForestRegressor(300, min_samples_leaf=5, random_state=0),
    "extremely randomised trees": ExtraTreesRegressor(300, min_samples_leaf=3, random_state=0),
}


def errors(
    table: Table, rows: np.ndarray, judged: np.ndarray, options: TrainOptions
) -> tuple[np.ndarray, np.ndarray]:
    """|error| of the mean and total std [B] on judged rows of a model trained on others."""
    count, none = round(VALIDATION * len(rows)), np.arange(0)
    order = np.random.default_rng(options.seed).permutation(rows)
    split = Split(np.sort(order[count:]), np.sort(order[:count]), none, none)
    target = list(table.columns)[-1]
    with TemporaryDirectory() as folder:
        train(table, target, Path(folder) / "net", task="regression", options=options, split=split)
        predictor = load(Path(folder) / "net")
    x = encode_table(table, predictor.card.schema_of_rows)[judged]
    found: Sequence[Any] = predictor.predict_encoded(x, PredictOptions(passes=200, seed=100)).rows
    mean = np.array([row.mean for row in found])
    std = np.sqrt([row.total_variance for row in found])
    return np.abs(mean - table.columns[target][judged]), std


def folds(rows: np.ndarray, count: int, seed: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """The rows outside of each fold, and those inside."""
    for inside in np.array_split(np.random.default_rng(seed).permutation(rows), count):
        yield np.setdiff1d(rows, inside), np.sort(inside)


def correlations(
    table: Table, rest: np.ndarray, judged: np.ndarray, options: TrainOptions
) -> dict[str, float]:
    """With |error| on an outer fold's rows: of the total std, of each forest, of both together."""
    error, std = errors(table, rest, judged, options)
    features = np.stack(list(table.columns.values())[:-1], axis=1).astype(float)
    unseen = np.zeros(table.row_count)
    for trained, left in folds(rest, INNER, options.seed):
        unseen[left], _ = errors(table, trained, left, options)
    sizes = np.log(unseen[rest] + LEAST * unseen[rest].mean())
    found = {"total std": rank_correlation(std, error)}
    for name, forest in FORESTS.items():
        said = forest.fit(features[rest], sizes).predict(features[judged])
        found[name] = rank_correlation(said, error)
        found[f"{name} x std"] = rank_correlation(said + np.log(std), error)
    return found


def main() -> None:
    """Print the mean over the outer folds of every correlation."""
    parser = argparse.ArgumentParser(description="How well errors can be ranked at all.")
    parser.add_argument("--data", type=Path, required=True, help="folder of SET.csv")
    parser.add_argument("--sets", nargs="+", default=["concrete", "energy"], metavar="SET")
    parser.add_argument("--folds", type=int, default=6, help=f"of {OUTER} outer ones (default: 6)")
    parser.add_argument("--dropout", type=float, default=0.1, help="rate (default: 0.1)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    chosen, means = parser.parse_args(), {}
    use_threads(1)
    for name in chosen.sets:
        table, found = read_table(str(chosen.data / f"{name}.csv")), []
        outer = folds(np.arange(table.row_count), OUTER, seed=0)
        for number, (rest, judged) in zip(range(chosen.folds), outer, strict=False):
            options = TrainOptions(dropout=(chosen.dropout,), seed=number)
            found.append(correlations(table, rest, judged, options))
        means[name] = {key: float(np.mean([fold[key] for fold in found])) for key in found[0]}
        if not chosen.json:
            said = ", ".join(f"{key} {value:.2f}" for key, value in means[name].items())
            print(f"{name}: {said}", flush=True)
    if chosen.json:
        print(json.dumps(means, indent=1))


if __name__ == "__main__":
    main()
