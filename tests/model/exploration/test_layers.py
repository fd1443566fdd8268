"""The variance by layer, against exact values: all masks of small networks, linear networks."""

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from model import Explanation, PredictOptions, Predictor, explain
from model.passes.network import MLP
from tests.model.exploration.networks import (
    explained_variances,
    linear,
    linear_variances,
    predictor_of,
    random_network,
    shapley,
)

ROW = (0.8, 0.3)
NETWORKS: dict[str, dict[str, Any]] = {
    "one layer": {"hidden": (5,), "rates": (0.0, 0.4)},
    "input and one layer": {"hidden": (5,), "rates": (0.3, 0.2)},
    "two layers, tanh": {"hidden": (4, 3), "rates": (0.0, 0.1, 0.5), "activation": "tanh"},
    "three sites, gelu": {"hidden": (3, 3), "rates": (0.2, 0.5, 0.3), "activation": "gelu"},
    "five sites": {"hidden": (2, 2, 2, 2), "rates": (0.3, 0.2, 0.4, 0.3, 0.5)},
    "six sites, silu": {
        "hidden": (2, 2, 2, 2, 2),
        "rates": (0.5, 0.1, 0.4, 0.3, 0.2, 0.4),
        "activation": "silu",
    },
}


def networks() -> list[tuple[str, MLP]]:
    return [
        (name, random_network(2, seed=seed, **shape))
        for seed, (name, shape) in enumerate(NETWORKS.items())
    ]


def truth(exact: dict[frozenset[int], float]) -> dict[str, list[float]]:
    """The variance and its parts from the variances that each set of sites explains."""
    sites = max(map(len, exact))
    everything = frozenset(range(sites))
    variance, each = exact[everything], [frozenset({at}) for at in range(sites)]
    return {
        "variance": [variance],
        "shares": shapley(exact, sites),
        "alone": [exact[one] for one in each],
        "total": [variance - exact[everything - one] for one in each],
        "interactions": [variance - sum(exact[one] for one in each)],
    }


def estimates(found: Explanation) -> dict[str, list[tuple[float, float]]]:
    """The same numbers of an explanation, with their errors."""
    parts = {
        "variance": [found.variance],
        "shares": [each.variance for each in found.layers],
        "alone": [each.alone for each in found.layers],
        "total": [each.total for each in found.layers],
        "interactions": [found.interactions],
    }
    return {name: [(one.value, one.error) for one in numbers] for name, numbers in parts.items()}


def deviations(found: Explanation, exact: dict[str, list[float]]) -> list[float]:
    """How many standard errors each number is off."""
    got = estimates(found)
    return [
        (value - true) / error if error > 1e-9 * exact["variance"][0] else 0.0
        for name, numbers in exact.items()
        for true, (value, error) in zip(numbers, got[name], strict=True)
    ]


@pytest.mark.parametrize(("name", "network"), networks(), ids=list(NETWORKS))
def test_the_parts_of_the_variance_are_those_of_all_masks_there_are(
    name: str, network: MLP
) -> None:
    exact, predictor = truth(explained_variances(network, ROW)), predictor_of(network)
    off = deviations(explain(predictor, ROW, passes=4000, seed=11), exact)
    assert max(map(abs, off)) < 3.9, name


@pytest.mark.parametrize(("name", "network"), networks(), ids=list(NETWORKS))
def test_the_errors_cover_the_exact_values_as_often_as_normal_errors(
    name: str, network: MLP
) -> None:
    exact, predictor = truth(explained_variances(network, ROW)), predictor_of(network)
    seeds = 60
    off = [
        deviations(explain(predictor, ROW, passes=600, seed=seed), exact) for seed in range(seeds)
    ]
    covered = np.mean(np.abs(off) < 1.96, axis=0)  # of each number
    assert covered.min() > 0.95 - 3.9 * math.sqrt(0.05 * 0.95 / seeds) - 0.03
    bias = np.mean(off, axis=0) * math.sqrt(seeds)
    assert np.abs(bias).max() < 5, name  # unbiased; the errors vary too


@pytest.mark.parametrize("rates", [(0.2, 0.5), (0.3, 0.1, 0.4), (0.1, 0.2, 0.3, 0.2, 0.1, 0.3)])
def test_a_linear_network_has_its_closed_form(rates: tuple[float, ...]) -> None:
    network = linear(random_network(3, (6,) * (len(rates) - 1), rates, seed=3))
    row, predictor = (0.9, 0.4, 0.7), predictor_of(network)
    exact = truth(linear_variances(network, row))
    assert max(map(abs, deviations(explain(predictor, row, passes=5000, seed=2), exact))) < 3.9


