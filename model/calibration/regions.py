"""What calibration rows add: how large a region must be to hold the truth as often as it says.

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

SPREAD = "unusual_spread"  # of the passes over a row


@dataclass(frozen=True)
class Calibration:
    """Sorted conformal scores [n] by name: of each target, or of each kind of label set.

    `groups` has those of each group of rows, by name and group, where every group is calibrated by
    itself (Mondrian, Vovk et al. 2005); `by` is the feature whose categories the groups are.
    `abstention`: what those rows say of the errors of rows that are accepted; of one target only.
    `comparisons` has, by kind and target, the scores of intervals to compare a regression's with:
    `epistemic`, by the std across the passes alone, and `deterministic`, by the absolute error of
    the pass with dropout off.

    `spreads` [n], sorted: how much the passes spread over each of those rows, see `Task.spreads`.
    `allowances` has what is added to the error bars of each estimator; see `error_bars`.

    All belong to the weights and to the `passes` and `estimator` that they were made with. `masks`
    is `per_row` where every row had masks of its own, as a fresh row under a fresh seed has: the
    scores of both are then exchangeable, which those of rows that share their masks are not.
    """

    passes: int
    estimator: Estimator
    scores: Mapping[str, np.ndarray]
    abstention: Abstention | None = None
    by: str | None = None
    groups: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    comparisons: Mapping[str, Mapping[str, np.ndarray]] = field(default_factory=dict)
    allowances: Mapping[Estimator, Allowance] = field(default_factory=dict)
    spreads: np.ndarray | None = None
    masks: MaskScope = "per_row"

    def quantile(
        self, name: str, coverage: float, groups: Sequence[str] = ()
    ) -> float | np.ndarray:
        """The score that a region of this coverage reaches; raises CalibrationError.

        Where groups are calibrated by themselves, that of each row's own one, [B].
        """
        if name not in self.scores:
            raise CalibrationError(
                f"the calibration has no scores for {name}; run python -m model calibrate again"
            )
        if self.by is None:
            return quantile(self.scores[name], coverage)
        try:
            return group_quantiles(self.groups[name], groups, coverage)
        except CalibrationError as error:
            raise CalibrationError(f"{self.by}: {error}") from error

    def method(self, name: str) -> str:
        """The name of the method, with the feature by whose groups it was calibrated, if it was."""
        return name if self.by is None else f"{name}:{self.by}"


@dataclass(frozen=True, slots=True)
class Judged:
    """What the spreads of B rows add: a column, if any, and a warning where one is unusual."""

    column: dict[str, np.ndarray]
    warnings: Sequence[tuple[str, ...]]


def judged(
    calibration: Calibration | None, spreads: np.ndarray, warnings: Sequence[tuple[str, ...]]
) -> Judged:
    """How unusual each row's spread [B] is; nothing where no calibration rows have left theirs."""
    if calibration is None or calibration.spreads is None:
        return Judged({}, warnings)
    found = p_values(calibration.spreads, spreads)
    strange = found <= unusual(calibration.spreads)
    pairs = zip(warnings, strange, strict=True)
    codes = [(*codes, SPREAD) if odd else codes for codes, odd in pairs]
    return Judged({"spread_p_value": found}, codes)


def promise(calibration: Calibration | None, options: PredictOptions) -> Acceptance | None:
    """What is promised of the rows that are accepted; None where the options name no error.

    Raises CalibrationError where that cannot be promised.
    """
    if options.largest_error is None:
        return None
    return acceptance(_abstention(calibration), options.largest_error)


def accepts(
    calibration: Calibration | None, options: PredictOptions, uncertainty: np.ndarray
) -> dict[str, np.ndarray]:
    """The column that says whether to accept each row [B], by what its task abstains by.

    None as in `promise`.
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
            "largest_error is for models of one target, trained or calibrated with rows that show "
            "how large errors are"
        )
    return calibration.abstention
