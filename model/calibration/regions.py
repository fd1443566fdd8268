"""The scores of calibration rows, which decide how large a region of a given coverage is.

Shapes: B rows, n calibration rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from model.calibration.abstention import Abstention, Acceptance, acceptance, accepted
from model.calibration.error_bars import Allowance
from model.errors import CalibrationError
from model.formulas import group_quantiles, p_values, quantile, unusual
from model.options import Estimator, MaskScope, PredictOptions

SPREAD = "unusual_spread"  # the warning of a row whose spread is unusual


@dataclass(frozen=True)
class Calibration:
    """Sorted conformal scores [n] by name: of each target, or of each kind of label set.

    `groups` has scores by name and group, if each group is calibrated by itself (Mondrian, Vovk et
    al. 2005). The groups are the categories of the feature `by`, or with `by_class` the classes.
    `abstention` has the bounds on the
    risk of accepted rows; only for one target. `comparisons` has scores by kind and target, of
    intervals to compare a regression's with: `epistemic` uses the std across the passes alone,
    `deterministic` the absolute error of the deterministic pass.

    `spreads` [n] has the sorted spreads of the calibration rows; see `Task.spreads`. `allowances`
    has the allowances of each estimator; see `error_bars`.

    All of these depend on the weights, and on the `passes` and the `estimator` that they were made
    with. `masks` is `per_row` if every row had its own masks, as a new row under a new seed has.
    Only then are the scores of calibration rows and of new rows exchangeable.
    """

    passes: int
    estimator: Estimator
    scores: Mapping[str, np.ndarray]
    abstention: Abstention | None = None
    by: str | None = None
    by_class: bool = False
    groups: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    comparisons: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    allowances: Mapping[Estimator, Allowance] = field(default_factory=dict)
    spreads: np.ndarray | None = None
    masks: MaskScope = "per_row"

    def quantile(
        self, name: str, coverage: float, groups: Sequence[str] = ()
    ) -> float | np.ndarray:
        """The largest score inside a region of this coverage; raises CalibrationError.

        If the categories of a feature are calibrated by themselves, it is [B], for the group of
        each row.
        """
        if name not in self.scores:
            raise CalibrationError(
                f"the calibration has no scores for {name}; run python -m model calibrate again"
            )
        if self.by is None:
            return quantile(self.scores[name], coverage)
        return self._of_groups(self.by, name, coverage, groups)

    def class_quantiles(
        self, name: str, coverage: float, classes: Sequence[str], groups: Sequence[str]
    ) -> float | np.ndarray:
        """The `quantile`; [1, K], one for each class, if the classes are calibrated by themselves.

        Raises CalibrationError.
        """
        if not self.by_class or name not in self.scores:
            return self.quantile(name, coverage, groups)
        return self._of_groups("by class", name, coverage, classes)[None]

    def _of_groups(self, by: str, name: str, coverage: float, groups: Sequence[str]) -> np.ndarray:
        try:
            return group_quantiles(self.groups[name], groups, coverage)
        except CalibrationError as error:
            raise CalibrationError(f"{by}: {error}") from error

    def method(self, name: str) -> str:
        """The name of the method, and whose rows are calibrated by themselves, if any are."""
        if self.by_class:
            return f"{name}-by-class"
        return name if self.by is None else f"{name}:{self.by}"


@dataclass(frozen=True, slots=True)
class Judged:
    """The column of p-values of B rows' spreads, if any, and the warnings of each row."""

    column: dict[str, np.ndarray]
    warnings: Sequence[tuple[str, ...]]


def judged(
    calibration: Calibration | None, spreads: np.ndarray, warnings: Sequence[tuple[str, ...]]
) -> Judged:
    """How unusual each row's spread [B] is; no column if the calibration has no spreads."""
    if calibration is None or calibration.spreads is None:
        return Judged({}, warnings)
    found = p_values(calibration.spreads, spreads)
    strange = found <= unusual(calibration.spreads)
    if not np.count_nonzero(strange):  # the usual case
        return Judged({"spread_p_value": found}, warnings)
    pairs = zip(warnings, strange, strict=True)
    codes = [(*codes, SPREAD) if odd else codes for codes, odd in pairs]
    return Judged({"spread_p_value": found}, codes)


def promise(calibration: Calibration | None, options: PredictOptions) -> Acceptance | None:
    """The bound on the risk of accepted rows; None if the options name no largest error.

    Raises CalibrationError if the calibration rows do not certify that error.
    """
    if options.largest_error is None:
        return None
    return acceptance(_abstention(calibration), options.largest_error)


def accepts(
    calibration: Calibration | None, options: PredictOptions, uncertainty: np.ndarray
) -> dict[str, np.ndarray]:
    """The column `accept` [B], by the uncertainty that the task ranks rows with.

    Empty if the options name no largest error. Raises CalibrationError as `promise` does.
    """
    if options.largest_error is None:
        return {}
    abstention = _abstention(calibration)
    return {"accept": accepted(abstention, options.largest_error, uncertainty)}


def _abstention(calibration: Calibration | None) -> Abstention:
    if calibration is None:
        raise CalibrationError("largest_error needs calibration rows; the model has none")
    if calibration.abstention is None:
        raise CalibrationError(
            "largest_error needs a model of one target, and held-out rows that measured how large "
            "its errors are"
        )
    return calibration.abstention
