"""How long a batch will take, from how long those of its kind have taken."""

import math
from collections import OrderedDict
from collections.abc import Hashable

KINDS = 1024  # that are remembered, the last ones
DURATION_SMOOTHING = 0.2  # weight of the last batch


class Durations:
    """Seconds by kind of batch: what is unknown takes for ever."""

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, float] = OrderedDict()

    def expected_seconds(self, kind: Hashable) -> float:
        """How long a batch of that kind takes, about; infinity where none has been seen."""
        return self._seconds.get(kind, math.inf)

    def took(self, kind: Hashable, seconds: float) -> None:
        """Take in how long one of that kind has taken."""
        before = self._seconds.pop(kind, seconds)
        self._seconds[kind] = before + DURATION_SMOOTHING * (seconds - before)
        if len(self._seconds) > KINDS:
            self._seconds.popitem(last=False)
