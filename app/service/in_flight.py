"""Bound the memory of all requests together: each holds as many bytes as it needs at the moment."""

from collections.abc import Callable
from types import TracebackType

from app.errors import Overloaded

SHOWN_BYTES = 1 << 16  # a smaller change of the total is not worth the time to show it
MUCH_BYTES = 16 << 20  # once half of so many are no longer held, there is memory to give back


class InFlight:
    """The bytes held for all requests of the process.

    `show` is called with the total, and `much_freed` after much of it is no longer held.
    """

    def __init__(
        self, limit_bytes: int, *, show: Callable[[int], None], much_freed: Callable[[], None]
    ) -> None:
        self._limit = limit_bytes
        self._show = show
        self._much_freed = much_freed
        self._total = self._shown = self._peak = 0

    @property
    def total(self) -> int:
        """The bytes held now."""
        return self._total

    def hold(self) -> "Holding":
        """The bytes of a new request: none so far."""
        return Holding(self)

    def change(self, held: int, wanted: int) -> None:
        """Let a request that holds `held` bytes hold `wanted`; raises Overloaded beyond the limit.

        A request that is alone may hold more than the limit. Otherwise the largest requests would
        never be answered.
        """
        others = self._total - held
        if wanted > held and others and others + wanted > self._limit:
            raise Overloaded(
                f"other requests hold {others} bytes, and this one needs {wanted}: more than "
                f"{self._limit} (MCD_IN_FLIGHT_BYTES); try again after the seconds in Retry-After",
                retry_after_seconds=1,
            )
        self._total = others + wanted
        if abs(self._total - self._shown) >= SHOWN_BYTES:
            self._shown = self._total
            self._show(self._total)
        self._peak = max(self._peak, self._total)
        if self._peak >= MUCH_BYTES and self._total <= self._peak // 2:
            self._peak = self._total
            self._much_freed()


class Holding:
    """The bytes that one request holds, until the end of a `with` block."""

    __slots__ = ("_bytes", "_in_flight")

    def __init__(self, in_flight: InFlight) -> None:
        self._in_flight = in_flight
        self._bytes = 0

    def take(self, count: int) -> None:
        """Hold `count` bytes instead of those before; raises Overloaded, and changes nothing."""
        self._in_flight.change(self._bytes, count)
        self._bytes = count

    def __enter__(self) -> "Holding":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.take(0)
