"""Regions hold the truth as often as they say; the arithmetic is exact, the laws hold."""

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.errors import CalibrationError
from model.formulas.conformal import (
    aps,
    by_group,
    group_quantiles,
    interval,
    label_sets,
    lac,
    quantile,
    raps,
    regression_scores,
    rows_needed,
    sorted_scores,
    true_scores,
    uniforms,
)

coverages = st.integers(1, 999).map(lambda n: n / 1000)
METHODS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "lac": lac,
    "aps": aps,
    "raps": lambda p: raps(p, penalty=0.05, free=2),
}


def probabilities(random: np.random.Generator, rows: int, classes: int) -> np.ndarray:
    weights = random.gamma(0.3, size=(rows, classes)) + 1e-9
    return np.asarray(weights / weights.sum(1, keepdims=True))


def draw(random: np.random.Generator, p: np.ndarray) -> np.ndarray:
    """A label of every row, from the row's own probabilities."""
    beyond = random.random((len(p), 1)) > np.cumsum(p, axis=1)[:, :-1]
    return np.asarray(beyond.sum(1))


@given(rows=st.integers(1, 400), coverage=coverages)
def test_the_index_of_the_quantile_is_that_of_decimal_arithmetic(
    rows: int, coverage: float
) -> None:
    exact = Decimal(rows + 1) * Decimal(str(coverage))
    index = int(exact.to_integral_value(ROUND_CEILING))
    scores = np.arange(1.0, rows + 1)
    if index <= rows:
        assert quantile(scores, coverage) == index
        assert rows >= rows_needed(coverage)
    else:
        assert rows < rows_needed(coverage)
        with pytest.raises(CalibrationError, match=f"needs {rows_needed(coverage)} .* are {rows}"):
            quantile(scores, coverage)


def test_nine_rows_give_a_coverage_of_nine_tenths_by_the_last() -> None:
    assert quantile(np.arange(1.0, 10.0), 0.9) == 9
    assert 30 * 0.7 > 20.999999 and quantile(np.arange(1.0, 30.0), 0.7) == 21  # noqa: PT018
    assert quantile(np.arange(1.0, 10.0), float(np.float64(0.9))) == 9
    assert [rows_needed(c) for c in (0.5, 0.8, 0.9, 0.95, 0.99)] == [1, 4, 9, 19, 99]


def test_too_few_rows_are_an_error_that_says_how_many_it_takes() -> None:
    with pytest.raises(CalibrationError) as caught:
        quantile(np.arange(12.0), 0.95)
    assert str(caught.value) == "a coverage of 0.95 needs 19 calibration rows; there are 12"


@pytest.mark.parametrize("coverage", [0.0, 1.0, -0.5, 2.0])
def test_a_coverage_outside_its_range_is_refused(coverage: float) -> None:
    with pytest.raises(CalibrationError, match="between 0 and 1"):
        quantile(np.arange(100.0), coverage)


def test_scores_that_are_not_numbers_are_refused_and_infinite_ones_give_no_region() -> None:
    with pytest.raises(CalibrationError, match="1 calibration scores are not numbers"):
        sorted_scores(np.array([1.0, np.nan]))
    scores = sorted_scores(np.array([np.inf, *range(18)]))
    assert quantile(scores, 0.9) == 17
    with pytest.raises(CalibrationError, match="std of 0"):
        quantile(scores, 0.95)


def test_regression_scores_count_the_error_in_stds() -> None:
    actual, mean = np.array([1.0, 5.0, 5.0, 2.0]), np.array([3.0, 5.0, 4.0, 2.0])
    scores = regression_scores(actual, mean, np.array([4.0, 1.0, 0.0, 0.0]))
    np.testing.assert_array_equal(scores, [0.5, 0, np.inf, 0])
    np.testing.assert_array_equal(regression_scores(actual, mean), [2, 0, 1, 0])


@given(seed=st.integers(0, 10_000), limit=st.floats(0.01, 5))
def test_an_interval_holds_exactly_the_values_whose_score_is_within_the_quantile(
    seed: int, limit: float
) -> None:
    random = np.random.default_rng(seed)
    mean, std = random.normal(size=200), random.gamma(2, size=200)
    actual = mean + std * random.normal(scale=2, size=200)
    lower, upper = interval(mean, limit, std)
    inside = (lower <= actual) & (actual <= upper)
    np.testing.assert_array_equal(inside, regression_scores(actual, mean, std) <= limit)


