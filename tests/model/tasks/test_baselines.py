"""Baselines beside the network: right answers where they are known, and words that follow."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, Ridge

from model.data import Target
from model.tasks import Comparison, baselines, compared, comparison_in_words, point_figures
from model.tasks.comparison import regression_figures

RANDOM = np.random.default_rng(3)
X, NEW = RANDOM.normal(size=(300, 4)).astype(np.float32), RANDOM.normal(size=(50, 4))
NEW = NEW.astype(np.float32)
TWO = Target(("a", "b"), (), (5.0, -1.0), (2.0, 0.5), (None, None))
KINDS = Target(("kind",), ("x", "y", "z"), (), (), ())
LOGS = Target(("a",), (), (3.0,), (0.5,), (None,), logs=("a",))


def test_a_linear_model_is_ridge_regression() -> None:
    y = X[:, :2] * [1.0, -0.5] + RANDOM.normal(size=(300, 2))
    found = baselines(TWO, X, y, NEW)
    assert list(found) == ["mean", "linear model", "boosted trees"]
    expected = Ridge().fit(X, y).predict(NEW)
    np.testing.assert_allclose(TWO.standardised(found["linear model"]), expected, atol=1e-5)
    np.testing.assert_allclose(found["mean"], np.tile(TWO.decoded(y).mean(0), (50, 1)))


def test_a_logistic_model_is_that_of_scikit_learn() -> None:
    y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0.5)
    found = baselines(KINDS, X, y, NEW)
    assert list(found) == ["base rates", "logistic model", "boosted trees"]
    expected = LogisticRegression(max_iter=500).fit(X, y).predict_proba(NEW)
    np.testing.assert_allclose(found["logistic model"], expected, atol=0.005)
    np.testing.assert_allclose(found["base rates"].sum(1), 1)


def test_logarithms_are_fitted_as_the_network_learns_them() -> None:
    """exp(a x + noise) has the mean exp(a x + variance / 2)."""
    noise = RANDOM.normal(0, 1, (300, 1))
    y = X[:, :1] + noise
    found = baselines(LOGS, X, y, NEW)["linear model"]
    expected = np.exp(3 + 0.5 * NEW[:, :1] + 0.5**2 / 2)
    np.testing.assert_allclose(found, expected, rtol=0.3)


def test_a_baseline_whose_squared_errors_overflow_is_left_out() -> None:
    """A logarithm that a linear model extrapolates: one row would end a whole training."""
    y = 2 * X[:, :1] + RANDOM.normal(0, 0.1, (300, 1))
    far = np.concatenate([np.full((1, 4), 600, np.float32), NEW])
    found = baselines(LOGS, X, y, far)
    assert list(found) == ["mean", "boosted trees"]
    network, actual = np.full((51, 1), 20.0), np.zeros((51, 1))
    for each in found.values():
        assert np.isfinite(list(compared(LOGS, each, network, actual).metrics.values())).all()


def test_r_squared_is_left_out_where_no_float_holds_it() -> None:
    nearly = np.array([[1e-160], [2e-160], [0.0]])
    assert "r2" not in regression_figures(np.ones((3, 1)), nearly)


def test_more_inputs_than_rows_and_wide_tables_are_no_obstacle() -> None:
    x = RANDOM.normal(size=(60, 1500)).astype(np.float32)
    found = baselines(TWO, x, x[:, :2].astype(float), x[:5])
    assert "boosted trees" not in found  # they would take too long
    assert np.isfinite(found["linear model"]).all()


def test_figures_are_in_the_targets_unit_and_r_squared_is_that_of_the_definition() -> None:
    one = Target(("a",), (), (5.0,), (2.0,), (None,))
    y = RANDOM.normal(size=(80, 1))
    off = one.decoded(y) + 1.0
    figures = point_figures(one, off, y)
    assert figures["rmse"] == pytest.approx(1.0)
    assert figures["r2"] == pytest.approx(1 - 1 / np.var(one.decoded(y)))
    assert "r2" not in point_figures(one, off[:1], y[:1])


@pytest.mark.parametrize(
    ("shift", "word"), [(2.0, "better than"), (-2.0, "worse than"), (0.0, "about as good as")]
)
def test_the_word_follows_from_the_difference_and_its_error(shift: float, word: str) -> None:
    one = Target(("a",), (), (0.0,), (1.0,), (None,))
    y = RANDOM.normal(size=(200, 1))
    errors = RANDOM.normal(size=(200, 1))
    network = y + errors + max(0.0, -shift)
    other = y + RANDOM.permutation(errors) + max(0.0, shift)
    assert compared(one, other, network, y).word == word


def test_the_sentence_names_each_baseline_with_its_figure() -> None:
    found = {
        "mean": Comparison({"rmse": 9.0}, 1.0, 0.1),
        "linear model": Comparison({"rmse": 7.0}, 0.0, 0.1),
        "boosted trees": Comparison({"rmse": 6.0}, -1.0, 0.1),
    }
    said = comparison_in_words({"rmse": 7.1, "r2": 0.4}, found, 100)
    assert said == (
        "By RMSE, 7.1 (R^2 0.40), the model is better than the mean (9); about as good as a "
        "linear model (7); worse than boosted trees (6)."
    )
    assert "too few" in comparison_in_words({"rmse": 7.1}, found, 12)
    assert comparison_in_words({"rmse": 7.1}, {}, 100) == ""
