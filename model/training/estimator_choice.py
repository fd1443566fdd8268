"""Measure the errors of both estimators on calibration rows, against many passes.

The errors decide the allowances of the error bars (`error_bars`), whether the reduced estimator
uses its control variates, and whether it is worth its time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.artifact import Card, ServingRecord
from model.calibration import BLOCKS, KNOTS, MOST_ROWS, Allowance, learned
from model.options import Estimator
from model.passes import Ensemble, Estimate, pooled
from model.predictor import Predictor
from model.tasks import TASKS

TRUTH = 1024, 4  # passes of a block, and blocks; they and the longest trial blocks are the truth
TRUTH_PASSES = math.prod(TRUTH) + KNOTS[-1] * BLOCKS[-1]
TOGETHER = 16
"""The number of rows that share their masks, for each member. If all rows shared them, one rare
mask would decide the result of every row: on one network (naval) the allowance was .1 to .5,
depending on the seed. The members of an ensemble draw their masks independently of each other, so
more rows may share them: the number of independent draws is the same."""
SEEDS_APART = 1 << 40  # no two groups of rows have a seed in common
PAYS = 4.0
"""How many times smaller than plain's the squared errors of the reduced estimator must be, if it
uses controls. On one thread it takes 2 to 5 times as long, longer with more layers, and that many
more plain passes would have the same errors. Without controls it takes no longer than plain, and
must only not be worse."""
NO_WORSE = 0.95  # these passes cannot tell such a gain from 1

Runs = dict[int, Sequence[Estimate]]  # blocks of passes, by the number of passes in each


@dataclass(frozen=True, slots=True)
class Trial:
    """The estimator to serve with, and the allowances of each estimator's error bars."""

    serving: ServingRecord
    allowances: dict[Estimator, Allowance]


def try_estimators(card: Card, networks: Ensemble, x: np.ndarray, *, seed: int) -> Trial:
    """The estimator and the allowances that follow from many passes over calibration rows x [B, D].

    At most MOST_ROWS of the rows are used. The card has no calibration, so that no allowance is in
    the error bars yet.
    """
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    x = x[np.linspace(0, len(x) - 1, min(len(x), MOST_ROWS)).astype(int)]
    full = Predictor(_with(card, controls=True), networks)
    runs: dict[Estimator, Runs] = {"plain": _run(full, x, "plain", seed)}
    serving = ServingRecord()
    if task.plain_because or full.exact:
        truth = _truth(full, x, "plain", seed, runs["plain"])
    else:
        runs["reduced"] = _run(full, x, "reduced", seed)
        truth = _truth(full, x, "reduced", seed, runs["reduced"])
        gain = _gain(runs["plain"], runs["reduced"], truth, task.linear)
        controls = gain >= PAYS
        if not controls:
            without = Predictor(_with(card, controls=False), networks)
            runs["reduced"] = _run(without, x, "reduced", seed)
            gain = _gain(runs["plain"], runs["reduced"], truth, task.linear)
            truth = _truth(without, x, "reduced", seed, runs["reduced"])
        serving = _serving(gain, controls=controls)
    allowances = {
        estimator: learned(
            {n: [task.quantities(e, n) for e in blocks] for n, blocks in run.items()},
            task.quantities(truth, TRUTH_PASSES),
        )
        for estimator, run in runs.items()
    }
    return Trial(serving, allowances)


def _with(card: Card, *, controls: bool) -> Card:
    serving = card.serving.model_copy(update={"controls": controls})
    return card.model_copy(update={"serving": serving})


def _run(predictor: Predictor, x: np.ndarray, estimator: Estimator, seed: int) -> Runs:
    """Estimates from blocks of few passes, with the same masks for every estimator."""
    return {
        passes: _blocks(predictor, x, estimator, (passes, count), seed + passes)
        for passes, count in zip(KNOTS, BLOCKS, strict=True)
    }


def _truth(
    predictor: Predictor, x: np.ndarray, estimator: Estimator, seed: int, run: Runs
) -> Estimate:
    """The estimate from many passes: fresh ones, and those of the longest blocks.

    Each of those blocks is 1 / 80 of the truth, so its error is measured too small by that share.
    """
    fresh = _blocks(predictor, x, estimator, TRUTH, seed)
    return pooled([pooled(fresh), pooled(run[KNOTS[-1]])])


def _blocks(
    predictor: Predictor, x: np.ndarray, estimator: Estimator, size: tuple[int, int], seed: int
) -> list[Estimate]:
    """Estimates from blocks of passes; `size` is the passes of each, and how many blocks."""
    passes, count = size
    together = TOGETHER * len(predictor.networks)
    parts = [
        predictor.blocks(
            x[start : start + together],
            estimator,
            passes=passes,
            count=count,
            seed=seed + start * SEEDS_APART,
        )
        for start in range(0, max(len(x), 1), together)
    ]
    return [Estimate.concatenated(rows) for rows in zip(*parts, strict=True)]


def _gain(plain: Runs, run: Runs, truth: Estimate, values: int) -> float:
    """Plain's squared error over this estimator's: the smaller ratio of mean and variance.

    Errors are divided by each row's variance, so that all rows count equally.
    """
    variance = np.maximum(truth.variance[:, :values], np.finfo(float).tiny)
    scales = {"mean": variance, "variance": variance**2}

    def error(blocks: Sequence[Estimate], name: str) -> float:
        off = np.array([getattr(block, name) - getattr(truth, name) for block in blocks])
        return float((np.square(off[..., :values]) / scales[name]).mean())

    return min(
        error(plain[passes], name) / max(error(run[passes], name), np.finfo(float).tiny)
        for passes in KNOTS
        for name in scales
    )


def _serving(gain: float, *, controls: bool) -> ServingRecord:
    if gain >= NO_WORSE:
        return ServingRecord(controls=controls)
    why = f"the reduced estimator's squared errors are {1 / gain:.2g} times those of plain"
    return ServingRecord(controls=controls, estimator="plain", plain_because=why)