def test_of_two_dropped_factors_the_interaction_is_known() -> None:
    """y = w m2 v m1 x: alone s1 c, s2 c, together s1 s2 c, with s = p / (1 - p), c = (w v x)^2."""
    network = linear(random_network(1, (1,), (0.2, 0.5)))
    found = explain(predictor_of(network), (1.5,), passes=20_000, seed=0)
    first, second = (layer.weight.double().item() for layer in network.linears())
    c = (first * second * 1.5 * 2) ** 2
    expected = {"alone": [0.25 * c, 1.0 * c], "interactions": [0.25 * c], "variance": [1.5 * c]}
    expected |= {"shares": [0.375 * c, 1.125 * c], "total": [0.5 * c, 1.25 * c]}
    assert max(map(abs, deviations(found, expected))) < 3.9


@pytest.mark.parametrize(("name", "network"), networks(), ids=list(NETWORKS))
def test_the_shares_add_up_to_the_variance(name: str, network: MLP) -> None:
    found = explain(predictor_of(network), ROW, passes=50, seed=1)
    assert sum(each.variance.value for each in found.layers) == pytest.approx(
        found.variance.value, rel=1e-9
    ), name
    assert found.std.value == pytest.approx(math.sqrt(found.variance.value))


def test_one_source_of_noise_has_all_of_the_variance() -> None:
    (layer,) = (found := explain(predictor_of(networks()[0][1]), ROW, passes=50, seed=1)).layers
    assert layer.layer == "hidden 1"
    assert layer.rate == 0.4
    assert layer.variance == layer.alone == layer.total
    assert layer.variance.value == pytest.approx(found.variance.value)
    assert layer.variance.error == pytest.approx(found.variance.error, rel=0.3)
    assert found.interactions.value == found.interactions.error == 0


def test_gaussian_input_noise_is_a_source_too() -> None:
    """A linear network: the noise explains (slope std)^2 alone, with input noise inside dropout."""
    network = random_network(1, (1,), (0.0, 0.5), seed=4, input_noise=0.1)
    linear(network)
    found = explain(predictor_of(network), (50.0,), passes=20_000, seed=0)
    noise, dropout = found.layers
    assert (noise.layer, noise.rate) == ("input noise", None)
    assert dropout.layer == "hidden 1"
    slope = math.prod(layer.weight.double().item() for layer in network.linears()) * 2
    assert abs(noise.alone.value - (0.1 * slope) ** 2) < 3.9 * noise.alone.error
    assert abs(dropout.alone.value - (50 * slope) ** 2) < 3.9 * dropout.alone.error


def test_a_layer_that_changes_nothing_has_no_share() -> None:
    network = random_network(2, (4, 3), (0.3, 0.4, 0.5), seed=1)
    network.linears()[2].weight.data.zero_()  # the output ignores the last layer ...
    network.linears()[2].bias.data.fill_(1.0)
    found = explain(predictor_of(network), ROW, passes=100, seed=1)
    assert all(each.variance.value == 0 == each.variance.error for each in found.layers)
    network = random_network(2, (4, 3), (0.3, 0.4, 0.5), seed=1)
    found = explain(predictor_of(network), (0.0, 0.0), passes=100, seed=1)  # nothing to drop
    assert found.layers[0].variance.value == pytest.approx(0, abs=1e-12)


def test_a_network_without_dropout_has_nothing_to_share() -> None:
    found = explain(predictor_of(random_network(2, (4,), (0.0, 0.0))), ROW, passes=10)
    assert found.layers == ()
    assert found.variance.value == found.std.value == found.interactions.value == 0


@pytest.mark.parametrize("name", ["regression", "two_targets", "binary", "multiclass"])
def test_mean_variance_and_std_are_those_of_plain_predictions(
    predictors: dict[str, Predictor], house: dict[str, Any], name: str
) -> None:
    options = PredictOptions(passes=200, seed=3, estimator="plain", masks="shared")
    row = predictors[name].predict([house], options).rows[0]
    found = explain(predictors[name], house, passes=200, seed=3)
    for field in ("mean", "variance", "std"):
        number, value = getattr(found, field), getattr(row, field)
        assert number.value == (value[found.of] if isinstance(value, dict) else value)
        if field != "std":
            error = getattr(row, f"{field}_error")
            assert number.error == (error[found.of] if isinstance(error, dict) else error)


def test_more_passes_mean_smaller_errors() -> None:
    predictor = predictor_of(networks()[3][1])
    errors = [
        explain(predictor, ROW, passes=passes, seed=0).variance.error
        for passes in (100, 1600, 25_600)
    ]
    for few, many in pairwise(errors):
        assert many == pytest.approx(few / 4, rel=0.35)
