"""Predict rows with uncertainty: encode the rows, run the passes, summarise the estimates."""

import secrets
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model.artifact import Artifact, Card, read, save
from model.calibration import Acceptance, Similarity, promise
from model.data import Encoded, Rows, SeenRows, index_of
from model.errors import Detail, InputError
from model.estimation import Estimation
from model.options import Estimator, MaskScope, PredictOptions, Resolved, resolved
from model.passes import (
    MLP,
    Batch,
    Ensemble,
    Estimate,
    Noise,
    Passes,
    Recorder,
    distances_of,
    draw_noise,
    in_order,
    keep_freed_memory,
)
from model.predictions import Predictions, density, summarised, used
from model.tasks import TASKS, Task

UNSEEN = "unseen_combination"  # the warning of a row whose values are each in range
FRESH_SEED_BITS = 53
BLOCKS_APART = 1 << 20


class Predictor:
    """A loaded model. Threads may share it, because no method changes it."""

    def __init__(
        self,
        card: Card,
        network: MLP | Ensemble,
        similarity: Similarity | None = None,
        seen: SeenRows | None = None,
    ) -> None:
        self.card = card
        self.seen = seen  # the rows that the model has learned from, if they are known
        self._networks = Ensemble.of(network)
        self._similarity = similarity
        self._distances = similarity and (distances_of(similarity) or similarity.distances)
        self._task: Task[Any] = TASKS[card.task](card.target_of_rows, *card.fitted)
        self._estimation = Estimation(self._networks, self._task, controls=card.serving.controls)
        self.exact = self._estimation.exact  # whether `reduced` needs no pass
        keep_freed_memory()
        self._schema = card.schema_of_rows
        self._ranges_known = all(feature.range for feature in self._schema.numeric()[0])
        self._device = next(network.parameters()).device

    def __reduce__(self) -> tuple[Any, ...]:
        """What pickle keeps: the parts of which the rest is made again."""
        return Predictor, (self.card, self._networks, self._similarity, self.seen)

    def save(self, folder: str | Path, *, name: str | None = None) -> Card:
        """The card of the model, saved in a folder, under another name if one is given."""
        card = self.card.named(name)
        return save(folder, Artifact(card, self._networks, self._similarity, self.seen))

    def predict(self, rows: Rows, options: PredictOptions | None = None) -> Predictions:
        """A prediction for every row.

        A row is an object keyed by feature name, or a list in the card's order. `rows` may also be
        a frame of pandas, polars or pyarrow, a structured array or a mapping of columns, which go
        by their names, or an array or tensor [B, features] of numbers. Raises InputError naming
        row, feature and value.
        """
        encoded = self.encoded(rows)
        found = self.predict_encoded(encoded.x, options or PredictOptions()).warned(encoded.codes)
        index = index_of(rows)
        return found if index is None else replace(found, index=index)

    def encode(self, rows: Rows) -> np.ndarray:
        """The rows checked and standardised, [B, D] float32; fast, without torch."""
        return self._schema.encode(rows)

    def encoded(self, rows: Rows) -> Encoded:
        """The result of `encode`, and which values were missing and are filled in."""
        return self._schema.encoded(rows)

    def example(self) -> dict[str, float | str]:
        """A row like the training rows, which the model accepts."""
        none = np.empty((0, self._schema.plain_width))
        typical = self._similarity.typical if self._similarity else none
        return self._schema.example(self._schema.whole(typical))

    @np.errstate(all="ignore")  # `_check_finite` reports numbers that are not finite
    def predict_encoded(
        self,
        x: np.ndarray,
        options: PredictOptions,
        *,
        row_ids: np.ndarray | None = None,
        before_chunk: Callable[[], None] = lambda: None,
    ) -> Predictions:
        """A prediction for every row of `encode`'s x [B, D].

        `row_ids` [B] are the positions of the rows in their requests, if x has rows of several
        requests; `per_row` masks depend on them. `before_chunk` is called every few milliseconds;
        an exception that it raises ends the work. Raises InputError naming a row on which the
        network overflows.
        """
        options = self.resolved(options)
        acceptance = promise(self._task.calibration, options)  # raises before any work
        batch = self._batch(x, row_ids, options, before_chunk)
        parts = list(self._parts(batch, options, record=options.samples))
        return self._summarised(parts, batch.seed, options, acceptance)

    @np.errstate(all="ignore")
    def predict_with_density(
        self, x: np.ndarray, actual: np.ndarray, options: PredictOptions
    ) -> tuple[Predictions, np.ndarray]:
        """The result of `predict_encoded`, and the log density [B, T] of the actual targets.

        Both come from the same passes. The density is in nats per unit of the target; a classifier
        has the log probability [B, 1]. `actual` is encoded. NaN if the noise is unknown.
        """
        options = self.resolved(options)
        acceptance = promise(self._task.calibration, options)
        batch, parts, densities, start = self._batch(x, None, options), list[Passes](), [], 0
        for part in self._parts(batch, options, record=True):
            true, start = actual[start : start + len(part.counts)], start + len(part.counts)
            densities.append(density(self._task, part.samples or (), true, len(self.networks)))
            parts.append(part if options.samples else replace(part, samples=None))
        predictions = self._summarised(parts, batch.seed, options, acceptance)
        return predictions, np.concatenate(densities)

    def _parts(self, batch: Batch, options: Resolved, *, record: bool) -> Iterator[Passes]:
        """The results of the passes for each block of rows; without rows, for one empty block."""
        at_once = self._estimation.rows_at_once(options, record=record)
        rows = batch.x.shape[0]
        for start in range(0, max(rows, 1), at_once):
            block = batch if rows <= at_once else batch.select(slice(start, start + at_once))
            if record:
                positions = torch.arange(len(block.x))
                block = replace(block, recorder=Recorder(positions))
            yield self._run(block, options)

    def _summarised(
        self,
        parts: Sequence[Passes],
        seed: int,
        options: Resolved,
        acceptance: Acceptance | None,
    ) -> Predictions:
        return summarised(
            self._task, parts, options, kind=self.card.task, seed=seed, acceptance=acceptance
        )

    def resolved(self, options: PredictOptions) -> Resolved:
        """The options, with the model's passes, estimator and masks for those that are None.

        Raises InputError if the passes are fewer than two for each member of an ensemble.
        """
        if isinstance(options, Resolved):
            return options
        own, members = self.card.serving, len(self._networks)
        found = resolved(
            options,
            passes=own.passes,
            estimator="plain" if self._task.plain_because else own.estimator,
            masks=own.masks,
        )
        if found.passes < 2 * members:
            message = f"a model of {members} members needs {2 * members} at least"
            said = f"{message}, not {found.passes}"
            raise InputError(f"passes: {said}", [Detail("passes", said)])
        return found

    @property
    def networks(self) -> Ensemble:
        """The network itself, or its members, which all threads share: do not change them."""
        return self._networks

    def module(self) -> nn.Sequential:
        """A copy of the network as plain torch layers, in evaluation mode.

        Inputs are those of `encode`; outputs are logits, or targets standardised by the means and
        scales on the card, after the logarithm for those in `card.target.logs`. After `.train()`
        torch draws the masks. Gaussian input noise is left out. Raises InputError for an ensemble,
        whose networks `modules` has.
        """
        if len(self._networks) > 1:
            said = f"the model has {len(self._networks)} members; use modules()"
            raise InputError(f"module: {said}", [Detail("module", said)])
        return self.modules()[0]

    def modules(self) -> list[nn.Sequential]:
        """A copy of each member of the network, as `module` has a single network."""
        return [deepcopy(member.module()).eval() for member in self._networks]

    def _batch(
        self,
        x: np.ndarray,
        row_ids: np.ndarray | None,
        options: Resolved,
        before_chunk: Callable[[], None] = lambda: None,
    ) -> Batch:
        """All rows; with a random seed if the options have none."""
        if x.ndim != 2 or x.shape[1] != self._schema.width:
            message = f"[rows, {self._schema.width}] are needed, as `encode` makes them"
            message = f"x has the shape {list(x.shape)}; {message}"
            raise InputError(f"rows: {message}", [Detail("rows", message)])
        ids = None
        if options.masks == "per_row":
            known = np.arange(len(x)) if row_ids is None else row_ids
            ids = torch.from_numpy(known).to(self._device)
        return Batch(
            x=torch.from_numpy(x).to(self._device),
            seed=fresh_seed() if options.seed is None else options.seed,
            row_ids=ids,
            before_chunk=before_chunk,
        )

    def _run(self, batch: Batch, options: Resolved) -> Passes:
        """The results of the passes over a block of rows."""
        found = self._estimation.run(batch, options)
        counts = found.counts
        x, by = batch.x.cpu().numpy(), self.card.calibration and self.card.calibration.by
        known, distances = self._similarity, self._distances
        likeness = None
        if known and distances:
            likeness = known.likeness(distances(self._schema.plain(x)))
        unseen = likeness.unseen.tolist() if likeness else repeat(False, len(x))
        common = {n: tuple(self._warnings(n, options)) for n in set(counts.tolist())}
        return Passes(
            found.estimate,
            found.deterministic,
            counts,
            found.settled,
            warnings=[
                (*common[count], *(codes or ((UNSEEN,) if strange else ())))
                for count, codes, strange in zip(
                    counts.tolist(), self._schema.outside(x), unseen, strict=True
                )
            ],
            likeness=likeness,
            samples=batch.recorder.recorded(len(x)) if batch.recorder else None,
            groups=self._schema.categories(by, x) if by else (),
        )

    def _warnings(self, passes: int, options: Resolved) -> Iterator[str]:
        """The warnings of all rows that took so many passes, about the model and the options."""
        if not self._networks.config.stochastic:
            yield "no_dropout"
        if not self._ranges_known:
            yield "no_training_range"
        made = self.card.calibration
        if made is None:
            yield "no_calibration"
        elif passes not in (0, made.passes) or used(self._task, options) != made.estimator:
            yield f"calibrated_with:{made.estimator}:{made.passes}"

    def blocks(
        self, x: np.ndarray, estimator: Estimator, *, passes: int, count: int, seed: int
    ) -> list[Estimate]:
        """Estimates from `count` independent blocks of `passes` passes over `encode`'s x [B, D].

        The values are standardised targets and log-variances, or probabilities and their entropy.
        The error bars have no allowance. The seeds of the blocks are BLOCKS_APART, the first is
        `seed`.
        """
        seeds = [seed + block * BLOCKS_APART for block in range(count)]
        rows = torch.from_numpy(x).to(self._device)
        return self._estimation.blocks(rows, estimator, passes=passes, seeds=seeds)

    def values(
        self, x: np.ndarray, *, passes: int, seed: int, masks: MaskScope = "shared"
    ) -> np.ndarray:
        """The values of each pass over `encode`'s x [B, D], [P, B, V] float64.

        They are standardised targets and, with heteroscedastic noise, the logarithms of their noise
        variances (see `Regression.values`); or a classifier's probabilities and their entropy.
        """
        with torch.inference_mode():
            row_ids = torch.arange(len(x), device=self._device) if masks == "per_row" else None
            inputs, everything = torch.from_numpy(x).to(self._device), range(passes)
            chunks = self._networks.outputs(inputs, seed, passes=everything, row_ids=row_ids)
            values = in_order([(part, self._task.values(outputs)) for part, outputs in chunks])
            return np.asarray(values.double().cpu().numpy())  # [P, B, V]

    def noise(self, seed: int, passes: range) -> Noise:
        """The noise of those passes, as `values` draws it for shared masks."""
        noise = draw_noise(self._networks.config, seed, passes, device=self._device)
        count = len(self._networks)
        if count == 1:
            return noise
        return replace(noise, members=torch.tensor(passes, device=self._device) % count)

    def values_under(self, x: np.ndarray, noise: Noise) -> np.ndarray:
        """The values [P, B, V] of `encode`'s x [B, D] in the passes of that noise, as `values`."""
        with torch.inference_mode():
            outputs = self._networks.under(torch.from_numpy(x).to(self._device), noise)
            return np.asarray(self._task.values(outputs).double().cpu().numpy())

    @property
    def columns(self) -> tuple[int, ...]:
        """The number of encoded columns of each feature."""
        return tuple(feature.width for feature in self._schema.features)

    def kept_rows(self) -> np.ndarray | None:
        """The training rows that the model keeps for distances, encoded, [R, D]; None without."""
        if self._similarity is None:
            return None
        return self._schema.nearest(self._schema.whole(self._similarity.rows))


def load(folder: str | Path, *, device: str = "cpu", name: str | None = None) -> Predictor:
    """The model saved in a folder, verified, under another name if one is given.

    Raises ArtifactError saying what is wrong with the folder, InputError for a name not for URLs.
    """
    card, network, similarity, seen = read(folder)
    return Predictor(card.named(name), network.to(device), similarity, seen)


def use_threads(count: int) -> None:
    """Make torch use `count` threads for the calling thread; call it in each computing thread."""
    torch.set_num_threads(count)


def fresh_seed() -> int:
    """A random seed below 2^53, which JSON readers that use doubles read exactly."""
    return secrets.randbits(FRESH_SEED_BITS)
