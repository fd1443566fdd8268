"""Predictions of encoded rows: cut requests into slices, compute them in batches, join the results.

The predictions of a request do not depend on the other requests in its batch: the seed and the
positions of the rows in their own request determine the masks.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from operator import attrgetter
from time import perf_counter, thread_time
from typing import Any, cast

import numpy as np

import model
from app.compute.batching import MicroBatcher, Waiting, Wanted
from app.compute.durations import Durations
from app.compute.worker import Worker
from app.errors import DeadlineExceeded, NotReady
from app.metrics import Metrics
from app.settings import Settings
from model import (
    Columns,
    Detail,
    ExplainRounds,
    ExplainStep,
    Explanation,
    InputError,
    Predictions,
    PredictOptions,
    Predictor,
    Resolved,
)

SHORT_SECONDS = 0.01  # a request that is expected to take less is computed on the event loop itself
LOOP_SECONDS = 0.02  # a batch of short requests takes about this long at most
LONG_SECONDS = 0.1  # a batch takes about this long at most, so that others wait no longer
FIRST_ROW_PASSES = 400_000  # the most rows x passes of a batch of unknown duration
LEAST_ROWS = 16  # of a batch with shared masks: with fewer, drawing masks would take longer


class Unwanted(Exception):
    """No caller waits for the batch any more."""


@dataclass(frozen=True, slots=True)
class Key:
    """Requests with equal keys may be computed together.

    `alone` keeps a request with a tolerance apart, so that only its own rows decide when its passes
    stop.
    """

    predictor: Predictor
    options: Resolved
    alone: object = None

    @property
    def kind(self) -> Hashable:
        """Batches of the same kind, rows and passes take about the same time."""
        asked = self.options
        return id(self.predictor), asked.estimator, asked.masks, asked.samples


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of one request, the first of them row `start`."""

    x: np.ndarray = field(repr=False)  # [B, D]
    start: int


