"""`evaluate`: the right rows, and the right figures."""

import json
import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import numpy as np
import pytest

from model import DataError, PredictOptions, Predictor, Table, evaluate, load, report_text
from model.artifact.folder import read
from model.artifact.records import TuningRecord
from model.data.preparation import split_rows
from model.evaluation.evaluate import Evaluation
from model.evaluation.measures import MEASURES
from model.evaluation.outcomes import ClassificationOutcome, RegressionOutcome

OPTIONS = PredictOptions(passes=20, seed=3, coverage=0.8)


def cells(table: Table, predictor: Predictor) -> list[dict[str, object]]:
    """The table's rows as a client would send them."""
    names = [feature.name for feature in predictor.card.features]
    return [
        {
            name: table.columns[name][row].item()
            if table.columns[name].dtype != object
            else table.columns[name][row]
            for name in names
        }
        for row in range(table.row_count)
    ]


@pytest.fixture
def evaluation(artifact: Path, sold: Table) -> Evaluation:
    """Of each task's model, on a table that it has not seen."""
    return evaluate(load(artifact), sold, OPTIONS)


def test_the_table_of_training_is_judged_on_the_rows_of_the_cards_metrics(
    artifact: Path, houses: Table
) -> None:
    predictor = load(artifact)
    found = evaluate(predictor, houses)
    card = predictor.card
    assert (found.part, found.rows) == ("test", card.training.rows["test"])
    (first, *others) = found.outcomes
    if not others:  # the card has one figure for several targets
        metrics = first.metrics()
        off = {f"deterministic_{k}": v for k, v in first.deterministic_metrics().items()}
        known = {name: (metrics | off)[name] for name in card.metrics}
        assert known == pytest.approx(card.metrics)


def test_a_row_that_overflows_is_placed_in_the_table_not_among_the_test_rows(
    regression_artifact: Path, houses: Table
) -> None:
    test = split_rows(houses.row_count, 0).test
    area = houses.columns["area"].copy()
    area[test[5]] = 1e36
    table = replace(houses, columns=houses.columns | {"area": area})
    with pytest.raises(DataError, match=rf"houses.csv, row {test[5] + 1}: .*not finite"):
        evaluate(load(regression_artifact), table, OPTIONS)


def test_a_fresh_seed_is_told_and_gives_the_same_figures_again(
    regression_artifact: Path, houses: Table
) -> None:
    predictor = load(regression_artifact)
    first = evaluate(predictor, houses, PredictOptions(passes=10))
    assert first.options.seed is not None
    again = evaluate(predictor, houses, first.options)
    assert again.document() == first.document()


def test_another_table_is_judged_on_all_rows(evaluation: Evaluation, sold: Table) -> None:
    assert (evaluation.part, evaluation.rows) == ("all", sold.row_count)
    asked = evaluation.options
    assert (asked.passes, asked.seed, asked.coverage) == (20, 3, 0.8)
    assert evaluation.seeds == (3, 4, 5, 6, 7)


def test_a_table_of_training_whose_test_rows_are_unknown_is_said_to_look_too_good(
    regression_artifact: Path, houses: Table
) -> None:
    predictor = load(regression_artifact)
    predictor.seen = None  # as of an artifact of an older release
    record = predictor.card.training.model_copy(update={"rows": {}})
    predictor.card = predictor.card.model_copy(update={"training": record})
    found = evaluate(predictor, houses, OPTIONS)
    assert found.part == "all"
    assert any("too good" in note for note in found.notes)


def test_the_outcome_of_a_regression_is_what_predict_answers(
    two_target_artifact: Path, sold: Table
) -> None:
    predictor = load(two_target_artifact)
    rows = predictor.predict(cells(sold, predictor), OPTIONS).rows
    outcomes = evaluate(predictor, sold, OPTIONS).outcomes
    assert [outcome.target for outcome in outcomes] == ["price", "rent"]
    for outcome in outcomes:
        name = outcome.target
        assert isinstance(outcome, RegressionOutcome)
        assert outcome.actual == pytest.approx(sold.columns[name])
        assert outcome.coverage == 0.8
        for found, field in (
            (outcome.mean, "mean"),
            (outcome.epistemic_std, "std"),
            (outcome.deterministic, "deterministic"),
        ):
            assert found == pytest.approx([getattr(row, field)[name] for row in rows])
        assert outcome.lower == pytest.approx([row.interval.lower[name] for row in rows])
        assert outcome.upper == pytest.approx([row.interval.upper[name] for row in rows])


