"""Estimate the duration of a batch from the durations of earlier batches of its kind."""

import math
from collections import OrderedDict
from collections.abc import Hashable

KINDS = 256  # the number of kinds that are remembered, the latest ones
DURATION_SMOOTHING = 0.2  # weight of the last batch


class Durations:
    """Seconds by kind of batch and by the power of two of its number of rows."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, dict[int, float]] = OrderedDict()

    def expected_seconds(self, kind: Hashable, rows: int) -> float:
        """An approximate upper bound for a batch of that kind; infinity for an unknown kind.

        A batch of twice the rows takes at most twice as long, and one of half the rows no longer.
        """
        size, known = rows.bit_length(), self._seconds.get(kind, {})
        bounds = (seconds * 2.0 ** max(size - of, 0) for of, seconds in known.items())
        return min(bounds, default=math.inf)

    def took(self, kind: Hashable, rows: int, seconds: float) -> None:
        """Record the duration of a batch of that kind."""
        known = self._seconds.pop(kind, {})
        before = known.get(rows.bit_length(), seconds)
        known[rows.bit_length()] = before + DURATION_SMOOTHING * (seconds - before)
        self._seconds[kind] = known
        if len(self._seconds) > KINDS:
            self._seconds.popitem(last=False)
