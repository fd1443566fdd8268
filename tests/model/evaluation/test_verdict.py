"""The one sentence on top: its words follow from the stated thresholds."""

from typing import Any

import numpy as np
import pytest

from model.evaluation.outcomes import ClassificationOutcome, RegressionOutcome
from model.evaluation.verdict import verdict

ROWS = 400


def regression(**changes: Any) -> RegressionOutcome:
    """Prices near 50,000: nine of ten inside their intervals, errors as large as their std."""
    std = np.linspace(500, 2_000, ROWS)
    error = std * np.where(np.arange(ROWS) % 10 == 0, 2, 1)
    mean = np.full(ROWS, 50_000.0)
    fields: dict[str, Any] = {
        "target": "price",
        "unit": None,
        "actual": mean + error,
        "mean": mean,
        "std": std,
        "epistemic_std": std / 2,
        "lower": mean - 1.5 * std,
        "upper": mean + 1.5 * std,
        "coverage": 0.9,
        "method": "conformal",
        "log_likelihood": -8.0,
        "deterministic": mean,
        "outside": np.zeros(ROWS, dtype=bool),
    }
    return RegressionOutcome(**fields | changes)


def classification(confidence: float, right: float, **changes: Any) -> ClassificationOutcome:
    """A class of two, with one confidence for all rows and a share of them right."""
    actual = (np.arange(ROWS) >= right * ROWS).astype(int)
    probabilities = np.tile([confidence, 1 - confidence], (ROWS, 1))
    fields: dict[str, Any] = {
        "target": "kind",
        "unit": None,
        "classes": ("a", "b"),
        "actual": actual,
        "probabilities": probabilities,
        "deterministic": probabilities,
        "predictive_entropy": np.linspace(0.1, 0.6, ROWS),
        "mutual_information": np.zeros(ROWS),
        "label_sets": None,
        "outside": np.zeros(ROWS, dtype=bool),
    }
    return ClassificationOutcome(**fields | changes)


def test_a_good_regression_is_told_so_in_one_sentence() -> None:
    said = verdict(regression(), 0.9)
    assert said.startswith("Intervals hold what they claim; the std ranks errors strongly: ")
    assert said.endswith(".")


@pytest.mark.parametrize(
    ("held", "words"),
    [
        ((0.9,), "Intervals hold what they claim; "),
        ((0.9294,), "Intervals hold what they claim; "),  # 1.96 sqrt(0.9 x 0.1 / 400) = 0.0294
        ((0.94,), "Intervals hold more than they claim, 94 % of the targets instead of 90 %; "),
        ((0.8,), "Intervals hold less than they claim, 80 % of the targets instead of 90 %; "),
        ((0.8, 1.0), "Intervals hold what they claim; "),  # the mean over the seeds counts
    ],
)
def test_intervals_hold_what_they_claim_up_to_chance(held: tuple[float, ...], words: str) -> None:
    assert verdict(regression(held=held), 0.9).startswith(words)


@pytest.mark.parametrize(
    ("noise", "words"),
    [
        (0.0, "the std ranks errors strongly: 1.00."),
        (3.0, "the std ranks errors moderately: 0."),
        (6.0, "the std ranks errors weakly: 0."),
        (1000.0, "the std does not rank errors: "),
    ],
)
def test_the_word_for_the_ranking_depends_on_the_correlation(noise: float, words: str) -> None:
    std = np.linspace(1, 2, ROWS)
    loss = std + noise * np.random.default_rng(3).random(ROWS)
    outcome = regression(std=std, mean=np.zeros(ROWS), actual=loss)
    assert words in verdict(outcome, 0.9)


def test_a_std_that_ranks_errors_backwards_or_not_at_all_is_told() -> None:
    std, still = np.linspace(1, 2, ROWS), np.zeros(ROWS)
    said = verdict(regression(std=std, mean=still, actual=3 - std), 0.9)
    assert said.endswith("the std ranks errors backwards: -1.00.")
    said = verdict(regression(std=np.ones(ROWS), mean=still, actual=std), 0.9)
    assert said.endswith("the std cannot rank errors, because all rows have the same std.")


@pytest.mark.parametrize(
    ("confidence", "words"),
    [
        (0.9, "Confidence matches accuracy; "),
        (0.97, "Confidence is too high, 97 % on average with 90 % of the rows right; "),
        (0.8, "Confidence is too low, 80 % on average with 90 % of the rows right; "),
    ],
)
def test_a_classifier_is_judged_by_its_confidence(confidence: float, words: str) -> None:
    assert verdict(classification(confidence, 0.9), 0.9).startswith(words)


def test_label_sets_may_hold_more_than_they_claim_but_not_less() -> None:
    sets = np.ones((ROWS, 2), dtype=bool)
    for held, words in (
        (1.0, "; label sets hold what they claim; "),
        (0.84, "; label sets hold less than they claim, 84 % of the classes instead of 90 %; "),
    ):
        assert words in verdict(classification(0.9, 0.9, label_sets=sets, held=(held,)), 0.9)
    assert "label sets" not in verdict(classification(0.9, 0.9), 0.9)


def test_the_entropy_is_judged_by_how_it_ranks_wrong_rows() -> None:
    said = verdict(classification(0.9, 0.9), 0.9)
    assert said.endswith("the entropy ranks errors strongly: 1.00.")
    said = verdict(classification(0.99, 0.995), 0.9)
    assert said.endswith("; too few rows are wrong (2) to judge how the entropy ranks errors.")
    said = verdict(classification(0.6, 0.01), 0.9)
    assert said.endswith("; too few rows are right (4) to judge how the entropy ranks errors.")


def test_few_rows_get_no_verdict() -> None:
    few = {name: np.ones(12) for name in ("mean", "std", "lower", "upper", "actual")}
    said = verdict(regression(**few, epistemic_std=np.ones(12), deterministic=np.ones(12)), 0.9)
    assert said == "12 rows are too few for a verdict; it takes 30."
