"""What a model is served with where a request does not say: how many passes, and whose masks.

The rows of one request share their masks, so that the Monte-Carlo errors of their means go
together: intervals hold what they claim over many seeds, but under one seed all may be off to the
same side. Where that error is small beside the intervals nobody notices. It is known at
calibration.
"""

import math

from model.artifact import ServingRecord

LARGEST_SHARE = 0.02
"""Of the mean's Monte-Carlo variance in the squared error. Under the worst of twelve seeds,
intervals that claim 80 to 95 % then hold that to within four points (docs/coverage.md)."""
MOST_SERVED, STEP = 1_000, 100  # of a model's own number of passes


def enough_passes(serving: ServingRecord, share: float, *, passes: int) -> ServingRecord:
    """The same with the passes that take the mean's error, this share after so many, down.

    More shared passes make the mean better, too, and cost little more than fresh masks for every
    row. Where MOST_SERVED do not suffice the rows get masks of their own. What is said of the
    estimator stays.
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
    """The number of passes at which the share is LARGEST_SHARE: more leave the rest as it is."""
    noise, rest = share * passes, max(1 - share, 1e-6)
    return noise / rest * (1 - LARGEST_SHARE) / LARGEST_SHARE
