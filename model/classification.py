"""Classification, two classes or many: the training loss and the parts of a prediction."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.table import Target
from model.uncertainty import Estimate, Passes, entropy, mutual_information

ByClass = dict[str, float]


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
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[ByClass, ...] | None


class Classification:
    """The task of choosing one of K classes; the network's outputs are logits."""

    plain_because: str | None = "the reduced estimator needs a linear head; a softmax is none"

    def outputs(self, target: Target) -> int:
        """One logit per class, for two classes too."""
        return len(target.classes)

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats of logits [B, K] against class indices [B]."""
        return F.cross_entropy(outputs, targets)

    def values(self, outputs: Tensor) -> Tensor:
        """Each pass's class probabilities and, as the last value, their entropy: [..., K + 1].

        Softmax comes before the average: the mean of logits is not the logit of the mean.
        """
        probabilities = outputs.softmax(-1)
        return torch.cat([probabilities, entropy(probabilities)[..., None]], dim=-1)

    def relative_error(self, estimate: Estimate) -> Tensor:
        """That of the class whose probability varies most, [B]; the others hardly count."""
        most = estimate.variance[:, :-1].argmax(-1, keepdim=True)  # [B, 1]
        return estimate.relative_error.gather(-1, most)[:, 0]

    def summarise(
        self,
        passes: Passes,
        target: Target,
        coverage: float,  # noqa: ARG002  asked for by label sets, once a model is calibrated
    ) -> Sequence[ClassificationPrediction]:
        """One prediction per row, probabilities keyed by class."""
        classes, estimate = target.classes, passes.estimate
        values = estimate.mean.clamp_min(0)  # [B, K + 1], where rounding left less
        mean, expected = values[:, :-1], values[:, -1]
        predictive = entropy(mean)
        by_class = [
            [dict(zip(classes, row, strict=True)) for row in column.tolist()]
            for column in (
                mean,
                estimate.variance[:, :-1],
                estimate.variance[:, :-1].sqrt(),
                estimate.mean_error[:, :-1],
                estimate.variance_error[:, :-1],
                passes.deterministic[:, :-1],
            )
        ]
        samples: Sequence[tuple[ByClass, ...] | None] = [None] * len(mean)
        if passes.samples is not None:
            by_row = (row[:, :-1].tolist() for row in passes.samples)  # [P, K]
            samples = [tuple(dict(zip(classes, p, strict=True)) for p in row) for row in by_row]
        return [
            ClassificationPrediction(classes[label], *values)
            for label, *values in zip(
                mean.argmax(-1).tolist(),
                *by_class,
                predictive.tolist(),
                expected.tolist(),
                mutual_information(predictive, expected).tolist(),
                passes.counts,
                passes.warnings,
                samples,
                strict=True,
            )
        ]

    def metrics(
        self,
        predictions: Sequence[ClassificationPrediction],
        actual: np.ndarray,
        target: Target,
    ) -> dict[str, float]:
        """Accuracy and log loss (nats) of the mean, and accuracy of the deterministic pass."""
        mean = np.array([list(p.mean.values()) for p in predictions])  # [B, K]
        off = np.array([list(p.deterministic.values()) for p in predictions])
        labels = np.array([target.classes.index(p.label) for p in predictions])
        likelihood = np.clip(mean[np.arange(len(mean)), actual], 1e-12, None)
        return {
            "accuracy": float(np.mean(labels == actual)),
            "log_loss": float(-np.mean(np.log(likelihood))),
            "deterministic_accuracy": float(np.mean(off.argmax(-1) == actual)),
        }
