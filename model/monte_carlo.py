"""How far off both estimators are on rows like those to come: calibration rows, asked many times.

That says what to add to their error bars (`model.error_bars`), and whether the reduced estimator
is worth its time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.card import Card
from model.error_bars import BLOCKS, KNOTS, MOST_ROWS, Allowance, learned, pooled, squared_error
from model.options import Estimator
from model.predictor import Predictor
from model.task import TASKS
from model.uncertainty import Estimate

PAYS = 5.0
"""So many times smaller than the plain estimator's must the squared errors of the reduced one be:
on one thread it takes 2 to 5 times as long (tests/benchmarks/engine.py), and that many more plain
passes would have the same errors."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`allowances` by estimator; `plain_because`: why not the reduced one, or empty."""

    allowances: dict[Estimator, Allowance]
    plain_because: str = ""


def tried(card: Card, predictor: Predictor, x: np.ndarray, *, seed: int) -> Trial:
    """What many passes over some of the calibration rows x [B, D] say of few.

    The predictor's card has no calibration, so that nothing is added yet.
    """
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    x = x[np.linspace(0, len(x) - 1, min(len(x), MOST_ROWS)).astype(int)]
    estimators: tuple[Estimator, ...] = ("plain",) if task.plain_because else ("plain", "reduced")
    runs = {
        estimator: {
            passes: predictor.blocks(x, estimator, passes=passes, count=count, seed=seed + passes)
            for passes, count in zip(KNOTS, BLOCKS, strict=True)
        }
        for estimator in estimators
        if not (estimator == "reduced" and predictor.exact)
    }
    truth = pooled(runs.get("reduced", runs["plain"])[KNOTS[-1]])
    allowances = {
        estimator: learned(
            {n: [task.quantities(e, n) for e in blocks] for n, blocks in run.items()},
            task.quantities(truth, KNOTS[-1] * BLOCKS[-1]),
        )
        for estimator, run in runs.items()
    }
    return Trial(allowances, _plain_because(runs, truth, task.linear))


def _plain_because(
    runs: Mapping[Estimator, Mapping[int, Sequence[Estimate]]], truth: Estimate, values: int
) -> str:
    if "reduced" not in runs:
        return ""
    plain, reduced = runs["plain"][KNOTS[-1]], runs["reduced"][KNOTS[-1]]
    gains = {
        name: squared_error(plain, truth, name, values)
        / max(squared_error(reduced, truth, name, values), np.finfo(float).tiny)
        for name in ("mean", "variance")
    }
    name = min(gains, key=lambda name: gains[name])
    if gains[name] >= PAYS:
        return ""
    return (
        f"the reduced estimator's squared error of the {name} is {gains[name]:.1f} times smaller "
        "than plain's, which does not pay for its time"
    )
