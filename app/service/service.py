"""The use cases: list the models, and predict with one of them. This module uses no HTTP.

Checks run on the event loop, before a request is queued. Predictions run in batches, and long
batches run in one worker thread (app/compute).
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from operator import truediv
from typing import Any, NamedTuple, TypeVar

import numpy as np

from app.compute import Computation
from app.errors import NotReady
from app.metrics import Metrics
from app.service.in_flight import InFlight
from app.service.library import Landscape
from app.service.limits import Demand, check_limits, of_prediction, values_of
from app.service.models import Answer, Example, Models
from app.settings import Settings
from model import (
    Card,
    Encoded,
    Explanation,
    ExplanationPlan,
    Predictions,
    PredictOptions,
    Predictor,
    Resolved,
    return_freed_memory,
)

LARGE_BYTES = 1 << 16  # of a body; the event loop itself reads a shorter one, in at most 10 ms
ROW_BYTES, VALUE_BYTES, SAMPLE_BYTES = 1_000, 64, 8  # of a prediction in memory, at most
TIDY_SECONDS = 1.0  # after a large request, when its objects are gone
OBSERVED_ROWS = 8  # the most of a request: few rows of many requests are enough to show a drift

T = TypeVar("T")


class Prepared(NamedTuple):
    """A checked request: encoded rows, x [B, D], and the options with the model's own values."""

    predictor: Predictor
    rows: Encoded
    options: Resolved

    @property
    def memory_bytes(self) -> int:
        """About the bytes that the rows and their predictions take in memory."""
        rows, values = len(self.rows.x), values_of(self.predictor.card)
        samples = rows * self.options.passes * values if self.options.samples else 0
        answer = rows * (ROW_BYTES + VALUE_BYTES * values) + SAMPLE_BYTES * samples
        return int(self.rows.x.nbytes) + answer


