"""The two parts of the variance of passes that are spread over members, and its law."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.formulas import StudentParts, VarianceParts


def passes_of(random: np.random.Generator, members: int, each: int, rows: int) -> np.ndarray:
    """Passes [P, B, 1] of members whose means have the std 2 and whose passes have the std 1."""
    means = 2 * random.normal(size=(members, rows))
    made = [means + random.normal(size=(members, rows)) for _ in range(each)]
    return np.concatenate(made)[..., None]  # pass k is of member k mod M


@given(st.integers(2, 6), st.integers(2, 9), st.integers(0, 99))
def test_the_parts_are_those_of_the_members_taken_one_by_one(
    members: int, each: int, seed: int
) -> None:
    passes = passes_of(np.random.default_rng(seed), members, each, rows=3)
    found = VarianceParts.of(passes, members)
    apart = passes.reshape(each, members, 3, 1)
    within = apart.var(0, ddof=1).mean(0)
    shown = apart.mean(0).var(0)
    raw = shown - (1 - 1 / members) * within / each
    assert found.mean == pytest.approx(passes.mean(0))
    assert found.within == pytest.approx(within)
    assert found.between == pytest.approx(np.maximum(raw, shown / (members + 1)))
    assert found.mean + found.own + found.apart == pytest.approx(passes)


@pytest.mark.parametrize("passes", [7, 12, 16])
def test_members_with_unequal_passes_have_the_variance_between_them_that_they_would_have_with_many(
    passes: int,
) -> None:
    random, rows = np.random.default_rng(1), 40_000
    means = 2 * random.normal(size=(5, rows))
    made = means[np.arange(passes) % 5] + random.normal(size=(passes, rows))
    found = VarianceParts.of(made[..., None], 5)
    assert found.within.mean() == pytest.approx(1, rel=0.02)
    assert found.between.mean() == pytest.approx(means.var(0).mean(), rel=0.02)


@pytest.mark.parametrize("apart", [0.2, 0.5, 1.0])
def test_a_variance_between_members_that_is_never_0_is_nearer_the_truth_than_one_cut_off_at_0(
    apart: float,
) -> None:
    """The std of the members' means is `apart` times that of their Monte-Carlo errors."""
    random, rows, each = np.random.default_rng(4), 60_000, 4
    means = apart / 2 * random.normal(size=(5, rows))
    passes = np.concatenate([means + random.normal(size=(5, rows)) for _ in range(each)])
    found = VarianceParts.of(passes[..., None], 5)
    cut_off = np.maximum(np.square(found.apart).mean(0) - 0.8 * found.within / each, 0)
    assert (found.between > 0).all()
    assert np.mean(cut_off == 0) > 0.15
    truth = means.var(0)[:, None]
    errors = [np.mean((guess - truth) ** 2) for guess in (found.between, cut_off)]
    assert errors[0] < (1.02 if apart < 0.5 else 1) * errors[1]


def test_a_single_network_has_all_of_its_variance_within() -> None:
    passes = np.random.default_rng(2).normal(size=(10, 4, 2))
    for found in (VarianceParts.of(passes), VarianceParts.of(passes, members=10)):
        assert found.within == pytest.approx(passes.var(0, ddof=1))
        assert not found.between.any()
        assert not found.apart.any()
    assert not VarianceParts.of(passes[:1]).within.any()


@given(st.floats(0.01, 9), st.floats(0.01, 9), st.integers(0, 99))
def test_scaled_passes_have_the_scaled_parts_of_the_variance(
    within: float, between: float, seed: int
) -> None:
    found = VarianceParts.of(passes_of(np.random.default_rng(seed), 5, 20, rows=4), 5)
    scaled = found.scaled(np.array([within]), np.array([between]))
    expected = within * np.square(found.own).mean(0) + between * found.between
    assert scaled.mean(0) == pytest.approx(np.zeros((4, 1)), abs=1e-12)
    assert np.square(scaled).mean(0) == pytest.approx(expected)


def test_passes_that_do_not_differ_stay_at_their_mean() -> None:
    found = VarianceParts.of(np.ones((10, 2, 1)), 5)
    assert not found.scaled(np.array([2.0]), np.array([3.0])).any()


@pytest.mark.parametrize(("members", "freedom"), [(2, 3), (3, 3), (5, 4), (9, 8)])
@pytest.mark.parametrize("count", [20, 5_000])
def test_the_parts_mix_to_students_law_of_variance_one(
    members: int, freedom: int, count: int
) -> None:
    law = StudentParts.of(count, members)
    scale = math.sqrt((freedom - 2) / freedom)  # of a Student law whose variance is 1
    level = math.gamma((freedom + 1) / 2) / math.gamma(freedom / 2) / math.sqrt(freedom * math.pi)
    stds = np.sqrt(law.variances)
    for at in (0.0, 0.5, 1.0, 2.0, 8.0, 50.0, 400.0):
        normals = np.exp(-((at / stds) ** 2) / 2) / stds / math.sqrt(2 * math.pi)
        exact = level / scale * (1 + (at / scale) ** 2 / freedom) ** (-(freedom + 1) / 2)
        # a part has one variance, which matters in the tails; relative, as they are small
        assert law.shares @ normals == pytest.approx(exact, rel=0.3 if at > 2 else 0.03)


@given(st.integers(1, 2_000), st.integers(2, 30))
def test_the_parts_have_a_variance_of_one_and_favour_no_pass(count: int, members: int) -> None:
    law = StudentParts.of(count, members)
    assert law.shares @ law.variances == pytest.approx(1)
    assert (law.variances > 0).all()
    assert np.bincount(law.passes, law.shares) == pytest.approx(np.full(count, 1 / count))
    if count >= 50 * members:
        means = np.bincount(law.passes, law.shares * np.minimum(law.variances, 2))
        for member in range(members):
            assert means[member::members].mean() == pytest.approx(means.mean(), rel=0.25)
