"""From rows to predictions with uncertainty: the whole path on one screen."""

import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from model.artifact import read
from model.card import Card
from model.errors import Detail, InputError
from model.moments import plain
from model.network import MLP
from model.sampling import run
from model.task import TASKS, Prediction, TaskName
from model.uncertainty import Passes

Estimator = Literal["plain", "reduced"]
MaskScope = Literal["shared", "per_row"]
Row = Mapping[str, Any] | Sequence[Any]

SEED_LIMIT = 1 << 63
ROWS_AT_ONCE = 1024  # bounds the memory of a large request; no answer depends on it


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """How to predict; equal options may share a batch.

    `passes`: stochastic forward passes N >= 2. `seed`: in [0, 2^63), or None for a fresh one.
    `coverage`: in (0, 1), of the region around each prediction. `estimator`: `plain` is the sample
    mean and variance of the passes. `masks`: `shared` draws one thinned network per pass for all
    rows, `per_row` fresh masks for every row. `tolerance`: not offered yet. `samples`: also return
    every pass's output. Raises InputError naming the option.
    """

    passes: int = 100
    seed: int | None = None
    coverage: float = 0.9
    estimator: Estimator = "plain"
    masks: MaskScope = "shared"
    tolerance: float | None = None
    samples: bool = False

    def __post_init__(self) -> None:
        for ok, field, message in (
            (self.passes >= 2, "passes", f"at least 2 have a variance, not {self.passes}"),
            (
                self.seed is None or 0 <= self.seed < SEED_LIMIT,
                "seed",
                f"lies in [0, 2^63), not {self.seed}",
            ),
            (0 < self.coverage < 1, "coverage", f"lies in (0, 1), not {self.coverage}"),
            (
                self.estimator in get_args(Estimator),
                "estimator",
                f"{self.estimator!r} is not one of {', '.join(get_args(Estimator))}",
            ),
            (
                self.masks in get_args(MaskScope),
                "masks",
                f"{self.masks!r} is not one of {', '.join(get_args(MaskScope))}",
            ),
            (self.estimator != "reduced", "estimator", "'reduced' is not offered yet; use 'plain'"),
            (self.tolerance is None, "tolerance", "adaptive passes are not offered yet; use null"),
        ):
            if not ok:
                raise InputError(f"{field}: {message}", [Detail(field, message)])


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of all rows, and what it takes to get the same numbers again."""

    task: TaskName
    passes: int
    stopped: Literal["passes", "tolerance"]
    seed: int
    estimator: Estimator
    masks: MaskScope
    rows: tuple[Prediction, ...]


class Predictor:
    """A loaded model. Predicting changes nothing in it: any number of threads may share one."""

    def __init__(self, card: Card, network: MLP) -> None:
        self.card = card
        self._network = network
        self._task = TASKS[card.task]
        self._schema = card.schema_of_rows
        self._target = card.target_of_rows
        self._device = next(network.parameters()).device

    def predict(self, rows: Sequence[Row], options: PredictOptions | None = None) -> Predictions:
        """A prediction for every row, given as an object by feature name or a list in card order.

        Raises InputError naming row, feature and value.
        """
        return self.predict_encoded(self.encode(rows), options or PredictOptions())

    def encode(self, rows: Sequence[Row]) -> np.ndarray:
        """The rows checked and standardised, [B, D] float32; cheap, and needs no torch."""
        return self._schema.encode(rows)

    def predict_encoded(self, x: np.ndarray, options: PredictOptions) -> Predictions:
        """A prediction for every row of `encode`'s x [B, D]."""
        seed = secrets.randbelow(SEED_LIMIT) if options.seed is None else options.seed
        rows: list[Prediction] = []
        with torch.inference_mode():
            for start in range(0, len(x), ROWS_AT_ONCE):
                block = x[start : start + ROWS_AT_ONCE]
                passes = self._run(block, start, seed, options)
                rows += self._task.summarise(passes, self._target, options.coverage)
        return Predictions(
            task=self.card.task,
            passes=options.passes,
            stopped="passes",
            seed=seed,
            estimator=options.estimator,
            masks=options.masks,
            rows=tuple(rows),
        )

    def _run(self, x: np.ndarray, start: int, seed: int, options: PredictOptions) -> Passes:
        inputs = torch.from_numpy(x).to(self._device)  # [B, D]
        numbers = None
        if options.masks == "per_row":
            numbers = torch.arange(start, start + len(x), device=self._device)
        chunks: Iterator[Tensor] = (
            self._task.values(outputs)  # [p, B, V]
            for outputs in run(
                self._network, inputs, seed, passes=range(options.passes), rows=numbers
            )
        )
        samples: Tensor | None = None
        if options.samples:
            samples = torch.cat(list(chunks))  # [P, B, V]
            chunks = iter([samples])
        estimate = plain(chunks)
        deterministic = self._task.values(self._network(inputs)).double()  # [B, V]
        _check_finite(start, estimate.mean, estimate.variance, estimate.variance_error)
        return Passes(
            estimate=estimate,
            deterministic=deterministic,
            counts=[options.passes] * len(x),
            warnings=[(*self._warnings(), *codes) for codes in self._schema.outside(x)],
            samples=samples,
        )

    def _warnings(self) -> tuple[str, ...]:
        return () if self._network.config.stochastic else ("no_dropout",)


def load(folder: str | Path, *, device: str = "cpu") -> Predictor:
    """The model saved in a folder, verified; raises ArtifactError with what is wrong."""
    card, network = read(folder)
    return Predictor(card, network.to(device))


def use_threads(count: int) -> None:
    """Compute with `count` threads in the calling thread: each computing thread must ask itself."""
    torch.set_num_threads(count)


def _check_finite(start: int, *parts: Tensor) -> None:
    """Raise InputError naming the first row whose numbers overflowed inside the network."""
    good = torch.stack([part.isfinite().all(-1) for part in parts]).all(0)  # [B]
    if not bool(good.all()):
        row = start + int((~good).nonzero()[0])
        message = "the model's output is not finite: a value lies too far from the training data"
        raise InputError(f"rows.{row}: {message}", [Detail(f"rows.{row}", message)])