class Service:
    """The models by name, and the thread that computes with them.

    `load`, then `start`, then `predict` as often as you like, then `stop`.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.metrics = metrics
        self.in_flight = InFlight(
            settings.in_flight_bytes,
            show=metrics.in_flight_bytes.set,
            much_freed=self._give_memory_back,
        )
        self._tidying: asyncio.TimerHandle | None = None
        self._reading: ThreadPoolExecutor | None = None
        self.settings = settings
        self._computation = Computation(settings, metrics)
        self._models = Models(settings, metrics, self._computation.predict)
        self._ready = False
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the server is stopping."""
        return self._draining

    @property
    def idle(self) -> bool:
        """Whether no request waits for a prediction."""
        return self._computation.idle

    @property
    def ready(self) -> bool:
        """Whether the next prediction will be computed."""
        return self._ready and self._computation.alive

    @property
    def cards(self) -> dict[str, Card]:
        """The cards of all models by name, the default model's first."""
        return {name: versions[0].card for name, versions in self._models.loaded.items()}

    @property
    def default(self) -> str:
        """The name of the model that answers a request without a model name."""
        return self._models.default

    @property
    def examples(self) -> Mapping[str, Example]:
        """An example row and its answer for each model; empty until `start` has run."""
        return self._models.examples

    @property
    def generation(self) -> int:
        """How often the models have been loaded."""
        return self._models.generation

    def card(self, name: str | None, version: str | None = None) -> Card:
        """The card of a version of the named model; raises NotReady, UnknownModel.

        No name means the default model; no version means the newest.
        """
        return self._models.find(name, version).card

    def landscape(self, name: str) -> Landscape:
        """The stored landscape of the named model; raises NotReady, UnknownModel."""
        return self._models.landscape(name)

    def predictor(self, name: str) -> Predictor:
        """The newest version of the named model; raises NotReady, UnknownModel."""
        return self._models.find(name, None)

    def versions(self, name: str | None) -> tuple[str, ...]:
        """The versions of the named model, the newest first; raises NotReady, UnknownModel."""
        return tuple(each.card.version for each in self._models.versions(name))

    def admit(self, name: str | None, version: str | None = None) -> Predictor:
        """A version of the named model, for `predict`; raises NotReady, UnknownModel, Overloaded.

        No name means the default model; no version means the newest.
        """
        self._check_ready()
        predictor = self._models.find(name, version)
        self._computation.admit()
        return predictor

    def example_row(self, name: str) -> dict[str, Any]:
        """A row that the named model accepts, like its training rows."""
        return self._models.find(name, None).example()

    def load(self) -> None:
        """Read all models; raises model.ArtifactError, or SettingsError if two have one name."""
        self._models.load()

    async def start(self) -> None:
        """Start the threads and let every model predict once; then the service is ready."""
        # With one thread, one large body at a time is in memory as Python objects.
        self._reading = self._reading or ThreadPoolExecutor(1, "mcd-reading")
        self._reading.submit(int)  # starts the thread now, while there is memory for it
        self._computation.start()
        await self._models.start()
        self._ready, self._draining = True, False
        self._models.watch()

    async def reload(self) -> None:
        """Read the folders again; serve the models in them once all have predicted.

        Requests that run keep the model with which they began. A model that cannot be read stays as
        it was. If a model cannot predict, all models stay as they were.
        """
        await self._models.reload()

    def drain(self) -> None:
        """Refuse new predictions from now on."""
        self._ready, self._draining = False, True
        self._models.show_not_ready()

    def give_up(self) -> None:
        """Fail every request that still waits."""
        self._computation.give_up()

    async def stop(self, within_seconds: float | None = None) -> None:
        """Refuse new predictions, then wait for those that run; the settings limit the time."""
        self.drain()
        self._models.stop_watching()
        limit = self.settings.drain_seconds
        await self._computation.stop(limit if within_seconds is None else within_seconds)
        if self._reading:
            self._reading.shutdown(wait=False)
            self._reading = None

    async def read(self, body: bytes, work: Callable[[], T]) -> T:
        """The result of `work`, which parses and checks `body`.

        A thread does the work for a large body, so that the event loop can serve others meanwhile.
        Raises NotReady, and what `work` raises.
        """
        self._check_ready()  # again: the body may have taken long to arrive
        if len(body) <= LARGE_BYTES:
            return work()
        return await asyncio.get_running_loop().run_in_executor(self._reading, work)

    def prepare(
        self, predictor: Predictor, rows: Sequence[Any] | np.ndarray, options: PredictOptions
    ) -> Prepared:
        """The rows and options of a request, checked; any thread may call this.

        Raises NotReady, LimitExceeded and model.InputError.
        """
        self._check_ready()  # again: reading the rows may have taken long
        asked = predictor.resolved(options)
        check_limits(self.settings, of_prediction(len(rows), predictor.card, asked))
        return Prepared(predictor, predictor.encoded(rows), asked)

    async def predict(
        self, prepared: Prepared, *, timeout_seconds: float | None = None, observed: bool = True
    ) -> Answer:
        """Predictions for a request that `prepare` has returned.

        `observed`: whether the metrics show how uncertain the rows are. `timeout_seconds` may
        shorten the time that the settings allow. Raises NotReady, Overloaded, DeadlineExceeded and
        model.InputError.
        """
        predictor = prepared.predictor
        predictions = await self._computation.predict(
            predictor, prepared.rows.x, prepared.options, timeout_seconds=timeout_seconds
        )
        predictions = predictions.warned(prepared.rows.codes)
        if observed:
            self._observe(predictor.card, predictions)
        return Answer(predictor.card, predictions)

    async def explain(
        self, plan: ExplanationPlan, *, timeout_seconds: float | None = None
    ) -> Explanation:
        """The explanation that is planned; raises as `predict` does."""
        found = await self._computation.explain(plan.rounds(), timeout_seconds=timeout_seconds)
        self.metrics.passes.inc(plan.passes)
        return found

    def check(self, *asked: Demand) -> None:
        """Raise NotReady, or LimitExceeded for what one request may not have."""
        self._check_ready()
        check_limits(self.settings, asked)

    def _give_memory_back(self) -> None:
        """Return free memory to the system a second after a large request; several wait for one."""

        def tidy() -> None:
            self._tidying = None
            if self._reading:
                self._reading.submit(return_freed_memory)

        if self._tidying is None:
            self._tidying = asyncio.get_running_loop().call_later(TIDY_SECONDS, tidy)

    def _check_ready(self) -> None:
        if not self._ready:
            raise NotReady("the server is starting or stopping; try again")

    def _observe(self, card: Card, predictions: Predictions) -> None:
        """Record in the metrics how uncertain some of the rows are."""
        histogram, rows = self.metrics.predictive_std_of(card.name), predictions.rows
        for at in range(0, len(rows), -(-len(rows) // OBSERVED_ROWS)):
            histogram.observe(_relative_std(card, rows.columns, at))


def _relative_std(card: Card, columns: Mapping[str, Any], at: int) -> float:
    """The std of the likeliest class, or the largest std of the targets, each divided by its
    scale."""
    std = columns["std"][at].tolist()  # of V values
    if "label" in columns:
        return float(std[columns["label"][at]])
    return float(max(map(truediv, std, card.target.stds)))
