"""From rows to predictions: every option does what it says."""

import math
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model import (
    ClassificationPrediction,
    Estimator,
    InputError,
    MaskScope,
    PredictOptions,
    Predictor,
    RegressionPrediction,
    Table,
    TrainOptions,
    load,
    read_table,
    shipped,
    train,
)
from model.artifact.folder import read
from model.calibration.regions import SPREAD
from model.estimation import KERNEL_ROWS_AT_ONCE
from model.predictor import BLOCKS_APART
from tests.model.answers import HOUSE, HOUSES, close, numbers, without_allowances


def regressions(predictor: Predictor, rows: Any, **options: Any) -> list[RegressionPrediction]:
    found = predictor.predict(rows, PredictOptions(**{"seed": 1, **options})).rows
    return [row for row in found if isinstance(row, RegressionPrediction)]


def classifications(
    predictor: Predictor, rows: Any, **options: Any
) -> list[ClassificationPrediction]:
    found = predictor.predict(rows, PredictOptions(**{"seed": 1, **options})).rows
    return [row for row in found if isinstance(row, ClassificationPrediction)]


def enlarged(folder: Path) -> Predictor:
    """A predictor whose weights are a thousand times those of an artifact."""
    card, (network,), *_ = read(folder)
    for layer in network.linears():
        layer.weight.data = layer.weight * 1e3
    return Predictor(card, network)


