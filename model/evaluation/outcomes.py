"""The predictions and the actual values of one target, with their metrics and curves."""

import math
from dataclasses import dataclass

import numpy as np

from model.formulas import scores

COVERAGES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99)  # of the coverage curve
SHARES = 20  # points of the risk-coverage curve, at equal steps of the share of rows

Metrics = dict[str, float | None]  # None where a metric is not defined for these rows
Curve = list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class RegressionOutcome:
    """The predictions and the actual values of one target, arrays [B] in the target's unit.

    `std` includes the noise if the model knows it; `epistemic_std` is that across the passes alone.
    """

    target: str
    unit: str | None
    actual: np.ndarray
    mean: np.ndarray
    std: np.ndarray
    epistemic_std: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    coverage: float  # that `lower` and `upper` claim
    method: str
    log_likelihood: float  # mean log density of the passes' mixture, nats
    deterministic: np.ndarray
    outside: np.ndarray  # whether a feature lies outside its training range, bool
    accept: np.ndarray | None = None  # whether the row is accepted, bool; None if not requested
    held: tuple[float, ...] = ()  # the share of intervals that hold the target, by seed
    epistemic_reach: float | None = None  # q of the intervals mean +- q x epistemic_std
    deterministic_reach: float | None = None  # q of the intervals deterministic +- q
    by_log: bool = False  # whether the logarithm was learned; then the predicted law is log-normal

    @property
    def uncertainty(self) -> np.ndarray:
        """The uncertainty that ranks the rows, [B]: the std."""
        return self.std

    @property
    def loss(self) -> np.ndarray:
        """The risk of each row, [B]: its absolute error."""
        return np.asarray(np.abs(self.mean - self.actual))

    @np.errstate(all="ignore")  # what is not finite becomes None
    def metrics(self) -> Metrics:
        """The metrics of the mean over the passes."""
        mean, std, actual = self.mean, self.std, self.actual
        by_passes = _around(mean, self.epistemic_reach, self.epistemic_std)
        crps = scores.log_normal_crps if self.by_log else scores.gaussian_crps
        return (
            _defined(
                rmse=scores.rmse(mean, actual),
                mae=scores.mae(mean, actual),
                r2=scores.r_squared(mean[:, None], actual[:, None]),
                log_likelihood=self.log_likelihood,
                crps=crps(mean, std, actual),
            )
            | self._intervals("interval", (self.lower, self.upper))
            | _over_seeds("interval_coverage", self.held, self.coverage)
            | self._intervals("epistemic_interval", by_passes)
            | _defined(
                mean_std=float(np.mean(std)),
                mean_epistemic_std=float(np.mean(self.epistemic_std)),
                std_error_correlation=scores.rank_correlation(std, self.loss),
                epistemic_error_correlation=scores.rank_correlation(self.epistemic_std, self.loss),
                aurc=scores.aurc(std, self.loss),
            )
            | _accepted("accepted_rmse", self.accept, self.loss**2, root=True)
        )

    def deterministic_metrics(self) -> Metrics:
        """The metrics of the deterministic pass.

        It has no uncertainty, but it may have intervals of one width: split conformal prediction by
        the absolute error, from the same calibration rows.
        """
        bounds = _around(self.deterministic, self.deterministic_reach, 1.0)
        return _defined(
            rmse=scores.rmse(self.deterministic, self.actual),
            mae=scores.mae(self.deterministic, self.actual),
            r2=scores.r_squared(self.deterministic[:, None], self.actual[:, None]),
        ) | self._intervals("interval", bounds)

    def _intervals(self, name: str, bounds: tuple[np.ndarray, np.ndarray] | None) -> Metrics:
        """Coverage, width and score of intervals that claim `coverage`; empty without bounds."""
        if bounds is None:
            return {}
        score = scores.interval_score(*bounds, self.actual, self.coverage)
        return _defined(
            **{
                f"{name}_coverage": scores.interval_coverage(*bounds, self.actual),
                f"{name}_width": scores.interval_width(*bounds),
                f"{name}_score": score,
            }
        )

    def curves(self) -> dict[str, Curve]:
        """The coverage of the predicted law's intervals, and the risk by share of accepted rows."""
        coverage = [
            {"nominal": level, "actual": share, "width": self._width(level)}
            for level, share in zip(COVERAGES, self.coverages(), strict=True)
        ]
        return {"coverage": coverage, "risk_coverage": risk_curve(self.uncertainty, self.loss)}

    def coverages(self) -> list[float]:
        """The share of targets inside the predicted law's central intervals, for each COVERAGES."""
        actual = np.log(self.actual) if self.by_log else self.actual
        shares = scores.coverage_by_level(*self._normal, actual, COVERAGES)
        return [float(share) for share in shares]

    @property
    def _normal(self) -> tuple[np.ndarray, np.ndarray]:
        """The mean and the std [B] of the normal law of the target, or of its logarithm."""
        return scores.log_normal(self.mean, self.std) if self.by_log else (self.mean, self.std)

    def _width(self, level: float) -> float:
        """The mean width of the predicted law's central intervals."""
        (middle, std), z = self._normal, scores.normal_reach(level)
        if not self.by_log:
            return 2 * float(np.mean(std)) * z
        return float(np.mean(np.exp(middle + z * std) - np.exp(middle - z * std)))


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """The rows of one class, the share of them predicted as it, and the share whose set holds it.

    The shares are None without rows, and that of the sets without label sets.
    """

    name: str
    rows: int
    recall: float | None
    set_coverage: float | None


