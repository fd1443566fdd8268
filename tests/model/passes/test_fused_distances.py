"""Distances by the compiled kernel beside those of numpy and torch."""

import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.calibration import Similarity, novelty
from model.passes.fused import WIDEST_ROW, FusedDistances, distances_of, variants

pytestmark = pytest.mark.skipif(
    not variants() and not os.environ.get("CI"), reason="the kernel is not compiled"
)


def similarity(rows: int, width: int, seed: int = 0) -> Similarity:
    """Of random training rows, whose columns have different scales."""
    draw = np.random.default_rng(seed)
    training, calibration = (
        (draw.normal(size=(count, width)) * np.geomspace(0.1, 10, width)).astype(np.float32)
        for count in (rows, 5)
    )
    return novelty.fit(training, calibration, seed=0)


def by_kernel(found: Similarity, variant: str | None = None) -> FusedDistances:
    made = distances_of(found, variant=variant)
    assert made is not None
    return made


@settings(deadline=None, max_examples=60)
@given(
    rows=st.integers(1, 70),
    width=st.integers(1, WIDEST_ROW),
    asked=st.sampled_from([0, 1, 3, 4, 5, 33, 200]),
    scale=st.sampled_from([1e-3, 1.0, 1e6]),
    variant=st.sampled_from(variants() or ("baseline",)),
)
def test_the_kernel_has_the_distances_of_the_similarity(
    rows: int, width: int, asked: int, scale: float, variant: str
) -> None:
    found = similarity(rows, width, seed=rows)
    x = np.random.default_rng(width).normal(size=(asked, width), scale=scale).astype(np.float32)
    expected = found.distances(x)
    assert np.allclose(by_kernel(found, variant)(x), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("variant", variants())
def test_a_reference_row_is_at_its_own_place(variant: str) -> None:
    found = similarity(300, 6)
    distances = by_kernel(found, variant)(found.rows)
    assert len(distances) == 300
    assert (distances < 1e-5).all()


def test_rows_that_lie_elsewhere_in_memory_are_read_as_they_are() -> None:
    found, x = similarity(50, 4), np.random.default_rng(1).normal(size=(4, 20)).astype(np.float32)
    expected = by_kernel(found)(np.ascontiguousarray(x.T))
    assert (by_kernel(found)(x.T) == expected).all()
    x.flags.writeable = False
    assert (by_kernel(found)(x.T) == expected).all()


def test_rows_of_another_width_are_refused() -> None:
    with pytest.raises(ValueError, match=r"x has the shape \(2, 3\); \[rows, 4\] are needed"):
        by_kernel(similarity(50, 4))(np.zeros((2, 3), dtype=np.float32))


def test_wide_rows_are_left_to_torch() -> None:
    assert distances_of(similarity(40, WIDEST_ROW)) is not None
    assert distances_of(similarity(40, WIDEST_ROW + 1)) is None
