"""Classification, two classes or many: the training loss and the parts of a prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model.calibration import (
    Abstention,
    Calibration,
    Quantities,
    Quantity,
    Tuning,
    accepts,
    error_rate,
    fit_temperature,
    judged,
    tuned_classes,
    widened,
)
from model.data import Target
from model.formulas import (
    conformal,
    mutual_information,
    mutual_information_error,
    predictive_entropy,
    scores,
    variation_ratio,
)
from model.options import LabelSetMethod, PredictOptions
from model.passes import Estimate, Passes, entropy
from model.tasks.columns import Column, Columns
from model.tasks.defaults import USUAL_RATE, USUAL_WIDTHS, TrainingDefaults
from model.tasks.predictions import ClassificationPrediction, LabelSet

NEAR = 0.1  # std of the log of what a temperature changes by once the weights know more rows
CLEAN_DECAY, NOISY_DECAY, SMALL_TABLE = 0.3, 10.0, 1_200


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
    retunes: ClassVar[bool] = True

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

    def defaults(self, rows: int) -> TrainingDefaults:
        """The same network for any number of rows, and two weight decays.

        The strong one is for noisy labels: under a smaller one a network learns them by heart. On
        small noisy tables it is as good as logistic regression. How noisy the labels are, only rows
        that the network has not seen can tell. Training runs to its end: with dropout off a network
        grows too sure of its classes, and its loss is least, long before the average of the passes
        is at its best.
        """
        share = min(1.0, SMALL_TABLE / rows)
        return TrainingDefaults(
            hidden=USUAL_WIDTHS,
            dropout=USUAL_RATE,
            weight_decays=(round(CLEAN_DECAY * share, 4), round(NOISY_DECAY * share, 4)),
            epochs=100,
            least_steps=0,
        )

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss itself."""
        return self.loss(outputs, targets)

    def values(self, outputs: Tensor) -> Tensor:
        """Each pass's class probabilities and, as the last value, their entropy: [..., K + 1].

        Softmax comes before the average: the mean of logits is not the logit of the mean.
        """
        probabilities = (outputs / self.tuning.temperature).softmax(-1)
        return torch.cat([probabilities, entropy(probabilities)[..., None]], dim=-1)

    def quantities(self, estimate: Estimate, passes: int) -> Quantities:
        """Probabilities and their variances, in units of the largest that either can be.

        That is of a probability that is always 0 or 1, p (1 - p); and the mutual information, in
        units of the entropy. As if half a pass more had said 0 and half a pass 1: where all passes
        agree, one that does not may be as likely as 1 / N.
        """
        mean = _smoothed(estimate.mean, passes)
        unit = mean * (1 - mean)
        unit[:, -1] = 0  # of the entropy nothing is told
        found = {
            "mean": Quantity(estimate.mean, estimate.mean_error, np.sqrt(unit)),
            "variance": Quantity(estimate.variance, estimate.variance_error, unit),
        }
        agreement = estimate.agreement
        if agreement is not None and agreement.covariance is not None:
            found["mutual_information"] = self._information(estimate, agreement.covariance, passes)
        return found

    def _information(
        self, estimate: Estimate, covariance: np.ndarray, passes: int | np.ndarray
    ) -> Quantity:
        """The mutual information [B]; `passes` may be each row's own, [B]."""
        mean, expected = np.split(np.maximum(estimate.mean, 0), [-1], axis=-1)
        args = mean, estimate.variance[:, :-1]
        counts = np.broadcast_to(passes, len(mean))[:, None]
        value = mutual_information(*args, expected[:, 0], counts)
        error = mutual_information_error(mean, covariance, passes)
        smooth = _smoothed(mean, passes)
        return Quantity(value, error, -(smooth * np.log(smooth)).sum(-1))

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """That of the class whose probability varies most, [B]; the others hardly count."""
        most = estimate.variance[:, :-1].argmax(-1)  # [B]
        return np.asarray(estimate.relative_error[np.arange(len(most)), most])

    def tuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The temperature that fits the passes' values [P, B, K + 1] of held-out rows best.

        And the numbers of RAPS that make its label sets for them smallest.
        """
        return tuned_classes(np.log(np.maximum(values[..., :-1], scores.LEAST_PROBABILITY)), actual)

    def rescaled(
        self,
        predictions: Columns[ClassificationPrediction],  # noqa: ARG002
        actual: np.ndarray,  # noqa: ARG002
    ) -> Tuning:
        """The same: a temperature changes the order of the rows."""
        return self.tuning

    def error_share(
        self,
        predictions: Columns[ClassificationPrediction],  # noqa: ARG002
        actual: np.ndarray,  # noqa: ARG002
    ) -> float:
        """None: probabilities of a hundred passes hardly move from seed to seed."""
        return 0.0

    def retuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The temperature near the one found before, of which the values are, that fits best.

        More rows make a network surer rightly: under the old temperature it is too little sure.
        """
        logits = np.log(np.maximum(values[..., :-1], scores.LEAST_PROBABILITY))
        factor = fit_temperature(logits, actual, prior=(NEAR, NEAR))
        return replace(self.tuning, temperature=self.tuning.temperature * factor)

    def scores(
        self, predictions: Columns[ClassificationPrediction], actual: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The scores of the true classes of calibration rows, [B], by kind of label set."""
        mean = predictions.columns["mean"]  # [B, K]
        return {
            method: conformal.true_scores(score(mean), actual)
            for method, score in self._set_scores.items()
        }

    def log_density(self, values: np.ndarray, actual: np.ndarray) -> np.ndarray:
        """Log of the mean probability of the actual classes [B], [B, 1]."""
        mean = values[..., :-1].mean(0)  # [B, K]
        return np.asarray(
            np.log(
                np.maximum(np.take_along_axis(mean, actual[:, None], -1), scores.LEAST_PROBABILITY)
            )
        )

    def comparisons(
        self,
        predictions: Columns[ClassificationPrediction],  # noqa: ARG002
        actual: np.ndarray,  # noqa: ARG002
    ) -> dict[str, dict[str, np.ndarray]]:
        """None: every kind of label set may be asked for."""
        return {}

    def spreads(self, predictions: Columns[ClassificationPrediction]) -> np.ndarray:
        """The mutual information."""
        return np.asarray(predictions.columns["mutual_information"])

    def abstention(
        self, predictions: Columns[ClassificationPrediction], actual: np.ndarray
    ) -> Abstention | None:
        """Of rows accepted by the probability of their label: bounds on the error rate."""
        mean = predictions.columns["mean"]  # [B, K]
        return error_rate(_doubt(mean), mean.argmax(-1) != actual)

    def summarise(
        self, passes: Passes, options: PredictOptions
    ) -> Columns[ClassificationPrediction]:
        """One prediction per row, probabilities keyed by class."""
        estimate = passes.estimate
        values = np.maximum(estimate.mean, 0)  # [B, K + 1], where rounding left less
        mean, expected = values[:, :-1], values[:, -1]
        variance, counts = estimate.variance[:, :-1], np.array(passes.counts, dtype=np.int64)
        information = mutual_information(mean, variance, expected, counts[:, None])
        judging = judged(self.calibration, information, passes.warnings)
        columns: dict[str, Column] = {
            "label": mean.argmax(-1),
            "mean": mean,
            "variance": variance,
            "std": np.sqrt(variance),
            "mean_error": estimate.mean_error[:, :-1],
            "variance_error": estimate.variance_error[:, :-1],
            "deterministic": passes.deterministic[:, :-1],
            "predictive_entropy": predictive_entropy(mean, variance, counts[:, None]),
            "expected_entropy": expected,
            "mutual_information": information,
            **self._agreement(estimate, counts),
            **self._label_sets(mean, options.coverage, options.label_set, passes.groups),
            **passes.distances(),
            **judging.column,
            **accepts(self.calibration, options, _doubt(mean)),
            "passes": counts,
            "warnings": judging.warnings,
            **self._samples(passes),
        }
        return Columns(ClassificationPrediction, columns, self.target.classes)

    def metrics(
        self, predictions: Columns[ClassificationPrediction], actual: np.ndarray
    ) -> dict[str, float]:
        """Accuracy and log loss (nats) of the mean, and accuracy of the deterministic pass."""
        mean, off = (predictions.columns[name] for name in ("mean", "deterministic"))  # [B, K]
        return {
            "accuracy": scores.accuracy(mean, actual),
            "log_loss": scores.log_loss(mean, actual),
            "deterministic_accuracy": scores.accuracy(off, actual),
        }

    def _agreement(self, estimate: Estimate, passes: np.ndarray) -> dict[str, np.ndarray]:
        """The error of the mutual information and the variation ratio, where they are known."""
        found, columns = estimate.agreement, dict[str, np.ndarray]()
        if found is None:
            return columns
        if found.covariance is not None:
            information = self._information(estimate, found.covariance, passes)
            allowances = self.calibration.allowances if self.calibration else {}
            allowance = allowances.get("plain", {}).get("mutual_information", (0.0, 0.0))
            columns["mutual_information_error"] = widened(information, allowance, passes)
        return {**columns, "variation_ratio": variation_ratio(found.votes)}

    @property
    def _set_scores(self) -> dict[LabelSetMethod, Callable[[np.ndarray], np.ndarray]]:
        """What scores the classes [B, K] of each kind of label set."""
        tuning = self.tuning
        raps = partial(conformal.raps, penalty=tuning.rank_penalty, free=tuning.free_ranks)
        return {"lac": conformal.lac, "aps": conformal.aps, "raps": raps}

    def _label_sets(
        self, mean: np.ndarray, coverage: float, method: LabelSetMethod, groups: Sequence[str]
    ) -> dict[str, Columns[LabelSet]]:
        """The classes within the quantile, most probable first; raises CalibrationError."""
        if self.calibration is None:
            return {}
        reach = self.calibration.quantile(method, coverage, groups)
        said = self.calibration.method(method)
        inside = conformal.label_sets(self._set_scores[method](mean), reach)  # [B, K]
        order = np.argsort(-mean, axis=-1, kind="stable")
        columns = {
            "coverage": np.full(len(mean), coverage),
            "labels": np.where(np.take_along_axis(inside, order, -1), order, -1),
            "method": [said] * len(mean),
        }
        return {"label_set": Columns(LabelSet, columns, self.target.classes)}

    def _samples(self, passes: Passes) -> dict[str, list[np.ndarray]]:
        """The column, where there are samples: an array [P, K] of each row."""
        if passes.samples is None:
            return {}
        return {"samples": [row[:, :-1] for row in passes.samples]}


def _smoothed(mean: np.ndarray, passes: int | np.ndarray) -> np.ndarray:
    """Probabilities [B, K] with half a pass for each class and half a pass against it."""
    counts = np.broadcast_to(passes, len(mean))[:, None]
    return np.asarray((counts * np.clip(mean, 0, 1) + 0.5) / (counts + 1))


def _doubt(mean: np.ndarray) -> np.ndarray:
    """What is left to the other classes, [B]: who abstains by it errs least (Chow 1970)."""
    return np.asarray(1 - mean.max(-1))
