"""Callers with equal keys share a batch: one queue of bounded size, one batch at a time.

Keys take turns, and the callers of one key take turns too. A caller splits its work into items, and
a batch takes one item of each caller. So a small caller waits for one item of a large caller, not
for all, and two large callers advance together. An item that arrives while no batch runs starts a
batch at once. Items that arrive during a batch form the next batch.
"""

import asyncio
import math
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Generic, Protocol, TypeVar

from app.errors import DeadlineExceeded, NotReady, Overloaded

Item = TypeVar("Item")
Result = TypeVar("Result")
Wanted = Callable[[], bool]
Compute = Callable[[Hashable, Sequence[Item], Wanted], Awaitable[Sequence[Result]]]

BATCH_TASK = "mcd-batch"
RATE_SMOOTHING = 0.1  # weight of the last batch in the measured rate
LONGEST_RETRY_SECONDS = 60
GATHER_SECONDS = 0.002


class Observer(Protocol):
    """Receives the events of the queue, for metrics."""

    def waited(self, seconds: float) -> None:
        """An item has left the queue after that time."""

    def batched(self, size: int) -> None:
        """A batch of this size begins."""

    def queued(self, size: int) -> None:
        """Items of this size in all wait now."""


@dataclass(slots=True)
class Waiting:
    """The size of all items that wait, in one batcher or in several, and the most of it."""

    limit: int
    observer: Observer
    size: int = 0

    def change(self, size: int) -> None:
        """Count items of that size, or with a negative size forget them."""
        if size:
            self.size += size
            self.observer.queued(self.size)


@dataclass(eq=False, slots=True)
class _Caller(Generic[Item, Result]):
    answer: asyncio.Future[list[Result]]
    items: deque[tuple[int, Item]]
    count: int
    timeout_seconds: float = math.inf
    results: dict[int, Result] = field(default_factory=dict)
    since: float = field(default_factory=perf_counter)

    def expire(self, now: float) -> None:
        """Fail if the time is over: beside a busy event loop the timer may be later than this."""
        if now - self.since >= self.timeout_seconds:
            self.time_out()

    def time_out(self) -> None:
        self.fail(
            DeadlineExceeded(
                f"no answer within {self.timeout_seconds:g} seconds; ask for fewer rows or passes, "
                "or allow more time"
            )
        )

    def fail(self, error: BaseException) -> None:
        if not self.answer.done():
            self.answer.set_exception(error)


@dataclass(frozen=True, slots=True)
class _Part(Generic[Item, Result]):
    """One item of a caller, in a batch."""

    caller: _Caller[Item, Result]
    index: int
    item: Item

    def succeed(self, result: Result) -> None:
        caller = self.caller
        caller.expire(perf_counter())
        caller.results[self.index] = result
        if len(caller.results) == caller.count and not caller.answer.done():
            caller.answer.set_result([caller.results[index] for index in range(caller.count)])


