"""Streaming moments are those of numpy in two passes, and their errors hold what they promise."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model import PredictOptions, load
from model.passes.estimate import COVARIANCE_CLASSES, Estimate
from model.passes.moments import JointMoments, Moments, PlainMoments
from tests.model.answers import without_allowances


def plain(values: np.ndarray, cuts: list[int], pivot: np.ndarray | float = 0.0) -> Estimate:
    """The plain estimate of values [P, B, V], taken in in pieces."""
    _, rows, width = values.shape
    moments = PlainMoments(torch.as_tensor(np.broadcast_to(pivot, (rows, width)).copy()))
    for piece in np.split(values, cuts):
        if len(piece):
            moments.add(torch.from_numpy(piece))
    return moments.estimate()


@st.composite
def pieces(draw: st.DrawFn) -> tuple[int, list[int]]:
    passes = draw(st.integers(2, 200))
    return passes, sorted(draw(st.lists(st.integers(0, passes), max_size=8)))


@settings(deadline=None, max_examples=150)
@given(
    pieces=pieces(),
    seed=st.integers(0, 1000),
    shift=st.floats(-1e6, 1e6),
    near=st.floats(-3, 3),
    skewed=st.booleans(),
)
def test_any_chunks_give_the_mean_and_variance_of_all_passes(
    pieces: tuple[int, list[int]], seed: int, shift: float, near: float, skewed: bool
) -> None:
    (passes, cuts), random = pieces, np.random.default_rng(seed)
    draw = random.exponential if skewed else random.normal
    values = shift + draw(size=(passes, 2, 3))
    estimate = plain(values, cuts, shift + near)
    mean, variance = values.mean(0), values.var(0, ddof=1)
    np.testing.assert_allclose(estimate.mean, mean, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(estimate.variance, variance, rtol=1e-9)
    np.testing.assert_allclose(estimate.mean_error, np.sqrt(variance / passes), rtol=1e-9)
    whole = plain(values, [], shift + near)
    np.testing.assert_allclose(estimate.variance_error, whole.variance_error, rtol=1e-5)


@settings(deadline=None, max_examples=100)
@given(pieces=pieces(), seed=st.integers(0, 1000), shift=st.floats(-1e6, 1e6))
def test_the_covariance_of_several_features_is_numpys(
    pieces: tuple[int, list[int]], seed: int, shift: float
) -> None:
    (passes, cuts), random = pieces, np.random.default_rng(seed)
    features = random.normal(size=(3, passes, 1, 1))
    features[2] += shift + features[0]
    moments = Moments()
    for piece in np.split(features, cuts, axis=1):
        if piece.shape[1]:
            moments.add(*torch.from_numpy(piece))
    np.testing.assert_allclose(moments.mean[:, 0, 0], features[:, :, 0, 0].mean(1), rtol=1e-9)
    covariance = np.cov(features[:, :, 0, 0], ddof=1)
    np.testing.assert_allclose(moments.covariance()[..., 0, 0], covariance, rtol=1e-8, atol=1e-9)


def test_the_worst_pivot_costs_the_mean_and_variance_no_digits() -> None:
    values = 1e6 + np.random.default_rng(0).normal(size=(500, 1, 1))
    estimate = plain(values, [7, 300], pivot=0.0)
    assert estimate.variance.item() == pytest.approx(values.var(ddof=1), rel=1e-9)
    near = plain(values, [], pivot=1e6)
    assert estimate.variance_error.item() == pytest.approx(near.variance_error.item(), rel=1e-2)


def test_two_passes_are_enough_for_every_number_and_equal_ones_have_no_variance() -> None:
    estimate = plain(np.array([1.0, 4.0])[:, None, None], [1])
    assert estimate.mean.item() == 2.5
    assert estimate.variance.item() == 4.5
    assert estimate.mean_error.item() == 1.5
    assert 2 < estimate.variance_error.item() < 40  # two passes say little, and say so
    same = plain(np.full((64, 1, 1), 0.1), [10, 11], pivot=0.1)
    assert same.variance.item() == same.mean_error.item() == same.variance_error.item() == 0


def test_a_part_of_the_rows_has_the_moments_that_it_has_alone() -> None:
    values = torch.from_numpy(np.random.default_rng(0).normal(size=(50, 4, 2)))
    together, some = PlainMoments(torch.zeros(4, 2)), torch.tensor([3, 1])
    together.add(values[:30])
    part = together.select(some)
    part.add(values[30:, some])
    alone = plain(values[:, some].numpy(), [])
    torch.testing.assert_close(part.estimate().variance, alone.variance)


@settings(deadline=None, max_examples=50)
@given(pieces=pieces(), seed=st.integers(0, 1000))
def test_any_chunks_give_the_joint_covariance_and_the_votes_of_all_passes(
    pieces: tuple[int, list[int]], seed: int
) -> None:
    (passes, cuts), random = pieces, np.random.default_rng(seed)
    values = random.dirichlet([1.0, 2.0, 3.0], size=(passes, 2))
    values = np.concatenate([values, random.normal(size=(passes, 2, 1))], axis=-1)  # [P, B, V]
    joint = JointMoments()
    for piece in np.split(values, cuts):
        if len(piece):
            joint.add(torch.from_numpy(piece))
    for row, found in enumerate((joint.agreement(), joint.select(torch.tensor([1])).agreement())):
        assert found.covariance is not None
        expected = np.cov(values[:, row], rowvar=False)
        np.testing.assert_allclose(found.covariance[0], expected, rtol=1e-8, atol=1e-12)
        first = np.bincount(values[:, row, :-1].argmax(-1), minlength=3)
        assert found.votes[0].tolist() == first.tolist()


def test_many_classes_have_votes_but_no_covariance() -> None:
    joint = JointMoments()
    joint.add(torch.eye(COVARIANCE_CLASSES + 2)[:3, None])  # [P, 1, K + 1]
    found = joint.select(torch.tensor([0])).agreement()
    assert found.covariance is None
    assert found.votes[0].sum() == 3


DRAWS = {  # variance of each
    "normal": (lambda random, size: random.normal(size=size), 1.0),
    "uniform": (lambda random, size: random.uniform(size=size), 1 / 12),
    "exponential": (lambda random, size: random.exponential(size=size), 1.0),
    "rare": (lambda random, size: (random.uniform(size=size) < 0.05) * 1.0, 0.0475),
}


@pytest.mark.parametrize("name", DRAWS)
def test_the_standard_errors_cover_the_truth_as_often_as_normal_ones_do(name: str) -> None:
    """2,000 estimates of 1,000 passes; the band allows for a skewed sample variance."""
    draw, true_variance = DRAWS[name]
    values = draw(np.random.default_rng(0), (1000, 2000, 1))
    estimate = plain(values, [400])
    true_mean = values.mean()
    z_mean = (estimate.mean - true_mean) / estimate.mean_error
    z_variance = (estimate.variance - true_variance) / estimate.variance_error
    for z in (z_mean, z_variance):
        assert 0.925 < (np.abs(z) < 1.96).mean() < 0.97
        assert 0.93 < z.std() < 1.1


@pytest.mark.parametrize("estimator", ["plain", "reduced"])
@pytest.mark.parametrize("masks", ["shared", "per_row"])
def test_two_seeds_differ_by_as_much_as_their_error_bars(
    estimator: str,
    masks: str,
    regression_artifact: object,
) -> None:
    """Over 200 pairs of seeds the standardised differences have standard deviation 1 +- 15 %.

    By the error bars of the passes alone: what the neediest calibration row needs is left out.
    """
    predictor = without_allowances(load(regression_artifact))  # type: ignore[arg-type]
    x = predictor.encode([{"area": 80, "rooms": 3, "quarter": "east"}])
    means, variances = [], []
    for seed in range(200):
        pair = [
            predictor.predict_encoded(
                x,
                PredictOptions(passes=100, seed=s, estimator=estimator, masks=masks),  # type: ignore[arg-type]
            ).rows[0]
            for s in (seed, seed + 1000)
        ]
        one, other = pair
        means.append((one.mean - other.mean) / math.hypot(one.mean_error, other.mean_error))
        variances.append(
            (one.variance - other.variance) / math.hypot(one.variance_error, other.variance_error)
        )
    assert abs(np.std(means) - 1) < 0.15
    assert abs(np.std(variances) - 1) < 0.15
    assert abs(np.mean(means)) < 3.9 / math.sqrt(200)
