"""How long a batch will take, from how long others of its kind have taken."""

import math
from collections import OrderedDict
from collections.abc import Hashable

KINDS = 256  # that are remembered, the last ones
DURATION_SMOOTHING = 0.2  # weight of the last batch


class Durations:
    """Seconds by kind of batch and by its rows, which count by powers of two."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, dict[int, float]] = OrderedDict()

    def expected_seconds(self, kind: Hashable, rows: int) -> float:
        """How long a batch of that kind takes, at most about; infinity where none has been seen.

        A batch of twice the rows takes twice as long at most, and one of half the rows no longer.
        """
        size, known = rows.bit_length(), self._seconds.get(kind, {})
        bounds = (seconds * 2.0 ** max(size - of, 0) for of, seconds in known.items())
        return min(bounds, default=math.inf)

    def took(self, kind: Hashable, rows: int, seconds: float) -> None:
        """Take in how long one of that kind has taken."""
        known = self._seconds.pop(kind, {})
        before = known.get(rows.bit_length(), seconds)
        known[rows.bit_length()] = before + DURATION_SMOOTHING * (seconds - before)
        self._seconds[kind] = known
        if len(self._seconds) > KINDS:
            self._seconds.popitem(last=False)
