"""The distance score: a valid p-value, blind to nothing that the variance of a network misses."""

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import (
    ClassificationPrediction,
    PredictOptions,
    Table,
    TrainOptions,
    calibrate,
    load,
    train,
)
from model.artifact.folder import read, save
from model.calibration.novelty import (
    COMPARED_AT_ONCE,
    NEIGHBOURS,
    REFERENCE_BYTES,
    REFERENCE_ROWS,
    Similarity,
    fit,
)
from model.errors import CalibrationError


def curve(random: np.random.Generator, rows: int) -> np.ndarray:
    """Two correlated features, one on a circle with them, and a one-hot pair that goes with it."""
    t = random.uniform(0, 2 * np.pi, rows)
    a, b = np.cos(t), np.sin(t)
    c = a + b + random.normal(0, 0.05, rows)
    x = np.stack([a, b, c, a > 0, a <= 0], axis=1)
    return np.asarray(x + random.normal(0, [0.05, 0.05, 0, 0, 0], x.shape))


def fitted(seed: int = 0, calibration: int = 200) -> Similarity:
    random = np.random.default_rng(seed)
    return fit(curve(random, 600), curve(random, calibration), seed=seed)


def distances(similarity: Similarity, x: np.ndarray) -> np.ndarray:
    return similarity.distances(x)


def p_values(similarity: Similarity, x: np.ndarray) -> np.ndarray:
    return similarity.p_values(similarity.distances(x))


@pytest.mark.parametrize("rows", [1, 2, 40, 600])
def test_typical_rows_are_training_rows_near_the_centre_and_near_each_other(rows: int) -> None:
    random = np.random.default_rng(rows)
    training = curve(random, rows)
    found = fit(training, curve(random, 200), seed=0).typical
    assert len(found) == min(rows, NEIGHBOURS)
    apart = np.linalg.norm(training[:, None] - found, axis=-1)
    assert (apart.min(0) < 1e-5).all()
    if rows > NEIGHBOURS:
        spread = np.linalg.norm(training - training.mean(0), axis=1).mean()
        assert np.linalg.norm(found - found[0], axis=1).mean() < spread


def auroc(near: np.ndarray, far: np.ndarray) -> float:
    return float(np.mean(far[:, None] > near) + np.mean(far[:, None] == near) / 2)


@given(
    seed=st.integers(0, 1000),
    rows=st.integers(1, 60),
    width=st.integers(1, 6),
    asked=st.integers(1, 40),
)
@settings(deadline=None)
def test_distances_and_p_values_are_those_of_the_definition(
    seed: int, rows: int, width: int, asked: int
) -> None:
    random = np.random.default_rng(seed)
    train_x, calibration_x, x = (random.normal(size=(n, width)) for n in (rows, 30, asked))
    similarity = fit(train_x, calibration_x, seed=0, rows=20)
    assert similarity.reference.shape == (min(rows, 20), width)
    z = (x - similarity.centre.numpy()) @ similarity.whitening.numpy()
    far = np.linalg.norm(z[:, None] - similarity.reference.numpy(), axis=-1).min(1)
    np.testing.assert_allclose(distances(similarity, x), far, rtol=1e-6, atol=1e-6)
    at_least = (similarity.scores.numpy() >= far[:, None] * (1 - 1e-6)).sum(1)
    np.testing.assert_array_equal(p_values(similarity, x), (1 + at_least) / 31)


def test_p_values_of_fresh_rows_like_the_data_are_uniform() -> None:
    """Over 400 data sets: P(p <= k / 20) is k / 20 exactly, where (n + 1) k / 20 is whole."""
    random = np.random.default_rng(0)
    p = np.concatenate(
        [
            p_values(
                fit(curve(random, 60), curve(random, 99), seed=seed, rows=40), curve(random, 20)
            )
            for seed in range(400)
        ]
    ).reshape(400, 20)
    for level in (0.05, 0.1, 0.25, 0.5, 0.9):
        below = (p <= level + 1e-12).mean(1)  # of each data set, whose rows share its luck
        error = below.std(ddof=1) / np.sqrt(len(below))
        assert abs(below.mean() - level) < 3.3 * error, level


