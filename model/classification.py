"""Classification, two classes or many: the training loss and the parts of a prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model import conformal
from model.abstention import Abstention, error_rate
from model.agreement import (
    mutual_information,
    mutual_information_error,
    predictive_entropy,
    variation_ratio,
)
from model.calibration import Calibration, accepts
from model.network import USUAL_RATE, USUAL_WIDTHS
from model.options import LabelSetMethod, PredictOptions
from model.table import Target
from model.tuning import Tuning, tuned_classes
from model.uncertainty import Estimate, Passes, entropy

TINY = 1e-12  # a probability that a logarithm can take
ByClass = dict[str, float]


@dataclass(frozen=True)  # without slots: orjson writes it four times as fast
class LabelSet:
    """`labels`, most probable first, hold the true class with probability `coverage` at least.

    Over fresh rows, as long as they are exchangeable with the calibration rows. `lac`: the smallest
    sets on average; `aps`: larger ones that are more alike in coverage between easy and hard rows;
    `raps`: the same, but for a penalty on unlikely classes that keeps sets small where there are
    many. `lac:FEATURE` and so on: so calibrated for each category of that feature by itself.
    """

    coverage: float
    labels: tuple[str, ...]
    method: str


@dataclass(frozen=True, slots=True)
class ClassificationPrediction:
    """One row's prediction; `mean` holds the predicted probabilities, entropies are in nats."""

    label: str  # the class of the largest mean probability
    mean: ByClass
    variance: ByClass  # across the passes: epistemic
    std: ByClass
    mean_error: ByClass  # Monte-Carlo standard errors
    variance_error: ByClass
    deterministic: ByClass  # dropout off
    predictive_entropy: float
    expected_entropy: float
    mutual_information: float
    mutual_information_error: float | None  # Monte-Carlo standard error; None of many classes
    variation_ratio: float | None  # share of passes that put another class first than most do
    label_set: LabelSet | None  # None without calibration rows
    distance: float | None  # to the nearest of the training rows kept, in whitened units
    distance_p_value: float | None  # share of rows like the data that are as far off, or farther
    accept: bool | None  # None where no largest error was named
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[ByClass, ...] | None


