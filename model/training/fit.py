"""Fitting one network: mini-batches, early stopping on validation rows, the best weights kept.

Training draws its masks by the function that inference uses: a step is one pass with fresh masks
for every row of the mini-batch. Nothing reads or sets the global random state. A step of a small
network is mostly overhead, so what can be done for many steps at once is.

Shapes: B rows, D inputs, O outputs.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor

from model.calibration import NoiseKind
from model.errors import DataError, Detail, InputError
from model.passes import (
    MLP,
    USUAL_RATE,
    USUAL_WIDTHS,
    ActivationName,
    MLPConfig,
    Noise,
    chunk_passes,
    draw_noise,
)
from model.tasks import Task
from model.training.adamw import Descent

LEARN: Literal["learn"] = "learn"
SEARCH: Literal["search"] = "search"


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train. `hidden`, the widths of the hidden layers: by default what suits the task and
    the number of rows. `dropout`: one rate for all hidden layers, or one per hidden layer, by
    default likewise; "search" tries rates for all of them and keeps the best, as `rate_search`
    says; "learn" has `concrete_dropout` find one for each.

    `noise`, of a regression: homoscedastic, the same for every row; heteroscedastic, a variance for
    every row that the network learns as well.

    `epochs`: by default the task's, and more for a small table, until there are as many
    mini-batches as the task needs at least. `learning_rate` falls to zero along a half cosine over
    `epochs`. `patience`: epochs without a better validation loss before training stops and the best
    weights are kept; without it training runs to the end. `weight_decay`: by default the task's;
    a classifier tries two, and validation rows choose.
    `refit`: once the validation rows have had their say, train again on them as well, for as many
    epochs as were kept. Raises InputError naming the option.
    """

    hidden: tuple[int, ...] | None = None
    dropout: tuple[float, ...] | Literal["search", "learn"] | None = None
    input_dropout: float = 0.0
    input_noise: float = 0.0
    activation: ActivationName = "relu"
    noise: NoiseKind = "heteroscedastic"
    epochs: int | None = None
    patience: int | None = None
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float | None = None
    refit: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        layers = len(USUAL_WIDTHS if self.hidden is None else self.hidden)
        given = None if isinstance(self.dropout, str) else self.dropout
        count = 1 if given is None else len(given)
        for ok, field, message in (
            (
                not isinstance(self.dropout, str) or self.dropout in (SEARCH, LEARN),
                "dropout",
                f"rates, {SEARCH!r} or {LEARN!r}, not {self.dropout!r}",
            ),
            (
                count in (1, layers),
                "dropout",
                f"one rate, or one per hidden layer ({layers}), not {count}",
            ),
            (_positive(self.epochs), "epochs", f"at least 1, not {self.epochs}"),
            (_positive(self.patience), "patience", f"at least 1, not {self.patience}"),
            (self.batch >= 1, "batch", f"at least 1, not {self.batch}"),
            (0 <= self.seed < 1 << 63, "seed", f"lies in [0, 2^63), not {self.seed}"),
            (
                0 < self.learning_rate < math.inf,
                "learning_rate",
                f"must be above 0, not {self.learning_rate}",
            ),
            (
                self.weight_decay is None or 0 <= self.weight_decay < math.inf,
                "weight_decay",
                f"must be 0 or more, not {self.weight_decay}",
            ),
        ):
            if not ok:
                raise InputError(f"{field}: {message}", [Detail(field, message)])
        self.config(inputs=1, outputs=1)  # checks the widths and rates

    def completed(self, task: Task[Any], rows: int) -> "TrainOptions":
        """With the network that suits the task and so many training rows, if none is named."""
        widths = task.hidden(rows) if self.hidden is None else self.hidden
        rates = (task.dropout_rate(rows),) if self.dropout is None else self.dropout
        return replace(self, hidden=widths, dropout=rates)

    def schedule(self, task: Task[Any], rows: int) -> "Schedule":
        """What suits the task and so many training rows, where no option says otherwise."""
        least = math.ceil(task.least_steps / math.ceil(rows / self.batch))
        decay = task.weight_decay(rows) if self.weight_decay is None else self.weight_decay
        return Schedule(self.epochs or max(task.epochs, least), self.patience, decay)

    def config(self, inputs: int, outputs: int) -> MLPConfig:
        """The network that these options describe; the usual one where they leave it open."""
        widths = USUAL_WIDTHS if self.hidden is None else self.hidden
        given = None if isinstance(self.dropout, str) else self.dropout
        rates = (USUAL_RATE,) if given is None else given
        rates = rates * len(widths) if len(rates) == 1 else rates
        return MLPConfig(
            inputs=inputs,
            hidden=widths,
            outputs=outputs,
            dropout=(self.input_dropout, *rates),
            activation=self.activation,
            input_noise=self.input_noise,
        )


@dataclass(frozen=True, slots=True)
class Schedule:
    """The options that depend on the task and the number of rows; see TrainOptions."""

    epochs: int
    patience: int | None
    weight_decay: float


