"""Fit the members of an ensemble with mini-batches and early stopping on validation rows.

Training draws its masks with the function that inference uses: a step is one pass with fresh masks
for every row of the mini-batch. Nothing reads or sets the global random state. The first member of
an ensemble is the network that the same seed gives alone; the others differ in their first weights,
in the order of their rows and in their masks. A step of a small network is mostly overhead, so all
members take a step at once, and the masks of many steps are drawn at once.

Shapes: M members, B rows, D inputs, O outputs.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from model.errors import DataError
from model.messages import flag
from model.passes import MLP, Ensemble, MLPConfig, Noise, chunk_passes, draw_noise
from model.tasks import Task
from model.training.adamw import AdamW
from model.training.plan import Plan, Variant
from model.training.stack import Stack

Step = Callable[[Tensor, Tensor], Tensor]
"""Takes a step for a mini-batch x [M, B, D] and y; returns the loss before it, averaged or [M]."""

GATHERED = 32  # steps whose rows are gathered at once
_SEEDS_APART = 0x9E3779B97F4A7C15  # of two members, modulo 2^63


@dataclass(frozen=True, slots=True)
class Dataset:
    """Encoded rows: `x` [B, D] float32; `y` [B, O] float32, or class indices [B] int64.

    `codes` [D] says which columns are codes of numbers; None if none are.
    """

    x: Tensor
    y: Tensor
    codes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> "Dataset":
        return replace(self, x=self.x[index], y=self.y[index])


@dataclass(frozen=True, slots=True)
class Epoch:
    """The losses of one epoch, averaged over the networks that train, for a progress display.

    `phase` says in words what these networks are trained for, and `metric` what the losses are.
    """

    number: int
    of: int
    training_loss: float  # with dropout
    validation_loss: float | None  # without; None while refitting
    best_epoch: int
    phase: str = ""
    metric: str = ""


@dataclass(frozen=True, slots=True)
class Fit:
    """Fitted networks with their best weights, and how far training went.

    `refitted`: the weights have learned from the validation rows too.
    """

    networks: Ensemble
    epochs: int
    best_epoch: int
    interrupted: bool = False
    refitted: bool = False


def fit(
    task: Task[Any],
    training: Dataset,
    validation: Dataset,
    plan: Plan,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Fit:
    """The networks of the last epoch; with patience, those of the lowest validation loss.

    The validation loss is the average of the members' losses. Ctrl-C ends training early and keeps
    the networks so far. Raises DataError if no epoch has a finite validation loss.
    """
    training_run = _Run.of(task, training, plan)
    networks, optimizer = training_run.networks, training_run.stack.optimizer
    best, best_loss, best_epoch, epoch = optimizer.weights.clone(), math.inf, 0, 0
    interrupted = False
    try:
        for epoch, training_loss in enumerate(training_run.epochs(task, training), start=1):
            loss = _validation_loss(networks, task, validation)
            if loss < best_loss or (not plan.patience and math.isfinite(loss)):
                weights = optimizer.weights.clone()
                best, best_loss, best_epoch = weights, loss, epoch  # Ctrl-C cannot split this line
            progress(Epoch(epoch, plan.epochs, training_loss, loss, best_epoch))
            if plan.patience and epoch - best_epoch >= plan.patience:
                break
    except KeyboardInterrupt:
        interrupted = True
    if not best_epoch:
        raise DataError(
            "training was interrupted before the first epoch had ended"
            if interrupted
            else f"the validation loss was never finite; try a lower {flag('learning_rate')}"
        )
    optimizer.weights.copy_(best)
    return Fit(networks.requires_grad_(False), epoch, best_epoch, interrupted)


def refit(
    task: Task[Any],
    rows: Dataset,
    fitted: Fit,
    plan: Plan,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Fit:
    """Networks of the same shape, from the same first weights, trained on `rows`.

    They train for `fitted.best_epoch` epochs, by the same plan, and read no other rows. After
    Ctrl-C, or with weights that are not finite, the networks of `fitted` are returned instead.
    """
    best = fitted.best_epoch
    training_run = _Run.of(task, rows, plan)
    try:
        for epoch, loss in enumerate(training_run.epochs(task, rows), start=1):
            progress(Epoch(epoch, best, loss, None, best))
            if epoch == best:
                break
    except KeyboardInterrupt:
        return replace(fitted, interrupted=True)
    if not training_run.stack.optimizer.weights.isfinite().all():
        return fitted
    networks = training_run.networks.requires_grad_(False)
    return replace(fitted, networks=networks, refitted=True)


@dataclass(frozen=True, slots=True)
class _Run:
    """One training of an ensemble from its first weights."""

    plan: Plan
    seeds: tuple[int, ...]  # of each member
    generators: Sequence[torch.Generator]
    networks: Ensemble
    stack: Stack

    @classmethod
    def of(cls, task: Task[Any], rows: Dataset, plan: Plan) -> "_Run":
        variants, config = plan.variants, plan.config(rows.x.shape[1], task.outputs)
        seeds = tuple((plan.seed + m * _SEEDS_APART) % (1 << 63) for m in range(len(variants)))
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        seen = _seen(rows, variants)
        networks = [
            initialised(
                replace(config, dropout=(plan.input_dropout, *variant.dropout)),
                generator,
                seen=None if seen is None else seen[at],
            )
            for at, (variant, generator) in enumerate(zip(variants, generators, strict=True))
        ]
        decays = [variant.weight_decay for variant in variants]
        stack = Stack(networks, weight_decays=decays, seen=seen)
        return cls(plan, seeds, generators, Ensemble(networks), stack)

    def epochs(self, task: Task[Any], rows: Dataset) -> Iterator[float]:
        """The mean training loss of each epoch, with fresh masks for every row of a mini-batch."""
        batch = min(self.plan.batch, len(rows))
        noises = _noises([network.config for network in self.networks], self.seeds, batch)

        def step(x: Tensor, y: Tensor) -> Tensor:
            noise = _first(next(noises), x.shape[1])
            return self.stack.step(x, y, noise, task.loss_gradient)

        return epochs(rows, self.plan, self.generators, self.stack.optimizer, step)


def epochs(
    rows: Dataset,
    plan: Plan,
    generators: Sequence[torch.Generator],
    optimizer: AdamW,
    step: Step,
) -> Iterator[float]:
    """The mean training loss of each epoch; each step of the iterator trains one epoch.

    Each generator shuffles the rows of one member. The learning rate falls to zero along a half
    cosine over the plan's epochs, in steps of up to GATHERED mini-batches.
    """
    count = len(rows)
    for epoch in range(plan.epochs):
        done = float(epoch)
        order = torch.stack([torch.randperm(count, generator=each) for each in generators])
        total = torch.zeros(())
        for some in torch.split(order, GATHERED * plan.batch, dim=1):
            optimizer.rate = plan.learning_rate * (1 + math.cos(math.pi * done / plan.epochs)) / 2
            done += some.shape[1] / count
            gathered = rows[some]
            batches = (torch.split(part, plan.batch, dim=1) for part in (gathered.x, gathered.y))
            for x, y in zip(*batches, strict=True):
                total += step(x, y).mean() * x.shape[1]
        yield total.item() / count


def initialised(
    config: MLPConfig, generator: torch.Generator, *, seen: Tensor | None = None
) -> MLP:
    """A network with weights drawn from `generator`: uniform with bound sqrt(6 / fan in), bias 0.

    The bound keeps the variance of ReLU activations equal from layer to layer (He et al. 2015). The
    weights of the output layer are a tenth of that, so that the first predictions are near the
    mean. `seen` [D] is 1 for the inputs that count, if not all do; the weights of others are 0.
    """
    with torch.device("meta"):
        network = MLP(config)
    network.to_empty(device="cpu")
    with torch.no_grad():
        for layer in network.linears():
            bound = math.sqrt(6 / layer.in_features)
            layer.weight.uniform_(-bound, bound, generator=generator)
            layer.bias.zero_()
        layer.weight.mul_(0.1)
        if seen is not None:
            network.linears()[0].weight.mul_(seen * (len(seen) / seen.sum()).sqrt())
    return network


def _seen(rows: Dataset, variants: Sequence[Variant]) -> Tensor | None:
    """1 for the inputs that each network sees, 0 for the others, [M, D]; None if all see all."""
    raw = torch.tensor([variant.raw for variant in variants])
    if rows.codes is None and raw.any() and not raw.all():
        raise ValueError(
            "some networks see no codes, and the rows do not say which columns are codes"
        )
    if rows.codes is None or not raw.any():
        return None
    return 1 - (raw[:, None] & rows.codes).float()


def _noises(configs: Sequence[MLPConfig], seeds: Sequence[int], rows: int) -> Iterator[Noise]:
    """The noise of pass 0, 1, 2, ... with fresh masks [M, B, H] for every row, drawn in chunks."""
    size, start = chunk_passes(configs[0], rows * len(seeds)), 0
    while True:
        passes, numbers = range(start, start + size), torch.arange(rows)
        drawn = [
            draw_noise(config, seed, passes, numbers)
            for config, seed in zip(configs, seeds, strict=True)
        ]
        masks = [_stacked(parts) for parts in zip(*(each.masks for each in drawn), strict=True)]
        inputs = _stacked([each.inputs for each in drawn])
        for at in range(size):
            of_step = tuple(None if mask is None else mask[at] for mask in masks)
            yield Noise(of_step, None if inputs is None else inputs[at])
        start += size


def _stacked(parts: Sequence[Tensor | None]) -> Tensor | None:
    """The members' noise [P, B, H] as one tensor [P, M, B, H]; None if there is none."""
    found = [part for part in parts if part is not None]
    return torch.stack(found, dim=1) if found else None


def _first(noise: Noise, rows: int) -> Noise:
    """The noise of the first `rows` rows."""
    masks = tuple(None if mask is None else mask[:, :rows] for mask in noise.masks)
    return Noise(masks, None if noise.inputs is None else noise.inputs[:, :rows])


def _validation_loss(networks: Ensemble, task: Task[Any], rows: Dataset) -> float:
    """The validation loss with dropout off, averaged over the members."""
    with torch.inference_mode():
        losses = [task.validation_loss(network(rows.x), rows.y) for network in networks]
        return torch.stack(losses).mean().item()
