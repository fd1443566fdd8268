"""The metrics beside brute force, known values, and the laws that make them scores."""

import math
from itertools import pairwise
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.formulas import scores

TWO = arrays(np.float64, st.integers(2, 12), elements=st.integers(-3, 3).map(float))


def pairs(values: np.ndarray, kinds: np.ndarray) -> float:
    """The Mann-Whitney statistic over its maximum, by comparing every pair."""
    wins = [1.0 if a > b else 0.5 if a == b else 0.0 for a in values[kinds] for b in values[~kinds]]
    return sum(wins) / len(wins)


@given(TWO, st.data())
def test_auroc_is_the_share_of_pairs_in_the_right_order(
    values: np.ndarray, data: st.DataObject
) -> None:
    kinds = data.draw(arrays(bool, len(values)))
    if kinds.all() or not kinds.any():
        assert math.isnan(scores.auroc(values, kinds))
    else:
        assert scores.auroc(values, kinds) == pytest.approx(pairs(values, kinds))


@given(TWO)
def test_a_rank_is_the_count_of_smaller_values_and_half_of_the_equal_ones(
    values: np.ndarray,
) -> None:
    expected = [np.sum(values < v) + (np.sum(values == v) + 1) / 2 for v in values]
    assert scores.ranks(values).tolist() == expected


@given(TWO)
def test_rank_correlation_sees_nothing_but_the_order(values: np.ndarray) -> None:
    if np.ptp(values) == 0:
        assert math.isnan(scores.rank_correlation(values, values))
    else:
        assert scores.rank_correlation(values, np.exp(values)) == pytest.approx(1)
        assert scores.rank_correlation(values, -(values**3)) == pytest.approx(-1)


def test_rank_correlation_without_ties_is_spearmans_formula() -> None:
    first, second = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    assert scores.rank_correlation(first, second) == pytest.approx(1 - 6 * 4 / (5 * 24))


def test_errors_of_known_predictions() -> None:
    mean, actual = np.array([1.0, 2.0]), np.array([1.0, 5.0])
    assert scores.rmse(mean, actual) == pytest.approx(math.sqrt(4.5))
    assert scores.mae(mean, actual) == pytest.approx(1.5)


def test_the_mixture_log_likelihood_averages_densities_not_logarithms() -> None:
    samples, actual = np.array([[0.0, 1.0], [2.0, 4.0], [5.0, 1.5]]), np.array([1.0, 2.0])
    for noise in (0.8, np.array([0.8, 2.0]), np.array([[0.3, 1.0], [1.0, 2.0], [4.0, 0.5]])):
        stds = np.broadcast_to(noise, samples.shape)
        expected = [
            math.log(
                sum(NormalDist(samples[t, b], stds[t, b]).pdf(actual[b]) for t in range(3)) / 3
            )
            for b in range(2)
        ]
        found = scores.mixture_log_likelihood(samples, noise, actual)
        assert found == pytest.approx(sum(expected) / 2)


def test_the_mixture_log_likelihood_survives_densities_too_small_for_a_float() -> None:
    samples, actual = np.array([[0.0], [1.0]]), np.array([1001.0])
    expected = -(1000**2) / 2 - math.log(2 * math.pi) / 2 - math.log(2)
    assert scores.mixture_log_likelihood(samples, 1.0, actual) == pytest.approx(expected)


def test_the_mixture_of_equal_passes_is_one_gaussian() -> None:
    mean, actual = np.array([1.0, -2.0]), np.array([0.0, 1.0])
    mixture = scores.mixture_log_likelihood(np.tile(mean, (7, 1)), 1.3, actual)
    densities = [NormalDist(m, 1.3).pdf(y) for m, y in zip(mean, actual, strict=True)]
    assert mixture == pytest.approx(sum(map(math.log, densities)) / 2)


@pytest.mark.parametrize(("std", "actual"), [(1.0, 0.0), (1.0, 2.5), (0.3, -1.0), (4.0, 1.0)])
def test_the_gaussian_crps_is_the_integral_of_the_squared_distance_of_distributions(
    std: float, actual: float
) -> None:
    edges = np.linspace(-60, 60, 240_001)
    middle = (edges[:-1] + edges[1:]) / 2
    cdf = np.array([NormalDist(0, std).cdf(value) for value in middle.tolist()])
    integral = float(np.sum((cdf - (middle >= actual)) ** 2) * (edges[1] - edges[0]))
    found = scores.gaussian_crps(np.zeros(1), np.array([std]), np.array([actual]))
    assert found == pytest.approx(integral, abs=2e-3)


def test_the_gaussian_crps_without_spread_is_the_absolute_error() -> None:
    mean, std, actual = np.array([1.0, 2.0]), np.array([0.0, 0.0]), np.array([3.0, 1.0])
    assert scores.gaussian_crps(mean, std, actual) == pytest.approx(1.5)


