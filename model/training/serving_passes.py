"""The number of passes and the mask scope that a model uses if a request names none.

The rows of one request share their masks, so the Monte-Carlo errors of their means are correlated.
Intervals have their coverage over many seeds, but under one seed all intervals may be shifted to
the same side. The shift does not matter if that error is small beside the intervals. Calibration
rows measure it.
"""

import math

from model.artifact import ServingRecord

LARGEST_SHARE = 0.02
"""The largest share of the squared error that the mean's Monte-Carlo variance may be. Under the
worst of twelve seeds, intervals that claim 80 to 95 % then cover that to within four points
(docs/coverage.md)."""
MOST_SERVED, STEP = 1_000, 100  # the most passes of a model, and the step between their numbers


def enough_passes(serving: ServingRecord, share: float, *, passes: int) -> ServingRecord:
    """The record with enough passes to bring `share` down to LARGEST_SHARE.

    `share` is the mean's Monte-Carlo variance over the squared error after `passes` passes. More
    shared passes also make the mean better, and cost little more than fresh masks for every row. If
    MOST_SERVED passes are too few, every row gets its own masks. The estimator does not change.
    """
    usual = ServingRecord()
    needed = max(usual.passes, math.ceil(round(_needed(share, passes) / STEP, 6)) * STEP)
    taken = min(needed, MOST_SERVED)
    own = ", with masks of its own for every row" if needed > MOST_SERVED else ""
    reason = (
        f"after {passes} passes the mean's Monte-Carlo variance is {share:.0%} of the squared "
        f"error; the model is served with {taken} passes{own}"
    )
    update = {
        "passes": taken,
        "masks": "per_row" if own else usual.masks,
        "reason": reason if taken > usual.passes else "",
    }
    return serving.model_copy(update=update)


def _needed(share: float, passes: int) -> float:
    """The number of passes at which the share is LARGEST_SHARE.

    The Monte-Carlo variance falls as 1 / passes; the rest of the squared error does not change.
    """
    noise, rest = share * passes, max(1 - share, 1e-6)
    return noise / rest * (1 - LARGEST_SHARE) / LARGEST_SHARE
