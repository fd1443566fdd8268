"""Predictions of encoded rows: cut into slices, batched with those of others, put together again.

What a caller gets does not depend on its batch mates: masks are drawn from the seed and from the
rows' positions in their own request.
"""

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import accumulate
from time import perf_counter, thread_time
from typing import cast

import numpy as np

import model
from app.compute.batching import Capacity, MicroBatcher, Wanted
from app.compute.durations import Durations
from app.compute.worker import Worker
from app.errors import NotReady
from app.metrics import Metrics
from app.settings import Settings
from model import Columns, Detail, InputError, Predictions, PredictOptions, Predictor, Resolved

SLICE_ROW_PASSES = 400_000  # bounds what one turn takes where there are many passes
SHORT_SECONDS = 0.01  # what is expected to take less is computed on the event loop itself
LEAST_ROWS = 16  # of a slice: fewer would spend more time on masks than on rows


class Unwanted(Exception):
    """Nobody waits for the batch any more."""


@dataclass(frozen=True, slots=True)
class Key:
    """What callers share whose rows may be computed together.

    `alone` sets a request apart that must not share: where a tolerance ends the passes, they end
    for its own rows' sake.
    """

    predictor: Predictor
    options: Resolved
    alone: object = None

    @property
    def kind(self) -> Hashable:
        """The same for batches that take about the same time, if they have as many rows."""
        asked = self.options
        return id(self.predictor), asked.passes, asked.estimator, asked.masks, asked.samples


@dataclass(frozen=True, slots=True)
class Slice:
    """Some rows of one request, the first of them row `start`."""

    x: np.ndarray = field(repr=False)  # [B, D]
    start: int


class Computation:
    """The queue before what computes, and the thread that does, but for what is short."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings = settings
        self._metrics = metrics
        self._worker = Worker("mcd-inference", partial(model.use_threads, settings.threads))
        self._durations = Durations()
        self._batcher = MicroBatcher[Slice, Predictions](
            self._compute,
            Capacity(settings.batch_rows, settings.queue_rows),
            size=lambda part: len(part.x),
            observer=metrics,
        )

    @property
    def alive(self) -> bool:
        """Whether the worker thread runs; the next prediction starts a new one where it died."""
        return self._worker.alive

    @property
    def idle(self) -> bool:
        """Whether nobody waits for a prediction."""
        return self._batcher.idle

    def admit(self) -> None:
        """Raise Overloaded where not one row more would be taken."""
        self._batcher.admit()

    def start(self) -> None:
        """Start the worker thread, or a new one where it has died."""
        model.use_threads(self._settings.threads)  # of the event loop's own thread
        self._worker.start()

    def give_up(self) -> None:
        """Fail everybody who waits; what is computed for them stops within a chunk."""
        self._batcher.abort(NotReady("the server is going down; try again elsewhere"))

    async def stop(self, within_seconds: float) -> None:
        """Wait for what is asked for already; after that time, fail those who still wait."""
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
        size = min(self._settings.batch_rows, max(LEAST_ROWS, SLICE_ROW_PASSES // options.passes))
        if len(x) > size and options.seed is None:  # one seed for all slices
            options = replace(options, seed=model.fresh_seed())
        alone = None if options.tolerance is None else object()
        parts = await self._batcher.submit(
            Key(predictor, options, alone),
            [Slice(x[at : at + size], at) for at in range(0, len(x), size)],
            timeout_seconds=min(limit, timeout_seconds or limit),
        )
        predictions = parts[0] if len(parts) == 1 else _joined(parts, options)
        self._metrics.passes.inc(predictions.passes)
        return predictions

    async def _compute(
        self, key: Hashable, slices: Sequence[Slice], wanted: Wanted
    ) -> list[Predictions]:
        key = cast(Key, key)
        work = partial(_predict, key, slices, _before_chunk(wanted))
        kind, rows = key.kind, sum(len(part.x) for part in slices)
        # With a tolerance, that is `alone`, hard rows take many times the passes of others.
        expected = self._durations.expected_seconds(kind, rows)
        here = key.alone is None and expected < SHORT_SECONDS
        results, seconds, of_thread = await self._worker.run(work, here=here)
        # The thread's own time: by the clock a batch takes longer beside a busy event loop.
        self._durations.took(kind, rows, of_thread)
        self._metrics.inference_seconds.observe(seconds)
        return results


def _before_chunk(wanted: Wanted) -> Callable[[], None]:
    def check() -> None:
        if not wanted():
            raise Unwanted

    return check


def _predict(
    key: Key, slices: Sequence[Slice], before_chunk: Callable[[], None]
) -> tuple[list[Predictions], float, float]:
    """The predictions of each slice, and the seconds that all took: by the clock, and of the thread
    that ran it."""
    started = perf_counter(), thread_time()
    before_chunk()
    try:
        whole = key.predictor.predict_encoded(
            np.concatenate([part.x for part in slices]),
            key.options,
            row_ids=_row_ids(slices) if key.options.masks == "per_row" else None,
            before_chunk=before_chunk,
        )
    except InputError as error:
        # Of several callers' rows, the batcher finds the culprit; here it is known already.
        raise (_shifted(error, slices[0].start) if len(slices) == 1 else error) from None
    if len(slices) == 1:
        return [whole], perf_counter() - started[0], thread_time() - started[1]
    ends = accumulate(len(part.x) for part in slices)
    parts = [whole.of_rows(end - len(part.x), end) for part, end in zip(slices, ends, strict=True)]
    return parts, perf_counter() - started[0], thread_time() - started[1]


def _row_ids(slices: Sequence[Slice]) -> np.ndarray:
    """The positions of all rows in their requests."""
    ranges = [np.arange(part.start, part.start + len(part.x)) for part in slices]
    return np.concatenate(ranges)


def _joined(parts: Sequence[Predictions], options: Resolved) -> Predictions:
    """One request's predictions from those of its slices."""
    met = all(part.stopped == "tolerance" for part in parts)
    return replace(
        parts[0],
        passes=max(part.passes for part in parts) if met else options.passes,
        stopped="tolerance" if met else "passes",
        rows=Columns.joined([part.rows for part in parts]),
    )


def _shifted(error: InputError, start: int) -> InputError:
    """The error with the row's position in the request instead of that in its slice."""
    if not start:
        return error
    message, details = str(error), []
    for detail in error.details:
        where, _, rest = detail.field.removeprefix("rows.").partition(".")
        position = f"rows.{int(where) + start}"
        message = message.replace(f"rows.{where}", position, 1)
        details.append(Detail(f"{position}.{rest}" if rest else position, detail.message))
    return InputError(message, details)