@dataclass(frozen=True)
class Classification:
    """The task of choosing one of K classes; the network's outputs are logits."""

    target: Target
    tuning: Tuning = field(default_factory=Tuning)
    calibration: Calibration | None = None

    plain_because: ClassVar[str | None] = (
        "the reduced estimator is of a linear head; behind a softmax it gains little (measured)"
    )
    joint: ClassVar[bool] = True
    # To the end: with dropout off a network grows too sure of its classes, and its loss is least,
    # long before the average of the passes is at its best.
    epochs: ClassVar[int] = 100
    least_steps: ClassVar[int] = 0

    @property
    def outputs(self) -> int:
        """One logit per class, for two classes too."""
        return len(self.target.classes)

    @property
    def linear(self) -> int:
        """The outputs that the reduced estimator would be of."""
        return self.outputs

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats of logits [B, K] against class indices [B]."""
        return F.cross_entropy(outputs, targets)

    def nats_per_loss(self, loss: float) -> float:  # noqa: ARG002  a regression's
        """The loss is the log-likelihood itself."""
        return 1.0

    def hidden(self, rows: int) -> tuple[int, ...]:  # noqa: ARG002  a regression's
        """The same for any number of rows."""
        return USUAL_WIDTHS

    def dropout_rate(self, rows: int) -> float:  # noqa: ARG002  a regression's
        """The same for any number of rows."""
        return USUAL_RATE

    def weight_decay(self, rows: int) -> float:  # noqa: ARG002  a regression's
        """The same for any number of rows."""
        return 1e-4

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss itself."""
        return self.loss(outputs, targets)

    def values(self, outputs: Tensor) -> Tensor:
        """Each pass's class probabilities and, as the last value, their entropy: [..., K + 1].

        Softmax comes before the average: the mean of logits is not the logit of the mean.
        """
        probabilities = (outputs / self.tuning.temperature).softmax(-1)
        return torch.cat([probabilities, entropy(probabilities)[..., None]], dim=-1)

    def relative_error(self, estimate: Estimate) -> Tensor:
        """That of the class whose probability varies most, [B]; the others hardly count."""
        most = estimate.variance[:, :-1].argmax(-1, keepdim=True)  # [B, 1]
        return estimate.relative_error.gather(-1, most)[:, 0]

    def tuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The temperature that fits the passes' values [P, B, K + 1] of held-out rows best.

        And the numbers of RAPS that make its label sets for them smallest.
        """
        return tuned_classes(np.log(np.maximum(values[..., :-1], TINY)), actual)

    def scores(
        self, predictions: Sequence[ClassificationPrediction], actual: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The scores of the true classes of calibration rows, [B], by kind of label set."""
        mean = _array([p.mean for p in predictions])  # [B, K]
        return {
            method: conformal.true_scores(score(mean), actual)
            for method, score in self._set_scores.items()
        }

    def log_density(self, values: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Log of the mean probability of the actual classes [B], [B, 1]."""
        mean = values[..., :-1].mean(0)  # [B, K]
        return np.asarray(np.log(np.maximum(np.take_along_axis(mean, actual[:, None], -1), TINY)))

    def comparisons(
        self,
        predictions: Sequence[ClassificationPrediction],  # noqa: ARG002
        actual: np.ndarray,  # noqa: ARG002
    ) -> dict[str, dict[str, np.ndarray]]:
        """None: every kind of label set may be asked for."""
        return {}

    def abstention(
        self, predictions: Sequence[ClassificationPrediction], actual: np.ndarray
    ) -> Abstention | None:
        """Of rows accepted by the probability of their label: bounds on the error rate."""
        mean = _array([p.mean for p in predictions])  # [B, K]
        return error_rate(_doubt(mean), mean.argmax(-1) != actual)

    def summarise(
        self, passes: Passes, options: PredictOptions
    ) -> Sequence[ClassificationPrediction]:
        """One prediction per row, probabilities keyed by class."""
        classes, estimate = self.target.classes, passes.estimate
        values = estimate.mean.clamp_min(0).cpu().numpy()  # [B, K + 1], where rounding left less
        mean, expected = values[:, :-1], values[:, -1]
        variance, counts = estimate.variance[:, :-1].cpu().numpy(), np.array(passes.counts)
        by_class = [
            [dict(zip(classes, row, strict=True)) for row in column.tolist()]
            for column in (
                mean,
                variance,
                np.sqrt(variance),
                estimate.mean_error[:, :-1],
                estimate.variance_error[:, :-1],
                passes.deterministic[:, :-1],
            )
        ]
        rows = zip(
            mean.argmax(-1).tolist(),
            *by_class,
            predictive_entropy(mean, variance, counts[:, None]).tolist(),
            expected.tolist(),
            mutual_information(mean, variance, expected, counts[:, None]).tolist(),
            *self._agreement(mean, estimate, counts),
            self._label_sets(mean, options.coverage, options.label_set, passes.groups),
            [like.distance for like in passes.likeness],
            [like.p_value for like in passes.likeness],
            accepts(self.calibration, options, _doubt(mean)),
            passes.counts,
            passes.warnings,
            self._samples(passes),
            strict=True,
        )
        return [ClassificationPrediction(classes[label], *values) for label, *values in rows]

    def metrics(
        self, predictions: Sequence[ClassificationPrediction], actual: np.ndarray
    ) -> dict[str, float]:
        """Accuracy and log loss (nats) of the mean, and accuracy of the deterministic pass."""
        mean = _array([p.mean for p in predictions])  # [B, K]
        off = _array([p.deterministic for p in predictions])
        likelihood = np.clip(mean[np.arange(len(mean)), actual], TINY, None)
        return {
            "accuracy": float(np.mean(mean.argmax(-1) == actual)),
            "log_loss": float(-np.mean(np.log(likelihood))),
            "deterministic_accuracy": float(np.mean(off.argmax(-1) == actual)),
        }

    def _agreement(
        self, mean: np.ndarray, estimate: Estimate, passes: np.ndarray
    ) -> tuple[Sequence[float | None], Sequence[float | None]]:
        """The error of the mutual information and the variation ratio, where they are known."""
        found = estimate.agreement
        if found is None:
            return [None] * len(mean), [None] * len(mean)
        ratio: list[float | None] = variation_ratio(found.votes.cpu().numpy()).tolist()
        if found.covariance is None:
            return [None] * len(mean), ratio
        error = mutual_information_error(mean, found.covariance.cpu().numpy(), passes)
        errors: list[float | None] = error.tolist()
        return errors, ratio

    @property
    def _set_scores(self) -> dict[LabelSetMethod, Callable[[np.ndarray], np.ndarray]]:
        """What scores the classes [B, K] of each kind of label set."""
        tuning = self.tuning
        raps = partial(conformal.raps, penalty=tuning.rank_penalty, free=tuning.free_ranks)
        return {"lac": conformal.lac, "aps": conformal.aps, "raps": raps}

    def _label_sets(
        self, mean: np.ndarray, coverage: float, method: LabelSetMethod, groups: Sequence[str]
    ) -> list[LabelSet | None]:
        """The classes within the quantile, most probable first; raises CalibrationError."""
        if self.calibration is None:
            return [None] * len(mean)
        reach = self.calibration.quantile(method, coverage, groups)
        said = self.calibration.method(method)
        inside = conformal.label_sets(self._set_scores[method](mean), reach)  # [B, K]
        order = np.argsort(-mean, axis=-1, kind="stable")
        return [
            LabelSet(coverage, tuple(self.target.classes[k] for k in ranked if row[k]), said)
            for ranked, row in zip(order.tolist(), inside, strict=True)
        ]

    def _samples(self, passes: Passes) -> Sequence[tuple[ByClass, ...] | None]:
        if passes.samples is None:
            return [None] * len(passes.counts)
        by_row = (row[:, :-1].tolist() for row in passes.samples)  # [P, K]
        classes = self.target.classes
        return [tuple(dict(zip(classes, p, strict=True)) for p in row) for row in by_row]


def _doubt(mean: np.ndarray) -> np.ndarray:
    """What is left to the other classes, [B]: who abstains by it errs least (Chow 1970)."""
    return np.asarray(1 - mean.max(-1))


def _array(probabilities: Sequence[ByClass]) -> np.ndarray:
    """[B, K] of objects keyed by class."""
    return np.array([list(p.values()) for p in probabilities])
