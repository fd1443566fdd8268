"""A sweep is a prediction of its points under the same masks."""

from typing import Any

import numpy as np
import pytest

from model import InputError, PredictOptions, Predictor, sweep, sweep_axis
from tests.model.exploration.networks import predictor_of, random_network


@pytest.fixture(params=["regression", "two_targets", "binary", "multiclass"])
def predictor(request: pytest.FixtureRequest, predictors: dict[str, Predictor]) -> Predictor:
    return predictors[request.param]


@pytest.mark.parametrize("feature", ["area", "quarter"])
def test_its_predictions_are_those_of_the_same_rows(
    predictor: Predictor, house: dict[str, Any], feature: str
) -> None:
    options = PredictOptions(seed=4, passes=30)
    found = sweep(predictor, house, feature, points=9, options=options)
    rows = [{**house, feature: value} for value in found.axis.values]
    same = PredictOptions(seed=4, passes=30, masks="shared")
    assert found.predictions == predictor.predict(rows, same)


def test_lines_are_the_first_passes(predictor: Predictor, house: dict[str, Any]) -> None:
    options = PredictOptions(seed=4, passes=30)
    found = sweep(predictor, house, "area", points=5, lines=3, options=options)
    rows = [{**house, "area": value} for value in found.axis.values]
    sampled = PredictOptions(seed=4, passes=30, masks="shared", samples=True, estimator="plain")
    for at, row in enumerate(predictor.predict(rows, sampled).rows):
        assert row.samples is not None
        for line in range(3):
            sample = row.samples[line]
            if isinstance(found.lines, dict):
                assert isinstance(sample, dict)
                values = {name: lines[line][at] for name, lines in found.lines.items()}
                assert values == pytest.approx(sample, rel=1e-5)
            else:
                assert found.lines[line][at] == pytest.approx(sample, rel=1e-5)


@pytest.mark.parametrize(("lines", "expected"), [(0, 0), (1, 1), (7, 7), (500, 12)])
def test_there_are_as_many_lines_as_asked_and_no_more_than_passes(
    regression: Predictor, house: dict[str, Any], lines: int, expected: int
) -> None:
    found = sweep(
        regression, house, "area", points=3, lines=lines, options=PredictOptions(passes=12)
    )
    assert len(found.lines) == expected


def test_the_points_go_evenly_beyond_the_training_range(
    regression: Predictor, house: dict[str, Any]
) -> None:
    axis = sweep(regression, house, "area", points=21, margin=0.25).axis
    assert (axis.feature, axis.kind) == ("area", "numeric")
    assert axis.training_range is not None
    low, high = axis.training_range
    ends = low - 0.25 * (high - low), high + 0.25 * (high - low)
    assert axis.values == pytest.approx(np.linspace(*ends, 21))


def test_a_category_is_swept_over_all_categories(
    regression: Predictor, house: dict[str, Any]
) -> None:
    axis = sweep(regression, house, "quarter").axis
    assert (axis.kind, axis.training_range) == ("categorical", None)
    assert axis.values == ("east", "north", "south")


def test_values_may_be_given_in_any_order_and_form(
    regression: Predictor, house: dict[str, Any]
) -> None:
    found = sweep(regression, house, "rooms", values=[3, "1.5", 3])
    assert found.axis.values == (3.0, 1.5, 3.0)
    assert found.predictions.rows[0] == found.predictions.rows[2]


def test_the_rows_own_value_plays_no_part(regression: Predictor, house: dict[str, Any]) -> None:
    options = PredictOptions(seed=4)
    del house["area"]
    without = sweep(regression, house, "area", points=3, options=options)
    for value in (1e9, "nonsense", None):
        other = sweep(regression, {**house, "area": value}, "area", points=3, options=options)
        assert other.predictions == without.predictions


