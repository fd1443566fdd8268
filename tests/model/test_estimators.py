"""The estimators as users of scikit-learn meet them."""

import io
import pickle
import warnings
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import estimator_checks_generator

import model
from model import MCDropoutClassifier, MCDropoutRegressor
from model.data import split_rows
from tests.conftest import house_columns

QUICK: dict[str, Any] = {
    "members": 1,
    "number_encoding": "raw",
    "hidden": (32,),
    "dropout": 0.1,
    "epochs": 60,
    "weight_decay": 1e-3,
    "passes": 20,
}
FAST = QUICK | {"epochs": 5, "random_state": 0}
HOUSES = {name: cells for name, cells in house_columns(0).items() if name != "rent"}
INPUTS = {name: HOUSES[name] for name in ("area", "rooms", "quarter")}
SOLD = {name: house_columns(1)[name] for name in INPUTS}
FRAMES: dict[str, Callable[[Any], Any]] = {
    "pandas": pd.DataFrame,
    "polars": pl.DataFrame,
    "pyarrow": pa.table,
}
X = np.random.default_rng(0).normal(size=(200, 3))
Y = X[:, 0] - 2 * X[:, 1] + 0.3 * np.random.default_rng(1).normal(size=200)


@pytest.fixture(scope="module")
def regressor() -> MCDropoutRegressor:
    return MCDropoutRegressor(**FAST | {"epochs": 60}).fit(X, Y)


@pytest.fixture(scope="module")
def classifier() -> MCDropoutClassifier:
    """Of three classes whose order as numbers is not their order as texts."""
    return MCDropoutClassifier(**FAST | {"epochs": 60}).fit(X, classes())


def classes() -> np.ndarray:
    return np.array([9, 10, 100])[np.digitize(Y, [-1, 1])]


EXCLUDED = {
    "check_array_api_input": "other array types than numpy's run only with SCIPY_ARRAY_API set",
}


@pytest.mark.parametrize(
    ("estimator", "check"),
    [
        pytest.param(estimator, check, id=f"{type(estimator).__name__}-{check.func.__name__}")
        for each in (MCDropoutRegressor(**QUICK), MCDropoutClassifier(**QUICK))
        for estimator, check in estimator_checks_generator(each)
        if check.func.__name__ not in EXCLUDED
    ],
)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_scikit_learn_finds_nothing_wrong(estimator: Any, check: Callable[[Any], None]) -> None:
    check(estimator)


@pytest.mark.parametrize("kind", [MCDropoutRegressor, MCDropoutClassifier])
def test_the_parameters_are_the_options_of_training_and_three_more(kind: Any) -> None:
    options = {field.name: field.default for field in fields(model.TrainOptions)}
    del options["seed"]
    more = {"passes": None, "missing": "error", "random_state": None}
    assert kind().get_params() == options | more


def test_the_std_is_the_noise_and_the_spread_of_the_passes_together(
    regressor: MCDropoutRegressor,
) -> None:
    mean, std = regressor.predict(X, return_std=True)
    parts = regressor.uncertainty(X)
    assert np.array_equal(mean, parts["mean"])
    assert mean.shape == std.shape == (200,)
    np.testing.assert_allclose(std**2, parts["total_variance"])
    assert (std > np.sqrt(parts["noise_variance"])).all()
    assert set(parts) >= {"variance", "noise_variance", "mean_error", "deterministic", "warnings"}
    assert {len(column) for column in parts.values()} == {200}


def test_intervals_hold_about_their_share_of_fresh_rows(regressor: MCDropoutRegressor) -> None:
    random = np.random.default_rng(2)
    fresh = random.normal(size=(2000, 3))
    y = fresh[:, 0] - 2 * fresh[:, 1] + 0.3 * random.normal(size=2000)
    lower, upper = regressor.predict_interval(fresh, coverage=0.9).T
    assert 0.82 < ((lower <= y) & (y <= upper)).mean() < 0.99
    narrow = regressor.predict_interval(fresh, coverage=0.5)
    assert (np.diff(narrow) < (upper - lower)[:, None]).all()


def test_a_coverage_that_needs_more_calibration_rows_is_a_value_error(
    regressor: MCDropoutRegressor, classifier: MCDropoutClassifier
) -> None:
    for ask in (regressor.predict_interval, classifier.predict_set):
        with pytest.raises(ValueError, match=r"coverage of 0.99 needs 99 calibration rows"):
            ask(X, coverage=0.99)


