"""Fitting one network: mini-batches, early stopping on validation rows, the best weights kept.

Training draws its masks by the function that inference uses: a step is one pass with fresh masks
for every row of the mini-batch. Nothing reads or sets the global random state.

Shapes: B rows, D inputs, O outputs.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from model.errors import DataError, Detail, InputError
from model.network import MLP, ActivationName, MLPConfig
from model.sampling import draw_noise
from model.task import Task
from model.tuning import NoiseKind

EPOCHS, PATIENCE = 400, 60
CLIP_NORM = 1.0  # of the gradient: one bad mini-batch does not throw the weights far


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How to train. `dropout`: one rate for all hidden layers, or one per hidden layer.

    `noise`, of a regression: homoscedastic, the same for every row; heteroscedastic, a variance for
    every row that the network learns as well.

    `epochs`: by default EPOCHS, and more for a small table, until there are as many mini-batches as
    the task needs at least. `patience`: epochs without a better validation loss before training
    stops, by default a sixth of `epochs`. `learning_rate` falls to zero along a half cosine over
    `epochs`. Raises InputError naming the option.
    """

    hidden: tuple[int, ...] = (50, 50)
    dropout: tuple[float, ...] = (0.1,)
    input_dropout: float = 0.0
    input_noise: float = 0.0
    activation: ActivationName = "relu"
    noise: NoiseKind = "homoscedastic"
    epochs: int | None = None
    patience: int | None = None
    batch: int = 64
    learning_rate: float = 3e-3
    weight_decay: float = 1e-4
    seed: int = 0

    def __post_init__(self) -> None:
        for ok, field, message in (
            (
                len(self.dropout) in (1, len(self.hidden)),
                "dropout",
                f"one rate, or one per hidden layer ({len(self.hidden)}), not {len(self.dropout)}",
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
                0 <= self.weight_decay < math.inf,
                "weight_decay",
                f"must be 0 or more, not {self.weight_decay}",
            ),
        ):
            if not ok:
                raise InputError(f"{field}: {message}", [Detail(field, message)])
        self.config(inputs=1, outputs=1)  # checks the widths and rates

    def schedule(self, rows: int, least_steps: int) -> tuple[int, int]:
        """Epochs and patience for this many training rows, and a task that needs these steps."""
        least = math.ceil(least_steps / math.ceil(rows / self.batch))
        epochs = self.epochs or max(EPOCHS, least)
        return epochs, self.patience or max(PATIENCE, epochs // 6)

    def config(self, inputs: int, outputs: int) -> MLPConfig:
        """The network that these options describe."""
        rates = self.dropout * len(self.hidden) if len(self.dropout) == 1 else self.dropout
        return MLPConfig(
            inputs=inputs,
            hidden=self.hidden,
            outputs=outputs,
            dropout=(self.input_dropout, *rates),
            activation=self.activation,
            input_noise=self.input_noise,
        )


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
    validation_loss: float  # without
    best_epoch: int


@dataclass(frozen=True, slots=True)
class Fit:
    """A fitted network with its best weights, and how far training went."""

    network: MLP
    epochs: int
    best_epoch: int
    interrupted: bool = False


def fit(
    task: Task[Any],
    training: Rows,
    validation: Rows,
    config: MLPConfig,
    options: TrainOptions,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Fit:
    """The network with the lowest validation loss of all epochs.

    Ctrl-C ends training early and keeps the best so far. Raises DataError where the loss is not
    finite in every epoch.
    """
    epochs, patience = options.schedule(len(training), task.least_steps)
    generator = torch.Generator().manual_seed(options.seed)
    network = initialised(config, generator)
    best, best_loss, best_epoch, epoch = network.state_dict(), math.inf, 0, 0
    interrupted = False
    try:
        for epoch, training_loss in enumerate(
            _epochs(network, task, training, options, generator, epochs), start=1
        ):
            loss = _validation_loss(network, task, validation)
            if loss < best_loss:
                weights = {name: weight.clone() for name, weight in network.state_dict().items()}
                best, best_loss, best_epoch = weights, loss, epoch  # at once, whenever Ctrl-C comes
            progress(Epoch(epoch, epochs, training_loss, loss, best_epoch))
            if epoch - best_epoch >= patience:
                break
    except KeyboardInterrupt:
        interrupted = True
    if not best_epoch:
        raise DataError(
            "training was interrupted before the first epoch had ended"
            if interrupted
            else "the validation loss was never finite; try a lower --learning-rate"
        )
    network.load_state_dict(best)
    return Fit(network.requires_grad_(False), epoch, best_epoch, interrupted)


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
    epochs: int,
) -> Iterator[float]:
    """Train an epoch at each step; yields its mean training loss."""
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=epochs)
    step = 0
    for _ in range(epochs):
        order = torch.randperm(len(rows), generator=generator)
        total = 0.0
        for start in range(0, len(rows), options.batch):
            index = order[start : start + options.batch]
            total += _step(network, task, rows[index], optimizer, options.seed, step) * len(index)
            step += 1
        schedule.step()
        yield total / len(rows)


def _step(
    network: MLP,
    task: Task[Any],
    batch: Rows,
    optimizer: torch.optim.Optimizer,
    seed: int,
    number: int,
) -> float:
    """One optimiser step, its masks those of pass `number`; the mini-batch's loss."""
    noise = draw_noise(network.config, seed, range(number, number + 1), torch.arange(len(batch)))
    loss = task.loss(network(batch.x, noise)[0], batch.y)
    optimizer.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_(network.parameters(), CLIP_NORM)
    optimizer.step()
    return loss.item()


def _validation_loss(network: MLP, task: Task[Any], rows: Rows) -> float:
    with torch.inference_mode():
        return task.loss(network(rows.x), rows.y).item()


def _positive(count: int | None) -> bool:
    return count is None or count >= 1