def test_a_seed_is_drawn_once_for_all_points(regression: Predictor, house: dict[str, Any]) -> None:
    first = sweep(regression, house, "area", points=3)
    again = sweep(
        regression, house, "area", points=3, options=PredictOptions(seed=first.predictions.seed)
    )
    assert again == first


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"feature": "arae"}, "feature"),
        ({"feature": None}, "feature"),
        ({"row": {"area": 1.0}}, "row.rooms"),
        ({"row": {"area": 1.0, "rooms": 2.0, "quarter": "west"}}, "row.quarter"),
        ({"row": [1.0, 2.0]}, "row"),
        ({"row": "x"}, "row"),
        ({"values": []}, "values"),
        ({"values": [1.0, "much"]}, "values.1"),
        ({"values": [1.0, 1e300]}, "values.1"),
        ({"feature": "quarter", "values": ["east", "west"]}, "values.1"),
        ({"points": 1}, "points"),
        ({"margin": -0.1}, "margin"),
        ({"margin": 1e9}, "margin"),
        ({"lines": -1}, "lines"),
    ],
)
def test_a_fault_names_the_field(
    regression: Predictor, house: dict[str, Any], changes: dict[str, Any], field: str
) -> None:
    with pytest.raises(InputError) as caught:
        sweep(regression, **{"row": house, "feature": "area", **changes})
    assert caught.value.details[0].field == field
    assert str(caught.value).startswith(field.split(".")[0])


def test_without_a_known_range_the_points_must_be_given() -> None:
    predictor = predictor_of(random_network(2, (4,), (0.0, 0.3)))
    features = tuple(
        feature.model_copy(update={"range": None}) for feature in predictor.card.features
    )
    unknown = Predictor(
        predictor.card.model_copy(update={"features": features}), predictor._networks
    )
    with pytest.raises(InputError, match=r"^values: .* 'x0' is unknown"):
        sweep(unknown, (0.1, 0.2), "x0")
    assert sweep(unknown, (0.1, 0.2), "x0", values=[0, 1]).axis.training_range is None


def test_a_feature_that_never_varied_is_swept_by_its_scale() -> None:
    predictor = predictor_of(random_network(2, (4,), (0.0, 0.3)))
    features = tuple(
        feature.model_copy(update={"range": (0.5, 0.5)}) for feature in predictor.card.features
    )
    constant = Predictor(
        predictor.card.model_copy(update={"features": features}), predictor._networks
    )
    assert sweep(constant, (0.1, 0.2), "x0", points=3).axis.values == (0.0, 0.5, 1.0)


@pytest.mark.parametrize("low", [1e15, -1e15, 0.0])
def test_points_of_a_narrow_range_far_from_zero_differ(low: float) -> None:
    predictor = predictor_of(random_network(2, (4,), (0.0, 0.3)))
    x0, x1 = predictor.card.features
    far = x0.model_copy(update={"range": (low, low + 2.0), "mean": low, "scale": 1.0})
    card = predictor.card.model_copy(update={"features": (far, x1)})
    axis = sweep_axis(card, (low, 0.2), "x0", points=5)
    assert axis.values == (low - 1, low, low + 1, low + 2, low + 3)


@pytest.mark.parametrize("ends", [(-1e308, 1e308), (-1e30, 1e30)])
def test_points_that_no_number_can_encode_are_refused(ends: tuple[float, float]) -> None:
    predictor = predictor_of(random_network(2, (4,), (0.0, 0.3)))
    x0, x1 = predictor.card.features
    endless = x0.model_copy(update={"range": ends, "scale": 1e-10})
    card = predictor.card.model_copy(update={"features": (endless, x1)})
    with pytest.raises(InputError, match=r"^margin: a point is .*'x0'"):
        sweep_axis(card, (0.1, 0.2), "x0")


def test_the_points_are_encoded_as_rows_with_their_values_are() -> None:
    predictor = predictor_of(random_network(30, (4,), (0.0, 0.3)))
    row = {feature.name: 0.5 for feature in predictor.card.features}
    axis = sweep_axis(predictor.card, row, "x3", points=50)
    rows = [{**row, "x3": value} for value in axis.values]
    np.testing.assert_array_equal(axis.encoded().x, predictor.encode(rows))
