"""Simple models beside the network: what their predictions are worth on the same rows.

The mean, or the share of each class, takes no feature. The linear model is a ridge regression, the
logistic model a multinomial one, both with a penalty of half the squared weights beside a sum of
losses over rows (standardised inputs). Boosted trees are scikit-learn's HistGradientBoosting with
its defaults, where it is installed. Large tables are bounded: each takes a random part of the rows.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from model.data import Target

MOST_ROWS = 20_000  # of a baseline's training
MOST_CELLS = 4_000_000  # rows x inputs of a linear model
TREE_CELLS = 1_000_000  # rows x inputs x classes or targets of boosted trees
TREES, LEAST_TREES = 100, 20  # iterations; where there is time for fewer, there are no trees
MOST_HISTOGRAMS = 50_000  # iterations x inputs x classes or targets
LEAST_TREE_ROWS = 40  # with fewer, no tree has two leaves of 20 rows
STEPS = 100  # of the logistic model
LARGEST = 1e150  # prediction, in its own unit and in stds of the target: a float holds its square

Fit = Callable[[Target, np.ndarray, np.ndarray, np.ndarray], np.ndarray | None]


@np.errstate(over="ignore", invalid="ignore")  # what is not finite is left out
def baselines(
    target: Target, x: np.ndarray, y: np.ndarray, new: np.ndarray
) -> dict[str, np.ndarray]:
    """What each baseline, fitted on encoded rows x [B, D] and y, predicts for the rows `new`.

    By name: targets [n, T] in their own units, or probabilities [n, K]. One that cannot be fitted
    is left out, and one whose squared errors no float holds.
    """
    kinds: dict[str, Fit] = (
        {"base rates": _rates, "logistic model": _logistic, "boosted trees": _boosted_classes}
        if target.classes
        else {"mean": _mean, "linear model": _linear, "boosted trees": _boosted_targets}
    )
    found = {name: fit(target, x, y, new) for name, fit in kinds.items()}
    return {
        name: each for name, each in found.items() if each is not None and _has_errors(target, each)
    }


def _has_errors(target: Target, predictions: np.ndarray) -> bool:
    """Whether errors of these predictions, and the sum of their squares, are finite."""
    units = np.ones(1) if target.classes else np.minimum(target.stds, 1.0)
    return bool(np.isfinite(predictions).all() and (np.abs(predictions) < LARGEST * units).all())


def _mean(target: Target, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    del x
    return np.tile(target.decoded(y).mean(0), (len(new), 1))


def _rates(target: Target, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """The share of each class, as if each had one row more: no probability is 0."""
    del x
    counts = 1 + np.bincount(y, minlength=len(target.classes))
    return np.tile(counts / counts.sum(), (len(new), 1))


def _linear(target: Target, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A ridge regression of the targets as the network learns them.

    A target that is learned by its logarithm is the exponential times the mean of the residuals'
    exponentials: Duan 1983, "Smearing estimate".
    """
    x, y = (part.astype(np.float64) for part in _part(x, y, MOST_CELLS))
    centre, level = x.mean(0), y.mean(0)
    x = x - centre
    if x.shape[1] <= len(x):
        weights = np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ (y - level))
    else:
        weights = x.T @ np.linalg.solve(x @ x.T + np.eye(len(x)), y - level)
    fitted, found = x @ weights + level, (new - centre) @ weights + level
    left = np.where(target.by_log, (y - fitted) * np.array(target.scales), 0.0)
    return np.asarray(target.decoded(found) * np.exp(left).mean(0))


def _logistic(target: Target, x: np.ndarray, y: np.ndarray, new: np.ndarray) -> np.ndarray:
    """A multinomial logistic regression, by L-BFGS."""
    x, y = _part(x, y, MOST_CELLS)
    inputs, classes = torch.from_numpy(x).double(), torch.from_numpy(y)
    weights = torch.zeros(x.shape[1] + 1, len(target.classes), dtype=torch.float64)
    weights.requires_grad_()
    optimizer = torch.optim.LBFGS([weights], max_iter=STEPS, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        logits = inputs @ weights[1:] + weights[0]
        each = torch.nn.functional.cross_entropy(logits, classes)
        value = each + weights[1:].square().sum() / (2 * len(x))
        torch.autograd.backward(value)
        return value

    with torch.inference_mode(False), torch.enable_grad():
        optimizer.step(loss)  # type: ignore[no-untyped-call]
    logits = torch.from_numpy(new).double() @ weights.detach()[1:] + weights.detach()[0]
    return np.asarray(logits.softmax(-1).numpy())


def _boosted_targets(
    target: Target, x: np.ndarray, y: np.ndarray, new: np.ndarray
) -> np.ndarray | None:
    with _boosting() as learners:
        trees = _trees(x, y.shape[1])
        if not learners or not trees:
            return None
        x, y = _part(x, target.decoded(y), TREE_CELLS // y.shape[1])
        make = learners[0]
        columns = [
            make(max_iter=trees, early_stopping=False, random_state=0).fit(x, y[:, at]).predict(new)
            for at in range(y.shape[1])
        ]
    return np.stack(columns, axis=1)


def _boosted_classes(
    target: Target, x: np.ndarray, y: np.ndarray, new: np.ndarray
) -> np.ndarray | None:
    with _boosting() as learners:
        count = len(target.classes)
        trees = _trees(x, count)
        x, y = _part(x, y, TREE_CELLS // count)
        if not learners or not trees or len(np.unique(y)) < 2:
            return None
        fitted = learners[1](max_iter=trees, early_stopping=False, random_state=0).fit(x, y)
        found = np.zeros((len(new), count))
        found[:, fitted.classes_] = fitted.predict_proba(new)
    return found


def _trees(x: np.ndarray, outputs: int) -> int:
    """The iterations for so many classes or targets; 0 where trees would take too long."""
    trees = min(TREES, MOST_HISTOGRAMS // (x.shape[1] * outputs))
    return trees if trees >= LEAST_TREES and len(x) >= LEAST_TREE_ROWS else 0


@contextmanager
def _boosting() -> Iterator[tuple[Any, Any] | None]:
    """scikit-learn's learners of boosted trees, for targets and for classes; None without it.

    They take one thread: on a shared machine, many threads may take a hundred times as long.
    """
    try:
        from sklearn.ensemble import (
            HistGradientBoostingClassifier,
            HistGradientBoostingRegressor,
        )
        from threadpoolctl import threadpool_limits
    except ImportError:
        yield None
        return
    with threadpool_limits(1):
        yield HistGradientBoostingRegressor, HistGradientBoostingClassifier


def _part(x: np.ndarray, y: np.ndarray, cells: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows, or a random part of them if they are too many."""
    most = max(1, min(MOST_ROWS, cells // x.shape[1]))
    if len(x) <= most:
        return x, y
    kept = np.sort(np.random.default_rng(0).choice(len(x), most, replace=False))
    return x[kept], y[kept]
