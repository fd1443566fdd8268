"""Models that learn the logarithm of a target, from a table to an evaluation."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import (
    Card,
    DataError,
    InputError,
    PredictOptions,
    Predictor,
    Table,
    TrainOptions,
    calibrate,
    evaluate,
    load,
    read_table,
    report_page,
    train,
)
from model.commands import main
from model.commands.describe import describe
from model.data.preparation import encode_table, encode_target

OPTIONS = TrainOptions(
    members=1, number_encoding="raw", hidden=(16, 16), dropout=(0.1,), epochs=40, batch=32
)


def incomes(seed: int, rows: int = 500) -> Table:
    """A log-normal law: incomes, and the rents of the same households, always above 0."""
    random = np.random.default_rng(seed)
    age, school = random.uniform(18, 70, rows), random.uniform(8, 20, rows)
    log = 9 + 0.1 * school + np.sin(age / 12)
    noise = 0.2 + 0.6 * (age > 50)
    return Table(
        f"incomes-{seed}.csv",
        {
            "age": age,
            "school": school,
            "income": np.exp(log + noise * random.normal(size=rows)),
            "rent": 300 + 20 * school + random.normal(0, 40, rows),
        },
        f"{seed:064d}",
    )


def trained(folder: Path, table: Table | None = None, **changes: Any) -> Card:
    options = {"drop": ["rent"], "options": OPTIONS, "log_target": True, **changes}
    return train(incomes(0) if table is None else table, "income", folder, **options)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "incomes"
    trained(path)
    return path


@pytest.fixture(scope="module")
def predictor(folder: Path) -> Predictor:
    return load(folder)


def test_the_card_names_the_targets_and_has_the_scale_of_their_logarithms(
    predictor: Predictor,
) -> None:
    card, table = predictor.card, incomes(0)
    target = card.target
    assert (card.task, target.logs) == ("regression", ("income",))
    logs = np.log(table.columns["income"])
    assert target.means[0] == pytest.approx(logs.mean(), abs=0.1)
    assert target.scales[0] == pytest.approx(logs.std(), abs=0.1)
    assert target.stds[0] == pytest.approx(math.exp(target.means[0]) * target.scales[0])
    assert "income: logarithm learned" in describe(card)
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_a_card_without_logarithms_keeps_its_version(tmp_path: Path) -> None:
    card = trained(tmp_path / "a", log_target=False)
    assert "logs" not in card.model_dump(exclude_defaults=True)["target"]


def test_answers_are_in_the_targets_own_unit_and_hold_what_they_claim(
    predictor: Predictor,
) -> None:
    fresh = incomes(5, rows=2_000)
    x, y = encode_table(fresh, predictor.card.schema_of_rows), fresh.columns["income"]
    held, below = [], []
    for seed in range(3):
        columns = predictor.predict_encoded(x, PredictOptions(seed=seed)).rows.columns
        ends = columns["interval"].columns
        held.append(np.mean((ends["lower"][:, 0] <= y) & (y <= ends["upper"][:, 0])))
        below.append(float(ends["lower"].min()))
    assert min(below) > 0
    assert np.mean(held) == pytest.approx(0.9, abs=0.06)  # 75 calibration rows
    assert columns["mean"][:, 0].mean() == pytest.approx(y.mean(), rel=0.1)
    squares = (columns["mean"][:, 0] - y) ** 2
    assert 0.5 < np.mean(squares / columns["total_variance"][:, 0]) < 2
    old = fresh.columns["age"] > 50
    relative = np.sqrt(columns["total_variance"]) / columns["mean"]
    assert np.median(relative[old]) > 1.5 * np.median(relative[~old])


@pytest.mark.parametrize("passes", [32, 100])
def test_error_bars_hold_the_truth_under_fresh_seeds(predictor: Predictor, passes: int) -> None:
    """Two errors hold the mean and the variance of many passes in 85 of 100 requests, by row."""
    x = encode_table(incomes(6, rows=25), predictor.card.schema_of_rows)
    many = [
        predictor.predict_encoded(x, PredictOptions(passes=5_000, seed=seed)).rows.columns
        for seed in (1000, 1001, 1002)
    ]
    truth = {name: np.mean([each[name] for each in many], axis=0) for name in ("mean", "variance")}
    inside = {name: np.zeros(len(x)) for name in truth}
    for seed in range(60):
        found = predictor.predict_encoded(x, PredictOptions(passes=passes, seed=seed)).rows.columns
        for name in truth:
            off = np.abs(found[name] - truth[name])
            inside[name] += (off <= 2 * found[f"{name}_error"])[:, 0] / 60
    for name, share in inside.items():
        assert share.min() >= 0.75, name  # 85 within chance: 2 standard errors of 60 requests


def test_the_estimator_is_plain_and_a_request_for_the_other_is_told_why(
    predictor: Predictor,
) -> None:
    rows = [{"age": 40, "school": 12}]
    assert predictor.predict(rows).note is None
    found = predictor.predict(rows, PredictOptions(estimator="reduced"))
    assert found.estimator == "plain"
    assert found.note
    assert "exponential" in found.note


def test_a_tolerance_is_that_of_the_std_of_the_target_itself(predictor: Predictor) -> None:
    options = PredictOptions(passes=5_000, tolerance=0.05, seed=1)
    found = predictor.predict([[40.0, 12.0], [25.0, 18.0]], options)
    assert found.stopped == "tolerance"
    for row in found.rows:
        assert row.variance_error / (2 * row.variance) < 0.2
        assert row.passes < 5_000


def test_a_row_far_away_whose_exponential_overflows_is_refused_by_its_number(
    predictor: Predictor,
) -> None:
    with pytest.raises(InputError, match=r"rows\.1: the model's output is not finite"):
        predictor.predict([[40.0, 12.0], [40.0, 1e9]])


def test_rows_are_accepted_by_an_rmse_in_the_targets_own_unit(predictor: Predictor) -> None:
    made = predictor.card.calibration
    assert made is not None
    assert made.abstention is not None
    largest = made.abstention.levels[-1].bound * 1.01
    found = predictor.predict([[40.0, 12.0]], PredictOptions(largest_error=largest))
    assert found.acceptance is not None
    assert found.acceptance.bound <= largest
    assert next(iter(found.rows)).accept is True


def test_an_evaluation_measures_the_target_itself(predictor: Predictor) -> None:
    fresh = incomes(9, rows=300)
    found = evaluate(predictor, fresh, PredictOptions(seed=4, passes=50))
    (outcome,) = found.outcomes
    metrics, y = outcome.metrics(), fresh.columns["income"]
    x = encode_table(fresh, predictor.card.schema_of_rows)
    columns = predictor.predict_encoded(x, PredictOptions(seed=4, passes=50)).rows.columns
    error = columns["mean"][:, 0] - y
    assert metrics["rmse"] == pytest.approx(math.sqrt(np.mean(error**2)))
    assert outcome.actual == pytest.approx(y)
    random = np.random.default_rng(0)  # the CRPS by draws of the law that it is said to be of
    square = np.log1p(columns["total_variance"][:, 0] / columns["mean"][:, 0] ** 2)
    middle = np.log(columns["mean"][:, 0]) - square / 2
    draws = np.exp(middle + np.sqrt(square) * random.normal(size=(4_000, 300)))
    spread = np.abs(draws[:2_000] - draws[2_000:]).mean() / 2
    assert metrics["crps"] == pytest.approx(np.abs(draws - y).mean() - spread, rel=0.01)
    for level in outcome.curves()["coverage"]:
        assert level["actual"] == pytest.approx(level["nominal"], abs=0.15)
    assert "log-normal" in report_page(found)


def test_the_likelihood_is_per_unit_of_the_target(predictor: Predictor) -> None:
    """The same rows with the target in another unit: the density is that many times as large."""
    fresh, unit = incomes(9, rows=50), 1_000.0
    card = predictor.card
    means = (card.target.means[0] - math.log(unit),)
    target = card.target.model_copy(update={"means": means})
    other = Predictor(card.model_copy(update={"target": target}), predictor.networks)
    found = []
    for each, income in ((predictor, 1.0), (other, unit)):
        columns = {**fresh.columns, "income": fresh.columns["income"] / income}
        table = replace(fresh, columns=columns)
        x = encode_table(table, each.card.schema_of_rows)
        y = encode_target(table, each.card.target_of_rows)
        options = PredictOptions(seed=1)
        found.append(each.predict_with_density(x, y, options)[1])
    assert found[1] - found[0] == pytest.approx(np.full((50, 1), math.log(unit)), abs=1e-6)


def test_new_rows_calibrate_it_anew(folder: Path, tmp_path: Path) -> None:
    """When all incomes have risen by half; over five draws of the calibration rows."""
    fresh, held = incomes(100, rows=1_000), []
    y = fresh.columns["income"] * 1.5
    for seed in range(50, 55):
        risen = incomes(seed)
        risen.columns["income"] *= 1.5
        card = calibrate(folder, risen, out=tmp_path / "again")
        assert card.calibration is not None
        assert card.calibration.estimator == "plain"
        x = encode_table(fresh, card.schema_of_rows)
        found = load(tmp_path / "again").predict_encoded(x, PredictOptions(seed=seed)).rows
        ends = found.columns["interval"].columns
        held.append(np.mean((ends["lower"][:, 0] <= y) & (y <= ends["upper"][:, 0])))
    assert np.mean(held) == pytest.approx(0.9, abs=0.03)  # four standard errors


def test_one_of_two_targets_is_learned_by_its_logarithm(tmp_path: Path) -> None:
    card = train(
        incomes(0),
        ["rent", "income"],
        tmp_path / "two",
        log_target="income",
        options=OPTIONS,
    )
    assert card.target.logs == ("income",)
    (row,) = load(tmp_path / "two").predict([[40.0, 12.0]]).rows
    assert row.mean["rent"] == pytest.approx(540, rel=0.15)
    assert row.mean["income"] == pytest.approx(math.exp(9 + 1.2 + math.sin(40 / 12)), rel=0.3)
    middle = (row.interval.lower["rent"] + row.interval.upper["rent"]) / 2
    assert middle == pytest.approx(row.mean["rent"], rel=1e-6)


@pytest.mark.parametrize("bad", [0.0, -3.5])
def test_a_target_that_has_no_logarithm_is_refused_with_its_row(
    bad: float, tmp_path: Path, folder: Path
) -> None:
    table = incomes(2)
    table.columns["income"][[7, 9]] = bad
    for refused in (lambda: trained(tmp_path / "a", table), lambda: calibrate(folder, table)):
        with pytest.raises(DataError) as caught:
            refused()
        said = str(caught.value)
        assert "row 8, column 'income'" in said
        assert f"the target {bad} is not above 0" in said


def test_a_name_that_is_no_target_and_a_classifier_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="log_target: age is no target"):
        trained(tmp_path / "a", log_target="age")
    with pytest.raises(DataError, match="logarithm"):
        trained(tmp_path / "a", task="multiclass")


def test_few_whole_numbers_are_amounts_if_their_logarithm_is_asked_for(tmp_path: Path) -> None:
    table = incomes(0)
    table.columns["income"] = 1 + np.rint(np.clip(table.columns["school"] / 5, 0, 4))
    assert trained(tmp_path / "a", table, log_target=False).task == "multiclass"
    assert trained(tmp_path / "b", table).task == "regression"


def test_a_notice_suggests_it_where_intervals_of_positive_targets_begin_below_0(
    tmp_path: Path,
) -> None:
    said = "begin below 0: log_target='income' learns its logarithm"
    plain = trained(tmp_path / "a", log_target=False).training.notices
    assert [said in notice for notice in plain].count(True) == 1
    assert not any(said in notice for notice in trained(tmp_path / "b").training.notices)
    signed = incomes(0)
    signed.columns["income"][0] = -1.0
    notices = trained(tmp_path / "c", signed, log_target=False).training.notices
    assert not any(said in notice for notice in notices)


def test_the_command_takes_all_targets_or_those_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ("age", "school", "income", "rent")
    cells = incomes(0, rows=120).columns
    lines = [",".join(names), *(",".join(f"{cells[n][i]:.6g}" for n in names) for i in range(120))]
    data = tmp_path / "incomes.csv"
    data.write_text("\n".join(lines))
    usual = ["train", str(data), "--target", "income,rent", "--epochs", "2", "--hidden", "4"]
    for at, (given, expected) in enumerate(
        [
            (["--log-target"], ("income", "rent")),
            (["--log-target", "rent"], ("rent",)),
            ([], ()),
        ]
    ):
        out = tmp_path / str(at)
        assert main([*usual, "--out", str(out), *given]) == 0
        assert load(out).card.target.logs == expected
    assert main([*usual, "--out", str(tmp_path / "x"), "--log-target", "age"]) == 2
    assert "age" in capsys.readouterr().err
    assert read_table(data).row_count == 120
