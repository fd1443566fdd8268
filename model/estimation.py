"""From encoded rows to estimates: by the compiled kernel, by samplers of torch, or in closed form.

Shapes: B rows, D inputs, V values of one pass.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.calibration import Allowance, tolerated
from model.options import Estimator, Resolved
from model.passes import (
    Batch,
    Ensemble,
    EnsembleSampler,
    Estimate,
    Kernel,
    Passes,
    PlainSampler,
    ReducedSampler,
    Reduction,
    Sampler,
    averaged,
    kernel_of,
    pooled_members,
    pooled_numbers,
    sample,
    sample_until,
    wide,
)
from model.predictions import used
from model.tasks import Task

ROWS_AT_ONCE = 512  # bounds the memory of a large request; answers do not depend on it
KERNEL_ROWS_AT_ONCE = 4096  # the kernel keeps no passes of many rows, nor covariances


class Estimation:
    """The estimates of networks of one shape, for a task. Threads may share it."""

    def __init__(self, networks: Ensemble, task: Task[Any], *, controls: bool) -> None:
        self._networks, self._task = networks, task
        self._reductions = [
            Reduction(member, task.linear, controls=controls) for member in networks
        ]
        self.exact = self._reductions[0].exact  # whether `reduced` needs no pass
        self._kernel = (
            kernel_of(networks, task.linear, controls=controls, temperature=task.temperature)
            if task.values_are_outputs or task.temperature
            else None
        )

    def rows_at_once(self, options: Resolved, *, record: bool) -> int:
        """How many rows to run together; `record`: whether batches have a recorder."""
        if self._task.joint or not self._kernel_for(options, record=record):
            return ROWS_AT_ONCE
        return KERNEL_ROWS_AT_ONCE

    def run(self, batch: Batch, options: Resolved) -> Passes:
        """The estimates of a batch, and what they took."""
        kernel = self._kernel_for(options, record=batch.recorder is not None)
        if kernel:
            return self._by_kernel(kernel, batch, options)
        with torch.inference_mode():
            estimate, counts, settled = self._by_torch(batch, options)
            return Passes(estimate, self._deterministic(batch.x), counts, settled)

    def blocks(
        self, x: Tensor, estimator: Estimator, *, passes: int, seeds: Sequence[int]
    ) -> list[Estimate]:
        """Estimates over x [B, D] from so many passes for each seed, without any allowance.

        Not for `reduced` if it is `exact`.
        """
        if self._kernel and passes >= 2 * len(self._networks):
            rows, reduced = x.numpy(), estimator == "reduced"
            each = (self._kernel.estimates(rows, s, passes=passes, reduced=reduced) for s in seeds)
            return [pooled_numbers(found.numbers, found.agreement) for found in each]
        with torch.inference_mode():
            first = self.sampler(Batch(x, seeds[0]), estimator)
            return [sample(first.restarted(seed), passes) for seed in seeds]

    def sampler(self, batch: Batch, estimator: Estimator) -> Sampler:
        """A sampler without any passes; not for `reduced` if it is `exact`."""
        values, joint = self._task.values, self._task.joint
        samplers: list[Sampler] = [
            ReducedSampler.of(member, batch, reduction)
            if estimator == "reduced"
            else PlainSampler.of(member, batch, values, joint=joint)
            for member, reduction in zip(self._networks, self._reductions, strict=True)
        ]
        return samplers[0] if len(samplers) == 1 else EnsembleSampler(samplers)

    def _kernel_for(self, options: Resolved, *, record: bool) -> Kernel | None:
        """The kernel, if it has the estimates of these options."""
        exact = self.exact and used(self._task, options) == "reduced"
        return None if exact or record or options.tolerance is not None else self._kernel

    def _by_kernel(self, kernel: Kernel, batch: Batch, options: Resolved) -> Passes:
        estimator, x = used(self._task, options), batch.x.numpy()
        found = kernel.estimates(
            x,
            batch.seed,
            passes=options.passes,
            reduced=estimator == "reduced",
            row_ids=None if batch.row_ids is None else batch.row_ids.numpy(),
            before_chunk=batch.before_chunk,
        )
        pooled = pooled_numbers(found.numbers, found.agreement)
        estimate = self._wide(pooled, self._allowance(estimator), options.passes)
        counts = np.full(len(x), options.passes)
        off = averaged(found.deterministic)
        return Passes(estimate, off, counts, not len(x))

    def _by_torch(self, batch: Batch, options: Resolved) -> tuple[Estimate, np.ndarray, bool]:
        """The estimate, each row's number of passes, and whether all met the tolerance."""
        rows, estimator = len(batch.x), used(self._task, options)
        if estimator == "reduced" and self.exact:
            self._record(batch, options.passes)
            exact = pooled_members([each.integrated(batch.x) for each in self._reductions])
            return exact, np.zeros(rows, dtype=np.int64), True
        sampler, tolerance = self.sampler(batch, estimator), options.tolerance
        allowance = self._allowance(estimator)
        if tolerance is None or not rows:  # no rows: every row has met the tolerance
            estimate = sample(sampler, options.passes)
            wider = self._wide(estimate, allowance, options.passes)
            return wider, np.full(rows, options.passes), not rows
        lesser = tolerated(allowance) if allowance else None

        def excess(estimate: Estimate, passes: int | np.ndarray) -> np.ndarray:
            return self._task.relative_error(self._wide(estimate, lesser, passes)) / tolerance

        estimate, counts = sample_until(excess, sampler, rows, passes=options.passes)
        met = bool((excess(estimate, counts) <= 1).all())
        return self._wide(estimate, allowance, counts), counts, met

    def _deterministic(self, x: Tensor) -> np.ndarray:
        """The values [B, V] of x [B, D] with dropout off, float64; the members' average."""
        found = [self._task.values(member(x)).double() for member in self._networks]
        values = found[0] if len(found) == 1 else torch.stack(found).mean(0)
        return np.asarray(values.cpu().numpy())

    def _allowance(self, estimator: Estimator) -> Allowance | None:
        """The allowance of an estimator, if the model has one."""
        calibration = self._task.calibration
        return None if calibration is None else calibration.allowances.get(estimator)

    def _wide(
        self, estimate: Estimate, allowance: Allowance | None, passes: int | np.ndarray
    ) -> Estimate:
        if allowance is None:
            return estimate
        return wide(estimate, self._task.quantities(estimate, passes), allowance, passes)

    def _record(self, batch: Batch, passes: int) -> None:
        """Run passes over the batch for its recorder only, if it has one."""
        if batch.recorder is None:
            return
        everything = range(passes)
        for part, outputs in self._networks.outputs(
            batch.x, batch.seed, passes=everything, row_ids=batch.row_ids
        ):
            batch.recorder.add(part, self._task.values(outputs))