def test_the_sample_crps_is_the_mean_over_all_pairs_of_different_passes() -> None:
    samples = np.random.default_rng(0).normal(size=(9, 4))
    actual = np.array([0.0, 1.0, -2.0, 0.3])
    to_actual = np.abs(samples - actual).mean(axis=0)
    between = sum(np.abs(samples[s] - samples[t]) for s in range(9) for t in range(9)) / (9 * 8)
    assert scores.sample_crps(samples, actual) == pytest.approx(np.mean(to_actual - between / 2))


def test_the_sample_crps_of_a_gaussian_is_its_closed_form_whatever_the_number_of_passes() -> None:
    random = np.random.default_rng(1)
    mean, std = np.array([0.0, 2.0, -1.0]), np.array([1.0, 0.2, 3.0])
    actual = np.array([0.5, 1.0, -1.0])
    closed = scores.gaussian_crps(mean, std, actual)
    many = scores.sample_crps(random.normal(mean, std, (200_000, 3)), actual)
    assert many == pytest.approx(closed, rel=0.01)
    few = [scores.sample_crps(random.normal(mean, std, (2, 3)), actual) for _ in range(40_000)]
    assert np.mean(few) == pytest.approx(closed, abs=4 * np.std(few) / 200)


def test_the_interval_score_is_the_width_and_a_penalty_for_each_unit_outside() -> None:
    lower, upper, actual = np.zeros(3), np.full(3, 2.0), np.array([1.0, -1.0, 5.0])
    expected = (2 + (2 + 20 * 1) + (2 + 20 * 3)) / 3
    assert scores.interval_score(lower, upper, actual, 0.9) == pytest.approx(expected)
    assert scores.interval_coverage(lower, upper, actual) == pytest.approx(1 / 3)
    assert scores.interval_width(lower, upper) == 2


def test_an_actual_value_on_a_bound_is_inside() -> None:
    assert scores.interval_coverage(np.zeros(2), np.ones(2), np.array([0.0, 1.0])) == 1


def test_gaussian_intervals_of_the_true_std_hold_what_they_claim() -> None:
    random = np.random.default_rng(2)
    mean, std = random.normal(size=20_000), random.uniform(0.5, 3, 20_000)
    actual = random.normal(mean, std)
    levels = (0.1, 0.5, 0.9, 0.99)
    for level, held in zip(
        levels, scores.coverage_by_level(mean, std, actual, levels).tolist(), strict=True
    ):
        assert held == pytest.approx(level, abs=4 * math.sqrt(level * (1 - level) / 20_000))
    narrow = scores.coverage_by_level(mean, std / 2, actual, levels)
    assert (narrow < np.array(levels)).all()


@pytest.mark.parametrize(("shift", "factor"), [(0, 0.6), (0, 1.6), (0.4, 1), (-0.4, 1.3)])
def test_proper_scores_of_amounts_are_best_for_the_true_distribution(
    shift: float, factor: float
) -> None:
    actual = np.random.default_rng(3).normal(size=50_000)
    truth, other = ((np.full(50_000, m), np.full(50_000, s)) for m, s in ((0, 1), (shift, factor)))
    reach = scores.normal_reach(0.8)

    def interval(mean: np.ndarray, std: np.ndarray) -> float:
        return scores.interval_score(mean - reach * std, mean + reach * std, actual, 0.8)

    assert scores.gaussian_crps(*truth, actual) < scores.gaussian_crps(*other, actual)
    one, two = (
        scores.mixture_log_likelihood(mean[None], std, actual) for mean, std in (truth, other)
    )
    assert one > two
    assert interval(*truth) < interval(*other)


@given(st.lists(st.floats(0.02, 1), min_size=3, max_size=3), st.integers(0, 99))
def test_proper_scores_of_classes_are_best_for_the_true_probabilities(
    weights: list[float], seed: int
) -> None:
    """Expectations, taken exactly: each class as often as its true probability says."""
    truth = np.array(weights) / sum(weights)
    other = np.random.default_rng(seed).dirichlet(np.ones(3))
    for score in (scores.log_loss, scores.brier):
        of_truth, of_other = (
            sum(truth[k] * score(forecast[None], np.array([k])) for k in range(3))
            for forecast in (truth, other)
        )
        assert of_truth <= of_other + 1e-12


def test_scores_of_known_probabilities() -> None:
    probabilities = np.array([[0.7, 0.2, 0.1], [0.3, 0.3, 0.4]])
    actual = np.array([0, 1])
    assert scores.accuracy(probabilities, actual) == 0.5
    assert scores.log_loss(probabilities, actual) == pytest.approx(-math.log(0.7 * 0.3) / 2)
    first, second = 0.3**2 + 0.2**2 + 0.1**2, 0.3**2 + 0.7**2 + 0.4**2
    assert scores.brier(probabilities, actual) == pytest.approx((first + second) / 2)