def test_a_model_of_few_rows_says_that_it_promises_nothing() -> None:
    few = MCDropoutRegressor(**FAST).fit(X[:20], Y[:20])
    with pytest.warns(UserWarning, match="promise no coverage"):
        assert few.predict_interval(X[:3]).shape == (3, 2)
    few = MCDropoutClassifier(**FAST).fit(X[:20], Y[:20] > 0)
    with pytest.raises(ValueError, match="no label sets"):
        few.predict_set(X[:3])
    with pytest.raises(ValueError, match="3 rows are too few to train on; at least 5"):
        MCDropoutRegressor().fit(X[:3], Y[:3])


def test_probabilities_sets_and_labels_are_in_the_order_of_the_classes(
    classifier: MCDropoutClassifier,
) -> None:
    assert classifier.classes_.tolist() == [9, 10, 100]
    assert classifier.predictor_.card.target_of_rows.classes == ("10", "100", "9")
    probabilities, labels = classifier.predict_proba(X), classifier.predict(X)
    assert classifier.score(X, classes()) > 0.8
    assert np.array_equal(labels, classifier.classes_[probabilities.argmax(1)])
    parts = classifier.uncertainty(X)
    assert np.array_equal(parts["label"], labels)
    np.testing.assert_allclose(parts["mean"], probabilities, atol=1e-6)
    chosen = classifier.predict_set(X, coverage=0.9)
    assert chosen.shape == (200, 3)
    assert chosen[np.arange(200), probabilities.argmax(1)].all()
    assert chosen[np.arange(200), np.searchsorted(classifier.classes_, classes())].mean() > 0.85
    assert (classifier.predict_set(X, coverage=0.95).sum(1) >= chosen.sum(1)).all()


@pytest.mark.parametrize(
    "labels", [("yes", "no"), (True, False), (1.0, 2.0), ("NA", "None")], ids=str
)
def test_classes_keep_their_type(labels: tuple[Any, Any]) -> None:
    y = np.where(Y > 0, *labels)
    fitted = MCDropoutClassifier(**FAST).fit(X, y)
    assert fitted.classes_.dtype == y.dtype
    assert set(fitted.predict(X)) <= set(labels)


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_frames_go_by_the_names_of_their_columns_and_texts_are_categories(
    frame: Callable[[Any], Any],
) -> None:
    fitted = MCDropoutRegressor(**FAST).fit(frame(INPUTS), HOUSES["price"])
    assert fitted.feature_names_in_.tolist() == list(INPUTS)
    card = fitted.predictor_.card
    assert [(f.name, f.kind) for f in card.features] == [
        ("area", "numeric"),
        ("rooms", "numeric"),
        ("quarter", "categorical"),
    ]
    records = [dict(zip(SOLD, row, strict=True)) for row in zip(*SOLD.values(), strict=True)]
    options = model.PredictOptions(passes=20, seed=0)
    expected = fitted.predictor_.predict(records, options).rows.columns["mean"][:, 0]
    np.testing.assert_allclose(fitted.predict(frame(SOLD)), expected, rtol=1e-5)
    turned = frame(dict(reversed(SOLD.items())))
    with pytest.raises(ValueError, match="same order"):
        fitted.predict(turned)


def test_a_frame_and_an_array_of_objects_with_the_same_cells_give_the_same_model() -> None:
    frame = pd.DataFrame(INPUTS)
    by_frame = MCDropoutRegressor(**FAST).fit(frame, HOUSES["price"])
    by_array = MCDropoutRegressor(**FAST).fit(frame.to_numpy(), HOUSES["price"])
    assert [f.name for f in by_array.predictor_.card.features] == ["x0", "x1", "x2"]
    again = by_array.predict(pd.DataFrame(SOLD).to_numpy())
    assert np.array_equal(by_frame.predict(pd.DataFrame(SOLD)), again)


def test_the_target_has_the_name_of_its_series() -> None:
    frame = pd.DataFrame(HOUSES)
    named = MCDropoutRegressor(**FAST).fit(frame[["area", "rooms"]], frame["price"])
    assert named.predictor_.card.target.names == ("price",)
    both = MCDropoutRegressor(**FAST).fit(frame[["area"]], frame[["price", "rooms"]])
    assert both.predictor_.card.target.names == ("price", "rooms")
    unnamed = MCDropoutRegressor(**FAST).fit(pd.DataFrame({"y": X[:, 0], "z": X[:, 1]}), Y)
    assert unnamed.predictor_.card.target.names == ("y_",)


