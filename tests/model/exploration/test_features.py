"""The std by feature, against all orders of the features over all kept rows."""

import math
from itertools import permutations
from typing import Any

import numpy as np
import pytest

from model import Explanation, Predictor, explain, load, shipped
from tests.model.exploration.networks import SCALE, predictor_of, random_network

ROWS = np.random.default_rng(5).uniform(0, 1, (60, 5)).astype(np.float32)
POINT = (1.4, 0.9, -0.3, 0.5, 0.1)


def by_orders(
    predictor: Predictor, row: tuple[float, ...], kept: np.ndarray, *, passes: int, seed: int
) -> np.ndarray:
    """The shares [J] of the std by definition: all orders, all kept rows, the masks of the seed."""
    features = len(row)
    bits = np.arange(1 << features)[:, None] >> np.arange(features) & 1
    worth = np.zeros(1 << features)
    for other in kept:
        rows = np.where(bits, np.array(row), other).astype(np.float32)
        y = predictor.values(rows, passes=passes, seed=seed)[..., 0] * SCALE
        worth += y.std(0, ddof=1) / len(kept)
    total, orders = np.zeros(features), list(permutations(range(features)))
    for order in orders:
        before = 0
        for feature in order:
            total[feature] += worth[before | 1 << feature] - worth[before]
            before |= 1 << feature
    return total / len(orders)


def shares(found: Explanation) -> np.ndarray:
    assert found.features is not None
    return np.array([each.std.value for each in found.features])


def errors(found: Explanation) -> np.ndarray:
    assert found.features is not None
    return np.array([each.std.error for each in found.features])


def unscaled(found: Explanation, predictor: Predictor, row: tuple[float, ...]) -> np.ndarray:
    """The shares of the std that the same passes have by themselves."""
    x = np.array([row], dtype=np.float32)
    y = predictor.values(x, passes=found.passes, seed=found.seed)[:, 0, 0] * SCALE
    return shares(found) * y.std(ddof=1) / found.std.value


def small(inputs: int, seed: int = 0, **shape: Any) -> Predictor:
    network = random_network(inputs, (6, 6), (0.0, 0.3, 0.3), seed, **shape)
    return predictor_of(network, ROWS[:, :inputs])


@pytest.mark.parametrize("features", [1, 2, 3, 4])
def test_few_features_have_the_exact_shares_over_all_kept_rows(features: int) -> None:
    predictor, row = small(features), POINT[:features]
    found = explain(predictor, row, passes=60, seed=3, background_rows=1000)
    assert found.background is not None
    assert found.background.rows == len(ROWS)
    exact = by_orders(predictor, row, ROWS[:, :features], passes=60, seed=3)
    assert unscaled(found, predictor, row) == pytest.approx(exact, abs=1e-4)


def test_the_error_for_the_background_is_that_of_the_rows_left_out() -> None:
    """The masks have the same part in both errors."""
    predictor = small(3)
    found = [
        explain(predictor, POINT[:3], passes=20_000, seed=3, background_rows=rows)
        for rows in (15, 30, 60)
    ]
    few, more, everything = map(errors, found)
    ratio = np.sqrt((few**2 - everything**2) / (more**2 - everything**2))
    assert np.median(ratio) == pytest.approx(math.sqrt(3), rel=0.4)  # 1/15 - 1/60 to 1/30 - 1/60


@pytest.mark.parametrize("seed", [0, 1])
def test_sampled_orders_have_the_exact_shares_within_their_errors(seed: int) -> None:
    predictor = small(5, seed, activation=("relu", "tanh")[seed])
    exact = by_orders(predictor, POINT, ROWS, passes=100, seed=7)
    found = explain(predictor, POINT, passes=100, seed=7, background_rows=600)
    z = (unscaled(found, predictor, POINT) - exact) / errors(found)
    assert np.abs(z).max() < 3.9
    assert np.abs(unscaled(found, predictor, POINT) - exact).max() < 0.1 * np.abs(exact).sum()


@pytest.mark.parametrize(("seed", "activation"), [(0, "relu"), (1, "tanh"), (2, "gelu")])
def test_errors_cover_the_shares_under_many_masks(seed: int, activation: str) -> None:
    predictor = small(5, seed, activation=activation)
    exact = by_orders(predictor, POINT, ROWS, passes=8000, seed=999)
    found = [
        explain(predictor, POINT, passes=150, seed=number, background_rows=15)
        for number in range(50)
    ]
    z = np.array([(shares(each) - exact) / errors(each) for each in found])
    covered = (np.abs(z) < 1.96).mean()
    assert 0.88 < covered < 0.99  # nor are the errors far too large


