"""What ranking gains: the error after labelling the rows that it names, beside other choices.

Each run starts with a few labelled rows of a table, and labels as many more in each round: the rows
that `model.rank` names; the most uncertain ones, of the largest std or of the least confidence; or
random ones. After each round a network is trained on the labelled rows, and judged on rows that
are never labelled. All choices of a run share the first rows and the judged rows.

`kinds` is a simulated table as pools often are: nine rows in ten are of one kind, and the judged
rows are of all kinds alike.

    python -m tests.benchmarks.labelling --seeds 5 --json labelling.json
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from model import (
    PredictOptions,
    Predictor,
    Split,
    Table,
    TrainOptions,
    load,
    rank,
    read_table,
    train,
    use_threads,
)
from model.data import encode_table, encode_target
from model.formulas import scores

SETS = {
    "houses": ("docs/houses.csv", "price"),
    "digits": ("example:digits", "digit"),
    "kinds": ("", "y"),
}
KINDS, RARE = 6, 0.1  # of the simulated table; the share of the rows of all rare kinds together
CHOICES = ("rank", "uncertain", "random")
FIRST, ROUND, ROUNDS = 40, 20, 4
JUDGED = 1 / 3
TRAINING = TrainOptions(
    members=1,
    number_encoding="raw",
    hidden=(50, 50),
    epochs=150,
    refit=False,
    weight_decay=0.3,
)


def trained(table: Table, target: str, labelled: np.ndarray, seed: int, place: Path) -> Predictor:
    """A network trained on the labelled rows, of which a fifth choose and fit the noise."""
    some = table.rows(np.sort(labelled))
    regression = target != "digit"
    first = () if regression else np.unique(some.columns[target], return_index=True)[1]
    rows = np.random.default_rng(seed).permutation(np.setdiff1d(np.arange(some.row_count), first))
    none, part = np.arange(0), some.row_count // 5
    learned = np.concatenate([np.array(first, dtype=np.int64), rows[part:]])  # each class is there
    split = Split(np.sort(learned), np.sort(rows[:part]), none, none)
    options = replace(TRAINING, seed=seed)
    task = "regression" if regression else "classification"
    train(some, target, place / "m", task=task, split=split, options=options)
    return load(place / "m")


def simulated(rows: int, rare: float, seed: int) -> Table:
    """Rows of several kinds, each near a place of its own, with little noise in the target."""
    random = np.random.default_rng(seed)
    places = np.random.default_rng(0).normal(0, 1.5, (KINDS, 4))
    kind = np.where(random.random(rows) < rare, random.integers(1, KINDS, rows), 0)
    x = places[kind] + random.normal(0, 0.5, (rows, 4))
    y = np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] / 2 + np.abs(x[:, 3]) + random.normal(0, 0.1, rows)
    columns = {f"x{at}": x[:, at] for at in range(4)} | {"y": y}
    return Table(f"kinds-{seed}", columns, "0" * 64)


def judged(predictor: Predictor, table: Table) -> dict[str, float]:
    """The errors on a table."""
    card = predictor.card
    x = encode_table(table, card.schema_of_rows)
    y = encode_target(table, card.target_of_rows)
    rows, density = predictor.predict_with_density(x, y, PredictOptions(seed=9))
    mean = rows.rows.columns["mean"]
    if card.target.classes:
        error = {"error_rate": 1 - scores.accuracy(mean, y)}
    else:
        error = {"rmse": scores.rmse(mean, card.target_of_rows.decoded(y))}
    return error | {"nll": float(-density.mean())}


def choose(name: str, predictor: Predictor, pool: Table, seed: int) -> np.ndarray:
    """The positions in the pool of the rows to label next."""
    if name == "random":
        return np.random.default_rng(seed).choice(pool.row_count, ROUND, replace=False)
    card = predictor.card
    features = {each.name: pool.columns[each.name] for each in card.features}
    if name == "rank":
        return np.array([each.row - 1 for each in rank(predictor, features, take=ROUND)])
    found = predictor.predict(features, PredictOptions(seed=1)).rows.columns
    # A classifier's `rank` takes the rows of the largest mutual information one by one as well.
    spread = -found["mean"].max(1) if card.target.classes else found["std"][:, 0]
    return np.argsort(-spread, kind="stable")[:ROUND]


def run(name: str, seed: int, place: Path) -> Iterator[dict[str, Any]]:
    """The errors of each choice, round by round."""
    source, target = SETS[name]
    if source:
        table = read_table(source)
        order = np.random.default_rng(seed).permutation(table.row_count)
        held = int(len(order) * JUDGED)
        test, rest = table.rows(np.sort(order[:held])), order[held:]
    else:
        table, test = simulated(800, RARE, seed), simulated(600, 1 - 1 / KINDS, seed + 1_000)
        rest = np.random.default_rng(seed).permutation(table.row_count)
    if target == "digit":  # each class is among the first rows
        first = np.unique(table.columns[target][rest], return_index=True)[1]
        rest = np.concatenate([rest[first], np.delete(rest, first)])
    for choice in CHOICES:
        labelled, pool = rest[:FIRST], np.sort(rest[FIRST:])
        for step in range(ROUNDS + 1):
            predictor = trained(table, target, labelled, seed, place)
            found = {"set": name, "seed": seed, "choice": choice, "rows": len(labelled)}
            yield found | judged(predictor, test)
            at = choose(choice, predictor, table.rows(pool), 100 * seed + step)
            labelled, pool = np.concatenate([labelled, pool[at]]), np.delete(pool, at)


def summary(runs: list[dict[str, Any]]) -> str:
    """The mean over seeds by set, choice and number of rows, with standard errors."""
    lines = ["| set | labelled rows | measure | " + " | ".join(CHOICES) + " |", "|---" * 6 + "|"]
    keys = dict.fromkeys((each["set"], each["rows"]) for each in runs)
    for name, rows in keys:
        of = [each for each in runs if (each["set"], each["rows"]) == (name, rows)]
        for measure in [key for key in of[0] if key in ("rmse", "error_rate", "nll")]:
            cells = []
            for choice in CHOICES:
                values = np.array([each[measure] for each in of if each["choice"] == choice])
                error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
                cells.append(f"{values.mean():.4g} ± {error:.2g}")
            lines.append(f"| {name} | {rows} | {measure} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default=",".join(SETS))
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure, too")
    arguments = parser.parse_args()
    use_threads(1)
    runs = []
    for seed in range(arguments.seeds):
        for name in arguments.sets.split(","):
            with TemporaryDirectory() as place:
                runs += list(run(name, seed, Path(place)))
        print(summary(runs), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(runs, indent=1))


if __name__ == "__main__":
    main()