@dataclass(frozen=True, slots=True)
class ClassificationOutcome:
    """A classifier's predictions and the actual classes."""

    target: str
    unit: None
    classes: tuple[str, ...]
    actual: np.ndarray  # class indices [B]
    probabilities: np.ndarray  # [B, K], of the mean over the passes
    deterministic: np.ndarray  # [B, K]
    predictive_entropy: np.ndarray  # nats [B]
    mutual_information: np.ndarray  # nats [B]
    label_sets: np.ndarray | None  # the classes in each row's label set, bool [B, K]
    outside: np.ndarray  # whether a feature lies outside its training range, bool [B]
    accept: np.ndarray | None = None  # whether the row is accepted, bool [B]; None if not requested
    held: tuple[float, ...] = ()  # the share of label sets that hold the class, by seed

    @property
    def uncertainty(self) -> np.ndarray:
        """The uncertainty that ranks the rows, [B]: the predictive entropy."""
        return self.predictive_entropy

    @property
    def correct(self) -> np.ndarray:
        """Whether the most probable class is the actual one, bool [B]."""
        return np.asarray(self.probabilities.argmax(axis=-1) == self.actual)

    @property
    def loss(self) -> np.ndarray:
        """The risk of each row, [B]: 1 for a wrong class, and 0 for a right one."""
        return (~self.correct).astype(np.float64)

    def by_class(self) -> tuple[ClassFigures, ...]:
        """The figures of each class."""
        count, rows = len(self.classes), np.arange(len(self.actual))
        held = np.full(count, math.nan)
        if self.label_sets is not None:
            inside = self.label_sets[rows, self.actual]
            held = scores.share_by_class(inside, self.actual, count)
        columns = (
            np.bincount(self.actual, minlength=count).tolist(),
            scores.recall(self.probabilities, self.actual).tolist(),
            held.tolist(),
        )
        return tuple(
            ClassFigures(name, number, **_defined(recall=recall, set_coverage=share))
            for name, number, recall, share in zip(self.classes, *columns, strict=True)
        )

    def reliability(self) -> scores.Reliability:
        """The reliability curve of the probability of the most probable class."""
        return scores.reliability(self.probabilities.max(axis=-1), self.correct)

    @np.errstate(all="ignore")  # what is not finite becomes None
    def metrics(self) -> Metrics:
        """The metrics of the mean over the passes."""
        information, sets = self.mutual_information, self.label_sets
        return (
            self._metrics(self.probabilities, self.predictive_entropy)
            | _defined(
                error_auroc_mutual_information=scores.auroc(information, ~self.correct),
                aurc_mutual_information=scores.aurc(information, self.loss),
                mean_entropy=float(np.mean(self.predictive_entropy)),
                mean_mutual_information=float(np.mean(information)),
                set_coverage=math.nan if sets is None else scores.set_coverage(sets, self.actual),
                set_size=math.nan if sets is None else scores.set_size(sets),
            )
            | _over_seeds("set_coverage", self.held, 1.0)
            | _accepted("accepted_error_rate", self.accept, self.loss)
        )

    def deterministic_metrics(self) -> Metrics:
        """The metrics of the deterministic pass, with the entropy of its probabilities."""
        probabilities = self.deterministic
        logarithms = np.log(np.clip(probabilities, scores.LEAST_PROBABILITY, None))
        return self._metrics(probabilities, -np.sum(probabilities * logarithms, axis=-1))

    def curves(self) -> dict[str, Curve]:
        """The reliability of the most probable class, and the risk by share of accepted rows."""
        curve = self.reliability()
        columns = (curve.count.tolist(), curve.confidence.tolist(), curve.accuracy.tolist())
        bins = [
            {"count": count, "confidence": confidence, "accuracy": accuracy}
            for count, confidence, accuracy in zip(*columns, strict=True)
        ]
        return {"reliability": bins, "risk_coverage": risk_curve(self.uncertainty, self.loss)}

    def _metrics(self, probabilities: np.ndarray, entropy: np.ndarray) -> Metrics:
        correct = probabilities.argmax(axis=-1) == self.actual
        confidence = probabilities.max(axis=-1)
        by_mass = scores.reliability(confidence, correct, equal_mass=True)
        return _defined(
            accuracy=scores.accuracy(probabilities, self.actual),
            log_loss=scores.log_loss(probabilities, self.actual),
            brier=scores.brier(probabilities, self.actual),
            ece=scores.reliability(confidence, correct).calibration_error,
            ece_equal_mass=by_mass.calibration_error,
            auroc=_class_auroc(probabilities, self.actual),
            error_auroc=scores.auroc(entropy, ~correct),
            aurc=scores.aurc(entropy, (~correct).astype(np.float64)),
        )


