"""Fit one network with mini-batches and early stopping on validation rows.

Training draws its masks with the function that inference uses: a step is one pass with fresh masks
for every row of the mini-batch. Nothing reads or sets the global random state. A step of a small
network is mostly overhead, so the masks of many steps are drawn at once.

Shapes: B rows, D inputs, O outputs.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from model.errors import DataError
from model.messages import flag
from model.passes import (
    MLP,
    MLPConfig,
    Noise,
    chunk_passes,
    draw_noise,
)
from model.tasks import Task
from model.training.adamw import AdamW
from model.training.plan import Plan

Loss = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Computes two losses of a mini-batch x [B, D] and y: one to report, and one to minimise."""


@dataclass(frozen=True, slots=True)
class Dataset:
    """Encoded rows: `x` [B, D] float32; `y` [B, O] float32, or class indices [B] int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> "Dataset":
        return Dataset(self.x[index], self.y[index])


@dataclass(frozen=True, slots=True)
class Epoch:
    """The losses of one epoch, as the task defines its loss, for a progress display."""

    number: int
    of: int
    training_loss: float  # with dropout
    validation_loss: float | None  # without; None while refitting
    best_epoch: int
    rate: float | None = None  # the dropout rate, if several are tried
    decay: float | None = None  # the weight decay, if a second one is tried


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted network with its best weights, and how far training went.

    `refitted`: the weights have learned from the validation rows too.
    """

    network: MLP
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
    """The network of the last epoch; with patience, the network of the lowest validation loss.

    Ctrl-C ends training early and keeps the network so far. Raises DataError if no epoch has a
    finite validation loss.
    """
    config = plan.config(inputs=training.x.shape[1], outputs=task.outputs)
    generator = torch.Generator().manual_seed(plan.seed)
    network = initialised(config, generator)
    optimizer = AdamW(network.parameters(), weight_decay=plan.weight_decays[0])
    best, best_loss, best_epoch, epoch = optimizer.weights.clone(), math.inf, 0, 0
    interrupted = False
    try:
        for epoch, training_loss in enumerate(
            epochs(
                training, plan, generator, optimizer, _dropout_loss(network, task, plan, training)
            ),
            start=1,
        ):
            loss = _validation_loss(network, task, validation)
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
    return Fit(network.requires_grad_(False), epoch, best_epoch, interrupted)


def refit(
    task: Task[Any],
    rows: Dataset,
    fitted: Fit,
    plan: Plan,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Fit:
    """A network of the same shape, from the same first weights, trained on `rows`.

    It trains for `fitted.best_epoch` epochs, by the same plan, and reads no other rows. After
    Ctrl-C, or with weights that are not finite, the network of `fitted` is returned instead.
    """
    best = fitted.best_epoch
    generator = torch.Generator().manual_seed(plan.seed)
    network = initialised(fitted.network.config, generator)
    optimizer = AdamW(network.parameters(), weight_decay=plan.weight_decays[0])
    try:
        for epoch, loss in enumerate(
            epochs(rows, plan, generator, optimizer, _dropout_loss(network, task, plan, rows)),
            start=1,
        ):
            progress(Epoch(epoch, best, loss, None, best))
            if epoch == best:
                break
    except KeyboardInterrupt:
        return replace(fitted, interrupted=True)
    if not optimizer.weights.isfinite().all():
        return fitted
    return replace(fitted, network=network.requires_grad_(False), refitted=True)


def epochs(
    rows: Dataset, plan: Plan, generator: torch.Generator, optimizer: AdamW, loss: Loss
) -> Iterator[float]:
    """The mean training loss of each epoch; each step of the iterator trains one epoch.

    The learning rate falls to zero along a half cosine over the plan's epochs.
    """
    for epoch in range(plan.epochs):
        optimizer.rate = plan.learning_rate * (1 + math.cos(math.pi * epoch / plan.epochs)) / 2
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        total = torch.zeros(())
        batches = (torch.split(part, plan.batch) for part in (shuffled.x, shuffled.y))
        for x, y in zip(*batches, strict=True):
            reported, minimised = loss(x, y)
            optimizer.step(minimised)
            total += reported.detach() * len(x)
        yield total.item() / len(rows)


def initialised(config: MLPConfig, generator: torch.Generator) -> MLP:
    """A network with weights drawn from `generator`: uniform with bound sqrt(6 / fan in), bias 0.

    The bound keeps the variance of ReLU activations equal from layer to layer (He et al. 2015). The
    weights of the output layer are a tenth of that, so that the first predictions are near the
    mean.
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
    return network


def _dropout_loss(network: MLP, task: Task[Any], plan: Plan, rows: Dataset) -> Loss:
    """The task's loss under fresh masks for every row of every mini-batch."""
    noises = _noises(network.config, plan.seed, min(plan.batch, len(rows)))

    def loss(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        found = task.loss(network(x, _first(next(noises), len(x)))[0], y)
        return found, found

    return loss


def _noises(config: MLPConfig, seed: int, rows: int) -> Iterator[Noise]:
    """The noise of pass 0, 1, 2, ... with fresh masks [B, H] for every row, drawn in chunks."""
    size, start = chunk_passes(config, rows), 0
    while True:
        drawn = draw_noise(config, seed, range(start, start + size), torch.arange(rows))
        for at in range(size):
            masks = tuple(None if mask is None else mask[at] for mask in drawn.masks)
            yield Noise(masks, None if drawn.inputs is None else drawn.inputs[at])
        start += size


def _first(noise: Noise, rows: int) -> Noise:
    """The noise of the first `rows` rows."""
    masks = tuple(None if mask is None else mask[:rows] for mask in noise.masks)
    return Noise(masks, None if noise.inputs is None else noise.inputs[:rows])


def _validation_loss(network: MLP, task: Task[Any], rows: Dataset) -> float:
    """The validation loss with dropout off."""
    with torch.inference_mode():
        return task.validation_loss(network(rows.x), rows.y).item()
