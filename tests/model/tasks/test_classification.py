"""A classification turns passes into probabilities and two kinds of uncertainty."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from model.data.schema import Target
from model.options import PredictOptions
from model.passes.estimate import Estimate, Passes, entropy
from model.tasks.classification import Classification
from model.tasks.columns import Columns
from model.tasks.predictions import ClassificationPrediction

TARGET = Target(("worth",), ("high", "low", "middle"), (), (), (None,))


def summarised(values: Tensor, *, samples: bool = False) -> Columns[ClassificationPrediction]:
    """The prediction for one row from the values [P, K + 1] of its passes."""
    values = values[:, None]  # [P, 1, K + 1]
    wide = values.double().numpy()
    passes = Passes(
        estimate=Estimate(
            wide.mean(0), wide.var(0, ddof=1), wide.std(0, ddof=1), wide.var(0, ddof=1)
        ),
        deterministic=wide[0],
        counts=np.array([len(values)]),
        settled=False,
        warnings=[()],
        likeness=None,
        samples=[wide[:, 0]] if samples else None,
    )
    return Classification(TARGET).summarise(passes, PredictOptions())


def from_logits(logits: list[list[float]], **options: bool) -> ClassificationPrediction:
    return columns_from(logits, **options)[0]


def columns_from(logits: list[list[float]], **options: bool) -> Columns[ClassificationPrediction]:
    return summarised(Classification(TARGET).values(torch.tensor(logits)), **options)


def test_values_are_probabilities_and_their_entropy() -> None:
    logits = torch.tensor([[0.0, math.log(2), math.log(5)], [1000.0, 0.0, -1000.0]])
    values = Classification(TARGET).values(logits)
    np.testing.assert_allclose(values[0, :3], [1 / 8, 2 / 8, 5 / 8], rtol=1e-6)
    expected = -sum(p * math.log(p) for p in (1 / 8, 2 / 8, 5 / 8))
    assert values[0, 3].item() == pytest.approx(expected, rel=1e-6)
    assert values[1].tolist() == [1, 0, 0, 0]


def test_probabilities_are_averaged_not_logits() -> None:
    prediction = from_logits([[5.0, 0.0, 0.0], [-5.0, 0.0, 0.0]])
    high = [math.exp(z) / (math.exp(z) + 2) for z in (5, -5)]
    assert prediction.mean["high"] == pytest.approx(sum(high) / 2, rel=1e-6)
    assert prediction.variance["high"] == pytest.approx(np.var(high, ddof=1), rel=1e-5)
    assert prediction.deterministic["high"] == pytest.approx(high[0], rel=1e-6)


def test_the_label_is_the_class_of_the_largest_mean() -> None:
    prediction = from_logits([[0.0, 3.0, 0.0], [0.0, 2.0, 0.0]])
    assert prediction.label == "low"
    assert list(prediction.mean) == list(TARGET.classes)


def test_passes_that_are_all_uncertain_differ_from_passes_that_disagree() -> None:
    """Both predict one half each; only the second would be settled by more knowledge."""
    doubt = from_logits([[0.0, 0.0, -99.0]] * 4)
    dispute = from_logits([[99.0, 0.0, -99.0], [0.0, 99.0, -99.0]] * 2)
    assert doubt.mutual_information == pytest.approx(0, abs=1e-6)
    assert doubt.predictive_entropy == pytest.approx(math.log(2))
    assert doubt.expected_entropy == pytest.approx(math.log(2))
    corrected = math.log(2) + 2 * (1 / 3) / (2 * 4 * 0.5)  # for the bias of 4 passes
    assert dispute.mutual_information == pytest.approx(corrected)
    assert dispute.predictive_entropy == pytest.approx(corrected)
    assert dispute.expected_entropy == pytest.approx(0, abs=1e-6)


@given(
    st.lists(st.lists(st.floats(-60, 60), min_size=3, max_size=3), min_size=2, max_size=8),
)
def test_the_laws_of_uncertainty_hold(logits: list[list[float]]) -> None:
    prediction = from_logits(logits)
    total, doubt = prediction.predictive_entropy, prediction.expected_entropy
    assert sum(prediction.mean.values()) == pytest.approx(1, abs=1e-6)
    assert 0 <= prediction.mutual_information <= total <= math.log(3) + 1e-6
    assert 0 <= doubt <= math.log(3) + 1e-6
    assert doubt + prediction.mutual_information == pytest.approx(total, abs=1e-6)
    assert all(0 <= p <= 1 + 1e-6 for p in prediction.mean.values())
    assert prediction.label == max(prediction.mean, key=lambda name: prediction.mean[name])


def test_a_mean_that_rounding_left_below_zero_is_zero() -> None:
    (prediction,) = summarised(torch.tensor([[1.0, -1e-30, 0.0, -1e-30]] * 2))
    assert prediction.mean["low"] == prediction.expected_entropy == 0
    assert prediction.predictive_entropy == prediction.mutual_information == 0


def test_samples_are_each_passs_probabilities() -> None:
    prediction = from_logits([[0.0, 0.0, 0.0], [9.0, 0.0, 0.0]], samples=True)
    assert prediction.samples is not None
    assert prediction.samples[0] == pytest.approx(dict.fromkeys(TARGET.classes, 1 / 3))
    for name in TARGET.classes:
        mean = sum(sample[name] for sample in prediction.samples) / 2
        assert mean == pytest.approx(prediction.mean[name])


def test_entropy_counts_nothing_for_an_impossible_class() -> None:
    assert entropy(torch.tensor([0.0, 1.0])).item() == 0
    assert entropy(torch.tensor([0.5, 0.5, 0.0])).item() == pytest.approx(math.log(2))


def test_the_loss_is_the_cross_entropy_in_nats() -> None:
    logits = torch.tensor([[0.0, math.log(3)], [0.0, 0.0]])
    loss = Classification(TARGET).loss(logits, torch.tensor([1, 0])).item()
    assert loss == pytest.approx(-(math.log(3 / 4) + math.log(1 / 2)) / 2, rel=1e-6)


def test_two_classes_have_two_outputs() -> None:
    assert Classification(Target(("dear",), ("no", "yes"), (), (), (None,))).outputs == 2


def test_metrics_are_of_the_mean_and_of_the_deterministic_pass() -> None:
    right = columns_from([[2.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    sure_and_wrong = columns_from([[0.0, 500.0, 0.0], [0.0, 500.0, 0.0]])
    both = Columns.joined([right, sure_and_wrong])
    metrics = Classification(TARGET).metrics(both, np.array([0, 2]))
    assert metrics["accuracy"] == metrics["deterministic_accuracy"] == 0.5
    likelihood = math.exp(2) / (math.exp(2) + 2)
    expected = -(math.log(likelihood) + math.log(1e-12)) / 2
    assert metrics["log_loss"] == pytest.approx(expected, rel=1e-6)


def test_the_log_probability_is_of_the_averaged_probabilities() -> None:
    logits = torch.tensor([[[2.0, 0.0, 0.0]], [[0.0, 500.0, 0.0]]])  # [P, 1, K]
    values = Classification(TARGET).values(logits).numpy()
    likelihood = math.exp(2) / (math.exp(2) + 2) / 2
    found = Classification(TARGET).log_density(values, np.array([0]), 1)
    assert found.tolist() == [[pytest.approx(math.log(likelihood), rel=1e-6)]]