def test_the_outcome_of_a_classification_is_what_predict_answers(
    multiclass_artifact: Path, sold: Table
) -> None:
    predictor = load(multiclass_artifact)
    rows = predictor.predict(cells(sold, predictor), OPTIONS).rows
    (outcome,) = evaluate(predictor, sold, OPTIONS).outcomes
    assert isinstance(outcome, ClassificationOutcome)
    assert [outcome.classes[at] for at in outcome.actual] == sold.columns["worth"].tolist()
    for at, name in enumerate(outcome.classes):
        assert outcome.probabilities[:, at] == pytest.approx([row.mean[name] for row in rows])
        off = [row.deterministic[name] for row in rows]
        assert outcome.deterministic[:, at] == pytest.approx(off)
    entropies = [row.predictive_entropy for row in rows]
    assert outcome.predictive_entropy == pytest.approx(entropies)
    information = [row.mutual_information for row in rows]
    assert outcome.mutual_information == pytest.approx(information, rel=1e-5)  # a difference
    labels = [outcome.classes[at] for at in outcome.probabilities.argmax(axis=-1)]
    assert labels == [row.label for row in rows]


def test_the_document_is_json_with_the_same_keys_for_every_target(evaluation: Evaluation) -> None:
    document = json.loads(json.dumps(evaluation.document(), allow_nan=False))
    assert list(document) == ["model", "data", "options", "notes", "targets"]
    assert document["options"] == {
        "passes": 20,
        "seed": 3,
        "seeds": [3, 4, 5, 6, 7],
        "estimator": evaluation.options.estimator,
        "masks": "shared",
        "coverage": 0.8,
        "largest_error": None,
    }
    assert document["data"] == {
        "name": "sold.csv",
        "sha256": "1" * 64,
        "part": "all",
        "rows": 200,
        "left_out": 0,
    }
    assert list(document["targets"]) == [outcome.target for outcome in evaluation.outcomes]
    for found in document["targets"].values():
        assert list(found) == ["unit", "metrics", "deterministic", "baselines", "classes", "curves"]
        assert set(found["deterministic"]) < set(found["metrics"]) <= set(MEASURES)
        *_, last = found["curves"]["risk_coverage"]
        assert last["coverage"] == 1


def test_regions_are_judged_under_every_seed(artifact: Path, sold: Table) -> None:
    predictor = load(artifact)
    found = evaluate(predictor, sold, OPTIONS, seeds=3)
    apart = [evaluate(predictor, sold, replace(OPTIONS, seed=seed), seeds=1) for seed in (3, 4, 5)]
    for at, outcome in enumerate(found.outcomes):
        metrics = outcome.metrics()
        name = "interval_coverage" if "rmse" in metrics else "set_coverage"
        shares = [each.outcomes[at].metrics()[name] for each in apart]
        claimed = 0.8 if "rmse" in metrics else 1.0
        worst = max(shares, key=lambda share: abs(share - claimed))  # type: ignore[operator]
        assert metrics[name] == shares[0]
        assert metrics[f"{name}_over_seeds"] == pytest.approx(np.mean(shares))  # type: ignore[arg-type]
        assert metrics[f"{name}_worst_seed"] == worst
        assert f"{name}_worst_seed" not in apart[0].outcomes[at].metrics()
    assert "seed 3 (regions: 3 to 5)" in report_text(found)


def test_the_whole_tables_risk_is_the_mean_error(
    regression_artifact: Path, binary_artifact: Path, sold: Table
) -> None:
    (numbers,) = evaluate(load(regression_artifact), sold, OPTIONS).outcomes
    (classes,) = evaluate(load(binary_artifact), sold, OPTIONS).outcomes
    accuracy = classes.metrics()["accuracy"]
    assert accuracy is not None
    assert numbers.curves()["risk_coverage"][-1]["risk"] == pytest.approx(numbers.metrics()["mae"])
    assert classes.curves()["risk_coverage"][-1]["risk"] == pytest.approx(1 - accuracy)


def test_intervals_of_the_asked_coverage_lie_on_the_coverage_curve(
    regression_artifact: Path, sold: Table
) -> None:
    """As long as the intervals are those of a Gaussian of the same std."""
    (outcome,) = evaluate(load(regression_artifact), sold, OPTIONS).outcomes
    assert isinstance(outcome, RegressionOutcome)
    reach = NormalDist().inv_cdf(0.9) * outcome.std
    outcome = replace(outcome, lower=outcome.mean - reach, upper=outcome.mean + reach)
    (level,) = (point for point in outcome.curves()["coverage"] if point["nominal"] == 0.8)
    assert level["actual"] == pytest.approx(outcome.metrics()["interval_coverage"])
    assert level["width"] == pytest.approx(outcome.metrics()["interval_width"])