def test_a_combination_never_seen_is_far_though_every_feature_is_in_its_range() -> None:
    similarity, random = fitted(), np.random.default_rng(1)
    fresh = curve(random, 1000)
    centre = np.array([[0, 0, 0, 1, 0]])  # inside the circle: a gap, on no line
    off_line = np.array([[0.7, 0.7, -1.0, 1, 0]])  # c is not a + b
    wrong_kind = np.array([[-1.0, 0, -1.0, 1, 0]])  # the category goes with the other side
    for strange in (centre, off_line, wrong_kind):
        assert ((fresh.min(0) <= strange) & (strange <= fresh.max(0))).all()
        assert p_values(similarity, strange)[0] == 1 / 201
    shuffled = np.stack([random.permutation(column) for column in fresh.T], axis=1)
    assert auroc(distances(similarity, fresh), distances(similarity, shuffled)) > 0.97


def test_a_small_step_off_a_line_that_all_rows_lie_on_is_seen_among_many_features() -> None:
    """As far as most rows are from one another, but in a direction in which none of them differ."""
    random = np.random.default_rng(0)

    def rows(count: int) -> np.ndarray:
        free = random.normal(size=(count, 6))
        return np.column_stack([free, free.sum(1) / np.sqrt(6) + random.normal(0, 0.02, count)])

    similarity, strange = fit(rows(600), rows(199), seed=0), rows(100)
    strange[:, -1] += np.where(strange[:, -1] > 0, -1, 1)  # by one std, towards the middle
    assert (p_values(similarity, strange) <= 0.02).mean() > 0.9


def test_the_score_grows_with_the_distance_without_end() -> None:
    similarity = fitted()
    line = np.outer([0, 3, 10, 1e3, 1e9, 1e30], [1.0, -0.5, 0.2, 0.5, 0.1])
    far = distances(similarity, line.astype(np.float32))
    assert np.isfinite(far).all()
    assert (np.diff(far) > 0).all()
    assert (p_values(similarity, line)[1:] == 1 / 201).all()


def test_the_variance_of_a_relu_network_vanishes_far_away_where_the_score_grows(
    tmp_path: Path,
) -> None:
    random = np.random.default_rng(0)
    x = random.uniform(-1, 1, (600, 2))
    kind = np.where(x[:, 0] + random.normal(0, 0.3, 600) > 0, "high", "low").astype(object)
    table = Table("kinds.csv", {"a": x[:, 0], "b": x[:, 1], "kind": kind}, "0" * 64)
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(32, 32), dropout=(0.2,), epochs=30
    )
    train(table, ["kind"], tmp_path / "kinds", options=options)
    predictor = load(tmp_path / "kinds")

    def asked(rows: np.ndarray) -> list[ClassificationPrediction]:
        found = predictor.predict(rows.tolist(), PredictOptions(passes=200, seed=0)).rows
        return [row for row in found if isinstance(row, ClassificationPrediction)]

    away, near = asked(np.outer([2, 4, 8, 16, 32], [1.0, 0.1])), asked(x[500:])
    least = min(row.variance["high"] for row in near)
    assert all(row.variance["high"] < least for row in away[1:])  # surest where it knows nothing
    assert (np.diff([row.distance for row in away]) > 1).all()
    assert {row.distance_p_value for row in away} == {1 / 91}  # of 90 calibration rows


