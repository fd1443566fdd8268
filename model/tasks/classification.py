"""Classification, two classes or many: the training loss and the parts of a prediction."""

import math
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
from model.tasks.defaults import (
    LEAST_EPOCHS,
    USUAL_RATE,
    USUAL_RATES,
    USUAL_WIDTHS,
    TrainingDefaults,
)
from model.tasks.members import member_columns
from model.tasks.predictions import ClassificationPrediction, LabelSet

NEAR = 0.1  # prior std of the log of the factor that corrects a temperature after a refit
CLEAN_DECAY, NOISY_DECAY, SMALL_TABLE = 0.3, 10.0, 1_200  # SMALL_TABLE in rows


@dataclass(frozen=True)
class Classification:
    """The task of choosing one of K classes; the network's outputs are logits."""

    target: Target
    tuning: Tuning = field(default_factory=Tuning)
    calibration: Calibration | None = None

    plain_because: ClassVar[str | None] = (
        "the reduced estimator needs a linear output; behind a softmax it gains little (measured)"
    )
    joint: ClassVar[bool] = True
    values_are_outputs: ClassVar[bool] = False
    retunes: ClassVar[bool] = True

    @property
    def temperature(self) -> float:
        """The temperature that validation rows have chosen."""
        return self.tuning.temperature

    @property
    def outputs(self) -> int:
        """One logit per class, for two classes too."""
        return len(self.target.classes)

    @property
    def linear(self) -> int:
        """All outputs; no classifier uses the reduced estimator."""
        return self.outputs

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy in nats of logits [B, K] against class indices [B]."""
        return F.cross_entropy(outputs, targets)

    def loss_gradient(self, outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The loss [M] of logits [M, B, K] against class indices [M, B], and its gradient."""
        logs = outputs.log_softmax(-1)
        share, chosen = 1 / targets.shape[1], targets[..., None]
        losses = -logs.gather(-1, chosen)[..., 0].mean(1)
        slope = logs.exp()
        return losses, slope.scatter_add_(-1, chosen, -torch.ones_like(slope)).mul_(share)

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The cross-entropy [..., B] of each row, of logits [..., B, K]."""
        right = targets[:, None].expand(*outputs.shape[:-1], 1)  # [..., B, 1]
        return outputs.logsumexp(-1) - outputs.gather(-1, right)[..., 0]

    @property
    def loss_in_words(self) -> str:
        """The log loss before the temperature, as training minimises it."""
        return f"log loss of {self.target.names[0]}, in nats (before the temperature)"

    @property
    def loss_name(self) -> str:
        """What the loss is, in a word or two."""
        return "log loss"

    def nats_per_loss(self, loss: float) -> float:  # noqa: ARG002  a regression's
        """1: the loss is the negative log-likelihood."""
        return 1.0

    def defaults(self, rows: int) -> TrainingDefaults:
        """The same network for any number of rows, and two weight decays.

        The strong weight decay is for noisy labels, which a network memorises under a smaller one.
        With it, the network is as good as logistic regression on small noisy tables. Only rows that
        the network has not seen can tell how noisy the labels are. Training does not stop early:
        with dropout off, the validation loss is least long before the average of the passes is
        best, because the deterministic pass becomes overconfident.
        """
        share = min(1.0, SMALL_TABLE / rows)
        return TrainingDefaults(
            hidden=USUAL_WIDTHS,
            dropout=USUAL_RATE,
            weight_decays=(round(CLEAN_DECAY * share, 4), round(NOISY_DECAY * share, 4)),
            rates=USUAL_RATES,
            epochs=LEAST_EPOCHS,
            steps=5_000,
            longer=0,
            brief=None,
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

    def quantities(self, estimate: Estimate, passes: int | np.ndarray) -> Quantities:
        """Probabilities and variances, in units of the largest variance, and mutual information.

        The variance of a probability of mean p is at most p (1 - p). The unit of the mutual
        information is the entropy. For the units, p is smoothed by half a pass at 0 and half a pass
        at 1: even if all N passes agree, the probability of one that does not may be 1 / N.
        """
        mean = _smoothed(estimate.mean, passes)
        unit = mean * (1 - mean)
        unit[:, -1] = 0  # the entropy of the passes has no error bar
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
        """The mutual information [B]; `passes` is one number or [B]."""
        mean, expected = np.split(np.maximum(estimate.mean, 0), [-1], axis=-1)
        args = mean, estimate.sampled[:, :-1]
        counts = np.broadcast_to(passes, len(mean))[:, None]
        value = mutual_information(*args, expected[:, 0], counts)
        error = mutual_information_error(mean, covariance, passes)
        smooth = _smoothed(mean, passes)
        return Quantity(value, error, -(smooth * np.log(smooth)).sum(-1))

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """The relative error [B] of the class whose probability varies most."""
        most = estimate.variance[:, :-1].argmax(-1)  # [B]
        return np.asarray(estimate.relative_error[np.arange(len(most)), most])

    def tuned(
        self,
        values: np.ndarray,
        actual: np.ndarray,
        members: int,  # noqa: ARG002
    ) -> Tuning:
        """The temperature that fits the passes' values [P, B, K + 1] of held-out rows best.

        The tuning also has the two numbers of RAPS that make label sets smallest on these rows.
        """
        return tuned_classes(np.log(np.maximum(values[..., :-1], scores.LEAST_PROBABILITY)), actual)

    def rescaled(
        self,
        predictions: Columns[ClassificationPrediction],  # noqa: ARG002
        actual: np.ndarray,  # noqa: ARG002
    ) -> Tuning:
        """The tuning unchanged: a new temperature would change the order of the scores."""
        return self.tuning

    def error_share(
        self,
        predictions: Columns[ClassificationPrediction],  # noqa: ARG002
        actual: np.ndarray,  # noqa: ARG002
    ) -> float:
        """0: probabilities of a hundred passes hardly differ between seeds."""
        return 0.0

    def retuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The tuning with a corrected temperature, near the old one.

        `values` are made with the old temperature. A network that has learned from more rows is
        better, so with the old temperature it is underconfident.
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

    def log_density(
        self,
        values: np.ndarray,
        actual: np.ndarray,
        members: int,  # noqa: ARG002
    ) -> np.ndarray:
        """The log [B, 1] of the mean probability of the actual classes [B]."""
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
        """None, because a request may ask for every kind of label set."""
        return {}

    def spreads(self, predictions: Columns[ClassificationPrediction]) -> np.ndarray:
        """The mutual information [B]."""
        return np.asarray(predictions.columns["mutual_information"])

    def abstention(
        self, predictions: Columns[ClassificationPrediction], actual: np.ndarray
    ) -> Abstention | None:
        """Bounds on the error rate of rows that are accepted by the probability of their label."""
        mean = predictions.columns["mean"]  # [B, K]
        return error_rate(_error_probability(mean), mean.argmax(-1) != actual)

    def summarise(
        self, passes: Passes, options: PredictOptions
    ) -> Columns[ClassificationPrediction]:
        """One prediction per row, probabilities keyed by class."""
        estimate = passes.estimate
        values = np.maximum(estimate.mean, 0)  # [B, K + 1], rounding may make 0 negative
        mean, expected = values[:, :-1], values[:, -1]
        variance, counts = estimate.variance[:, :-1], passes.counts
        sampled = estimate.sampled[:, :-1]
        information = mutual_information(mean, sampled, expected, counts[:, None])
        judging = judged(self.calibration, information, passes.warnings)
        columns: dict[str, Column] = {
            "label": mean.argmax(-1),
            "mean": mean,
            "variance": variance,
            "std": np.sqrt(variance),
            "mean_error": estimate.mean_error[:, :-1],
            "variance_error": estimate.variance_error[:, :-1],
            **member_columns(estimate, slice(-1)),
            "deterministic": passes.deterministic[:, :-1],
            "predictive_entropy": predictive_entropy(mean, sampled, counts[:, None]),
            "expected_entropy": expected,
            "mutual_information": information,
            **self._agreement(estimate, counts),
            **self._label_sets(mean, options.coverage, options.label_set, passes.groups),
            **passes.distances(),
            **judging.column,
            **accepts(self.calibration, options, _error_probability(mean)),
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

    def recall(
        self, predictions: Columns[ClassificationPrediction], actual: np.ndarray
    ) -> dict[str, float]:
        """The recall of each class that has rows."""
        found = scores.recall(predictions.columns["mean"], actual).tolist()
        pairs = zip(self.target.classes, found, strict=True)
        return {name: value for name, value in pairs if not math.isnan(value)}

    def _agreement(self, estimate: Estimate, passes: np.ndarray) -> dict[str, np.ndarray]:
        """The columns of the mutual information's error and the variation ratio, if known."""
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
        """The function that scores the classes [B, K], by kind of label set."""
        tuning = self.tuning
        raps = partial(conformal.raps, penalty=tuning.rank_penalty, free=tuning.free_ranks)
        return {"lac": conformal.lac, "aps": conformal.aps, "raps": raps}

    def _label_sets(
        self, mean: np.ndarray, coverage: float, method: LabelSetMethod, groups: Sequence[str]
    ) -> dict[str, Columns[LabelSet]]:
        """The classes whose score is at most the quantile; raises CalibrationError."""
        if self.calibration is None:
            return {}
        reach = self.calibration.class_quantiles(method, coverage, self.target.classes, groups)
        name = self.calibration.method(method)
        inside = conformal.label_sets(self._set_scores[method](mean), reach)  # [B, K]
        order = np.argsort(-mean, axis=-1, kind="stable")
        columns = {
            "coverage": np.full(len(mean), coverage),
            "labels": np.where(np.take_along_axis(inside, order, -1), order, -1),
            "method": [name] * len(mean),
        }
        return {"label_set": Columns(LabelSet, columns, self.target.classes)}

    def _samples(self, passes: Passes) -> dict[str, list[np.ndarray]]:
        """The column of samples, if there are any: an array [P, K] of each row."""
        if passes.samples is None:
            return {}
        return {"samples": [row[:, :-1] for row in passes.samples]}


def _smoothed(mean: np.ndarray, passes: int | np.ndarray) -> np.ndarray:
    """Probabilities [B, K] with half a pass for each class and half a pass against it."""
    counts = np.broadcast_to(passes, len(mean))[:, None]
    return np.asarray((counts * np.clip(mean, 0, 1) + 0.5) / (counts + 1))


def _error_probability(mean: np.ndarray) -> np.ndarray:
    """The probability [B] that the label is wrong: the best order to abstain by (Chow 1970)."""
    return np.asarray(1 - mean.max(-1))
