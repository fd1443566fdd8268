"""Estimate the duration of a batch from the durations of earlier batches of its kind."""

import math
from collections import OrderedDict
from collections.abc import Hashable, Iterator

KINDS = 64  # the number of kinds that are remembered, the latest ones
DURATION_SMOOTHING = 0.2  # weight of the last batch


class Durations:
    """Seconds by kind of batch, and by the powers of two of its numbers of rows and passes.

    A batch of twice the rows or passes takes at most twice as long, and one of half of them no
    longer. So a batch of one size bounds those of all other sizes.
    """

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, dict[tuple[int, int], float]] = OrderedDict()

    def expected_seconds(self, kind: Hashable, rows: int, passes: int) -> float:
        """An approximate upper bound for a batch of that kind; infinity for an unknown kind."""
        size = rows.bit_length()
        found = (took * 2.0 ** max(size - of, 0) for of, took in self._known(kind, passes))
        return min(found, default=math.inf)

    def rows_within(self, kind: Hashable, passes: int, seconds: float) -> int | None:
        """About the most rows of a batch of that kind that takes so long; None if it is unknown.

        It is too few where only smaller batches are known: part of their time does not grow with
        the rows.
        """
        found = (2 ** (of - 1) * seconds / took for of, took in self._known(kind, passes))
        most = max(found, default=None)
        return None if most is None else int(most)

    def exceeded(self, kind: Hashable, passes: int, seconds: float) -> bool:
        """Whether a batch of that kind with so many passes, or fewer, has taken longer."""
        known, size = self._seconds.get(kind, {}), passes.bit_length()
        return any(took > seconds for (_, of), took in known.items() if of <= size)

    def took(self, kind: Hashable, rows: int, passes: int, seconds: float) -> None:
        """Record the duration of a batch of that kind."""
        known, size = self._seconds.pop(kind, {}), (rows.bit_length(), passes.bit_length())
        before = known.get(size, seconds)
        known[size] = max(before + DURATION_SMOOTHING * (seconds - before), 1e-6)
        self._seconds[kind] = known
        if len(self._seconds) > KINDS:
            self._seconds.popitem(last=False)

    def _known(self, kind: Hashable, passes: int) -> Iterator[tuple[int, float]]:
        """Powers of two of rows, and a bound of the seconds of so many passes over them."""
        size = passes.bit_length()
        for (rows, of), seconds in self._seconds.get(kind, {}).items():
            yield rows, seconds * 2.0 ** max(size - of, 0)