def test_a_row_in_every_range_but_like_none_that_was_seen_is_warned_of(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    x = curve(random, 900)
    columns = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": x[:, 0] * x[:, 1]}
    options = TrainOptions(members=1, number_encoding="raw", hidden=(8,), epochs=2)
    train(Table("ring.csv", columns, "0" * 64), "y", tmp_path / "ring", options=options)
    predictor = load(tmp_path / "ring")
    fresh = curve(random, 500)[:, :3]
    usual = [row.warnings for row in predictor.predict(fresh.tolist()).rows]
    strange = predictor.predict([[0.0, 0.0, 0.0], [0.7, 0.7, -1.0], [9.0, 0.0, 0.0]]).rows
    assert [row.warnings for row in strange] == [
        ("unseen_combination",),
        ("unseen_combination",),
        ("outside_training_range:a",),
    ]
    assert usual.count(("unseen_combination",)) <= 0.01 * 500 + 3 * math.sqrt(0.01 * 500)


def test_a_model_that_is_calibrated_elsewhere_learns_there_what_rows_are_like(
    regression_artifact: Path, sold: Table, tmp_path: Path
) -> None:
    bare = read(regression_artifact)._replace(similarity=None)
    save(tmp_path / "bare", bare)
    (row,) = load(tmp_path / "bare").predict([[80.0, 3, "east"]]).rows
    assert row.distance is row.distance_p_value is None
    calibrate(tmp_path / "bare", sold)
    (row,) = load(tmp_path / "bare").predict([[80.0, 3, "east"]]).rows
    assert row.distance is not None
    assert row.distance_p_value is not None
    assert 0 < row.distance_p_value <= 1


def test_scores_come_back_from_their_arrays_and_a_row_has_its_own_whoever_comes_with_it() -> None:
    similarity, x = (
        fitted(),
        curve(np.random.default_rng(5), COMPARED_AT_ONCE // 600 + 7).astype(np.float32),
    )
    arrays = {
        name: getattr(similarity, name).clone()
        for name in ("centre", "whitening", "reference", "scores")
    }
    p = p_values(similarity, x)
    np.testing.assert_array_equal(p, p_values(Similarity(**arrays), x))
    alone = [p_values(similarity, row[None])[0] for row in x[-20:]]
    np.testing.assert_array_equal(p[-20:], alone)
    assert sum(array.nbytes for array in arrays.values()) == 4 * (600 * 5 + 5 * 5 + 5 + 200)


def test_a_calibration_row_asked_again_is_as_far_as_it_was() -> None:
    random = np.random.default_rng(0)
    calibration = curve(random, 50)
    similarity = fit(curve(random, 100), calibration, seed=0)
    rank = np.argsort(np.argsort(-distances(similarity, calibration)))
    np.testing.assert_allclose(p_values(similarity, calibration), (2 + rank) / 51)


def test_rows_seen_in_training_are_at_distance_nought() -> None:
    x = curve(np.random.default_rng(0), 300)
    similarity = fit(x, x[:10], seed=0)
    assert distances(similarity, x).max() < 1e-5
    assert (p_values(similarity, np.zeros((0, 5))) == []).all()


@pytest.mark.parametrize("width", [2, 60])
def test_the_nearest_of_outliers_and_near_doubles_is_found_to_all_digits(width: int) -> None:
    """A float32 product alone is off by more than what tells such rows apart."""
    random = np.random.default_rng(width)
    heavy = random.standard_t(1.5, size=(1000, width)) * 30
    doubles = heavy + random.normal(0, 1e-4, heavy.shape)
    training = np.concatenate([heavy, doubles]).astype(np.float32)
    similarity = fit(training, training[:9], seed=0)
    assert len(similarity.reference) == 2000
    asked = np.concatenate([training, training + np.float32(1e-3), 1e5 * training[:50]])
    z = (asked - similarity.centre.double().numpy()) @ similarity.whitening.double().numpy()
    reference = similarity.reference.double().numpy()
    exact = [np.linalg.norm(row - reference, axis=1).min() for row in z]
    np.testing.assert_allclose(distances(similarity, asked), exact, rtol=1e-9, atol=1e-12)


def test_reference_rows_are_distinct_and_take_no_more_than_their_room() -> None:
    random = np.random.default_rng(0)
    kinds = np.eye(3)[random.integers(0, 3, 5000)]
    assert fit(kinds, kinds[:9], seed=0).reference.shape == (3, 3)
    many = random.normal(size=(REFERENCE_ROWS + 10, 2))
    assert fit(many, many[:9], seed=0).reference.shape == (REFERENCE_ROWS, 2)
    wide = random.normal(size=(1800, 600))
    rows = REFERENCE_BYTES // (4 * 600)
    assert fit(wide, wide[:9], seed=0).reference.shape == (rows, 600)


@pytest.mark.parametrize("width", [1, 40])
def test_inputs_that_never_vary_and_more_inputs_than_rows_are_no_obstacle(width: int) -> None:
    random = np.random.default_rng(0)
    constant = fit(np.ones((20, width)), np.ones((9, width)), seed=0)
    assert p_values(constant, np.array([[1.0] * width, [2.0] * width])).tolist() == [1.0, 0.1]
    few = fit(random.normal(size=(20, width)), random.normal(size=(39, width)), seed=0)
    fresh = p_values(few, random.normal(size=(400, width)))
    assert 0.3 < fresh.mean() < 0.7
    assert (p_values(few, 20 + random.normal(size=(50, width))) == 1 / 40).all()


@pytest.mark.parametrize("missing", ["training", "calibration"])
def test_without_rows_there_is_nothing_to_compare_with(missing: str) -> None:
    rows = {"training": np.ones((3, 2)), "calibration": np.ones((3, 2)), missing: np.ones((0, 2))}
    with pytest.raises(CalibrationError, match=f"needs {missing} rows"):
        fit(rows["training"], rows["calibration"], seed=0)