@given(
    seed=st.integers(0, 10_000), low=coverages, high=coverages, method=st.sampled_from([*METHODS])
)
@settings(deadline=None)
def test_more_coverage_is_a_wider_interval_and_a_larger_set(
    seed: int, low: float, high: float, method: str
) -> None:
    low, high = sorted((low, high))
    random = np.random.default_rng(seed)
    scores = sorted_scores(random.exponential(size=1000))
    inner, outer = (interval(np.zeros(3), quantile(scores, c), 2.0) for c in (low, high))
    assert (inner[1] - inner[0] <= outer[1] - outer[0]).all()

    p = probabilities(random, 1050, 5)
    by_class = METHODS[method](p)
    calibrated = sorted_scores(true_scores(by_class[:1000], draw(random, p[:1000])))
    small, large = (label_sets(by_class[1000:], quantile(calibrated, c)) for c in (low, high))
    assert (small <= large).all()
    assert small.any(axis=1).all()


def slow_aps(p: np.ndarray, u: float, penalty: float = 0.0, free: int = 0) -> np.ndarray:
    """By the definition, one class at a time; a tie goes to the earlier class."""
    scores = np.empty(len(p))
    for k, own in enumerate(p):
        ahead = [i for i, q in enumerate(p) if q > own or (q == own and i < k)]
        beyond = max(0, len(ahead) + 1 - free)
        scores[k] = sum(p[i] for i in ahead) + (1 - u) * own + penalty * beyond
    return scores


@given(
    weights=st.lists(st.integers(0, 5), min_size=2, max_size=6).filter(any),
    u=st.floats(0, 1),
    penalty=st.floats(0, 1),
    free=st.integers(0, 6),
    limit=st.floats(-0.5, 1.5),
)
def test_class_scores_and_sets_are_those_of_the_definition(
    weights: list[int], u: float, penalty: float, free: int, limit: float
) -> None:
    p = np.array(weights) / sum(weights)
    randomised = aps(p[None], uniforms=np.array([u]))[0]
    np.testing.assert_allclose(randomised, slow_aps(p, u), atol=1e-12)
    np.testing.assert_allclose(aps(p[None])[0], slow_aps(p, 1.0), atol=1e-12)
    penalised = raps(p[None], penalty=penalty, free=free, uniforms=np.array([u]))[0]
    np.testing.assert_allclose(penalised, slow_aps(p, u, penalty, free), atol=1e-12)
    (inside,) = label_sets(lac(p[None]), limit)
    expected = {k for k in range(len(p)) if 1 - p[k] <= limit + 1e-9 * max(1, abs(limit))}
    assert set(np.flatnonzero(inside)) == (expected or {int(np.argmax(p))})


def test_deterministic_aps_never_leaves_out_the_most_probable_class() -> None:
    p = probabilities(np.random.default_rng(0), 500, 4)
    scores = aps(p)
    assert (scores.min(axis=1) == 0).all()
    assert (scores.argmin(axis=1) == p.argmax(axis=1)).all()


def test_a_class_that_scores_the_quantile_but_for_rounding_is_inside() -> None:
    p = np.array([[0.5, 0.3, 0.2]])
    limit = float(true_scores(lac(p), np.array([1]))[0])
    moved = p + np.array([[1e-13, -1e-13, 0.0]])
    np.testing.assert_array_equal(label_sets(lac(moved), limit), [[True, True, False]])


def test_a_seed_gives_each_row_the_same_number_whatever_follows_it() -> None:
    np.testing.assert_array_equal(uniforms(5, 7), uniforms(9, 7)[:5])
    assert (uniforms(5, 7) != uniforms(5, 8)).all()


COVERAGES = (0.8, 0.9, 0.95)
SPLITS, CALIBRATION, FRESH = 4000, 99, 50


def hits_over_splits(covered: dict[float, list[int]]) -> dict[float, tuple[float, float]]:
    """By coverage, the share of fresh rows covered and the standard error over the splits."""
    shares = {c: np.array(hits) / FRESH for c, hits in covered.items()}
    return {c: (s.mean(), s.std(ddof=1) / np.sqrt(SPLITS)) for c, s in shares.items()}


def test_coverage_over_many_splits_is_the_nominal_one() -> None:
    """(n + 1) coverage is an integer, scores have no ties: coverage is exact; 3.3 errors, 99.9 %.

    The stds are wrong on purpose: the guarantee asks nothing of the model.
    """
    random = np.random.default_rng(0)
    covered: dict[float, list[int]] = {c: [] for c in COVERAGES}
    for _ in range(SPLITS):
        noise = random.standard_t(3, size=CALIBRATION + FRESH)
        scores = regression_scores(
            noise, np.zeros_like(noise), np.exp(random.normal(size=len(noise)))
        )
        calibrated = sorted_scores(scores[:CALIBRATION])
        for c in COVERAGES:
            covered[c].append(int((scores[CALIBRATION:] <= quantile(calibrated, c)).sum()))
    for c, (share, error) in hits_over_splits(covered).items():
        assert abs(share - c) < 3.3 * error, c


