"""How far off both estimators are on rows like those to come: calibration rows, asked many times.

That says what to add to their error bars (`error_bars`), whether the control variates of the
reduced estimator do good, and whether it is worth its time.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.artifact import Card, ServingRecord
from model.calibration import BLOCKS, KNOTS, MOST_ROWS, Allowance, learned
from model.options import Estimator
from model.passes import MLP, Estimate, pooled
from model.predictor import Predictor
from model.tasks import TASKS

TRUTH = 1024, 4  # passes, and blocks of so many: what few passes are compared with
PAYS = 4.0
"""So many times smaller than the plain estimator's must the squared errors of the reduced one be:
on one thread it takes 2 to 5 times as long, the longer the more layers, and that many more plain
passes would have the same errors. Without controls it takes no longer, and must not be worse."""
NO_WORSE = 0.95  # a gain that is 1 for all that these passes say

Runs = dict[int, Sequence[Estimate]]  # blocks, by the passes of each


@dataclass(frozen=True, slots=True)
class Trial:
    """What to serve with, and what to add to the error bars of each estimator."""

    serving: ServingRecord
    allowances: dict[Estimator, Allowance]


def try_estimators(card: Card, network: MLP, x: np.ndarray, *, seed: int) -> Trial:
    """What many passes over some of the calibration rows x [B, D] say of few.

    The card has no calibration, so that nothing is added to error bars yet.
    """
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    x = x[np.linspace(0, len(x) - 1, min(len(x), MOST_ROWS)).astype(int)]
    full, without = (
        Predictor(_with(card, controls=controls), network) for controls in (True, False)
    )
    runs: dict[Estimator, Runs] = {"plain": _run(full, x, "plain", seed)}
    serving = ServingRecord()
    if task.plain_because or full.exact:
        truth = _truth(full, x, "plain", seed)
    else:
        truth = _truth(full, x, "reduced", seed)
        both = [_run(predictor, x, "reduced", seed) for predictor in (full, without)]
        gains = [_gain(runs["plain"], run, truth, task.linear) for run in both]
        controls = gains[0] >= PAYS
        best = 0 if controls else 1
        runs["reduced"], serving = both[best], _serving(gains[best], controls=controls)
        if not controls:
            truth = _truth(without, x, "reduced", seed)
    allowances = {
        estimator: learned(
            {n: [task.quantities(e, n) for e in blocks] for n, blocks in run.items()},
            task.quantities(truth, TRUTH[0] * TRUTH[1]),
        )
        for estimator, run in runs.items()
    }
    return Trial(serving, allowances)


def _with(card: Card, *, controls: bool) -> Card:
    serving = card.serving.model_copy(update={"controls": controls})
    return card.model_copy(update={"serving": serving})


def _run(predictor: Predictor, x: np.ndarray, estimator: Estimator, seed: int) -> Runs:
    """Blocks of few passes; the same masks for every estimator."""
    return {
        passes: predictor.blocks(x, estimator, passes=passes, count=count, seed=seed + passes)
        for passes, count in zip(KNOTS, BLOCKS, strict=True)
    }


def _truth(predictor: Predictor, x: np.ndarray, estimator: Estimator, seed: int) -> Estimate:
    """From many passes, none of which are in the blocks."""
    passes, count = TRUTH
    return pooled(predictor.blocks(x, estimator, passes=passes, count=count, seed=seed))


def _gain(plain: Runs, run: Runs, truth: Estimate, values: int) -> float:
    """How many times smaller than plain's the squared errors are: of mean or variance, the lesser.

    Relative to each row's variance, so that every row counts alike.
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
