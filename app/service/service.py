"""The use cases: which models there are, and predictions of one of them. Knows no HTTP.

Checks run where they are asked for, on the event loop, before anything is queued; predictions run
in batches, and those that take long in one worker thread (app/compute).
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import truediv
from types import MappingProxyType
from typing import Any

import numpy as np

import model
from app.compute import Computation
from app.errors import LimitExceeded, NotReady, ServiceError, UnknownModel
from app.metrics import Metrics
from app.service.library import Library, read_library
from app.settings import Settings, SettingsError
from model import Card, Detail, Predictions, PredictOptions, Predictor, Resolved

WARM_UP = PredictOptions(seed=1)
OBSERVED_ROWS = 8  # of a request, at most: a drift shows in few rows of many requests

_logger = logging.getLogger("app")


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions, and the card of the model that made them."""

    card: Card
    predictions: Predictions


@dataclass(frozen=True, slots=True)
class Example:
    """A row that a model accepts, and what it answered to it when it warmed up."""

    row: dict[str, Any]
    answer: Answer


class Service:
    """The models by name, and the thread that computes with them.

    `load`, then `start`, then `predict` as often as you like, then `stop`.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.metrics = metrics
        self._settings = settings
        self._library = Library()
        self._examples: dict[str, Example] = {}
        self._generation = 0
        self._watcher: asyncio.Task[None] | None = None
        self._computation = Computation(settings, metrics)
        self._ready = False
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the server is going down."""
        return self._draining

    @property
    def idle(self) -> bool:
        """Whether nobody waits for a prediction."""
        return self._computation.idle

    @property
    def ready(self) -> bool:
        """Whether the next prediction will be computed."""
        return self._ready and self._computation.alive

    @property
    def cards(self) -> dict[str, Card]:
        """The cards of all models by name, the default model's first."""
        return {name: versions[0].card for name, versions in self._loaded.items()}

    @property
    def default(self) -> str:
        """The name of the model that answers when none is named."""
        return next(iter(self._loaded))

    @property
    def examples(self) -> Mapping[str, Example]:
        """A request and its answer per model; empty until `start` has run."""
        return MappingProxyType(self._examples)

    @property
    def generation(self) -> int:
        """How often the models have been loaded."""
        return self._generation

    def card(self, name: str | None, version: str | None = None) -> Card:
        """The card of a version of the named model; raises NotReady, UnknownModel.

        Without a name, the default model's; without a version, the newest.
        """
        return self._find(name, version).card

    def versions(self, name: str | None) -> tuple[str, ...]:
        """The versions of the named model, the newest first; raises NotReady, UnknownModel."""
        return tuple(each.card.version for each in self._versions(name))

    def admit(self, name: str | None, version: str | None = None) -> Predictor:
        """A version of the named model, for `predict`; without a name, the default model.

        Without a version, the newest. Raises NotReady, UnknownModel and Overloaded.
        """
        self._check_ready()
        predictor = self._find(name, version)
        self._computation.admit()
        return predictor

    def example_row(self, name: str) -> dict[str, Any]:
        """A row that the named model accepts: each feature's mean, or its first category."""
        return _example_row(self.card(name))

    def load(self) -> None:
        """Read all models; raises model.ArtifactError, or SettingsError where names clash."""
        self._library = read_library(self._settings)

    async def start(self) -> None:
        """Start the worker thread and let every model predict once; ready when that succeeded."""
        self._computation.start()
        if not self._library.models:
            # A process that replaces another must not fail over one broken folder of many.
            previous = Library() if self._settings.models_dir else None
            self._library = read_library(self._settings, previous)
        await self._swap(self._library)
        self._ready, self._draining = True, False
        if self._settings.watch_seconds:
            self._watcher = asyncio.create_task(self._watch(self._settings.watch_seconds))

    async def reload(self) -> None:
        """Read the folders again and serve what they hold, once it has predicted.

        Nobody notices: requests that run keep the model that they began with, and a model that
        cannot be read, or cannot predict, stays as it was.
        """
        try:
            library = await asyncio.to_thread(read_library, self._settings, self._library)
            await self._swap(library)
        except (model.ModelError, SettingsError, ServiceError) as error:
            _logger.error("the models stay as they were: %s", error)

    def drain(self) -> None:
        """Refuse new predictions from now on."""
        self._ready, self._draining = False, True
        for name in self._library.models:
            self.metrics.model_ready.labels(name).set(0)

    def give_up(self) -> None:
        """Tell those who still wait that they wait in vain."""
        self._computation.give_up()

    async def stop(self, within_seconds: float | None = None) -> None:
        """Refuse new predictions, then wait for those that run, as long as the settings say."""
        self.drain()
        if self._watcher:
            self._watcher.cancel()
        limit = self._settings.drain_seconds
        await self._computation.stop(limit if within_seconds is None else within_seconds)

    async def predict(
        self,
        predictor: Predictor,
        rows: Sequence[Any] | np.ndarray,
        *,
        options: PredictOptions,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Predictions of a model that `admit` has given.

        `timeout_seconds` may shorten the time that the settings allow. Raises NotReady,
        LimitExceeded, Overloaded, DeadlineExceeded and model.InputError.
        """
        self._check_ready()  # again: it may have taken long to read the rows
        asked = predictor.resolved(options)
        self._check_limits(len(rows), asked)
        x = predictor.encode(rows)  # [B, D]; faults are found here, before anything is queued
        predictions = await self._computation.predict(
            predictor, x, asked, timeout_seconds=timeout_seconds
        )
        self._observe(predictor.card, predictions)
        return Answer(predictor.card, predictions)

    def _check_ready(self) -> None:
        if not self._ready:
            raise NotReady("the server is starting or stopping; try again")

    @property
    def _loaded(self) -> Mapping[str, tuple[Predictor, ...]]:
        if not self._library.models:
            raise NotReady("the models are not loaded yet; try again")
        return self._library.models

    def _versions(self, name: str | None) -> tuple[Predictor, ...]:
        versions = self._loaded.get(self.default if name is None else name)
        if versions is None:
            known = ", ".join(self._loaded)
            raise UnknownModel(f"there is no model {name!r}; there are {known}")
        return versions

    def _find(self, name: str | None, version: str | None) -> Predictor:
        versions = self._versions(name)
        if version is None:
            return versions[0]
        for predictor in versions:
            if predictor.card.version == version:
                return predictor
        known = ", ".join(each.card.version for each in versions)
        raise UnknownModel(f"there is no version {version!r} of {name!r}; there are {known}")

    async def _swap(self, library: Library) -> None:
        """Serve a library from the moment on at which all that is new in it has predicted."""
        examples = {}
        for name, versions in library.models.items():
            for predictor in reversed(versions):  # the newest last: its example is kept
                examples[name] = await self._warm_up(predictor)
        for fault in library.faults:
            _logger.error("not served: %s", fault)
        self._show(library)
        self._library, self._examples = library, examples
        self._generation += 1

    async def _warm_up(self, predictor: Predictor) -> Example:
        known = self._examples.get(predictor.card.name)
        if known and known.answer.card is predictor.card:
            return known
        row = _example_row(predictor.card)
        x = predictor.encode([row])
        predictions = await self._computation.predict(predictor, x, WARM_UP)
        return Example(row, Answer(predictor.card, predictions))

    def _show(self, library: Library) -> None:
        info, ready = self.metrics.model_info, self.metrics.model_ready
        for models, value in ((self._library.models, 0), (library.models, 1)):
            for name, versions in models.items():
                ready.labels(name).set(value)
                for predictor in versions:
                    info.labels(name, predictor.card.version).set(value)

    async def _watch(self, seconds: float) -> None:
        """Reload whenever the folders have changed."""
        while True:
            await asyncio.sleep(seconds)
            try:
                changed = await asyncio.to_thread(self._library.changed, self._settings)
            except SettingsError as error:
                _logger.error("the models stay as they were: %s", error)
                continue
            if changed:
                await self.reload()

    def _check_limits(self, rows: int, options: Resolved) -> None:
        limits, row_passes = self._settings, rows * options.passes
        asked = [
            ("rows", "rows", rows, limits.max_rows),
            ("passes", "passes", options.passes, limits.max_passes),
            ("row_passes", "rows x passes", row_passes, limits.max_row_passes),
        ]
        if options.samples:
            asked.append(("samples", "samples (rows x passes)", row_passes, limits.max_samples))
        for setting, unit, count, limit in asked:
            if count > limit:
                message = f"{count} {unit} are more than {limit} (MCD_MAX_{setting.upper()})"
                field = "passes" if setting == "row_passes" else setting
                raise LimitExceeded(message, [Detail(field, message)])

    def _observe(self, card: Card, predictions: Predictions) -> None:
        """Let the metrics see how uncertain some of the rows are."""
        histogram, rows = self.metrics.predictive_std_of(card.name), predictions.rows
        for at in range(0, len(rows), -(-len(rows) // OBSERVED_ROWS)):
            histogram.observe(_relative_std(card, rows.columns, at))


def _example_row(card: Card) -> dict[str, Any]:
    return {
        feature.name: feature.categories[0]
        if feature.kind == "categorical"
        else float(f"{feature.mean:.4g}")
        for feature in card.features
    }


def _relative_std(card: Card, columns: Mapping[str, Any], at: int) -> float:
    """The std of the likeliest class, or that of a target in units of its spread in training."""
    std = columns["std"][at].tolist()  # of V values
    if "label" in columns:
        return float(std[columns["label"][at]])
    return float(max(map(truediv, std, card.target.scales)))