def test_every_split_lies_inside_its_beta_binomial_band_as_often_as_it_should() -> None:
    """Hits among m fresh rows are beta-binomial (m, k, n + 1 - k): its 99.9 % band."""
    random, n, m = np.random.default_rng(1), 200, 300
    for c in COVERAGES:
        index = round((n + 1) * c + 0.4999)  # 161, 181, 191
        law = random.binomial(m, random.beta(index, n + 1 - index, size=400_000))
        low, high = np.quantile(law, [0.0005, 0.9995])
        scores = random.gamma(2, size=(2000, n + m))
        limits = np.array([quantile(np.sort(row[:n]), c) for row in scores])
        hits = (scores[:, n:] <= limits[:, None]).sum(1)
        assert ((hits < low) | (hits > high)).sum() <= 9  # Poisson(2) exceeds it once in 20,000
        assert abs(hits.std() / law.std() - 1) < 0.07


@pytest.mark.parametrize("method", ["lac", "aps", "raps"])
def test_randomised_label_sets_cover_exactly_and_no_less_by_never_being_empty(
    method: str,
) -> None:
    random = np.random.default_rng(2)
    covered: dict[float, list[int]] = {c: [] for c in COVERAGES}
    held: dict[float, list[int]] = {c: [] for c in COVERAGES}
    for split in range(SPLITS):
        p = probabilities(random, CALIBRATION + FRESH, 4)
        labels, u = draw(random, p**0.7 / (p**0.7).sum(1, keepdims=True)), uniforms(len(p), split)
        scores = {"lac": lac(p), "aps": aps(p, uniforms=u)}.get(method)
        if scores is None:
            scores = raps(p, penalty=0.1, free=1, uniforms=u)
        true = true_scores(scores, labels)
        calibrated = sorted_scores(true[:CALIBRATION])
        for c in COVERAGES:
            limit = quantile(calibrated, c)
            covered[c].append(int((true[CALIBRATION:] <= limit).sum()))
            sets = label_sets(scores[CALIBRATION:], limit)
            held[c].append(int(sets[np.arange(FRESH), labels[CALIBRATION:]].sum()))
    for c, (share, error) in hits_over_splits(covered).items():
        assert abs(share - c) < 3.3 * error, c
        assert sum(held[c]) >= sum(covered[c])


@pytest.mark.parametrize("method", METHODS)
def test_ties_and_the_deterministic_sets_cover_at_least_what_was_asked(method: str) -> None:
    random = np.random.default_rng(3)
    covered: dict[float, list[int]] = {c: [] for c in COVERAGES}
    kinds = np.array([[0.6, 0.3, 0.1], [0.4, 0.3, 0.3], [0.9, 0.05, 0.05]])
    for _ in range(SPLITS):
        p = kinds[random.integers(0, 3, CALIBRATION + FRESH)]
        labels, scores = draw(random, p), METHODS[method](p)
        true = sorted_scores(true_scores(scores[:CALIBRATION], labels[:CALIBRATION]))
        for c in COVERAGES:
            sets = label_sets(scores[CALIBRATION:], quantile(true, c))
            covered[c].append(int(sets[np.arange(FRESH), labels[CALIBRATION:]].sum()))
    for c, (share, error) in hits_over_splits(covered).items():
        assert share > c - 3.3 * error


def test_groups_are_covered_each_where_one_quantile_for_all_would_not() -> None:
    random, groups = np.random.default_rng(4), np.array(["calm", "wild"] * 2000, dtype=object)
    scores = np.abs(random.normal(size=4000)) * np.where(groups == "wild", 5, 1)
    half = slice(0, 2000), slice(2000, 4000)
    by = by_group(scores[half[0]], list(groups[half[0]]))
    assert sorted(by) == ["calm", "wild"]
    limits = group_quantiles(by, list(groups[half[1]]), 0.9)
    overall = quantile(sorted_scores(scores[half[0]]), 0.9)
    for name in by:
        mine = groups[half[1]] == name
        assert 0.86 < (scores[half[1]][mine] <= limits[mine]).mean() < 0.94
        assert not 0.86 < (scores[half[1]][mine] <= overall).mean() < 0.94


def test_a_group_that_is_unknown_or_too_small_is_named() -> None:
    by = by_group(np.arange(30.0), ["north"] * 25 + ["south"] * 5)
    np.testing.assert_array_equal(group_quantiles(by, ["north", "north"], 0.9), [23.0, 23.0])
    with pytest.raises(CalibrationError, match=r"'east' has no calibration rows.*north, south"):
        group_quantiles(by, ["north", "east"], 0.9)
    with pytest.raises(CalibrationError, match=r"group 'south': .* needs 9 .* there are 5"):
        group_quantiles(by, ["south"], 0.9)
