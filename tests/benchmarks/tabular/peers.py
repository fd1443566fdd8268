"""The other methods: how each learns rows, and the few options among which validation rows choose.

A learner gets rows, rows held out or none, and options. It returns what predicts, and the options,
such as a number of steps, that the held-out rows found.

Shapes: B rows, D inputs, K classes, N rows learned from, T trees.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessClassifier, GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, Kernel, Matern, WhiteKernel
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import log_loss, mean_pinball_loss, mean_squared_error
from sklearn.tree import DecisionTreeRegressor

from tests.benchmarks.tabular.measures import COVERAGE, LEVELS, Law
from tests.benchmarks.tabular.sets import Rows

Options = Mapping[str, Any]
TAILS = ((1 - COVERAGE) / 2, (1 + COVERAGE) / 2)
STEPS, PATIENCE = 500, 50  # of boosting: the most, and without a gain before it stops
RATE = 0.05  # of boosting numbers
CLASS_STEPS = 200  # of histogram boosting, at its usual rate of 0.1
LEAST_WIDTH = 0.1  # between two quantiles, of the mean width
UNCERTAIN = "RMSEWithUncertainty"  # CatBoost's loss of a mean and a variance
TREES = 200  # of a forest
GP_ROWS, GP_TUNING_ROWS, GP_CLASS_ROWS = 2_000, 500, 500
NGBOOST_INPUTS = 50  # the most inputs of an NGBoost classifier, which grows K trees a step
BLOCK = 256  # rows whose weights over the rows learned from are held at once


@dataclass(frozen=True)
class Learned:
    """What predicts: laws of a regression's rows, or a classifier's probabilities [B, K]."""

    predict: Callable[[np.ndarray], Any]
    found: Options = field(default_factory=dict)


Loss = Callable[[np.ndarray, np.ndarray], float]
Learn = Callable[[Rows, Rows | None, Options], Learned]


@dataclass(frozen=True)
class Peer:
    """A method: how it learns either task, the options that it tries, and what it needs."""

    regression: Learn | None
    classification: Learn | None
    grid: Sequence[Options]
    class_grid: Sequence[Options] | None = None  # of a classifier, if it is another
    needs: str = "sklearn"
    most_class_inputs: int | None = None

    @property
    def installed(self) -> bool:
        """Whether the package that it needs is at hand."""
        return find_spec(self.needs) is not None

    def learns(self, *, classes: int, inputs: int) -> Learn | None:
        """How it learns a task of so many classes, 0 for a regression; None if it does not."""
        if not classes:
            return self.regression
        few = self.most_class_inputs is None or inputs <= self.most_class_inputs
        return self.classification if few else None

    def tries(self, classes: int) -> Sequence[Options]:
        """The options for a task of so many classes."""
        return self.class_grid if classes and self.class_grid else self.grid


def _ones(mean: np.ndarray) -> Law:
    return Law(np.asarray(mean, dtype=np.float64), np.ones(len(mean)))


def ridge(rows: Rows, held: Rows | None, options: Options) -> Learned:  # noqa: ARG001
    """A linear regression."""
    fitted = Ridge(alpha=options["alpha"]).fit(rows.x, rows.y)
    return Learned(lambda x: _ones(fitted.predict(x)))


def logistic(rows: Rows, held: Rows | None, options: Options) -> Learned:  # noqa: ARG001
    """A logistic regression."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = LogisticRegression(C=1 / options["alpha"], max_iter=500).fit(rows.x, rows.y)
    return Learned(fitted.predict_proba)


def _boosted(machine: Any, rows: Rows, held: Rows | None, loss: Loss, stages: str) -> Any:
    """The machine, fitted with as many steps as are best for held-out rows, if there are any."""
    machine.fit(rows.x, rows.y)
    if held is None:
        return machine
    losses = [loss(held.y, stage) for stage in getattr(machine, stages)(held.x)]
    return machine.set_params(max_iter=1 + int(np.argmin(losses))).fit(rows.x, rows.y)


def _boosted_values(rows: Rows, held: Rows | None, loss: Loss, options: Options) -> Any:
    """Histogram boosting of numbers."""
    usual = {"learning_rate": RATE, "max_iter": STEPS, "early_stopping": False, "random_state": 0}
    machine = HistGradientBoostingRegressor(**(usual | dict(options)))
    return _boosted(machine, rows, held, loss, "staged_predict")


def boosting(rows: Rows, held: Rows | None, options: Options) -> Learned:
    """Histogram boosting of the mean, with one std for all rows."""
    machine = _boosted_values(rows, held, mean_squared_error, options)
    return Learned(lambda x: _ones(machine.predict(x)), {"max_iter": machine.max_iter})


