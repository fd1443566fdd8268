"""The tables of the most uncertain and of the most wrong rows."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from model import PredictOptions, Table, evaluate, load
from model.evaluation.extremes import SHOWN_ROWS, extremes
from model.evaluation.formatting import number, percent
from model.evaluation.outcomes import ClassificationOutcome, RegressionOutcome

OPTIONS = PredictOptions(passes=20, seed=0)


def test_a_regression_lists_the_rows_of_the_largest_std_and_of_the_largest_error(
    regression_artifact: Path, sold: Table
) -> None:
    (outcome,) = evaluate(load(regression_artifact), sold, OPTIONS).outcomes
    assert isinstance(outcome, RegressionOutcome)
    uncertain, wrong = extremes(outcome, np.arange(1, len(outcome.actual) + 1))
    assert uncertain.header == wrong.header
    assert uncertain.header == ("row", "prediction", "actual", "error", "std", "out of range")
    by_std, by_error = np.argsort(-outcome.std), np.argsort(-outcome.loss)
    for table, order in ((uncertain, by_std), (wrong, by_error)):
        assert len(table.rows) == SHOWN_ROWS == 10
        for at, row in zip(order.tolist(), table.rows, strict=False):
            mean, actual = float(outcome.mean[at]), float(outcome.actual[at])
            assert row == (
                str(at + 1),  # the first row of the table is row 1, as in messages
                number(mean),
                number(actual),
                number(mean - actual),
                number(float(outcome.std[at])),
                "yes" if outcome.outside[at] else "no",
            )


def test_a_classifier_lists_the_rows_of_the_largest_entropy_and_of_the_least_likely_class(
    multiclass_artifact: Path, sold: Table
) -> None:
    (outcome,) = evaluate(load(multiclass_artifact), sold, OPTIONS).outcomes
    assert isinstance(outcome, ClassificationOutcome)
    uncertain, wrong = extremes(outcome, np.arange(1, len(outcome.actual) + 1))
    assert uncertain.header == ("row", "prediction", "actual", "error", "entropy", "out of range")
    of_actual = outcome.probabilities[np.arange(200), outcome.actual]
    for table, order in (
        (uncertain, np.argsort(-outcome.predictive_entropy)),
        (wrong, np.argsort(of_actual)),
    ):
        at, first = int(order[0]), table.rows[0]
        assert len(table.rows) == SHOWN_ROWS
        assert first == (
            str(at + 1),
            outcome.classes[int(outcome.probabilities[at].argmax())],
            outcome.classes[int(outcome.actual[at])],
            percent(float(1 - of_actual[at])),
            number(float(outcome.predictive_entropy[at])),
            "yes" if outcome.outside[at] else "no",
        )


def test_rows_out_of_range_are_marked_and_few_rows_are_all_listed(
    regression_artifact: Path, sold: Table
) -> None:
    columns = {name: column[:4].copy() for name, column in sold.columns.items()}
    columns["area"][2] = 1000.0
    (outcome,) = evaluate(
        load(regression_artifact), replace(sold, columns=columns), OPTIONS
    ).outcomes
    for table in extremes(outcome, np.arange(1, len(outcome.actual) + 1)):
        assert {row[0]: row[-1] for row in table.rows}["3"] == "yes"
        assert sorted(row[0] for row in table.rows) == ["1", "2", "3", "4"]