def test_a_column_that_numbers_the_rows_is_learned_from() -> None:
    frame = pd.DataFrame({"id": np.arange(200), "area": X[:, 0]})
    fitted = MCDropoutRegressor(**FAST).fit(frame, Y)
    assert [feature.name for feature in fitted.predictor_.card.features] == ["id", "area"]
    assert fitted.predict(frame).shape == (200,)


@pytest.mark.parametrize("kind", ["array", "pandas nullable", *FRAMES])
def test_a_constant_column_is_dropped_and_may_vary_later(kind: str) -> None:
    def table(last: float) -> Any:
        columns = {name: X[:, at] for at, name in enumerate("abc")} | {"d": np.full(200, last)}
        if kind == "array":
            return np.column_stack(list(columns.values()))
        if kind == "pandas nullable":
            return pd.DataFrame(columns).convert_dtypes()
        return FRAMES[kind](columns)

    fitted = MCDropoutRegressor(**FAST).fit(table(1.0), Y)
    assert np.array_equal(fitted.predict(table(1.0)), fitted.predict(table(0.0)))


@pytest.mark.parametrize("kind", ["array", "frame"])
def test_missing_values_are_refused_or_filled_in(kind: str) -> None:
    gaps = X.copy()
    gaps[5, 1] = np.nan
    rows = gaps if kind == "array" else pd.DataFrame(gaps, columns=["a", "b", "c"])
    with pytest.raises(ValueError, match=r"NaN|missing"):
        MCDropoutRegressor(**FAST).fit(rows, Y)
    fitted = MCDropoutRegressor(**FAST, missing="impute").fit(rows, Y)
    assert np.isfinite(fitted.predict(rows)).all()


def test_several_targets_have_an_axis_of_their_own() -> None:
    both = np.column_stack([Y, -Y])
    fitted = MCDropoutRegressor(**FAST | {"epochs": 60}).fit(X, both)
    mean, std = fitted.predict(X, return_std=True)
    assert mean.shape == std.shape == fitted.uncertainty(X)["variance"].shape == (200, 2)
    assert fitted.predict_interval(X).shape == (200, 2, 2)
    assert fitted.score(X, both) > 0.8


def test_a_random_state_gives_the_same_numbers_again() -> None:
    first, again, other = (
        MCDropoutRegressor(**FAST | {"random_state": seed}).fit(X, Y).predict(X, return_std=True)
        for seed in (3, 3, 4)
    )
    np.testing.assert_array_equal(first, again)
    assert (first[0] != other[0]).any()
    state = np.random.RandomState(0)
    drawn = [MCDropoutRegressor(**FAST | {"random_state": state}).fit(X, Y) for _ in range(2)]
    assert (drawn[0].predict(X) != drawn[1].predict(X)).any()


def test_fitting_leaves_the_global_random_state_alone() -> None:
    np.random.seed(0)
    before = np.random.get_state()[1].copy()  # type: ignore[index, union-attr]
    MCDropoutRegressor(**FAST).fit(X, Y).predict(X)
    assert np.array_equal(before, np.random.get_state()[1])  # type: ignore[index]


def test_the_card_is_that_of_train_with_the_same_rows_in_each_part(tmp_path: Path) -> None:
    frame = pd.DataFrame(HOUSES)
    fitted = MCDropoutRegressor(**FAST | {"random_state": 7}).fit(frame[[*INPUTS]], frame["price"])
    card = fitted.predictor_.card
    assert card.training.rows == {"train": 130, "validation": 30, "calibration": 40, "test": 0}
    columns = {name: HOUSES[name] for name in (*INPUTS, "price")}
    split = split_rows(200, 7, fractions=(0.65, 0.15, 0.2, 0.0))
    options = model.TrainOptions(
        members=1,
        number_encoding="raw",
        hidden=(32,),
        dropout=(0.1,),
        epochs=5,
        weight_decay=1e-3,
        seed=7,
    )
    table = model.read_table(columns)
    same = model.train(table, "price", tmp_path / "same", options=options, split=split)
    assert card.weights_sha256 == same.weights_sha256
    assert card.calibration.scores == same.calibration.scores
    assert card.training.settings == same.training.settings


