"""Small noisy tables: is the default classifier ever worse than base rates or logistic regression?

    python -m tests.benchmarks.noisy [--seeds 100 101 102] [--rows 200 600 2000]

Each law draws a table and 4,000 fresh rows. Columns: the log loss in nats on the fresh rows, of the
law itself, of the classes' shares, of logistic regression on the rows that the network's weights
have seen, of `train` with `--patience 20`, and of `train` as it is; and the weight decay chosen.
"""

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from sklearn.linear_model import LogisticRegression

from model import PredictOptions, Table, TrainOptions, load, train
from model.data.preparation import split_rows

FRESH = 4_000
Law = Callable[[np.random.Generator, np.ndarray, int], np.ndarray]  # rows [B, D] to shares [B, K]
NAMES = "law itself", "base rates", "logistic", "patience 20", "default"


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(odds / odds.sum(1, keepdims=True))


def _two(share: np.ndarray) -> np.ndarray:
    return np.stack([share, 1 - share], axis=1)


def _linear(strength: float, shift: float = 0.0) -> Law:
    def law(random: np.random.Generator, x: np.ndarray, classes: int) -> np.ndarray:
        weights = random.normal(size=(x.shape[1], classes)) * np.sqrt(strength / x.shape[1])
        return _softmax(np.tanh(x / 3) @ weights * 3 + shift * (np.arange(classes) == 0))

    return law


def _smooth(random: np.random.Generator, x: np.ndarray, classes: int) -> np.ndarray:
    inner = random.normal(size=(x.shape[1], 8)) / np.sqrt(x.shape[1])
    return _softmax(1.4 * np.sin(2 * x @ inner) @ random.normal(size=(8, classes)))


LAWS: dict[str, Law] = {
    "step": lambda _, x, __: _two(np.where(x[:, 0] > -1, 0.8, 0.25)),
    "product": lambda _, x, __: _two(np.where(x[:, 0] * x[:, 1] > 0, 0.85, 0.15)),
    "nothing": lambda random, x, k: np.tile(random.dirichlet(np.full(k, 3.0)), (len(x), 1)),
    "weak": _linear(0.3),
    "linear": _linear(1.0),
    "imbalanced": _linear(1.5, shift=2.5),
    "smooth": _smooth,
}


def judged(name: str, seed: int, rows: int) -> tuple[dict[str, float], float]:
    """The log losses by NAMES, and the weight decay that was chosen."""
    random = np.random.default_rng([seed, rows, list(LAWS).index(name)])
    width, classes = int(random.choice([5, 8, 15, 30])), int(random.choice([2, 3, 4]))
    x = random.normal(size=(rows + FRESH, width))
    shares = LAWS[name](random, x, classes)
    y = (shares.cumsum(1) > random.random((len(x), 1))).argmax(1)
    fresh = slice(rows, None)
    split = split_rows(rows, seed, strata=y[:rows])
    seen = split.seen(refit=True)
    counts = np.bincount(y[seen], minlength=shares.shape[1])
    regression = LogisticRegression(max_iter=5_000).fit(x[seen], y[seen])
    columns: dict[str, Any] = {f"x{at}": x[:rows, at] for at in range(width)}
    table = Table(name, {**columns, "y": y[:rows].astype(str).astype(object)}, "0" * 64)
    found = {
        "law itself": _loss(shares[fresh], y[fresh]),
        "base rates": _loss(np.tile(counts / counts.sum(), (FRESH, 1)), y[fresh]),
        "logistic": _loss(regression.predict_proba(x[fresh]), y[fresh]),
    }
    decay = 0.0
    for kind, options in (
        # What the issue compares with: one training with the weight decay of old.
        ("patience 20", TrainOptions(seed=seed, patience=20, weight_decay=1e-4)),
        ("default", TrainOptions(seed=seed)),
    ):
        with TemporaryDirectory() as folder:
            path = Path(folder) / "model"
            card = train(table, "y", path, task="classification", options=options, split=split)
            decay = float(card.training.settings["weight_decay"])  # type: ignore[union-attr]
            rows_of = load(path).predict(x[fresh], PredictOptions(seed=seed + 1)).rows
        found[kind] = _loss(rows_of.columns["mean"], y[fresh])
    return found, decay


def _loss(shares: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.maximum(shares[np.arange(len(y)), y], 1e-12)).mean())


def report(seeds: list[int], rows: list[int]) -> Iterator[str]:
    """A line for each table, and the means."""
    yield f"| law, rows, seed | {' | '.join(NAMES)} | decay | over the best of the three |"
    yield "| --- |" + " ---: |" * (len(NAMES) + 2)
    all_found = []
    for name in LAWS:
        for count in rows:
            for seed in seeds:
                found, decay = judged(name, seed, count)
                all_found.append([found[kind] for kind in NAMES])
                cells = " | ".join(f"{found[kind]:.3f}" for kind in NAMES)
                excess = found["default"] - min(all_found[-1][1:4])
                yield f"| {name}, {count}, {seed} | {cells} | {decay:g} | {excess:+.3f} |"
    losses = np.array(all_found)
    cells = " | ".join(f"{mean:.3f}" for mean in losses.mean(0))
    excess = losses[:, 4] - losses[:, 1:4].min(1)
    over = losses[:, 4] - losses[:, 1]
    yield f"| all | {cells} | | {excess.mean():+.3f}, at most {excess.max():+.3f} |"
    yield f"| over the base rates, at most | | | | | {over.max():+.3f} | | |"


def main() -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(description="Figures of classifiers of small noisy tables.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[100, 101, 102])
    parser.add_argument("--rows", type=int, nargs="+", default=[200, 600, 2_000])
    arguments = parser.parse_args()
    for line in report(arguments.seeds, arguments.rows):
        print(line, flush=True)


if __name__ == "__main__":
    main()