@pytest.fixture(scope="module")
def noiseless(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of one hidden layer without any dropout."""
    folder = tmp_path_factory.mktemp("models") / "noiseless"
    options = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=(0.0,), epochs=3)
    train(houses, ["price"], folder, drop=["rent", "dear", "worth"], options=options)
    return folder


# Options


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("passes", 1),
        ("passes", 0),
        ("passes", -3),
        ("seed", -1),
        ("seed", 1 << 63),
        ("coverage", 0.0),
        ("coverage", 1.0),
        ("coverage", math.nan),
        ("coverage", math.inf),
        ("estimator", "best"),
        ("masks", "PER_ROW"),
        ("tolerance", 0.0),
        ("tolerance", -0.1),
        ("tolerance", math.nan),
    ],
)
def test_an_option_out_of_its_domain_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{field}: ") as caught:
        PredictOptions(**{field: value})  # type: ignore[arg-type]
    assert [detail.field for detail in caught.value.details] == [field]
    assert str(value) in str(caught.value)


def test_equal_options_are_one_key_for_a_batch() -> None:
    assert len({PredictOptions(seed=1), PredictOptions(seed=1), PredictOptions(seed=2)}) == 2


@pytest.mark.parametrize("seed", [0, 1, (1 << 63) - 1])
@pytest.mark.parametrize("passes", [2, 3, 100])
def test_the_bounds_of_the_domain_work(artifact: Path, seed: int, passes: int) -> None:
    options = PredictOptions(seed=seed, passes=passes, coverage=1e-12)
    answer = load(artifact).predict(HOUSES, options)
    assert all(map(math.isfinite, numbers(answer)))
    assert answer.seed == seed


def test_no_seed_is_a_fresh_one_that_repeats_the_answer_when_sent_back(artifact: Path) -> None:
    predictor = load(artifact)
    answers = [predictor.predict(HOUSES, PredictOptions(passes=5)) for _ in range(3)]
    assert len({answer.seed for answer in answers}) == 3
    for answer in answers:
        again = predictor.predict(HOUSES, PredictOptions(passes=5, seed=answer.seed))
        assert close(again, answer)


def test_a_fresh_seed_survives_json_readers_with_float_numbers(regression_artifact: Path) -> None:
    predictor = load(regression_artifact)
    seeds = [predictor.predict([HOUSE], PredictOptions(passes=2)).seed for _ in range(50)]
    assert all(int(float(seed)) == seed for seed in seeds)


# What comes back


def test_one_target_is_a_number_and_several_are_keyed_by_target(
    regression_artifact: Path, two_target_artifact: Path
) -> None:
    (one,) = regressions(load(regression_artifact), [HOUSE], samples=True, passes=5)
    assert isinstance(one.mean, float)
    (two,) = regressions(load(two_target_artifact), [HOUSE], samples=True, passes=5)
    assert two.samples is not None
    interval = (two.interval.lower, two.interval.upper)
    spreads = (two.variance, two.std, two.mean_error, two.variance_error)
    for value in (two.mean, two.deterministic, *spreads, *interval, *two.samples):
        assert isinstance(value, dict)
        assert list(value) == ["price", "rent"]


def test_an_answer_is_made_of_plain_floats_and_strings(artifact: Path) -> None:
    answer = load(artifact).predict(HOUSES, PredictOptions(passes=5, samples=True))
    assert {type(number) for number in numbers(answer)} == {float}
    assert all(math.isfinite(number) for number in numbers(answer))
    assert (answer.passes, answer.stopped, len(answer.rows)) == (5, "passes", 3)


@pytest.mark.parametrize("options", [{}, {"estimator": "plain"}, {"tolerance": 0.1}])
@pytest.mark.parametrize("masks", get_args(MaskScope))
def test_of_no_rows_there_are_no_predictions(
    artifact: Path, masks: MaskScope, options: dict[str, Any]
) -> None:
    predictor = load(artifact)
    x = predictor.encode(HOUSES)[:0]
    answer = predictor.predict_encoded(x, PredictOptions(masks=masks, samples=True, **options))
    assert list(answer.rows) == []
    assert answer.stopped == ("tolerance" if "tolerance" in options else "passes")


@pytest.mark.parametrize("masks", get_args(MaskScope))
def test_mean_and_variance_are_those_of_the_samples(artifact: Path, masks: MaskScope) -> None:
    options = PredictOptions(passes=30, seed=4, estimator="plain", masks=masks, samples=True)
    for row in without_allowances(load(artifact)).predict(HOUSES, options).rows:
        assert row.samples is not None
        assert len(row.samples) == 30
        keys = list(row.mean) if isinstance(row.mean, dict) else [None]
        for key in keys:
            pick = (lambda value, k=key: value[k]) if key else (lambda value: value)
            drawn = np.array([pick(sample) for sample in row.samples])
            assert pick(row.mean) == pytest.approx(drawn.mean(), rel=1e-6)
            assert pick(row.variance) == pytest.approx(drawn.var(ddof=1), rel=1e-5)
            assert pick(row.std) == pytest.approx(math.sqrt(pick(row.variance)))
            assert pick(row.mean_error) == pytest.approx(pick(row.std) / math.sqrt(30))


def test_samples_are_returned_only_on_request(artifact: Path) -> None:
    answer = load(artifact).predict(HOUSES, PredictOptions(passes=5))
    assert {row.samples for row in answer.rows} == {None}


def test_more_passes_begin_with_the_fewer(regression_artifact: Path) -> None:
    predictor = load(regression_artifact)
    (hundred,) = regressions(predictor, [HOUSE], passes=100, samples=True)
    (fifty,) = regressions(predictor, [HOUSE], passes=50, samples=True)
    assert hundred.samples is not None
    assert hundred.samples[:50] == pytest.approx(fifty.samples, rel=1e-5)


def test_both_estimators_and_both_mask_scopes_agree_within_their_errors(
    two_target_artifact: Path,
) -> None:
    predictor = load(two_target_artifact)
    answers = [
        regressions(predictor, HOUSES, passes=2000, estimator=estimator, masks=masks)
        for estimator in get_args(Estimator)
        for masks in get_args(MaskScope)
    ]
    for other in answers[1:]:
        for a, b in zip(answers[0], other, strict=True):
            for key in ("price", "rent"):
                error = math.hypot(a.mean_error[key], b.mean_error[key])
                assert abs(a.mean[key] - b.mean[key]) < 4.5 * error
                error = math.hypot(a.variance_error[key], b.variance_error[key])
                assert abs(a.variance[key] - b.variance[key]) < 4.5 * error


def test_the_deterministic_number_depends_on_no_option(artifact: Path) -> None:
    predictor = load(artifact)
    answers = [
        predictor.predict([HOUSE], PredictOptions(passes=passes, seed=seed))
        for passes, seed in ((2, 0), (2, 1), (9, 2))
    ]
    found = {tuple(numbers(answer.rows[0].deterministic)) for answer in answers}
    assert len(found) == 1


@settings(deadline=None, max_examples=60)
@given(
    area=st.floats(-1e4, 1e4),
    rooms=st.integers(-50, 50),
    quarter=st.sampled_from(["east", "north", "south"]),
    seed=st.integers(0, 1 << 62),
)
@pytest.mark.parametrize("task", ["binary", "multiclass"])
def test_the_laws_of_uncertainty_hold_for_every_row(
    artifacts: dict[str, Path], task: str, area: float, rooms: int, quarter: str, seed: int
) -> None:
    predictor = load(artifacts[task])
    row = {"area": area, "rooms": rooms, "quarter": quarter}
    (found,) = classifications(predictor, [row], seed=seed, passes=20)
    classes = predictor.card.target.classes
    total, doubt = found.predictive_entropy, found.expected_entropy
    assert list(found.mean) == list(found.variance) == list(classes)
    assert sum(found.mean.values()) == pytest.approx(1, abs=1e-6)
    assert sum(found.deterministic.values()) == pytest.approx(1, abs=1e-6)
    assert 0 <= found.mutual_information <= total <= math.log(len(classes)) + 1e-6
    assert doubt + found.mutual_information == pytest.approx(total, abs=1e-6)
    assert found.label == max(found.mean, key=lambda name: found.mean[name])
    assert all(0 <= v <= 0.5 for v in found.variance.values())  # at most 1/4 N/(N-1)


# Warnings


def test_a_model_without_dropout_says_so_and_its_variance_is_exactly_zero(
    noiseless: Path,
) -> None:
    predictor = load(noiseless)
    for estimator in get_args(Estimator):
        for masks in get_args(MaskScope):
            many = HOUSES * 50
            for row in regressions(predictor, many, passes=37, estimator=estimator, masks=masks):
                assert "no_dropout" in row.warnings
                assert row.variance == row.std == row.mean_error == row.variance_error == 0
                assert row.mean == pytest.approx(row.deterministic, rel=1e-6)


def test_a_value_outside_the_training_range_is_named(artifact: Path) -> None:
    rows = [HOUSE, {**HOUSE, "area": 1e4}, {**HOUSE, "area": -5, "rooms": 99}]
    answered = load(artifact).predict(rows, PredictOptions(passes=100)).rows
    found = [tuple(code for code in row.warnings if code != SPREAD) for row in answered]
    assert found == [
        (),
        ("outside_training_range:area",),
        ("outside_training_range:area", "outside_training_range:rooms"),
    ]


# Numbers that are too large


@pytest.mark.parametrize("estimator", get_args(Estimator))
@pytest.mark.parametrize("exponent", [3, 10, 20, 30, 36, 37, 38, 39, 100, 308])
def test_huge_values_give_finite_numbers_or_an_error_that_names_the_row(
    artifact: Path, estimator: Estimator, exponent: int
) -> None:
    predictor = load(artifact)
    rows = [HOUSE, {**HOUSE, "area": -(10.0**exponent), "rooms": 10.0**exponent}]
    try:
        answer = predictor.predict(rows, PredictOptions(passes=20, seed=0, estimator=estimator))
    except InputError as error:
        faults = {detail.field for detail in error.details}
        assert all(fault.startswith("rows.1") for fault in faults)
        assert faults
    else:
        assert all(map(math.isfinite, numbers(answer)))
        assert answer.rows[1].warnings


@pytest.mark.parametrize("estimator", get_args(Estimator))
@pytest.mark.parametrize("dropout", [True, False])
def test_an_overflow_inside_the_network_is_an_error_never_a_nan(
    regression_artifact: Path, noiseless: Path, dropout: bool, estimator: Estimator
) -> None:
    """Weights so large that the answer overflows somewhere, in some pass or in all."""
    predictor, refusals = enlarged(regression_artifact if dropout else noiseless), 0
    for exponent in np.arange(25, 39, 0.25):
        row = {**HOUSE, "area": 10.0**exponent}
        for seed in range(4):
            options = PredictOptions(passes=2, seed=seed, estimator=estimator)
            try:
                answer = predictor.predict([row], options)
            except InputError:
                refusals += 1
            else:
                assert all(map(math.isfinite, numbers(answer)))
    assert refusals


def test_the_row_that_overflows_is_named_at_every_position(regression_artifact: Path) -> None:
    predictor = enlarged(regression_artifact)
    x = np.zeros((KERNEL_ROWS_AT_ONCE + 50, 5), dtype=np.float32)
    x[KERNEL_ROWS_AT_ONCE + 7, 0] = 3e38
    with pytest.raises(InputError, match=rf"^rows\.{KERNEL_ROWS_AT_ONCE + 7}: "):
        predictor.predict_encoded(x, PredictOptions(passes=5))


def test_rows_are_checked_before_anything_is_computed(regression_artifact: Path) -> None:
    with pytest.raises(InputError) as caught:
        load(regression_artifact).predict([HOUSE, {"area": math.nan, "quarter": "west"}])
    assert {detail.field for detail in caught.value.details} == {
        "rows.1.area",
        "rows.1.rooms",
        "rows.1.quarter",
    }


@pytest.mark.parametrize("folder", shipped(), ids=lambda folder: folder.name)
def test_every_shipped_model_predicts_its_data_and_seldom_warns(folder: Path) -> None:
    predictor = load(folder)
    table = read_table(f"example:{folder.name}")
    names = [feature.name for feature in predictor.card.features]
    rows = np.stack([table.columns[name] for name in names], axis=1)
    answer = predictor.predict(rows, PredictOptions(seed=1))
    warned = np.mean([bool(row.warnings) for row in answer.rows])
    assert warned < 0.1  # each of two p-values for one row in a hundred, and ranges of features
    found = answer.rows[0]
    assert all(map(math.isfinite, numbers(found)))
    assert all(value >= 0 for value in numbers(found.variance))


@pytest.mark.parametrize("shape", [(2, 1), (2, 99), (5,)])
def test_encoded_rows_of_another_shape_are_refused(
    regression_artifact: Path, shape: tuple[int, ...]
) -> None:
    predictor = load(regression_artifact)
    with pytest.raises(InputError, match=r"x has the shape \[.*; \[rows, 5\] are needed"):
        predictor.predict_encoded(np.zeros(shape, np.float32), PredictOptions(passes=5))


@pytest.mark.parametrize("kernel", ["", "off"])
@pytest.mark.parametrize("estimator", ["plain", "reduced"])
def test_blocks_are_the_estimates_of_their_seeds_and_have_no_allowance(
    regression_artifact: Path,
    estimator: Estimator,
    kernel: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the kernel and by torch, so that both learn the same allowances from them."""
    monkeypatch.setenv("MCD_KERNEL", kernel)
    predictor = load(regression_artifact)
    x, (scale,) = predictor.encode(HOUSES), predictor.card.target.scales
    found = predictor.blocks(x, estimator, passes=40, count=3, seed=7)
    assert len(found) == 3
    for block, estimate in enumerate(found):
        options = PredictOptions(passes=40, seed=7 + block * BLOCKS_APART, estimator=estimator)
        rows = without_allowances(predictor).predict(HOUSES, options).rows.columns
        assert estimate.variance[:, 0] * scale**2 == pytest.approx(rows["variance"][:, 0], rel=1e-4)
        error = estimate.mean_error[:, 0] * scale
        assert error == pytest.approx(rows["mean_error"][:, 0], rel=1e-4)
    assert not np.allclose(found[0].mean, found[1].mean, rtol=1e-6)
