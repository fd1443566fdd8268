"""What the reduced estimator makes of its terms: never less than nothing, whatever the controls."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from model.passes.estimate import Estimate
from model.passes.reduced import Law, Terms
from model.passes.reduced_moments import BLOCK, ReducedMoments

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def law(rows: int, variance: float, fourth: float = 0.0) -> Law:
    """That of one output whose controls have these cumulants, around a pivot of 3."""
    return Law(*(torch.full((rows, 1), v, dtype=torch.float64) for v in (3, variance, fourth, 1)))


def estimate(known: Law, *terms: np.ndarray, cuts: list[int] | None = None) -> Estimate:
    """From c, l, q and the two variances [P, B], taken in in pieces."""
    moments = ReducedMoments(known)
    for piece in np.split(np.stack(terms), cuts or [], axis=1):
        if piece.shape[1]:
            moments.add(Terms(*torch.from_numpy(piece[..., None])))
    return moments.estimate()


def normal(random: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    return random.normal(size=size)


def rare(random: np.random.Generator, size: tuple[int, ...]) -> np.ndarray:
    """Of variance 1, with an event every 25 passes."""
    return 5 * np.where(random.uniform(size=size) < 0.04, random.normal(size=size), 0)


def controlled(
    random: np.random.Generator,
    passes: int,
    rows: int,
    *,
    b: float = 1.0,
    k: float = 1.0,
    left: float = 0.3,
    draw: Draw = normal,
) -> tuple[np.ndarray, ...]:
    """The terms of c = b l + k q + e with unit l and q; their variance is the sum of squares."""
    l, q, e = (draw(random, (passes, rows)) for _ in range(3))  # noqa: E741
    zero = np.zeros((passes, rows))
    return b * l + k * q + left * e, l, q, zero, zero + 1


@pytest.mark.parametrize(("b", "k"), [(1.0, 1.0), (0.4, 0.0), (0.0, 1.5), (1.8, 0.7)])
def test_coefficients_are_found_that_leave_only_what_the_controls_do_not_explain(
    b: float, k: float
) -> None:
    found = estimate(law(400, 1.0), *controlled(np.random.default_rng(0), 1000, 400, b=b, k=k))
    assert found.mean_error.mean() == pytest.approx(0.3 / 1000**0.5, rel=0.02)
    assert found.mean.std() == pytest.approx(0.3 / 1000**0.5, rel=0.1)
    assert found.mean.mean() == pytest.approx(3, abs=4 * 0.3 / 400**0.5 / 1000**0.5)
    true = b**2 + k**2 + 0.09 + 1
    assert found.variance.mean() == pytest.approx(true, rel=0.005)


def test_useless_controls_leave_the_sample_moments() -> None:
    random = np.random.default_rng(0)
    c, l, q = (random.normal(size=(200, 50)) for _ in range(3))  # noqa: E741
    zero = np.zeros_like(c)
    found = estimate(law(50, 1.0), c, l, q, zero, zero)
    np.testing.assert_allclose(found.mean[:, 0] - 3, c.mean(0), atol=0.03)
    np.testing.assert_allclose(found.variance[:, 0], c.var(0, ddof=1), rtol=0.15)


@st.composite
def wild(draw: st.DrawFn) -> list[np.ndarray]:
    """Terms of 2 to 60 passes in which hardly anything happens."""
    passes, share = draw(st.integers(2, 60)), draw(st.sampled_from([0.0, 0.02, 0.3, 1.0]))
    random = np.random.default_rng(draw(st.integers(0, 1000)))
    size = (3, passes, 4)
    terms = np.where(random.uniform(size=size) < share, random.standard_cauchy(size=size), 1e-6)
    scales = [10.0 ** draw(st.integers(-6, 6)) for _ in range(3)]
    c, l, q = (scale * term for scale, term in zip(scales, terms, strict=True))  # noqa: E741
    return [c, l, q, np.zeros_like(c), np.zeros_like(c)]


@settings(deadline=None, max_examples=200)
@given(terms=wild(), variance=st.sampled_from([1e-9, 1.0, 1e6]))
def test_a_variance_is_never_negative_and_never_exactly_0_where_passes_differ(
    terms: list[np.ndarray], variance: float
) -> None:
    found = estimate(law(4, variance), *terms)
    assert (found.variance >= 0).all()
    assert (found.variance[:, 0][np.ptp(terms[0], axis=0) > 0] > 0).all()
    for part in (found.mean, found.variance, found.mean_error, found.variance_error):
        assert np.isfinite(part).all()


@settings(deadline=None, max_examples=25)
@given(
    passes=st.integers(2, 4 * BLOCK),
    cuts=st.lists(st.integers(0, 4 * BLOCK), max_size=6),
    seed=st.integers(0, 99),
)
def test_any_chunks_give_the_same_estimate(passes: int, cuts: list[int], seed: int) -> None:
    terms = controlled(np.random.default_rng(seed), passes, 2)
    known = law(2, 1.0)
    whole = estimate(known, *terms)
    found = estimate(known, *terms, cuts=sorted(cut for cut in cuts if cut < passes))
    for name in ("mean", "variance", "mean_error", "variance_error"):
        np.testing.assert_allclose(getattr(found, name), getattr(whole, name), rtol=1e-9)


def test_many_blocks_of_passes_are_as_near_as_all_passes_at_once() -> None:
    passes = 6 * BLOCK
    found = estimate(law(100, 1.0), *controlled(np.random.default_rng(0), passes, 100))
    for part, true in (("mean", 3.0), ("variance", 3.09)):
        z = (getattr(found, part) - true) / getattr(found, f"{part}_error")
        assert z.std() == pytest.approx(1, abs=0.2)
    assert found.mean_error.mean() == pytest.approx(0.3 / passes**0.5, rel=0.02)


def test_many_rows_are_counted_like_few(monkeypatch: pytest.MonkeyPatch) -> None:
    terms, known = controlled(np.random.default_rng(0), 64, 40), law(40, 1.0)
    together = estimate(known, *terms)
    monkeypatch.setattr("model.passes.reduced_moments.VALUES_AT_ONCE", 100)
    np.testing.assert_allclose(estimate(known, *terms).variance, together.variance, rtol=1e-12)


@pytest.mark.parametrize(
    ("draw", "left", "least"), [(normal, 0.03, 0.94), (normal, 1.0, 0.94), (rare, 0.3, 0.75)]
)
def test_few_passes_say_how_wrong_they_are(draw: Draw, left: float, least: float) -> None:
    """4,000 estimates of 64 passes; the fourth cumulant of the rare law is 25 x 3 - 3.

    Of rare events in what is left to sample, 64 passes meet too few to tell how rare they are.
    """
    terms = controlled(np.random.default_rng(0), 64, 4000, left=left, draw=draw)
    found = estimate(law(4000, 1.0, 0.0 if draw is normal else 72.0), *terms)
    for part, true in (("mean", 3.0), ("variance", 3 + left**2)):
        z = np.abs(getattr(found, part) - true) / getattr(found, f"{part}_error")
        assert 0.62 < (z < 1).mean() < 0.9
        assert (z < 2).mean() > least


def test_passes_without_any_of_the_rare_drops_have_large_error_bars() -> None:
    """l is 0 but for one pass of a thousand, in which it is 30: 64 passes have hardly seen it."""
    random = np.random.default_rng(0)
    l = np.where(random.uniform(size=(64, 500)) < 0.001, 30.0, 0.0)  # noqa: E741
    e, zero = 0.1 * random.normal(size=l.shape), np.zeros_like(l)
    found = estimate(law(500, 0.9, 0.001 * 30**4), l + e, l, zero, zero, zero)
    unseen = ~(l > 0).any(0)
    assert unseen.mean() > 0.8
    of_e_alone = 2**0.5 * 0.1**2 / 64**0.5  # the error of a sample variance of e
    assert (found.variance_error >= 4 * of_e_alone)[unseen].all()