def _around(
    centre: np.ndarray, reach: float | None, std: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray] | None:
    """The bounds centre -+ reach x std; None without a reach."""
    return None if reach is None else (centre - reach * std, centre + reach * std)


def _over_seeds(name: str, held: tuple[float, ...], claimed: float) -> Metrics:
    """The coverage of regions: the mean over several seeds, and that of the worst seed."""
    if len(held) < 2:
        return {}
    worst = max(held, key=lambda share: abs(share - claimed))
    return _defined(
        **{f"{name}_over_seeds": float(np.mean(held)), f"{name}_worst_seed": float(worst)}
    )


def _accepted(
    name: str, accept: np.ndarray | None, loss: np.ndarray, *, root: bool = False
) -> Metrics:
    """The share of accepted rows, and their mean loss or its root; empty if not requested."""
    if accept is None:
        return {}
    risk = float(np.mean(loss[accept])) if accept.any() else math.nan
    return _defined(**{"accepted": float(np.mean(accept)), name: risk**0.5 if root else risk})


Outcome = RegressionOutcome | ClassificationOutcome


def risk_curve(uncertainty: np.ndarray, loss: np.ndarray) -> Curve:
    """The mean loss of the least uncertain rows, at up to SHARES shares of all rows."""
    coverage, risk = scores.risk_coverage(uncertainty, loss)
    rows = len(risk)
    taken = sorted({math.ceil(step * rows / SHARES) for step in range(1, SHARES + 1)})
    return [{"coverage": float(coverage[k - 1]), "risk": float(risk[k - 1])} for k in taken]


def _class_auroc(probabilities: np.ndarray, actual: np.ndarray) -> float:
    """The mean over the classes of the AUROC of a class's probability for rows of that class.

    With two classes both are equal. Classes without rows, or with all rows, are left out.
    """
    each = [scores.auroc(p, actual == at) for at, p in enumerate(probabilities.T)]
    present = [value for value in each if not math.isnan(value)]
    return sum(present) / len(present) if present else math.nan


def _defined(**metrics: float) -> Metrics:
    """The metrics, None where one is not a finite number."""
    return {name: value if math.isfinite(value) else None for name, value in metrics.items()}