def test_a_saved_model_predicts_the_same(
    tmp_path: Path, regressor: MCDropoutRegressor, classifier: MCDropoutClassifier
) -> None:
    card = regressor.save(tmp_path / "mine")
    assert (card.name, card.version) == ("mine", model.load(tmp_path / "mine").card.version)
    options = model.PredictOptions(passes=20, seed=0)
    found = model.load(tmp_path / "mine").predict(X, options).rows.columns["mean"][:, 0]
    assert np.array_equal(found, regressor.predict(X))
    classifier.save(tmp_path / "other")
    assert model.load(tmp_path / "other").predict(X[:1], options).task == "multiclass"
    with pytest.raises(ValueError, match="does not fit into a URL"):
        regressor.save(tmp_path / "no name")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(ValueError, match="something that is not a model"):
        regressor.save(tmp_path / "full")


def test_a_pickled_estimator_predicts_the_same(
    tmp_path: Path, regressor: MCDropoutRegressor, classifier: MCDropoutClassifier
) -> None:
    joblib.dump(regressor, tmp_path / "regressor.joblib")
    again = joblib.load(tmp_path / "regressor.joblib")
    assert np.array_equal(again.predict_interval(X), regressor.predict_interval(X))
    copied = pickle.load(io.BytesIO(pickle.dumps(classifier)))
    assert np.array_equal(copied.predict_proba(X), classifier.predict_proba(X))
    assert copied.predictor_.card == classifier.predictor_.card


def test_estimators_work_in_pipelines_searches_and_cross_validation() -> None:
    pipeline = make_pipeline(StandardScaler(), MCDropoutRegressor(**FAST | {"epochs": 60}))
    assert cross_val_score(pipeline, X, Y, cv=3).min() > 0.7
    mean, std = pipeline.fit(X, Y).predict(X, return_std=True)
    assert mean.shape == std.shape
    grid = {
        "dropout": [np.float64(0.1), 0.5],
        "epochs": np.array([2, 40]),
        "hidden": [16, [16, 16]],
    }
    search = GridSearchCV(MCDropoutClassifier(**FAST), grid, cv=2).fit(X, Y > 0)
    assert search.best_params_["epochs"] == 40
    assert search.score(X, Y > 0) > 0.8


def test_passes_may_change_after_the_fit(regressor: MCDropoutRegressor) -> None:
    wide = MCDropoutRegressor(**FAST | {"hidden": (16, 16)}).fit(X, Y)
    assert set(wide.uncertainty(X)["passes"]) == {20}
    assert set(wide.set_params(passes=50).uncertainty(X)["passes"]) == {50}
    assert clone(regressor).get_params() == regressor.get_params()


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        ({"epochs": 0}, "epochs: at least 1, not 0"),
        ({"dropout": 1.5}, "dropout"),
        ({"missing": "zero"}, "missing: "),
        ({"random_state": -1}, "seed: "),
    ],
)
def test_a_parameter_out_of_its_domain_is_a_value_error_of_fit(
    refused: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        MCDropoutRegressor(**FAST | refused).fit(X, Y)


def test_what_the_training_cannot_do_is_refused_by_name() -> None:
    with pytest.raises(TypeError, match="sample_weight is not supported: every row has the same"):
        MCDropoutRegressor(**FAST).fit(X, Y, sample_weight=np.ones(200))
    with pytest.raises(ValueError, match="y has one class"):
        MCDropoutClassifier(**FAST).fit(X, np.ones(200))
    fitted = MCDropoutRegressor(**FAST).fit(pd.DataFrame(INPUTS), HOUSES["price"])
    with pytest.raises(ValueError, match="unknown category 'west'"):
        fitted.predict(pd.DataFrame(SOLD).replace("east", "west"))


@pytest.mark.parametrize("method", ["predict_interval", "uncertainty", "save"])
def test_an_estimator_must_be_fitted_first(method: str) -> None:
    with pytest.raises(NotFittedError):
        getattr(MCDropoutRegressor(), method)(X)


def test_an_unknown_name_of_model_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'model' has no attribute 'MCDropout'"):
        model.MCDropout  # type: ignore[attr-defined]  # noqa: B018
    with warnings.catch_warnings():
        assert model.MCDropoutRegressor is MCDropoutRegressor