def quantile_boosting(rows: Rows, held: Rows | None, options: Options) -> Learned:
    """Histogram boosting of the mean and of two quantiles, whose distance is the std."""
    given = dict(options)
    steps = given.pop("steps", (STEPS,) * 3)
    middle = _boosted_values(rows, held, mean_squared_error, given | {"max_iter": steps[0]})
    tails = [
        _boosted_values(
            *(rows, held, partial(mean_pinball_loss, alpha=tail)),
            given | {"loss": "quantile", "quantile": tail, "max_iter": most},
        )
        for tail, most in zip(TAILS, steps[1:], strict=True)
    ]

    def predict(x: np.ndarray) -> Law:
        low, high = np.sort([machine.predict(x) for machine in tails], axis=0)
        width = high - low
        std = np.maximum(width, LEAST_WIDTH * width.mean())  # where the quantiles meet
        return Law(middle.predict(x), std, low, high)

    return Learned(predict, {"steps": [machine.max_iter for machine in (middle, *tails)]})


def class_boosting(rows: Rows, held: Rows | None, options: Options) -> Learned:
    """Histogram boosting of the classes."""
    usual = {"max_iter": CLASS_STEPS, "early_stopping": False, "random_state": 0}
    machine = HistGradientBoostingClassifier(**(usual | dict(options)))
    loss = partial(log_loss, labels=np.unique(rows.y))
    _boosted(machine, rows, held, loss, "staged_predict_proba")
    return Learned(machine.predict_proba, {"max_iter": machine.max_iter})


def forest(rows: Rows, held: Rows | None, options: Options) -> Learned:  # noqa: ARG001
    """A quantile regression forest (Meinshausen 2006): the targets, weighted by shared leaves."""
    fitted = RandomForestRegressor(TREES, random_state=0, **options).fit(rows.x, rows.y)
    order = np.argsort(rows.y, kind="stable")
    values, leaves = rows.y[order], fitted.apply(rows.x[order])  # [N], [N, T]
    sizes = np.stack([np.bincount(leaf)[leaf] for leaf in leaves.T], axis=1)  # of its leaf [N, T]

    def predict(x: np.ndarray) -> Law:
        blocks = np.split(x, range(BLOCK, len(x), BLOCK))
        laws = [_weighted(values, leaves, sizes, fitted.apply(block)) for block in blocks]
        joined = [np.concatenate(part, axis=-1) for part in zip(*laws, strict=True)]
        mean, std, quantiles = joined
        low, high = (quantiles[round(tail * 100) - 1] for tail in TAILS)
        return Law(mean, std, low, high, quantiles)

    return Learned(predict)


