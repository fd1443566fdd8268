"""From rows to predictions with uncertainty: the whole path on one screen."""

import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn

from model.artifact import Card, read
from model.calibration import Acceptance, Similarity, promise
from model.errors import Detail, InputError
from model.options import Estimator, MaskScope, PredictOptions, Resolved, resolved
from model.passes import (
    MLP,
    Batch,
    Estimate,
    Passes,
    PlainSampler,
    ReducedSampler,
    Reduction,
    Sampler,
    Widen,
    run,
    sample,
    sample_until,
    wide,
)
from model.tasks import TASKS, Prediction, Rows, Task, TaskName

Row = Mapping[str, Any] | Sequence[Any]

UNSEEN = "unseen_combination"  # of values that are each in range
FRESH_SEEDS = 1 << 53  # a fresh seed survives JSON readers that hold numbers as doubles
ROWS_AT_ONCE = 512  # bounds the memory of a large request; no answer depends on it


@dataclass(frozen=True, slots=True)
class Predictions:
    """The predictions of all rows, and what it takes to get the same numbers again.

    `passes`: as asked for; where every row met the tolerance, the most that any of them took.
    `stopped`: `tolerance` where every row met it.
    `estimator`: the one that was used; where that is not the one asked for, `note` says why.
    """

    task: TaskName
    passes: int
    stopped: Literal["passes", "tolerance"]
    seed: int
    estimator: Estimator
    masks: MaskScope
    rows: Rows[Prediction]
    acceptance: Acceptance | None = None  # where a largest error was named
    note: str | None = None

    def of_rows(self, start: int, stop: int) -> "Predictions":
        """The same of some of the rows; `dataclasses.replace` takes three times as long."""
        return Predictions(
            self.task,
            self.passes,
            self.stopped,
            self.seed,
            self.estimator,
            self.masks,
            self.rows[start:stop],
            self.acceptance,
            self.note,
        )


