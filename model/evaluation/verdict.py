"""One sentence on how far the uncertainties of an evaluated model can be relied on.

The sentence has two or three parts, and fixed thresholds choose the words of each part.

*Coverage.* Intervals hold what they claim if the observed share differs from the claimed share by
no more than chance allows: 1.96 standard errors of a share, but at least 2 percentage points, so
that a very large table does not condemn a difference that nobody would notice. Label sets claim
"at least", so only a share that is too low counts. With several seeds, their mean share counts.

*Confidence* (classification). The mean probability of the predicted class is compared with the
accuracy, with the same allowance.

*Ranking.* Regression: the rank correlation of std and absolute error; 0.1 is weak, 0.3 moderate and
0.5 strong, which are Cohen's conventions (1988). Classification: the AUROC of the entropy for wrong
rows; 0.55 is weak, 0.7 moderate and 0.8 strong, after Hosmer and Lemeshow (2000).
"""

import math

import numpy as np

from model.evaluation.formatting import percent
from model.evaluation.outcomes import ClassificationOutcome, Outcome, RegressionOutcome
from model.formulas import scores

FEW_ROWS = 30  # fewer rows get no verdict
FEW_ERRORS = 5  # fewer wrong rows, or fewer right ones, do not show how the entropy ranks them
LEAST_DIFFERENCE = 0.02  # the least difference of shares that counts
BAND = 1.96  # standard errors: 95 %
WORDS = ("weakly", "moderately", "strongly")
CORRELATIONS = (0.1, 0.3, 0.5)  # from which on each of the words applies
AUROCS = (0.55, 0.7, 0.8)


def verdict(outcome: Outcome, coverage: float) -> str:
    """One sentence on one target; `coverage` is the share that regions claim to hold."""
    rows = len(outcome.actual)
    if rows < FEW_ROWS:
        return f"{rows} rows are too few for a verdict; it takes {FEW_ROWS}."
    if isinstance(outcome, ClassificationOutcome):
        parts = [_confidence(outcome), *_label_sets(outcome, coverage), _entropy(outcome)]
    else:
        parts = [_intervals(outcome), _std(outcome)]
    sentence = "; ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}."


def _intervals(outcome: RegressionOutcome) -> str:
    claimed = outcome.coverage
    observed = scores.interval_coverage(outcome.lower, outcome.upper, outcome.actual)
    held = float(np.mean(outcome.held)) if outcome.held else observed
    if abs(held - claimed) <= _allowed(claimed * (1 - claimed), len(outcome.actual)):
        return "intervals hold what they claim"
    how = "more" if held > claimed else "less"
    shares = f"{percent(held)} of the targets instead of {percent(claimed)}"
    return f"intervals hold {how} than they claim, {shares}"


def _label_sets(outcome: ClassificationOutcome, claimed: float) -> list[str]:
    """One part, or none if the model has no label sets."""
    if outcome.label_sets is None:
        return []
    observed = scores.set_coverage(outcome.label_sets, outcome.actual)
    held = float(np.mean(outcome.held)) if outcome.held else observed
    if claimed - held <= _allowed(claimed * (1 - claimed), len(outcome.actual)):
        return ["label sets hold what they claim"]
    shares = f"{percent(held)} of the classes instead of {percent(claimed)}"
    return [f"label sets hold less than they claim, {shares}"]


def _confidence(outcome: ClassificationOutcome) -> str:
    each = outcome.probabilities.max(axis=-1)
    confidence, right = float(each.mean()), float(outcome.correct.mean())
    if abs(confidence - right) <= _allowed(float(np.mean(each * (1 - each))), len(each)):
        return "confidence matches accuracy"
    how = "high" if confidence > right else "low"
    shares = f"{percent(confidence)} on average with {percent(right)} of the rows right"
    return f"confidence is too {how}, {shares}"


def _std(outcome: RegressionOutcome) -> str:
    found = scores.rank_correlation(outcome.std, outcome.loss)
    if math.isnan(found):
        same = "error" if np.ptp(outcome.std) else "std"
        return f"the std cannot rank errors, because all rows have the same {same}"
    backwards = found <= -CORRELATIONS[0]
    return f"the std {_ranks(found, CORRELATIONS, backwards=backwards)}: {found:.2f}"


def _entropy(outcome: ClassificationOutcome) -> str:
    right = int(outcome.correct.sum())
    fewer, kind = min((len(outcome.actual) - right, "wrong"), (right, "right"))
    if fewer < FEW_ERRORS:
        return f"too few rows are {kind} ({fewer}) to judge how the entropy ranks errors"
    found = scores.auroc(outcome.predictive_entropy, ~outcome.correct)
    backwards = found <= 1 - AUROCS[0]
    return f"the entropy {_ranks(found, AUROCS, backwards=backwards)}: {found:.2f}"


def _ranks(found: float, thresholds: tuple[float, ...], *, backwards: bool) -> str:
    """How errors are ranked, in words."""
    if backwards:
        return "ranks errors backwards"
    reached = sum(found >= threshold for threshold in thresholds)
    return f"ranks errors {WORDS[reached - 1]}" if reached else "does not rank errors"


def _allowed(variance: float, rows: int) -> float:
    """The difference of shares that does not count, by the variance of one row."""
    return max(LEAST_DIFFERENCE, BAND * math.sqrt(variance / rows))
