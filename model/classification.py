"""Classification, two classes or many: the training loss and the parts of a prediction."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from model import conformal
from model.abstention import Abstention, error_rate
from model.agreement import (
    fit_temperature,
    mutual_information,
    mutual_information_error,
    predictive_entropy,
    variation_ratio,
)
from model.calibration import Calibration, accepts, judged
from model.network import USUAL_RATE, USUAL_WIDTHS
from model.options import LabelSetMethod, PredictOptions
from model.rows import Rows
from model.table import Target
from model.tuning import Tuning, tuned_classes
from model.uncertainty import Estimate, Passes, entropy

TINY = 1e-12  # a probability that a logarithm can take
NEAR = 0.1  # std of the log of what a temperature changes by once the weights know more rows
CLEAN_DECAY, NOISY_DECAY, FEW_ROWS = 0.3, 10.0, 1_200
ByClass = dict[str, float]


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True, kw_only=True)
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
    mutual_information_error: float | None = None  # Monte-Carlo standard error; not of many classes
    variation_ratio: float | None = None  # share of passes that put another class first
    label_set: LabelSet | None = None  # None without calibration rows
    distance: float | None = None  # to the nearest of the training rows kept, in whitened units
    distance_p_value: float | None = None  # share of rows like the data as far off, or farther
    spread_p_value: float | None = None  # share of rows like the data whose passes spread as much
    accept: bool | None = None  # where a largest error was named
    passes: int
    warnings: tuple[str, ...]
    samples: tuple[ByClass, ...] | None = None  # where asked for


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
    retunes: ClassVar[bool] = True
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

    def weight_decay(self, rows: int) -> float:
        """One that clean classes want, of many rows less; see `strong_decay`."""
        return round(CLEAN_DECAY * min(1.0, FEW_ROWS / rows), 4)

    def strong_decay(self, rows: int) -> float | None:
        """One that noisy labels want: under a smaller one a network learns them by heart.

        On small noisy tables it is as good as logistic regression. How noisy the labels are, only
        rows that the network has not seen can tell.
        """
        return round(NOISY_DECAY * min(1.0, FEW_ROWS / rows), 4)

    def validation_loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss itself."""
        return self.loss(outputs, targets)

    def values(self, outputs: Tensor) -> Tensor:
        """Each pass's class probabilities and, as the last value, their entropy: [..., K + 1].

        Softmax comes before the average: the mean of logits is not the logit of the mean.
        """
        probabilities = (outputs / self.tuning.temperature).softmax(-1)
        return torch.cat([probabilities, entropy(probabilities)[..., None]], dim=-1)

    def relative_error(self, estimate: Estimate) -> np.ndarray:
        """That of the class whose probability varies most, [B]; the others hardly count."""
        most = estimate.variance[:, :-1].argmax(-1)  # [B]
        return np.asarray(estimate.relative_error[np.arange(len(most)), most])

    def tuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The temperature that fits the passes' values [P, B, K + 1] of held-out rows best.

        And the numbers of RAPS that make its label sets for them smallest.
        """
        return tuned_classes(np.log(np.maximum(values[..., :-1], TINY)), actual)

    def retuned(self, values: np.ndarray, actual: np.ndarray) -> Tuning:
        """The temperature near the one found before, of which the values are, that fits best.

        More rows make a network surer rightly: under the old temperature it is too little sure.
        """
        logits = np.log(np.maximum(values[..., :-1], TINY))
        factor = fit_temperature(logits, actual, prior=(NEAR, NEAR))
        return replace(self.tuning, temperature=self.tuning.temperature * factor)

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

    def spreads(self, predictions: Sequence[ClassificationPrediction]) -> np.ndarray:
        """The mutual information."""
        return np.array([p.mutual_information for p in predictions])

    def abstention(
        self, predictions: Sequence[ClassificationPrediction], actual: np.ndarray
    ) -> Abstention | None:
        """Of rows accepted by the probability of their label: bounds on the error rate."""
        mean = _array([p.mean for p in predictions])  # [B, K]
        return error_rate(_doubt(mean), mean.argmax(-1) != actual)

    def summarise(self, passes: Passes, options: PredictOptions) -> Rows[ClassificationPrediction]:
        """One prediction per row, probabilities keyed by class."""
        classes, estimate = self.target.classes, passes.estimate
        values = np.maximum(estimate.mean, 0)  # [B, K + 1], where rounding left less
        mean, expected = values[:, :-1], values[:, -1]
        variance, counts = estimate.variance[:, :-1], np.array(passes.counts)
        information = mutual_information(mean, variance, expected, counts[:, None])
        judging = judged(self.calibration, information, passes.warnings)
        columns: dict[str, Sequence[Any]] = {
            "label": [classes[label] for label in mean.argmax(-1).tolist()],
            "mean": self._by_class(mean),
            "variance": self._by_class(variance),
            "std": self._by_class(np.sqrt(variance)),
            "mean_error": self._by_class(estimate.mean_error[:, :-1]),
            "variance_error": self._by_class(estimate.variance_error[:, :-1]),
            "deterministic": self._by_class(passes.deterministic[:, :-1]),
            "predictive_entropy": predictive_entropy(mean, variance, counts[:, None]).tolist(),
            "expected_entropy": expected.tolist(),
            "mutual_information": information.tolist(),
            **self._agreement(mean, estimate, counts),
            **self._label_sets(mean, options.coverage, options.label_set, passes.groups),
            **passes.distances(),
            **judging.column,
            **accepts(self.calibration, options, _doubt(mean)),
            "passes": passes.counts,
            "warnings": judging.warnings,
            **self._samples(passes),
        }
        return Rows(ClassificationPrediction, columns)

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
    ) -> dict[str, Sequence[float]]:
        """The error of the mutual information and the variation ratio, where they are known."""
        found, columns = estimate.agreement, dict[str, Sequence[float]]()
        if found is None:
            return columns
        if found.covariance is not None:
            error = mutual_information_error(mean, found.covariance, passes)
            columns["mutual_information_error"] = error.tolist()
        return {**columns, "variation_ratio": variation_ratio(found.votes).tolist()}

    @property
    def _set_scores(self) -> dict[LabelSetMethod, Callable[[np.ndarray], np.ndarray]]:
        """What scores the classes [B, K] of each kind of label set."""
        tuning = self.tuning
        raps = partial(conformal.raps, penalty=tuning.rank_penalty, free=tuning.free_ranks)
        return {"lac": conformal.lac, "aps": conformal.aps, "raps": raps}

    def _label_sets(
        self, mean: np.ndarray, coverage: float, method: LabelSetMethod, groups: Sequence[str]
    ) -> dict[str, Rows[LabelSet]]:
        """The classes within the quantile, most probable first; raises CalibrationError."""
        if self.calibration is None:
            return {}
        reach = self.calibration.quantile(method, coverage, groups)
        said = self.calibration.method(method)
        inside = conformal.label_sets(self._set_scores[method](mean), reach)  # [B, K]
        order = np.argsort(-mean, axis=-1, kind="stable")
        columns: dict[str, Sequence[Any]] = {
            "coverage": [coverage] * len(mean),
            "labels": [
                tuple(self.target.classes[k] for k in ranked if row[k])
                for ranked, row in zip(order.tolist(), inside, strict=True)
            ],
            "method": [said] * len(mean),
        }
        return {"label_set": Rows(LabelSet, columns)}

    def _samples(self, passes: Passes) -> dict[str, Sequence[tuple[ByClass, ...]]]:
        """The column, where there are samples."""
        if passes.samples is None:
            return {}
        return {"samples": [tuple(self._by_class(row[:, :-1])) for row in passes.samples]}  # [P, K]

    def _by_class(self, column: np.ndarray | Tensor) -> list[ByClass]:
        """The rows of [B, K] as objects keyed by class."""
        return [dict(zip(self.target.classes, row, strict=True)) for row in column.tolist()]


def _doubt(mean: np.ndarray) -> np.ndarray:
    """What is left to the other classes, [B]: who abstains by it errs least (Chow 1970)."""
    return np.asarray(1 - mean.max(-1))


def _array(probabilities: Sequence[ByClass]) -> np.ndarray:
    """[B, K] of objects keyed by class."""
    return np.array([list(p.values()) for p in probabilities])