def _weighted(
    values: np.ndarray, leaves: np.ndarray, sizes: np.ndarray, reached: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means, stds and quantiles of sorted values [N], by the leaves [B, T] that rows reach."""
    weights = np.zeros((len(reached), len(values)))  # [B, N]
    for own, size, leaf in zip(leaves.T, sizes.T, reached.T, strict=True):
        weights += (leaf[:, None] == own) / size
    weights /= leaves.shape[1]
    mean = weights @ values
    std = np.sqrt(np.maximum(weights @ values**2 - mean**2, 0))
    below = np.cumsum(weights, axis=1)
    at = np.stack([np.searchsorted(row, LEVELS - 1e-9) for row in below], axis=1)  # [L, B]
    return mean, std, values[np.minimum(at, len(values) - 1)]


def class_forest(rows: Rows, held: Rows | None, options: Options) -> Learned:  # noqa: ARG001
    """A forest of classes."""
    fitted = RandomForestClassifier(TREES, random_state=0, **options).fit(rows.x, rows.y)
    return Learned(fitted.predict_proba)


KERNELS: dict[str, Callable[[np.ndarray], Kernel]] = {
    "rbf": RBF,
    "matern": partial(Matern, nu=1.5),
}


def process(rows: Rows, held: Rows | None, options: Options) -> Learned:  # noqa: ARG001
    """A Gaussian process with a length for every input, of at most GP_ROWS rows.

    At most GP_TUNING_ROWS of them choose the lengths, by the marginal likelihood.
    """
    kernel = ConstantKernel() * KERNELS[options["kernel"]](np.ones(rows.x.shape[1]))
    few, some = rows.at_most(GP_TUNING_ROWS), rows.at_most(GP_ROWS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        tuned = GaussianProcessRegressor(
            kernel + WhiteKernel(0.1, (1e-8, 10)), normalize_y=True, random_state=0
        ).fit(few.x, few.y)
        fitted = GaussianProcessRegressor(tuned.kernel_, optimizer=None, normalize_y=True)
        fitted.fit(some.x, some.y)
    return Learned(lambda x: Law(*fitted.predict(x, return_std=True)))


def class_process(rows: Rows, held: Rows | None, options: Options) -> Learned:  # noqa: ARG001
    """A Gaussian process of the classes, one against the rest, of at most GP_CLASS_ROWS rows."""
    few = rows.at_most(GP_CLASS_ROWS)
    start = KERNELS[options["kernel"]](np.sqrt(rows.x.shape[1]))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted = GaussianProcessClassifier(ConstantKernel() * start, random_state=0)
        fitted.fit(few.x, few.y)
    classes, known = int(rows.y.max()) + 1, fitted.classes_

    def predict(x: np.ndarray) -> np.ndarray:
        p = np.zeros((len(x), classes))
        p[:, known] = fitted.predict_proba(x)
        return p

    return Learned(predict)


def natural_boosting(
    rows: Rows, held: Rows | None, options: Options, *, classes: bool = False
) -> Learned:
    """NGBoost (Duan et al. 2020): a normal law, or a categorical one."""
    from ngboost import NGBClassifier, NGBRegressor
    from ngboost.distns import k_categorical

    given = {"n_estimators": STEPS, "learning_rate": RATE, "random_state": 0, "verbose": False}
    given |= {name: options[name] for name in options if name in given}
    given["Base"] = DecisionTreeRegressor(max_depth=options["max_depth"])
    if classes:
        machine = NGBClassifier(Dist=k_categorical(int(rows.y.max()) + 1), **given)
    else:
        machine = NGBRegressor(**given)
    if held is None:
        machine.fit(rows.x, rows.y)
    else:
        known = {"X_val": held.x, "Y_val": held.y, "early_stopping_rounds": PATIENCE}
        machine.fit(rows.x, rows.y, **known)
    steps = given["n_estimators"] if held is None else 1 + int(machine.best_val_loss_itr)
    found = {"n_estimators": steps}
    if classes:
        return Learned(partial(machine.predict_proba, max_iter=steps), found)

    def predict(x: np.ndarray) -> Law:
        law = machine.pred_dist(x, max_iter=steps)
        return Law(law.loc, law.scale)

    return Learned(predict, found)


def cat_boosting(rows: Rows, held: Rows | None, options: Options, *, loss: str) -> Learned:
    """CatBoost: the classes, a mean with one std, or a normal law (Malinin et al. 2021)."""
    from catboost import CatBoostClassifier, CatBoostRegressor

    usual = {
        "iterations": 2 * STEPS,
        "loss_function": loss,
        "learning_rate": RATE,
        "random_seed": 0,
        "thread_count": 1,
        "allow_writing_files": False,
        "verbose": False,
    }
    kind = CatBoostClassifier if loss == "MultiClass" else CatBoostRegressor
    machine = kind(**(usual | dict(options)))
    if held is None:
        machine.fit(rows.x, rows.y)
    else:
        known = (held.x, held.y)
        machine.fit(rows.x, rows.y, eval_set=known, early_stopping_rounds=PATIENCE)

    def predict(x: np.ndarray) -> Any:
        if loss == "MultiClass":
            return machine.predict_proba(x)
        if loss == "RMSE":
            return _ones(machine.predict(x))
        said = machine.predict(x, prediction_type=UNCERTAIN)
        return Law(said[:, 0], np.sqrt(said[:, 1]))

    return Learned(predict, {"iterations": machine.tree_count_})


def _each(name: str, *values: Any) -> tuple[Options, ...]:
    return tuple({name: value} for value in values)


LEAVES = tuple(
    {"max_leaf_nodes": leaves, "min_samples_leaf": rows}
    for leaves, rows in ((8, 5), (31, 5), (31, 20))
)
PEERS = {
    "linear": Peer(ridge, logistic, _each("alpha", 0.1, 1, 10, 100)),
    "boosting": Peer(boosting, class_boosting, LEAVES),
    "boosted quantiles": Peer(quantile_boosting, None, LEAVES),
    "forest": Peer(
        *(forest, class_forest),
        tuple({"min_samples_leaf": leaf, "max_features": m} for leaf in (2, 5) for m in (0.4, 1.0)),
        _each("min_samples_leaf", 1, 3),
    ),
    "Gaussian process": Peer(process, class_process, _each("kernel", "rbf", "matern")),
    "NGBoost": Peer(
        *(natural_boosting, partial(natural_boosting, classes=True), _each("max_depth", 3, 5)),
        needs="ngboost",
        most_class_inputs=NGBOOST_INPUTS,
    ),
    "CatBoost": Peer(
        *(partial(cat_boosting, loss="RMSE"), partial(cat_boosting, loss="MultiClass")),
        _each("depth", 4, 6),
        needs="catboost",
    ),
    "CatBoost, variance": Peer(
        *(partial(cat_boosting, loss=UNCERTAIN), None),
        _each("depth", 4, 6),
        needs="catboost",
    ),
}
