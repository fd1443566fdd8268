"""The use cases: which models there are, and predictions of one of them. Knows no HTTP.

Checks run where they are asked for, on the event loop, before anything is queued; predictions run
in one worker thread, in batches (app/computation.py).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import model
from app.computation import Computation
from app.errors import LimitExceeded, NotReady, UnknownModel
from app.metrics import Metrics
from app.settings import Settings, SettingsError
from model import (
    Card,
    ClassificationPrediction,
    Detail,
    Predictions,
    PredictOptions,
    Predictor,
    RegressionPrediction,
)

WARM_UP = PredictOptions(seed=1)
OBSERVED_ROWS = 8  # of a request, at most: a drift shows in few rows of many requests


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
        self._models: dict[str, Predictor] = {}
        self._examples: dict[str, Example] = {}
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
        return {name: predictor.card for name, predictor in self._loaded.items()}

    @property
    def default(self) -> str:
        """The name of the model that answers when none is named."""
        return next(iter(self._loaded))

    @property
    def examples(self) -> Mapping[str, Example]:
        """A request and its answer per model; empty until `start` has run."""
        return MappingProxyType(self._examples)

    def card(self, name: str | None) -> Card:
        """The card of the named model, or of the default one; raises NotReady, UnknownModel."""
        return self._find(name).card

    def admit(self, name: str | None) -> Predictor:
        """The model that would answer; raises what `predict` would in any case."""
        if not self._ready:
            raise NotReady("the server is starting or stopping; try again")
        predictor = self._find(name)
        self._computation.admit()
        return predictor

    def example_row(self, name: str) -> dict[str, Any]:
        """A row that the named model accepts: each feature's mean, or its first category."""
        return {
            feature.name: feature.categories[0]
            if feature.kind == "categorical"
            else float(f"{feature.mean:.4g}")
            for feature in self.card(name).features
        }

    def load(self) -> None:
        """Read all models; raises model.ArtifactError, or SettingsError where names clash."""
        folders: dict[str, Path] = {}
        for folder in self._settings.models or model.shipped():
            predictor = model.load(folder)
            name = predictor.card.name
            if name in folders:
                raise SettingsError(
                    f"{folders[name]} and {folder} both hold a model named {name!r}; serve one"
                )
            folders[name] = folder
            self._models[name] = predictor

    async def start(self) -> None:
        """Start the worker thread and let every model predict once; ready when that succeeded."""
        self._computation.start()
        if not self._models:
            self.load()
        for name, predictor in self._loaded.items():
            row = self.example_row(name)
            predictions = await self._computation.predict(
                predictor, predictor.encode([row]), WARM_UP
            )
            self._examples[name] = Example(row, Answer(predictor.card, predictions))
            self.metrics.model_info.labels(name, predictor.card.version).set(1)
            self.metrics.model_ready.labels(name).set(1)
        self._ready, self._draining = True, False

    def drain(self) -> None:
        """Refuse new predictions from now on."""
        self._ready, self._draining = False, True
        for name in self._models:
            self.metrics.model_ready.labels(name).set(0)

    async def stop(self, within_seconds: float | None = None) -> None:
        """Refuse new predictions, then wait for those that run, as long as the settings say."""
        self.drain()
        limit = self._settings.drain_seconds
        await self._computation.stop(limit if within_seconds is None else within_seconds)

    async def predict(
        self,
        name: str | None,
        rows: Sequence[Any],
        *,
        options: PredictOptions,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Predictions of the named model, or of the default one.

        `timeout_seconds` may shorten the time that the settings allow. Raises NotReady,
        UnknownModel, LimitExceeded, Overloaded, DeadlineExceeded and model.InputError.
        """
        predictor = self.admit(name)
        self._check_limits(len(rows), options)
        x = predictor.encode(rows)  # [B, D]; faults are found here, before anything is queued
        predictions = await self._computation.predict(
            predictor, x, options, timeout_seconds=timeout_seconds
        )
        self._observe(predictor.card, predictions)
        return Answer(predictor.card, predictions)

    @property
    def _loaded(self) -> dict[str, Predictor]:
        if not self._models:
            raise NotReady("the models are not loaded yet; try again")
        return self._models

    def _find(self, name: str | None) -> Predictor:
        predictor = self._loaded.get(self.default if name is None else name)
        if predictor is None:
            raise UnknownModel(f"there is no model {name!r}; there are {', '.join(self._models)}")
        return predictor

    def _check_limits(self, rows: int, options: PredictOptions) -> None:
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
        histogram = self.metrics.predictive_std.labels(card.name)
        rows = predictions.rows
        for row in rows[:: -(-len(rows) // OBSERVED_ROWS)]:
            histogram.observe(_relative_std(card, row))


def _relative_std(card: Card, row: RegressionPrediction | ClassificationPrediction) -> float:
    """The std of the likeliest class, or that of a target in units of its spread in training."""
    if isinstance(row, ClassificationPrediction):
        return row.std[row.label]
    stds = row.std.values() if isinstance(row.std, dict) else (row.std,)
    return max(std / scale for std, scale in zip(stds, card.target.scales, strict=True))