class MicroBatcher(Generic[Item, Result]):
    """Runs `compute(key, items, wanted)` for the items that wait; it returns a result per item.

    `wanted()` says whether any caller still waits for the batch; any thread may call it. A batch
    that fails is halved and tried again, until only the callers whose own items fail get an error.
    `largest(key)` is the size of the largest batch at the moment; one larger item goes alone.
    """

    def __init__(
        self,
        compute: Compute[Item, Result],
        waiting: Waiting,
        *,
        size: Callable[[Item], int],
        largest: Callable[[Hashable], int],
    ) -> None:
        self._compute = compute
        self._waiting = waiting
        self._size = size
        self._largest = largest
        self._observer = waiting.observer
        self._queue: OrderedDict[Hashable, deque[_Caller[Item, Result]]] = OrderedDict()
        self._callers: set[_Caller[Item, Result]] = set()
        self._queued = 0  # of `waiting`, what waits here
        self._running: asyncio.Task[None] | None = None
        self._scheduled = self._arrived = False
        self._rate = 0.0  # size per second

    @property
    def idle(self) -> bool:
        """Whether no caller waits for a result."""
        return not self._callers

    def admit(self, size: int = 1) -> None:
        """Raise Overloaded if items of this size would make the queue too long.

        An empty queue accepts every size. Otherwise the largest requests would never be served.
        """
        queued = self._waiting.size
        if queued and queued + size > self._waiting.limit:
            raise Overloaded(
                f"{queued} rows wait already (MCD_QUEUE_ROWS); try again after the seconds "
                "in Retry-After",
                retry_after_seconds=self._retry_after_seconds(),
            )

    async def submit(
        self, key: Hashable, items: Sequence[Item], *, timeout_seconds: float | None = None
    ) -> list[Result]:
        """A result per item. Raises Overloaded, DeadlineExceeded and what `compute` raises."""
        size = sum(map(self._size, items))
        self.admit(size)
        loop = asyncio.get_running_loop()
        caller: _Caller[Item, Result]  # to call `_Caller[...]` would take three times as long
        caller = _Caller(loop.create_future(), deque(enumerate(items)), len(items))
        timer = None
        if timeout_seconds is not None:
            caller.timeout_seconds = timeout_seconds
            timer = loop.call_later(timeout_seconds, caller.time_out)
        self._callers.add(caller)
        self._queue.setdefault(key, deque()).append(caller)
        self._resize(size)
        self._arrived = True
        self._schedule()
        try:
            return await caller.answer
        finally:
            if timer:
                timer.cancel()
            self._forget(caller)

    def abort(self, error: Exception) -> None:
        """Fail every caller that waits; `wanted()` of the running batch is then false."""
        for caller in list(self._callers):
            caller.fail(error)

    def _schedule(self) -> None:
        """Form a batch after a turn of the event loop without a new caller.

        Callers that arrive while others are read join the batch. A batch takes as long as reading
        ten requests, and hardly longer with ten more. No time is lost: every turn has work.
        """
        if self._running is None and not self._scheduled:
            self._scheduled = True
            loop = asyncio.get_running_loop()
            loop.call_soon(self._gather, loop.time() + GATHER_SECONDS)

    def _gather(self, until: float) -> None:
        loop = asyncio.get_running_loop()
        if self._arrived and loop.time() < until:
            self._arrived = False
            loop.call_soon(self._gather, until)
        else:
            self._scheduled = False
            self._start()

    def _start(self) -> None:
        key, parts = self._next()
        if parts:
            task = asyncio.create_task(self._run(key, parts), name=BATCH_TASK)
            self._running = task
            task.add_done_callback(lambda ended: self._ended(ended, parts))

    def _next(self) -> tuple[Hashable, list[_Part[Item, Result]]]:
        """The next key, and one item of each of its callers, up to the largest batch."""
        while self._queue:
            key, callers = self._queue.popitem(last=False)
            parts = self._take(callers, self._largest(key))
            if callers:
                self._queue[key] = callers  # at the end of the queue: other keys come first
            if parts:
                return key, parts
        return None, []

    def _take(
        self, callers: deque[_Caller[Item, Result]], largest: int
    ) -> list[_Part[Item, Result]]:
        parts: list[_Part[Item, Result]] = []
        taken, now = 0, perf_counter()
        for _ in range(len(callers)):
            caller = callers[0]
            caller.expire(now)
            if not caller.items or caller.answer.done():  # it has left
                callers.popleft()
                continue
            size = self._size(caller.items[0][1])
            if parts and taken + size > largest:
                break
            callers.popleft()
            parts.append(_Part(caller, *caller.items.popleft()))
            taken += size
            self._observer.waited(now - caller.since)
            if caller.items:
                callers.append(caller)
        if parts:
            self._observer.batched(taken)
        self._resize(-taken)
        return parts

    async def _run(self, key: Hashable, parts: list[_Part[Item, Result]]) -> None:
        started = perf_counter()
        results = await self._attempt(key, parts)
        rate = sum(self._size(part.item) for part in parts) / (perf_counter() - started)
        self._rate = self._rate + RATE_SMOOTHING * (rate - self._rate) if self._rate else rate
        for part, result in results:
            part.succeed(result)

    async def _attempt(
        self, key: Hashable, parts: list[_Part[Item, Result]]
    ) -> list[tuple[_Part[Item, Result], Result]]:
        """The results of a batch; callers whose own items fail get the error."""

        def wanted() -> bool:
            return not all(part.caller.answer.done() for part in parts)

        if not wanted():
            return []
        try:
            results = await self._compute(key, [part.item for part in parts], wanted)
            return list(zip(parts, results, strict=True))
        except Exception as error:
            if len(parts) == 1:
                parts[0].caller.fail(error)
                return []
        middle = len(parts) // 2
        first = await self._attempt(key, parts[:middle])
        return first + await self._attempt(key, parts[middle:])

    def _ended(self, task: asyncio.Task[None], parts: list[_Part[Item, Result]]) -> None:
        """Start the next batch; if the task failed or was cancelled, fail its callers."""
        if task is self._running:
            self._running = None
        if task.cancelled() or task.exception():
            for part in parts:
                part.caller.fail(NotReady("the computation was stopped; try again"))
        self._arrived = True  # callers may have arrived while the event loop was blocked
        self._schedule()

    def _forget(self, caller: _Caller[Item, Result]) -> None:
        self._callers.discard(caller)
        self._resize(-sum(self._size(item) for _, item in caller.items))
        caller.items.clear()

    def _resize(self, change: int) -> None:
        self._queued += change
        self._waiting.change(change)

    def _retry_after_seconds(self) -> int:
        seconds = math.ceil(self._queued / self._rate) if self._rate else 1
        return min(max(seconds, 1), LONGEST_RETRY_SECONDS)