class Computation:
    """The queue, the worker thread for long batches, and the event loop for short ones.

    Short batches have a batcher of their own, so they never wait for a long one: a request of ten
    seconds and one of two milliseconds are computed side by side.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._worker = Worker("mcd-inference", partial(model.use_threads, settings.threads))
        self._durations = Durations()
        waiting = Waiting(settings.queue_rows, metrics)
        self._short = MicroBatcher[Slice, Predictions](
            partial(self._compute, here=True),
            waiting,
            size=_rows,
            largest=self._largest_on_loop,
        )
        self._long = MicroBatcher[Slice, Predictions](
            partial(self._compute, here=False),
            waiting,
            size=_rows,
            largest=self._largest_in_thread,
        )

        self._steps = MicroBatcher[ExplainStep, Any](
            self._run_step, waiting, size=attrgetter("rows"), largest=lambda _: 1
        )

    @property
    def alive(self) -> bool:
        """Whether the worker thread runs; if it has died, the next prediction starts a new one."""
        return self._worker.alive

    @property
    def idle(self) -> bool:
        """Whether no caller waits for a prediction."""
        return self._short.idle and self._long.idle and self._steps.idle

    def admit(self) -> None:
        """Raise Overloaded if the queue has no space for another row."""
        self._long.admit()

    def start(self) -> None:
        """Start the worker thread, or a new one if it has died."""
        model.use_threads(self._settings.threads)  # of the event loop's own thread
        self._worker.start()

    def give_up(self) -> None:
        """Fail every caller that waits; the running batch stops at its next chunk."""
        for batcher in (self._short, self._long, self._steps):
            batcher.abort(NotReady("the server is stopping; try again with another server"))

    async def stop(self, within_seconds: float) -> None:
        """Wait for all requests; after that time, fail the requests that still wait."""
        deadline = perf_counter() + within_seconds
        while not self.idle and perf_counter() < deadline:
            await asyncio.sleep(0.01)
        self.give_up()
        remaining = max(1.0, deadline - perf_counter())
        await asyncio.to_thread(self._worker.stop, remaining)

    async def predict(
        self,
        predictor: Predictor,
        x: np.ndarray,
        options: PredictOptions,
        *,
        timeout_seconds: float | None = None,
    ) -> Predictions:
        """A prediction for every row of x [B, D]; raises Overloaded, DeadlineExceeded, NotReady."""
        limit, options = self._settings.request_timeout_seconds, predictor.resolved(options)
        key = Key(predictor, options, None if options.tolerance is None else object())
        size, batcher = len(x), self._short
        if not self._is_short(key, size):
            size, batcher = self._largest_in_thread(key), self._long
        if len(x) > size and options.seed is None:  # one seed for all slices
            key = replace(key, options=replace(options, seed=model.fresh_seed()))
        parts = await batcher.submit(
            key,
            [Slice(x[at : at + size], at) for at in range(0, len(x), size)],
            timeout_seconds=min(limit, timeout_seconds or limit),
        )
        predictions = parts[0] if len(parts) == 1 else _joined(parts, key.options)
        self._metrics.passes.inc(predictions.passes)
        return predictions

    async def explain(
        self, rounds: ExplainRounds, *, timeout_seconds: float | None = None
    ) -> Explanation:
        """The result of rounds of steps; raises Overloaded, DeadlineExceeded, NotReady.

        Steps take turns with those of other callers and with batches.
        """
        limit = self._settings.request_timeout_seconds
        limit = min(limit, timeout_seconds or limit)
        deadline, key = perf_counter() + limit, object()
        steps = next(rounds)
        while True:
            left = max(deadline - perf_counter(), 0)
            try:
                results = await self._steps.submit(key, steps, timeout_seconds=left)
                steps = rounds.send(results)
            except DeadlineExceeded:
                raise DeadlineExceeded(
                    f"no answer within {limit:g} seconds; ask for fewer passes or background "
                    "rows, or allow more time"
                ) from None
            except StopIteration as end:
                return cast(Explanation, end.value)

    def _is_short(self, key: Key, rows: int) -> bool:
        """Whether a batch of so many rows is known to be short.

        With a tolerance (`alone`) it is not known: hard rows take many times the passes of others.
        """
        expected = self._durations.expected_seconds(key.kind, rows, key.options.passes)
        return key.alone is None and expected < SHORT_SECONDS and rows <= self._settings.batch_rows

    def _largest_on_loop(self, key: Hashable) -> int:
        key = cast(Key, key)
        return self._largest(key, self._rows_within(key, LOOP_SECONDS))

    def _largest_in_thread(self, key: Hashable) -> int:
        """Cut only what is known to take long: requests that are never cut repeat bit by bit."""
        key = cast(Key, key)
        exceeded = self._durations.exceeded(key.kind, key.options.passes, LONG_SECONDS)
        return self._largest(key, self._rows_within(key, LONG_SECONDS) if exceeded else None)

    def _rows_within(self, key: Key, seconds: float) -> int | None:
        return self._durations.rows_within(key.kind, key.options.passes, seconds)

    def _largest(self, key: Key, rows: int | None) -> int:
        """The most rows of a batch: so many, as far as masks and settings allow that."""
        least = LEAST_ROWS if key.options.masks == "shared" else 1
        most = FIRST_ROW_PASSES // key.options.passes if rows is None else rows
        return min(self._settings.batch_rows, max(least, most))

    async def _compute(
        self, key: Hashable, slices: Sequence[Slice], wanted: Wanted, *, here: bool
    ) -> list[Predictions]:
        key = cast(Key, key)
        work = partial(_predict, key, slices, _before_chunk(wanted))
        results, seconds, of_thread = await self._worker.run(work, here=here)
        if key.alone is None:
            # The CPU time of the thread: beside a busy event loop, a batch takes longer.
            rows = sum(map(_rows, slices))
            self._durations.took(key.kind, rows, key.options.passes, of_thread)
        self._metrics.inference_seconds.observe(seconds)
        return results

    async def _run_step(
        self, _: Hashable, steps: Sequence[ExplainStep], wanted: Wanted
    ) -> list[Any]:
        (step,) = steps
        work = partial(_timed, partial(step.run, _before_chunk(wanted)))
        result, seconds = await self._worker.run(work)
        self._metrics.inference_seconds.observe(seconds)
        return [result]


def _rows(part: Slice) -> int:
    return len(part.x)


def _before_chunk(wanted: Wanted) -> Callable[[], None]:
    def check() -> None:
        if not wanted():
            raise Unwanted

    return check


def _predict(
    key: Key, slices: Sequence[Slice], before_chunk: Callable[[], None]
) -> tuple[list[Predictions], float, float]:
    """The predictions of each slice, and the seconds that the batch took: wall time, and CPU time
    of the thread."""
    started = perf_counter(), thread_time()
    before_chunk()
    try:
        with _told_of_memory():
            whole = key.predictor.predict_encoded(
                np.concatenate([part.x for part in slices]),
                key.options,
                row_ids=_row_ids(slices) if key.options.masks == "per_row" else None,
                before_chunk=before_chunk,
            )
    except InputError as error:
        # With several slices, the batcher searches for the one that fails, and so calls this again.
        raise (_shifted(error, slices[0].start) if len(slices) == 1 else error) from None
    if len(slices) == 1:
        return [whole], perf_counter() - started[0], thread_time() - started[1]
    ends = accumulate(len(part.x) for part in slices)
    parts = [whole.of_rows(end - len(part.x), end) for part, end in zip(slices, ends, strict=True)]
    return parts, perf_counter() - started[0], thread_time() - started[1]


def _timed(step: Callable[[], Any]) -> tuple[Any, float]:
    """The result of a step, and the seconds that it took."""
    started = perf_counter()
    with _told_of_memory():
        return step(), perf_counter() - started


@contextmanager
def _told_of_memory() -> Iterator[None]:
    """Raise MemoryError where torch has no memory left: torch has no class for this error."""
    try:
        yield
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError from error
        raise


def _row_ids(slices: Sequence[Slice]) -> np.ndarray:
    """The positions of all rows in their requests."""
    ranges = [np.arange(part.start, part.start + len(part.x)) for part in slices]
    return np.concatenate(ranges)


def _joined(parts: Sequence[Predictions], options: Resolved) -> Predictions:
    """Join the predictions of a request's slices."""
    met = all(part.stopped == "tolerance" for part in parts)
    return replace(
        parts[0],
        passes=max(part.passes for part in parts) if met else options.passes,
        stopped="tolerance" if met else "passes",
        rows=Columns.joined([part.rows for part in parts]),
    )


def _shifted(error: InputError, start: int) -> InputError:
    """The error with the row's position in the request instead of the position in the slice."""
    if not start:
        return error
    message, details = str(error), []
    for detail in error.details:
        where, _, rest = detail.field.removeprefix("rows.").partition(".")
        position = f"rows.{int(where) + start}"
        message = message.replace(f"rows.{where}", position, 1)
        details.append(Detail(f"{position}.{rest}" if rest else position, detail.message))
    return InputError(message, details)