@pytest.mark.parametrize("features", [3, 5])
def test_the_shares_add_up_to_the_std_minus_that_of_the_background(features: int) -> None:
    predictor, row = small(features), POINT[:features]
    found = explain(predictor, row, passes=50, background_rows=7)
    assert found.background is not None
    added = shares(found).sum()
    assert added == pytest.approx(found.std.value - found.background.std.value, abs=1e-6)


def test_the_background_is_the_mean_std_of_kept_rows() -> None:
    predictor = small(3)
    found = explain(predictor, POINT[:3], passes=80, seed=1, background_rows=60)
    assert found.background is not None
    y = predictor.values(ROWS[:, :3], passes=80, seed=1)[..., 0] * SCALE
    x = predictor.values(np.array([POINT[:3]], np.float32), passes=80, seed=1)[..., 0] * SCALE
    expected = y.std(0, ddof=1).mean() / x.std(ddof=1) * found.std.value
    assert found.background.std.value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("features", [3, 5])
def test_a_feature_that_the_network_ignores_has_no_share(features: int) -> None:
    network = random_network(features, (6, 6), (0.0, 0.3, 0.3))
    network.linears()[0].weight.data[:, 1] = 0
    predictor = predictor_of(network, ROWS[:, :features])
    found = explain(predictor, POINT[:features], passes=50, seed=0, background_rows=20)
    assert shares(found)[1] == pytest.approx(0, abs=1e-6)
    assert errors(found)[1] == pytest.approx(0, abs=1e-6)
    assert np.abs(np.delete(shares(found), 1)).min() > 1e-4


def test_symmetric_features_have_equal_shares_within_their_errors() -> None:
    network = random_network(5, (6, 6), (0.0, 0.3, 0.3))
    weight = network.linears()[0].weight.data
    weight[:, 3] = weight[:, 1]
    kept = np.concatenate([ROWS, ROWS[:, [0, 3, 2, 1, 4]]])  # the same with both exchanged
    predictor = predictor_of(network, kept)
    row = (1.4, 0.9, -0.3, 0.9, 0.1)
    found = explain(predictor, row, passes=100, seed=0, background_rows=400)
    difference = shares(found)[1] - shares(found)[3]
    assert abs(difference) < 3.9 * math.hypot(errors(found)[1], errors(found)[3])


def test_the_columns_of_a_category_are_one_feature(
    regression: Predictor, house: dict[str, Any]
) -> None:
    found = explain(regression, house, passes=50)
    assert found.features is not None
    assert [each.feature for each in found.features] == ["area", "rooms", "quarter"]
    assert [each.value for each in found.features] == [54.0, 2.0, "east"]
    kept = regression.kept_rows()
    assert kept is not None
    assert set(np.unique(kept[:, 2:])) == {0.0, 1.0}
    assert (kept[:, 2:].sum(1) == 1).all()


def test_kept_rows_are_training_rows(regression: Predictor) -> None:
    kept = regression.kept_rows()
    assert kept is not None
    assert np.abs(kept[:, :2].mean(0)).max() < 0.5  # standardised
    assert regression.card.similarity is not None
    assert len(kept) == regression.card.similarity.reference_rows


def test_a_model_without_kept_rows_says_so() -> None:
    found = explain(predictor_of(random_network(2, (4,), (0.0, 0.3))), (0.5, 0.5), passes=20)
    assert found.features is None
    assert found.background is None
    assert found.note is not None
    assert "keeps no training rows" in found.note
    assert small(2).kept_rows() is not None
    assert explain(small(2), POINT[:2], passes=20).note is None


def test_more_background_rows_and_passes_mean_smaller_errors() -> None:
    predictor = small(5)
    few = errors(explain(predictor, POINT, passes=50, seed=0, background_rows=10))
    many = errors(explain(predictor, POINT, passes=800, seed=0, background_rows=160))
    assert np.median(many / few) < 0.4


def test_an_explanation_of_diabetes_takes_a_bounded_number_of_passes() -> None:
    (folder,) = (folder for folder in shipped() if folder.name == "diabetes")
    predictor = load(folder)
    row = {feature.name: feature.mean for feature in predictor.card.features}  # type: ignore[union-attr]
    found = explain(predictor, row, seed=0)
    assert found.background is not None
    assert found.background.rows == 100
    assert found.passes == 1000
