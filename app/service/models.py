"""The models by name: read, let predict once, served, and read again when their folders change."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from app.errors import NotReady, UnknownModel
from app.messages import listed, nearest, quoted
from app.metrics import Metrics
from app.service.library import Landscape, Library, read_library
from app.settings import Settings
from model import Card, Predictions, PredictOptions, Predictor

WARM_UP = PredictOptions(seed=1)

_logger = logging.getLogger("app")


@dataclass(frozen=True, slots=True)
class Answer:
    """Predictions, and the card of the model that made them."""

    card: Card
    predictions: Predictions


@dataclass(frozen=True, slots=True)
class Example:
    """A row that a model accepts, and the model's answer to the row in its warm-up."""

    row: dict[str, Any]
    answer: Answer


class Predict(Protocol):
    """Computes predictions of encoded rows x [B, D]."""

    async def __call__(
        self, predictor: Predictor, x: np.ndarray, options: PredictOptions
    ) -> Predictions: ...


class Models:
    """The models that are served. A new model is served once it has predicted a row."""

    def __init__(self, settings: Settings, metrics: Metrics, predict: Predict) -> None:
        self._settings = settings
        self._metrics = metrics
        self._predict = predict
        self._library = Library()
        self._examples: dict[str, Example] = {}
        self._generation = 0
        self._watcher: asyncio.Task[None] | None = None

    @property
    def loaded(self) -> Mapping[str, tuple[Predictor, ...]]:
        """The versions of all models by name, the newest first; raises NotReady."""
        if not self._library.models:
            raise NotReady("the models are not loaded yet; try again")
        return self._library.models

    @property
    def default(self) -> str:
        """The name of the model that answers a request without a model name."""
        return next(iter(self.loaded))

    @property
    def examples(self) -> Mapping[str, Example]:
        """An example row and its answer for each model; empty until `start` has run."""
        return MappingProxyType(self._examples)

    @property
    def generation(self) -> int:
        """How often the models have been loaded."""
        return self._generation

    def versions(self, name: str | None) -> tuple[Predictor, ...]:
        """The versions of the named model, the newest first; raises NotReady, UnknownModel."""
        versions = self.loaded.get(self.default if name is None else name)
        if versions is None:
            asked = f"{quoted(str(name))}{nearest(name, self.loaded)}"
            raise UnknownModel(f"there is no model {asked}; there are {listed(self.loaded)}")
        return versions

    def find(self, name: str | None, version: str | None) -> Predictor:
        """A version of the named model; raises NotReady, UnknownModel."""
        versions = self.versions(name)
        if version is None:
            return versions[0]
        for predictor in versions:
            if predictor.card.version == version:
                return predictor
        known = [each.card.version for each in versions]
        asked = f"{quoted(version)}{nearest(version, known)} of {predictor.card.name!r}"
        raise UnknownModel(f"there is no version {asked}; there are {listed(known)}")

    def landscape(self, name: str) -> Landscape:
        """The stored landscape of the named model; raises NotReady, UnknownModel."""
        return self._library.landscape(self.find(name, None))

    def load(self) -> None:
        """Read all models; raises model.ArtifactError, or SettingsError if two have one name."""
        self._library = read_library(self._settings)

    async def start(self) -> None:
        """Read the models, unless `load` has, and let every model predict once."""
        if not self._library.models:
            # A process that replaces another must start, even if one folder of many is broken.
            previous = Library() if self._settings.models_dir else None
            self._library = read_library(self._settings, previous)
        await self._swap(self._library)

    async def reload(self) -> None:
        """Read the folders again; serve the models in them once all have predicted."""
        try:
            library = await asyncio.to_thread(read_library, self._settings, self._library)
            await self._swap(library)
        except Exception as error:
            _logger.error("the models stay as they were: %s", str(error) or type(error).__name__)

    def watch(self) -> None:
        """Reload when the folders have changed, if the settings say so."""
        if self._settings.watch_seconds:
            self._watcher = asyncio.create_task(self._watch(self._settings.watch_seconds))

    def stop_watching(self) -> None:
        """Reload no longer by itself."""
        if self._watcher:
            self._watcher.cancel()

    def show_not_ready(self) -> None:
        """Let the metrics say that no model predicts."""
        for name in self._library.models:
            self._metrics.model_ready.labels(name).set(0)

    async def _swap(self, library: Library) -> None:
        """Let every new model of a library predict once, then serve the library."""
        examples = {}
        for name, versions in library.models.items():
            for predictor in reversed(versions):  # the newest last: its example is kept
                examples[name] = await self._warm_up(predictor)
        for fault in library.faults:
            _logger.error("not served: %s", fault)
        for name, versions in library.models.items():
            self._compare_passes(name, versions[0].resolved(PredictOptions()).passes)
        self._show(library)
        self._library, self._examples = library, examples
        self._generation += 1

    def _compare_passes(self, name: str, own: int) -> None:
        """Warn where the model's own number of passes is beyond a limit for one request."""
        for setting in ("max_passes", "max_row_passes"):
            most = getattr(self._settings, setting)
            if own > most:
                _logger.warning(
                    "%s takes %d passes where a request names no number, and MCD_%s=%d refuses it",
                    *(name, own, setting.upper(), most),
                )

    async def _warm_up(self, predictor: Predictor) -> Example:
        known = self._examples.get(predictor.card.name)
        if known and known.answer.card is predictor.card:
            return known
        row = await asyncio.to_thread(predictor.example)  # a second, with 2,000 features
        x = predictor.encode([row])
        predictions = await self._predict(predictor, x, WARM_UP)
        return Example(row, Answer(predictor.card, predictions))

    def _show(self, library: Library) -> None:
        info, ready = self._metrics.model_info, self._metrics.model_ready
        for models, value in ((self._library.models, 0), (library.models, 1)):
            for name, versions in models.items():
                ready.labels(name).set(value)
                for predictor in versions:
                    info.labels(name, predictor.card.version).set(value)

    async def _watch(self, seconds: float) -> None:
        """Check the folders at that interval, and reload if they have changed.

        Whatever goes wrong in one check, the next one takes place.
        """
        said = ""
        while True:
            await asyncio.sleep(seconds)
            try:
                if await asyncio.to_thread(self._library.changed, self._settings):
                    await self.reload()
                said = ""
            except Exception as error:
                sentence = f"the models stay as they were: {str(error) or type(error).__name__}"
                if sentence != said:  # once, not at every check
                    _logger.error(sentence)
                said = sentence
