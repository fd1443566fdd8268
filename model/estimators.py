"""scikit-learn estimators over the training and the predictions of this package.

This module alone imports scikit-learn, so `import model` loads it on the first use of its names.
What the estimators refuse is a ValueError or a TypeError, as scikit-learn's users expect.

Shapes: B rows, D features, T targets, K classes.
"""

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from numbers import Integral
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils import check_consistent_length, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from model.artifact import Card, sealed
from model.calibration import NoiseKind
from model.data import (
    Split,
    Table,
    clean,
    read_table,
    share_rare_classes,
    split_rows,
    texts_of,
)
from model.errors import ModelError
from model.options import PredictOptions
from model.passes import ActivationName
from model.predictions import Predictions
from model.predictor import Predictor
from model.tasks import Columns
from model.training import TrainOptions, trained

FRACTIONS = (0.65, 0.15, 0.2, 0.0)  # training, validation, calibration; test rows are the caller's
LEAST_ROWS = 5  # so that training and validation have a row
NO_PROMISE = "too few rows calibrated this model: its intervals promise no coverage"


class _MCDropout(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """The parameters and methods that both estimators have."""

    predictor_: Predictor
    _seed: int  # of the split, the training and the passes

    def __init__(
        self,
        *,
        members: int = 5,
        number_encoding: Literal["auto", "raw", "piecewise", "mixed"] = "auto",
        hidden: int | Sequence[int] | None = None,
        dropout: float | Sequence[float] | Literal["search", "learn"] | None = None,
        input_dropout: float = 0.0,
        input_noise: float = 0.0,
        activation: ActivationName = "relu",
        noise: NoiseKind = "heteroscedastic",
        epochs: int | None = None,
        patience: int | None = None,
        batch: int = 64,
        learning_rate: float = 3e-3,
        weight_decay: float | None = None,
        refit: bool = True,
        passes: int | None = None,
        missing: str = "error",
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
        self.members = members
        self.number_encoding = number_encoding
        self.hidden = hidden
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.input_noise = input_noise
        self.activation = activation
        self.noise = noise
        self.epochs = epochs
        self.patience = patience
        self.batch = batch
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.refit = refit
        self.passes = passes
        self.missing = missing
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator."""
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = self.missing == "impute"
        tags.input_tags.string = True
        return tags

    def predictions(self, X: Any, **options: Any) -> Predictions:
        """The whole answer for rows [B, D]; `options` are those of `PredictOptions`."""
        check_is_fitted(self)
        X = self._checked(X, reset=False)
        asked = {"passes": self.passes, "seed": self._seed, **options}
        with _value_errors():
            plain = {name: _plain(value) for name, value in asked.items()}
            return self.predictor_.predict(self._features(X), PredictOptions(**plain))

    def uncertainty(self, X: Any) -> dict[str, np.ndarray]:
        """The fields of the predictions of rows [B, D] by name, without the regions.

        A field has an array [B], or [B, T] or [B, K] for several targets or for the classes in the
        order of `classes_`. docs/answer.md explains each field.
        """
        rows: Columns[Any] = self.predictions(X).rows
        columns = {n: c for n, c in rows.columns.items() if not isinstance(c, Columns)}
        return {name: self._field(name, column) for name, column in columns.items()}

    def save(self, folder: str | Path) -> Card:
        """The card of the model, saved in a folder for `model.load` and `python -m app --model`.

        The model has the name of the folder. Raises ValueError for a folder that holds something
        else, or for a name that does not fit into a URL.
        """
        check_is_fitted(self)
        folder = Path(folder).absolute()
        with _value_errors():
            return self.predictor_.save(folder, name=folder.name)

    def _train(self, X: Any, targets: dict[str, np.ndarray], task: str) -> None:
        """Train on the rows of a table and their targets, by name; no rows are for tests."""
        with _value_errors():
            options = self._options()
            features = read_table(X, keep=[*map(clean, getattr(self, "feature_names_in_", ()))])
            artifact = trained(
                _joined(features, targets),
                list(targets),
                name="model",
                task=task,
                missing=self.missing,
                keep=list(features.columns),
                options=options,
                split=self._split(targets, options.seed),
            )
            self.predictor_, self._seed = Predictor(*sealed(artifact)), options.seed

    def _options(self) -> TrainOptions:
        """The options of the training; raises InputError."""
        names = [field.name for field in fields(TrainOptions) if field.name != "seed"]
        given = {name: _plain(getattr(self, name)) for name in names}
        for name in ("hidden", "dropout"):
            if isinstance(given[name], int | float):
                given[name] = (given[name],)
        if isinstance(self.random_state, Integral):
            return TrainOptions(**given, seed=int(self.random_state))
        return TrainOptions(**given, seed=int(check_random_state(self.random_state).randint(2**31)))

    def _checked(self, X: Any, *, reset: bool = True) -> Any:
        """Rows [B, D] as a table: a frame itself, or the columns of an array by name.

        Raises ValueError and TypeError.
        """
        if hasattr(X, "columns"):
            validate_data(self, X, reset=reset, skip_check_array=True)
            if hasattr(self, "feature_names_in_"):
                return X
        finite = True if self.missing == "error" else "allow-nan"
        checks = {
            "dtype": None,
            "ensure_all_finite": finite,
            "ensure_min_samples": 2 if reset else 1,
        }
        X = validate_data(self, X, reset=reset, **checks)
        known = [clean(name) for name in getattr(self, "feature_names_in_", [""] * X.shape[1])]
        names = [name or f"x{at}" for at, name in enumerate(known)]
        return dict(zip(names, X.T, strict=True))

    def _features(self, X: Any) -> dict[str, Any]:
        """The columns of a table that are features: training leaves constant columns out."""
        known = {feature.name for feature in self.predictor_.card.features}
        names = X if isinstance(X, dict) else self.feature_names_in_
        return {name: X[name] for name in names if clean(name) in known}

    def _target_names(self, y: Any, count: int) -> list[str]:
        """A name for each target: that of a series, or those of a frame, else y, or y0, y1, ..."""
        own = getattr(y, "columns", None) if count > 1 else [getattr(y, "name", None)]
        known = [clean(name) for name in getattr(self, "feature_names_in_", ())]
        names = [clean(name) for name in ([] if own is None else own) if isinstance(name, str)]
        if len(names) == count == len({*names, *known, ""}) - len({*known, ""}):
            return names
        names = ["y"] if count == 1 else [f"y{at}" for at in range(count)]
        while {*names} & {*known}:
            names = [f"{name}_" for name in names]
        return names

    def _split(self, targets: dict[str, np.ndarray], seed: int) -> Split:
        raise NotImplementedError

    def _field(self, name: str, column: Any) -> np.ndarray:  # noqa: ARG002
        """The column of a field as an array."""
        if isinstance(column, np.ndarray):
            return self._values(column) if column.ndim == 2 else column
        found = np.empty(len(column), dtype=object)
        found[:] = column
        return found

    def _values(self, column: np.ndarray) -> np.ndarray:
        raise NotImplementedError


class MCDropoutRegressor(RegressorMixin, _MCDropout):  # type: ignore[misc]
    """A multilayer perceptron with dropout that predicts numbers, with their uncertainty.

    The parameters are those of `TrainOptions`, and three more. `random_state` is the seed of the
    split, the training and the passes; with None each fit has another one. `passes` is the number
    of passes of a prediction, None for as many as the calibration found to be enough. A missing
    cell is an error, or with `missing` "impute" it becomes the median or the most frequent text.

    `fit` trains as `model.train` does, on 65 % of the rows; 15 % validate, 20 % calibrate the
    intervals. With `refit` the weights then learn from the validation rows too. There are no test
    rows, because `cross_val_score` and the like have their own. Rows are arrays of numbers, arrays
    of objects, or frames, whose columns keep their names; texts are categories. `y` may be [B, T].

    `predictor_` is the fitted `Predictor`, whose card has the notices of the training.
    """

    _flat: bool  # whether y had one axis

    def fit(self, X: Any, y: Any, **refused: Any) -> Self:
        """Train on rows [B, D] and targets [B] or [B, T]."""
        _refuse(refused)
        target = validate_data(self, "no_validation", y, multi_output=True, y_numeric=True)
        check_consistent_length(X, target)
        table = self._checked(X)
        self._flat = target.ndim == 1
        target = target.astype(np.float64).reshape(len(target), -1)
        names = self._target_names(y, target.shape[1])
        self._train(table, dict(zip(names, target.T, strict=True)), "regression")
        return self

    def predict(self, X: Any, return_std: bool = False) -> Any:
        """The means of rows [B, D], shaped as `y` was; with `return_std` their stds too.

        The std is that of the target around the mean, as a Gaussian process with a noise kernel has
        it: the root of `total_variance`, which is the spread of the passes and the noise together.
        `uncertainty` has the parts.
        """
        columns = self.predictions(X).rows.columns
        mean = self._values(columns["mean"])
        if not return_std:
            return mean
        return mean, np.sqrt(self._values(columns["total_variance"]))

    def predict_interval(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Lower and upper ends [B, 2], or [B, T, 2], that hold the target with that probability.

        Raises ValueError if too few rows calibrated the model for this coverage. Warns if it has no
        calibration at all: then the intervals promise no coverage.
        """
        rows = self.predictions(X, coverage=coverage).rows
        if self.predictor_.card.calibration is None:
            warnings.warn(NO_PROMISE, UserWarning, stacklevel=2)
        ends = rows.columns["interval"].columns
        return np.stack([self._values(ends[name]) for name in ("lower", "upper")], axis=-1)

    def __sklearn_tags__(self) -> Any:
        """What scikit-learn asks of an estimator."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def _split(self, targets: dict[str, np.ndarray], seed: int) -> Split:
        rows = len(next(iter(targets.values())))
        return split_rows(rows, seed, fractions=FRACTIONS, least=LEAST_ROWS)

    def _values(self, column: np.ndarray) -> np.ndarray:
        return column[:, 0] if self._flat else column


class MCDropoutClassifier(ClassifierMixin, _MCDropout):  # type: ignore[misc]
    """A multilayer perceptron with dropout that predicts classes, with their uncertainty.

    Its parameters and rows are those of `MCDropoutRegressor`; `noise` has no effect. The split
    gives every part its share of each class. `classes_` has the classes in ascending order.
    """

    classes_: np.ndarray
    _order: np.ndarray  # the positions of `classes_` among the classes of the card

    def fit(self, X: Any, y: Any, **refused: Any) -> Self:
        """Train on rows [B, D] and their classes [B]: texts, whole numbers or truth values."""
        _refuse(refused)
        target = validate_data(self, "no_validation", y)
        check_consistent_length(X, target)
        table = self._checked(X)
        check_classification_targets(target)
        self.classes_, indices = np.unique(target, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"y has one class, {self.classes_[0]!r}; a classifier needs two")
        names = texts_of(self.classes_.tolist())
        (name,) = self._target_names(y, 1)
        self._train(table, {name: names[indices]}, "classification")
        known = self.predictor_.card.target_of_rows.classes
        self._order = np.array([known.index(name) for name in names])
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The class [B] of the largest mean probability of each row."""
        probabilities = self.predict_proba(X)  # raises NotFittedError before `classes_` is read
        return np.asarray(self.classes_[probabilities.argmax(1)])

    def predict_proba(self, X: Any) -> np.ndarray:
        """The mean probabilities [B, K] over the passes, in the order of `classes_`."""
        mean = self._values(self.predictions(X).rows.columns["mean"])
        return np.asarray(mean / mean.sum(1, keepdims=True))  # float32 adds up to 1 almost

    def predict_set(self, X: Any, coverage: float = 0.9) -> np.ndarray:
        """Which classes [B, K], bool, make the set that holds the true one with that probability.

        Raises ValueError if too few rows calibrated the model for this coverage.
        """
        rows = self.predictions(X, coverage=coverage).rows
        if "label_set" not in rows.columns:
            raise ValueError("too few rows calibrated this model: it has no label sets")
        chosen = rows.columns["label_set"].columns["labels"]  # [B, K] indices, -1 is none
        return np.asarray((chosen[:, :, None] == self._order).any(1))

    def _split(self, targets: dict[str, np.ndarray], seed: int) -> Split:
        (column,) = targets.values()
        strata = np.unique(column.astype(str), return_inverse=True)[1]
        rows = len(strata)
        split = split_rows(rows, seed, strata=strata, fractions=FRACTIONS, least=LEAST_ROWS)
        return share_rare_classes(split, strata, seed)

    def _field(self, name: str, column: Any) -> np.ndarray:
        if name == "label":
            return np.asarray(self.classes_[self._order.argsort()[column]])
        return super()._field(name, column)

    def _values(self, column: np.ndarray) -> np.ndarray:
        return column[:, self._order]


def _refuse(arguments: dict[str, Any]) -> None:
    """Raise TypeError for arguments of `fit` that the training does not have."""
    if "sample_weight" in arguments:
        raise TypeError("sample_weight is not supported: every row has the same weight in training")
    if arguments:
        raise TypeError(f"fit has no argument {next(iter(arguments))!r}")


def _plain(value: Any) -> Any:
    """A parameter without numpy: a number of Python, and a tuple for a sequence."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple | np.ndarray):
        return tuple(map(_plain, value))
    return value


def _joined(features: Table, targets: dict[str, np.ndarray]) -> Table:
    """The table with the targets as its last columns, and a hash of all."""
    content = hashlib.sha256(features.sha256.encode())
    for name, column in targets.items():
        content.update(repr((name, column.tolist())).encode())
    return replace(features, columns=features.columns | targets, sha256=content.hexdigest())


@contextmanager
def _value_errors() -> Iterator[None]:
    """Raise what `model` refuses as a ValueError, which scikit-learn's tools handle."""
    try:
        yield
    except ModelError as error:
        raise ValueError(str(error)) from error