class Predictor:
    """A loaded model. Predicting changes nothing in it: any number of threads may share one."""

    def __init__(self, card: Card, network: MLP, similarity: Similarity | None = None) -> None:
        self.card = card
        self._network = network
        self._similarity = similarity
        self._task: Task[Any] = TASKS[card.task](card.target_of_rows, *card.fitted)
        self._reduction = Reduction(network, self._task.linear, controls=card.serving.controls)
        self.exact = self._reduction.exact  # whether `reduced` needs no pass
        keep_freed_memory()
        self._schema = card.schema_of_rows
        self._ranges_known = all(feature.range for feature in self._schema.numeric()[0])
        self._device = next(network.parameters()).device

    def predict(
        self, rows: Sequence[Row] | np.ndarray, options: PredictOptions | None = None
    ) -> Predictions:
        """A prediction for every row, given as an object by feature name or a list in card order.

        Or as one array [B, features] of numbers.

        Raises InputError naming row, feature and value.
        """
        return self.predict_encoded(self.encode(rows), options or PredictOptions())

    def encode(self, rows: Sequence[Row] | np.ndarray) -> np.ndarray:
        """The rows checked and standardised, [B, D] float32; cheap, and needs no torch."""
        return self._schema.encode(rows)

    @np.errstate(all="ignore")  # what is not finite is found, and told
    def predict_encoded(
        self,
        x: np.ndarray,
        options: PredictOptions,
        *,
        numbers: np.ndarray | None = None,
        before_chunk: Callable[[], None] = lambda: None,
    ) -> Predictions:
        """A prediction for every row of `encode`'s x [B, D].

        `numbers` [B] are the rows' positions in their callers' requests, where x holds several;
        they tell `per_row` masks apart. `before_chunk` is called every few milliseconds; what it
        raises ends the work. Raises InputError naming a row on which the network overflows.
        """
        options = self.resolved(options)
        acceptance = promise(self._task.calibration, options)  # or why not, before any work
        seed = secrets.randbelow(FRESH_SEEDS) if options.seed is None else options.seed
        numbers = np.arange(len(x)) if numbers is None else numbers
        with torch.inference_mode():
            parts = []
            for start in range(0, max(len(x), 1), ROWS_AT_ONCE):  # no rows are one block, too
                block = slice(start, start + ROWS_AT_ONCE)
                batch = self._batch(x[block], numbers[block], seed, options, before_chunk)
                parts.append(self._run(batch, start, options))
            rows = Rows.joined([self._task.summarise(part, options) for part in parts])
        met = options.tolerance is not None and all(part.settled for part in parts)
        estimator = self._estimator(options)
        return Predictions(
            task=self.card.task,
            passes=max(max(part.counts, default=0) for part in parts) if met else options.passes,
            stopped="tolerance" if met else "passes",
            seed=seed,
            estimator=estimator,
            masks=options.masks,
            rows=rows,
            acceptance=acceptance,
            note=None if estimator == options.estimator else self._task.plain_because,
        )

    def resolved(self, options: PredictOptions) -> Resolved:
        """The options with the model's own passes, estimator and masks where they name none."""
        if isinstance(options, Resolved):
            return options
        own = self.card.serving
        return resolved(
            options,
            passes=own.passes,
            estimator="plain" if self._task.plain_because else own.estimator,
            masks=own.masks,
        )

    def module(self) -> nn.Sequential:
        """A copy of the network as plain torch layers, in evaluation mode.

        Inputs are `encode`'s, outputs standardised targets or logits. `.train()` makes torch draw
        the masks: the naive way to what this package does. Gaussian input noise has no such layer.
        """
        return deepcopy(self._network.module()).eval()

    def _batch(
        self,
        x: np.ndarray,
        numbers: np.ndarray,
        seed: int,
        options: Resolved,
        before_chunk: Callable[[], None],
    ) -> Batch:
        per_row = options.masks == "per_row"
        return Batch(
            x=torch.from_numpy(x).to(self._device),
            seed=seed,
            numbers=torch.from_numpy(numbers).to(self._device) if per_row else None,
            before_chunk=before_chunk,
        )

    def _run(self, batch: Batch, start: int, options: Resolved) -> Passes:
        """What the passes over a block of rows, the first of them row `start`, leave behind."""
        estimate, counts, settled = self._estimate(batch, options)
        deterministic = self._deterministic(batch.x)
        _check_finite(start, estimate, deterministic)
        x, by = batch.x.cpu().numpy(), self.card.calibration and self.card.calibration.by
        likeness = None if self._similarity is None else self._similarity.likeness(x)
        unseen = likeness.unseen if likeness else repeat(False, len(x))
        common = {count: tuple(self._warnings(count, options)) for count in set(counts)}
        return Passes(
            estimate=estimate,
            deterministic=deterministic,
            counts=counts,
            settled=settled,
            warnings=[
                (*common[count], *(codes or ((UNSEEN,) if strange else ())))
                for count, codes, strange in zip(
                    counts, self._schema.outside(x), unseen, strict=True
                )
            ],
            likeness=likeness,
            samples=self._samples(batch, options.passes, counts) if options.samples else None,
            groups=self._schema.categories(by, x) if by else (),
        )

    def _deterministic(self, x: Tensor) -> np.ndarray:
        """The values [B, V] of x [B, D] with dropout off, float64."""
        return np.asarray(self._task.values(self._network(x)).double().cpu().numpy())

    def _warnings(self, passes: int, options: Resolved) -> Iterator[str]:
        """What a row's numbers do not say, because of the model or of how it was asked."""
        if not self._network.config.stochastic:
            yield "no_dropout"
        if not self._ranges_known:
            yield "no_training_range"
        made = self.card.calibration
        if made is None:
            yield "no_calibration"
        elif passes not in (0, made.passes) or self._estimator(options) != made.estimator:
            yield f"calibrated_with:{made.estimator}:{made.passes}"

    def _estimator(self, options: Resolved) -> Estimator:
        """The one that applies to this task."""
        return "plain" if self._task.plain_because else options.estimator

    def _estimate(self, batch: Batch, options: Resolved) -> tuple[Estimate, list[int], bool]:
        """The estimate, each row's number of passes, and whether all met the tolerance."""
        rows, estimator = len(batch.x), self._estimator(options)
        if estimator == "reduced" and self.exact:
            return self._reduction.integrated(batch.x), [0] * rows, True
        sampler = self._sampler(batch, estimator)
        tolerance, widen = options.tolerance, self._widen(self._estimator(options))
        if tolerance is None or not rows:  # every one of no rows has met it
            return sample(sampler, options.passes, widen), [options.passes] * rows, not rows

        def excess(estimate: Estimate) -> np.ndarray:
            return self._task.relative_error(estimate) / tolerance

        estimate, counts = sample_until(excess, sampler, rows, passes=options.passes, widen=widen)
        return estimate, counts, bool((excess(estimate) <= 1).all())

    def _sampler(self, batch: Batch, estimator: Estimator) -> Sampler:
        """One that has seen no pass; not for `reduced` where it is `exact`."""
        if estimator == "reduced":
            return ReducedSampler.of(self._network, batch, self._reduction)
        return PlainSampler.of(self._network, batch, self._task.values, joint=self._task.joint)

    def _widen(self, estimator: Estimator) -> Widen:
        """What adds to error bars that calibration rows have shown to be too small."""
        allowances = self._task.calibration.allowances if self._task.calibration else {}
        allowance = allowances.get(estimator)
        if allowance is None:
            return lambda estimate, passes: estimate  # noqa: ARG005

        def widen(estimate: Estimate, passes: int) -> Estimate:
            return wide(estimate, self._task.quantities(estimate, passes), allowance, passes)

        return widen

    def blocks(
        self, x: np.ndarray, estimator: Estimator, *, passes: int, count: int, seed: int
    ) -> list[Estimate]:
        """Estimates from disjoint blocks of so many passes each over `encode`'s x [B, D].

        Of standardised targets and log-variances, or of probabilities and their entropy; with the
        error bars that the passes give, and no more.
        """
        with torch.inference_mode():
            fresh = self._sampler(Batch(torch.from_numpy(x).to(self._device), seed), estimator)
            samplers = [fresh.restarted() for _ in range(count)]
            for block, sampler in enumerate(samplers):
                sampler.take(range(block * passes, (block + 1) * passes))
            return [sampler.estimate() for sampler in samplers]

    def values(
        self, x: np.ndarray, *, passes: int, seed: int, masks: MaskScope = "shared"
    ) -> np.ndarray:
        """What each pass says of `encode`'s x [B, D], [P, B, V] float64.

        Standardised targets and, with heteroscedastic noise, the logarithms of their noise
        variances; or a classifier's probabilities and their entropy.
        """
        with torch.inference_mode():
            numbers = torch.arange(len(x), device=self._device) if masks == "per_row" else None
            batch = Batch(torch.from_numpy(x).to(self._device), seed, numbers)
            rows = self._samples(batch, passes, [passes] * len(x))
            return torch.stack(rows, dim=1).double().cpu().numpy()

    def log_density(
        self, x: np.ndarray, actual: np.ndarray, *, passes: int, seed: int
    ) -> np.ndarray:
        """Log density [B, T] of the actual targets under what the passes say together, in nats.

        Of a classifier the log probability, [B, 1]. `x` [B, D] and `actual` are encoded; densities
        are per unit of the target. NaN where nothing is known of the noise.
        """
        parts = [
            self._task.log_density(self.values(x[block], passes=passes, seed=seed), actual[block])
            for start in range(0, len(x), ROWS_AT_ONCE)
            for block in (slice(start, start + ROWS_AT_ONCE),)
        ]
        return np.concatenate(parts)

    def _samples(self, batch: Batch, passes: int, counts: Sequence[int]) -> list[Tensor]:
        """Each row's values [P, V], of the passes that it took; of all where it needed none."""
        chunks = run(self._network, batch.x, batch.seed, passes=range(passes), rows=batch.numbers)
        values = torch.cat([self._task.values(outputs) for outputs in chunks])  # [P, B, V]
        return [values[: count or passes, row] for row, count in enumerate(counts)]