@dataclass(frozen=True, slots=True)
class Rows:
    """Encoded rows: `x` [B, D] float32; `y` [B, O] float32, or class indices [B] int64."""

    x: Tensor
    y: Tensor

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, index: Tensor) -> "Rows":
        return Rows(self.x[index], self.y[index])


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch's losses, in the task's own measure, for a progress display."""

    number: int
    of: int
    training_loss: float  # with dropout
    validation_loss: float | None  # without; None while refitting
    best_epoch: int
    rate: float | None = None  # of dropout, where several are tried
    decay: float | None = None  # of the weights, where another is tried


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
    training: Rows,
    validation: Rows,
    config: MLPConfig,
    options: TrainOptions,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Fit:
    """The network of the last epoch; with patience that of the lowest validation loss.

    Ctrl-C ends training early and keeps the one so far. Raises DataError where the loss is not
    finite in every epoch.
    """
    schedule = options.schedule(task, len(training))
    generator = torch.Generator().manual_seed(options.seed)
    network = initialised(config, generator)
    descent = Descent(network.parameters(), weight_decay=schedule.weight_decay)
    best, best_loss, best_epoch, epoch = descent.weights.clone(), math.inf, 0, 0
    interrupted = False
    try:
        for epoch, training_loss in enumerate(
            _epochs(network, task, training, options, generator, descent, schedule.epochs), start=1
        ):
            loss = _validation_loss(network, task, validation)
            if loss < best_loss or (schedule.patience is None and math.isfinite(loss)):
                weights = descent.weights.clone()
                best, best_loss, best_epoch = weights, loss, epoch  # at once, whenever Ctrl-C comes
            progress(Epoch(epoch, schedule.epochs, training_loss, loss, best_epoch))
            if schedule.patience is not None and epoch - best_epoch >= schedule.patience:
                break
    except KeyboardInterrupt:
        interrupted = True
    if not best_epoch:
        raise DataError(
            "training was interrupted before the first epoch had ended"
            if interrupted
            else "the validation loss was never finite; try a lower --learning-rate"
        )
    descent.weights.copy_(best)
    return Fit(network.requires_grad_(False), epoch, best_epoch, interrupted)


def refit(
    task: Task[Any],
    rows: Rows,
    fitted: Fit,
    options: TrainOptions,
    schedule: Schedule,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Fit:
    """A network of the same shape, from the same first weights, trained on `rows`.

    It takes the epochs that were kept of `fitted`, of the same schedule, and looks at no other
    rows. Ctrl-C, or weights that are not finite, leave `fitted` as it is.
    """
    best = fitted.best_epoch
    generator = torch.Generator().manual_seed(options.seed)
    network = initialised(fitted.network.config, generator)
    descent = Descent(network.parameters(), weight_decay=schedule.weight_decay)
    try:
        for epoch, loss in enumerate(
            _epochs(network, task, rows, options, generator, descent, schedule.epochs), start=1
        ):
            progress(Epoch(epoch, best, loss, None, best))
            if epoch == best:
                break
    except KeyboardInterrupt:
        return replace(fitted, interrupted=True)
    if not descent.weights.isfinite().all():
        return fitted
    return replace(fitted, network=network.requires_grad_(False), refitted=True)


def initialised(config: MLPConfig, generator: torch.Generator) -> MLP:
    """A network with weights drawn from `generator`: uniform with bound sqrt(6 / fan in), bias 0.

    The bound keeps the variance of ReLU activations from layer to layer (He et al. 2015); the
    output layer starts at a tenth of it, so that the first predictions are near the mean.
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


def _epochs(
    network: MLP,
    task: Task[Any],
    rows: Rows,
    options: TrainOptions,
    generator: torch.Generator,
    descent: Descent,
    epochs: int,
) -> Iterator[float]:
    """Train an epoch at each step; yields its mean training loss.

    The learning rate falls to zero along a half cosine over `epochs`.
    """
    noises = _noises(network.config, options.seed, min(options.batch, len(rows)))
    for epoch in range(epochs):
        descent.rate = options.learning_rate * (1 + math.cos(math.pi * epoch / epochs)) / 2
        shuffled = rows[torch.randperm(len(rows), generator=generator)]
        total = torch.zeros(())
        batches = (torch.split(part, options.batch) for part in (shuffled.x, shuffled.y))
        for x, y in zip(*batches, strict=True):
            loss = task.loss(network(x, _first(next(noises), len(x)))[0], y)
            descent.step(loss)
            total += loss.detach() * len(x)
        yield total.item() / len(rows)


def _noises(config: MLPConfig, seed: int, rows: int) -> Iterator[Noise]:
    """The noise of pass 0, 1, 2, ... with fresh masks [B, H] for every row; many drawn at once."""
    size, start = chunk_passes(config, rows), 0
    while True:
        drawn = draw_noise(config, seed, range(start, start + size), torch.arange(rows))
        for at in range(size):
            masks = tuple(None if mask is None else mask[at] for mask in drawn.masks)
            yield Noise(masks, None if drawn.inputs is None else drawn.inputs[at])
        start += size


def _first(noise: Noise, rows: int) -> Noise:
    """The noise of the first rows."""
    masks = tuple(None if mask is None else mask[:rows] for mask in noise.masks)
    return Noise(masks, None if noise.inputs is None else noise.inputs[:rows])


def _validation_loss(network: MLP, task: Task[Any], rows: Rows) -> float:
    """With dropout off."""
    with torch.inference_mode():
        return task.validation_loss(network(rows.x), rows.y).item()


def _positive(count: int | None) -> bool:
    return count is None or count >= 1