def test_a_std_without_noise_is_said_to_be_too_small(
    regression_artifact: Path, sold: Table
) -> None:
    found = evaluate(load(regression_artifact), sold, OPTIONS)
    (outcome,) = found.outcomes
    assert isinstance(outcome, RegressionOutcome)
    assert not any("noise" in note for note in found.notes)
    predictor = load(regression_artifact)
    untuned = predictor.card.model_copy(update={"tuning": TuningRecord(noise="heteroscedastic")})
    found = evaluate(Predictor(untuned, read(regression_artifact)[1]), sold, OPTIONS)
    assert any("noise" in note for note in found.notes)


def test_label_sets_are_judged_by_how_often_they_hold_the_class_and_by_their_size(
    multiclass_artifact: Path, sold: Table
) -> None:
    (outcome,) = evaluate(load(multiclass_artifact), sold, OPTIONS).outcomes
    assert isinstance(outcome, ClassificationOutcome)
    sets = np.zeros((200, 3), dtype=bool)
    sets[np.arange(50), outcome.actual[:50]] = True  # right and alone
    sets[50:100] = True  # right and no use; the others are empty
    metrics = replace(outcome, label_sets=sets).metrics()
    assert (metrics["set_coverage"], metrics["set_size"]) == (0.5, pytest.approx(1.0))
    without = replace(outcome, label_sets=None).metrics()
    assert (without["set_coverage"], without["set_size"]) == (None, None)


def test_rows_beyond_the_training_range_are_counted(regression_artifact: Path, sold: Table) -> None:
    area = sold.columns["area"].copy()
    area[:7] = 1e4
    table = replace(sold, columns=sold.columns | {"area": area})
    found = evaluate(load(regression_artifact), table, OPTIONS)
    assert found.outcomes[0].outside[:7].all()
    count = int(found.outcomes[0].outside.sum())
    assert any(note.startswith(f"{count} of 200 rows") for note in found.notes)


def test_the_log_likelihood_is_of_the_passes_around_their_mean_in_the_targets_unit(
    regression_artifact: Path, sold: Table
) -> None:
    predictor, table = load(regression_artifact), sold
    (outcome,) = evaluate(predictor, table, OPTIONS).outcomes
    assert isinstance(outcome, RegressionOutcome)
    x, target = predictor.encode(cells(table, predictor)), predictor.card.target
    values = predictor.values(x, passes=20, seed=3)  # [P, B, 2], standardised
    tuning, centre = predictor.card.tuning, values[..., 0].mean(0)
    around = centre + np.sqrt(tuning.variance_factors[0]) * (values[..., 0] - centre)
    means = around * target.scales[0] + target.means[0]
    noise = tuning.noise_scales[0] * np.exp(values[..., 1])  # [P, B]
    noise *= tuning.noise_scales[0] * np.exp(values[..., 1].mean(0)) / noise.mean(0)
    stds = np.sqrt(noise) * target.scales[0]
    expected = []
    for row, price in enumerate(table.columns["price"]):
        passes = zip(means[:, row], stds[:, row], strict=True)
        densities = [NormalDist(mean, std).pdf(price) for mean, std in passes]
        expected.append(math.log(sum(densities) / len(densities)))
    assert outcome.metrics()["log_likelihood"] == pytest.approx(np.mean(expected), rel=1e-4)


def test_what_is_not_defined_is_null_not_nan(regression_artifact: Path, sold: Table) -> None:
    one = {name: column[:1] for name, column in sold.columns.items()}
    found = evaluate(load(regression_artifact), replace(sold, columns=one), OPTIONS)
    metrics = found.outcomes[0].metrics()
    assert metrics["std_error_correlation"] is None
    assert "rank correlation" in report_text(found)
    (outcome,) = found.outcomes
    assert isinstance(outcome, RegressionOutcome)
    still = replace(outcome, log_likelihood=math.nan)
    assert still.metrics()["log_likelihood"] is None
    assert json.dumps(found.document(), allow_nan=False)


def test_a_classifier_that_never_errs_has_no_auroc_of_errors(
    binary_artifact: Path, sold: Table
) -> None:
    (outcome,) = evaluate(load(binary_artifact), sold, OPTIONS).outcomes
    assert isinstance(outcome, ClassificationOutcome)
    perfect = replace(outcome, actual=outcome.probabilities.argmax(axis=-1))
    assert perfect.metrics()["error_auroc"] is None
    assert perfect.metrics()["accuracy"] == 1


def test_the_auroc_of_two_classes_is_that_of_either(binary_artifact: Path, sold: Table) -> None:
    (outcome,) = evaluate(load(binary_artifact), sold, OPTIONS).outcomes
    assert isinstance(outcome, ClassificationOutcome)
    yes = outcome.probabilities[outcome.actual == 1, 1]
    no = outcome.probabilities[outcome.actual == 0, 1]
    wins = np.mean((yes[:, None] > no) + 0.5 * (yes[:, None] == no))
    assert outcome.metrics()["auroc"] == pytest.approx(wins)
