"""What can be explained: targets, classes, seeds, and errors that name the field."""

from typing import Any

import numpy as np
import pytest

from model import (
    ClassificationPrediction,
    Explanation,
    InputError,
    PredictOptions,
    Predictor,
    RegressionPrediction,
    explain,
    plan_explanation,
)
from tests.model.exploration.networks import predictor_of, random_network

FEW: dict[str, Any] = {"passes": 200, "background_rows": 4}


@pytest.fixture(params=["regression", "two_targets", "binary", "multiclass"])
def predictor(request: pytest.FixtureRequest, predictors: dict[str, Predictor]) -> Predictor:
    return predictors[request.param]


def test_a_seed_repeats_an_explanation(predictor: Predictor, house: dict[str, Any]) -> None:
    first = explain(predictor, house, **FEW)
    assert explain(predictor, house, seed=first.seed, **FEW) == first
    assert explain(predictor, house, **FEW) != first


def test_a_row_may_be_a_list(predictor: Predictor, house: dict[str, Any]) -> None:
    listed = explain(predictor, [*house.values()], seed=1, **FEW)
    assert listed == explain(predictor, house, seed=1, **FEW)


def test_the_first_target_is_explained_unless_another_is_named(
    predictors: dict[str, Predictor], house: dict[str, Any]
) -> None:
    predictor = predictors["two_targets"]
    found = {of: explain(predictor, house, of=of, seed=1, **FEW) for of in (None, "price", "rent")}
    assert found[None] == found["price"]
    options = PredictOptions(seed=1, passes=4000, estimator="plain")
    row = predictor.predict([house], options).rows[0]
    assert isinstance(row, RegressionPrediction)
    for of in ("price", "rent"):
        assert found[of].of == of
        assert_near(found[of], row.mean[of], row.variance[of])  # type: ignore[index]


@pytest.mark.parametrize("name", ["binary", "multiclass"])
def test_the_predicted_class_is_explained_unless_another_is_named(
    predictors: dict[str, Predictor], house: dict[str, Any], name: str
) -> None:
    predictor = predictors[name]
    options = PredictOptions(seed=1, passes=4000)
    row = predictor.predict([house], options).rows[0]
    assert isinstance(row, ClassificationPrediction)
    assert explain(predictor, house, seed=1, **FEW).of == row.label
    for of in predictor.card.target.classes:
        found = explain(predictor, house, of=of, seed=1, **FEW)
        assert found.of == of
        assert_near(found, row.mean[of], row.variance[of])


def assert_near(found: Explanation, mean: float, variance: float) -> None:
    assert abs(found.mean.value - mean) < 5 * found.mean.error
    assert abs(found.variance.value - variance) < 5 * found.variance.error


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"row": {"area": 54.0, "rooms": 2.0}}, "row.quarter"),
        ({"row": {"area": "x", "rooms": 2.0, "quarter": "east"}}, "row.area"),
        ({"row": [54.0]}, "row"),
        ({"row": 7}, "row"),
        ({"of": "prize"}, "of"),
        ({"passes": 1}, "passes"),
        ({"seed": -1}, "seed"),
        ({"background_rows": 1}, "background_rows"),
        ({"background_rows": 2.5}, "background_rows"),
    ],
)
def test_a_fault_names_the_field(
    regression: Predictor, house: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError, match=f"^{field.split('.')[0]}") as caught:
        explain(regression, **{"row": house, **changes})
    assert caught.value.details[0].field == field


def test_a_row_on_which_the_network_overflows_is_a_fault() -> None:
    network = random_network(1, (4,), (0.0, 0.3))
    for layer in network.linears():
        layer.weight.data *= 1e30
    with pytest.raises(InputError, match=r"^row: .* is not finite"):
        explain(predictor_of(network), (0.5e30,), passes=20)


def test_a_network_with_frozen_layers_is_explained_in_the_units_of_its_target() -> None:
    network = random_network(2, (4, 4), (0.0, 0.2, 0.2))
    predictor = predictor_of(network)
    found = explain(predictor, (0.4, 0.6), seed=1)
    y = predictor.values(np.array([[0.4, 0.6]], np.float32), passes=20_000, seed=5)[:, 0, 0]
    assert abs(found.mean.value - (y.mean() * 2 + 5)) < 5 * found.mean.error
    assert abs(found.variance.value - y.var() * 4) < 5 * found.variance.error


def chunks_of_steps(predictor: Predictor, **asked: Any) -> tuple[list[int], Explanation]:
    """The number of chunks of passes that each step of an explanation of a row computes."""
    row = [0.0] * len(predictor.card.features)
    rounds, found, results = plan_explanation(predictor, row, seed=1, **asked).rounds(), [], None
    while True:
        try:
            steps = rounds.send(results) if results else next(rounds)
        except StopIteration as end:
            return found, end.value
        results = []
        for step in steps:
            calls: list[None] = []
            results.append(step.run(lambda: calls.append(None)))  # noqa: B023
            found.append(len(calls))


@pytest.mark.parametrize(
    ("inputs", "hidden", "asked"),
    [
        (400, (8,), {"passes": 1000, "background_rows": 2}),
        (400, (8,), {"passes": 4, "background_rows": 60}),
        (8, (400, 400), {"passes": 1000, "background_rows": 2}),
    ],
)
def test_each_step_is_a_small_part_of_the_work(
    inputs: int, hidden: tuple[int, ...], asked: dict[str, int]
) -> None:
    """The server computes the batches of others between them."""
    kept = np.random.default_rng(0).normal(size=(20, inputs)).astype(np.float32)
    network = random_network(inputs, hidden, (0.0, *[0.2] * len(hidden)))
    chunks, found = chunks_of_steps(predictor_of(network, kept), **asked)
    assert max(chunks) < 0.4 * sum(chunks)
    assert found.features is not None
    assert found.background is not None
    added = sum(feature.std.value for feature in found.features)
    assert added == pytest.approx(found.std.value - found.background.std.value, abs=1e-6)


def test_an_explanation_of_thousands_of_features_takes_little_memory() -> None:
    kept = np.random.default_rng(0).normal(size=(20, 1_000)).astype(np.float32)
    plan = plan_explanation(predictor_of(random_network(1_000, (4,), (0.0, 0.3)), kept), [0] * 1000)
    assert plan.memory_bytes < 40 << 20