def load(folder: str | Path, *, device: str = "cpu") -> Predictor:
    """The model saved in a folder, verified; raises ArtifactError with what is wrong."""
    card, network, similarity = read(folder)
    return Predictor(card, network.to(device), similarity)


def use_threads(count: int) -> None:
    """Compute with `count` threads in the calling thread: each computing thread must ask itself."""
    torch.set_num_threads(count)


def keep_freed_memory() -> None:
    """Make glibc keep the memory that a chunk of passes frees, for the next chunk.

    Freed blocks of some MB otherwise go back to the system and are faulted in anew, page by page:
    two to three times slower, measured. Having freed a block raises the size from which glibc does
    that, up to 32 MB; this block is never touched, so it takes no memory. Other allocators do not
    mind.
    """
    torch.empty((32 << 20) - (1 << 16), dtype=torch.uint8)


def _check_finite(start: int, estimate: Estimate, deterministic: np.ndarray) -> None:
    """Raise InputError naming the first row whose numbers overflowed inside the network."""
    numbers = estimate.mean + estimate.variance + estimate.variance_error + deterministic
    good = np.isfinite(numbers)  # [B, V]
    if not good.all():
        row = start + int((~good).any(-1).argmax())
        message = "the model's output is not finite: a value lies too far from the training data"
        raise InputError(f"rows.{row}: {message}", [Detail(f"rows.{row}", message)])