def test_a_label_set_counts_where_it_holds_the_actual_class() -> None:
    sets = np.array([[True, False, True], [False, False, False], [True, True, True]])
    assert scores.set_coverage(sets, np.array([1, 0, 2])) == pytest.approx(1 / 3)
    assert scores.set_size(sets) == pytest.approx(5 / 3)


def test_a_class_deemed_impossible_costs_much_but_not_infinity() -> None:
    assert 20 < scores.log_loss(np.array([[1.0, 0.0]]), np.array([1])) < 100


def test_equally_wide_bins_are_closed_above_and_their_gaps_weigh_by_rows() -> None:
    confidence = np.array([0.5, 0.45, 0.95, 1.0])
    curve = scores.reliability(confidence, np.array([True, False, True, True]), bins=2)
    assert curve.count.tolist() == [2, 2]
    assert curve.confidence.tolist() == pytest.approx([0.475, 0.975])
    assert curve.accuracy.tolist() == [0.5, 1.0]
    assert curve.calibration_error == pytest.approx((2 * 0.025 + 2 * 0.025) / 4)


def test_bins_of_equal_mass_hold_equally_many_rows() -> None:
    confidence = np.random.default_rng(4).beta(8, 1, 100)
    curve = scores.reliability(confidence, confidence > 0.9, bins=10, equal_mass=True)
    assert curve.count.tolist() == [10] * 10
    assert all(a < b for a, b in pairwise(curve.confidence.tolist()))


def test_empty_bins_are_left_out_and_every_row_is_in_one() -> None:
    confidence = np.array([0.0, 1.0])
    for equal_mass in (False, True):
        curve = scores.reliability(confidence, np.ones(2), equal_mass=equal_mass)
        assert curve.count.tolist() == [1, 1]


@pytest.mark.parametrize("equal_mass", [False, True])
def test_the_calibration_error_is_near_0_for_honest_confidences_and_the_gap_for_others(
    equal_mass: bool,
) -> None:
    random = np.random.default_rng(5)
    confidence = random.uniform(0.5, 1, 50_000)
    honest = random.random(50_000) < confidence
    boastful = random.random(50_000) < confidence - 0.2

    def error(correct: np.ndarray) -> float:
        return scores.reliability(confidence, correct, equal_mass=equal_mass).calibration_error

    assert error(honest) < 0.012
    assert error(boastful) == pytest.approx(0.2, abs=0.012)


@given(TWO)
def test_no_order_of_the_rows_changes_a_curve(values: np.ndarray) -> None:
    loss = np.arange(len(values)) % 3 / 2
    order = np.random.default_rng(len(values)).permutation(len(values))
    risk, shuffled = (
        scores.risk_coverage(values[at], loss[at])[1] for at in (np.arange(len(values)), order)
    )
    assert shuffled == pytest.approx(risk)
    confidence = (values + 3) / 6
    for equal_mass in (False, True):
        errors = [
            scores.reliability(c, r, bins=3, equal_mass=equal_mass).calibration_error
            for c, r in ((confidence, loss > 0), (confidence[order], (loss > 0)[order]))
        ]
        assert errors[0] == pytest.approx(errors[1])


def test_the_risk_at_a_coverage_is_the_mean_loss_of_the_least_uncertain_rows() -> None:
    uncertainty, loss = np.array([0.3, 0.1, 0.2, 0.4]), np.array([4.0, 1.0, 0.0, 3.0])
    coverage, risk = scores.risk_coverage(uncertainty, loss)
    assert coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([1.0, 0.5, 5 / 3, 2.0])
    assert scores.aurc(uncertainty, loss) == pytest.approx(np.mean(risk))


def test_rows_of_equal_uncertainty_are_taken_in_random_order() -> None:
    uncertainty, loss = np.array([0.0, 1.0, 1.0]), np.array([0.0, 1.0, 0.0])
    _, risk = scores.risk_coverage(uncertainty, loss)
    either = [scores.risk_coverage(np.array(u), loss)[1] for u in ([0, 1, 2.0], [0, 2.0, 1])]
    assert risk == pytest.approx(np.mean(either, axis=0))


@given(TWO)
def test_the_area_lies_between_those_of_the_best_order_and_of_the_worst(
    uncertainty: np.ndarray,
) -> None:
    loss = np.random.default_rng(len(uncertainty)).random(len(uncertainty))
    area = scores.aurc(uncertainty, loss)
    assert scores.aurc(loss, loss) - 1e-12 <= area <= scores.aurc(-loss, loss) + 1e-12
    assert scores.aurc(np.zeros(len(loss)), loss) == pytest.approx(loss.mean())
