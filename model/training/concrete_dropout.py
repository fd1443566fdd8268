"""Dropout rates learned from the data: concrete dropout (Gal, Hron and Kendall 2017).

A rate is a parameter like the weights. Rates and weights minimise the negative evidence lower
bound, in nats per row of N rows. The weights are random because units are dropped:

    E[-log p(y | x, masks)]  +  1/N sum_l ( |W_l|^2 / (2 s^2 (1 - p_l))  -  H_l h(p_l) ),
    h(p) = -p log p - (1 - p) log(1 - p).

The sum is over the hidden sites l, with H_l units, rate p_l, and W_l the weights of the layer
behind. The bracket is the divergence of the weights' distribution from the prior N(0, s^2), up to a
constant. The authors write it as (1 - p) |M|^2 / (2 s^2) - H h(p) with M = W / (1 - p); here kept
units are scaled by 1 / (1 - p). The entropy h pulls every rate towards one half. The data pull it
down, and more so with more rows, since 1/N is before the entropy and not before the data.

A mask of zeros and ones has no gradient. While rates are learned, masks are *relaxed*: they lie
between 0 and 1, and most are near 0 or 1. They use the uniforms of `draw_noise`, and become its
masks as the temperature falls. The network that is kept is trained afterwards, from the start, with
ordinary dropout at the rates that were found, because it predicts with ordinary dropout.

Shapes: P passes, B rows, H units of a site, L hidden sites.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import torch
from torch import Tensor, nn

from model.errors import DataError
from model.messages import flag
from model.passes import MLP, MLPConfig, Noise, draw_noise, draw_uniforms
from model.tasks import Task
from model.training.adamw import AdamW
from model.training.fit import Dataset, Epoch, epochs, initialised
from model.training.plan import Plan

TEMPERATURE = 0.1  # the authors'
PRIOR_STD = 1.0  # s, of every weight
LOWEST, HIGHEST = 1e-3, 0.5  # of a rate: dropout never vanishes; the entropy is largest at 0.5
RATE_SPEEDUP = 10.0  # rates learn 10 times as fast as weights: the parameter is logit / 10
DIGITS = 4  # decimals of a rate that is found


def learn_rates(
    task: Task[Any],
    training: Dataset,
    validation: Dataset,
    plan: Plan,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Plan:
    """The plan with the rates that the hidden sites had in the epoch of least validation loss.

    The rates start from the plan's. Dropout and noise of the input do not change. Raises DataError
    if learning is interrupted, or if no epoch has a finite validation loss.
    """
    rates, best_loss, best_epoch = plan.dropout, math.inf, 0
    try:
        learning = _learning(task, training, validation, plan)
        for epoch, (training_loss, loss, found) in enumerate(learning, start=1):
            if loss < best_loss:
                rates, best_loss, best_epoch = found, loss, epoch
            progress(Epoch(epoch, plan.epochs, training_loss, loss, best_epoch))
            if plan.patience and epoch - best_epoch >= plan.patience:
                break
    except KeyboardInterrupt as stop:
        raise DataError("training was interrupted before the dropout rates were learned") from stop
    if not best_epoch:
        raise DataError(
            f"the validation loss was never finite; try a lower {flag('learning_rate')}"
        )
    return replace(plan, dropout=rates)


def relaxed_noise(
    config: MLPConfig, logits: Tensor, seed: int, number: int, rows: int, t: float = TEMPERATURE
) -> Noise:
    """The noise of pass `number` with relaxed masks at the hidden sites, rates sigmoid(logits).

    The mask of a unit with the uniform u is sigmoid((logit u - logit p) / t) / (1 - p), [1, B, H].
    The sigmoid exceeds one half with probability 1 - p, for every t.
    """
    passes, numbers = range(number, number + 1), torch.arange(rows)
    given = draw_noise(config, seed, passes, numbers, sites=1)
    uniforms = draw_uniforms(config, seed, passes, numbers)
    masks = [
        torch.sigmoid((u.logit() - logit) / t) * (1 + logit.exp())  # 1 / (1 - p) = 1 + e^logit
        for u, logit in zip(uniforms[1:], logits, strict=True)
        if u is not None
    ]
    return replace(given, masks=(given.masks[0], *masks))


def divergence(network: MLP, logits: Tensor) -> Tensor:
    """The divergence of the weights' distribution from the prior in nats, up to a constant.

    A scalar. Layers in front of the first hidden site have the prior too; biases have none.
    """
    first, *behind = (layer.weight.square().sum() for layer in network.linears())
    scales, widths = 1 + logits.exp(), torch.tensor(network.config.hidden)
    weights = first + torch.stack(behind) @ scales
    rates = logits.sigmoid()
    return weights / (2 * PRIOR_STD**2) - widths.to(rates) @ entropy(rates)


def entropy(rates: Tensor) -> Tensor:
    """-p log p - (1 - p) log(1 - p) in nats, elementwise."""
    surprise: Tensor = torch.special.entr(rates) + torch.special.entr(1 - rates)
    return surprise


def _learning(
    task: Task[Any], rows: Dataset, validation: Dataset, plan: Plan
) -> Iterator[tuple[float, float, tuple[float, ...]]]:
    """The training loss, validation loss and rates of each epoch; each step trains one epoch.

    Validation rows measure the noise, which weighs the divergence against the loss. A network that
    has memorised its training rows has no error on them: they would measure no noise, and the rates
    would vanish.
    """
    config = plan.config(inputs=rows.x.shape[1], outputs=task.outputs)
    generator = torch.Generator().manual_seed(plan.seed)
    network = initialised(config, generator)
    first = torch.tensor(plan.dropout).clamp(LOWEST, HIGHEST)
    slow_logits = nn.Parameter(first.logit() / RATE_SPEEDUP)  # [L]
    optimizer = AdamW([*network.parameters(), slow_logits], weight_decays=(0.0,))
    steps, noise_level = count(), 1.0

    def step(x: Tensor, y: Tensor) -> Tensor:
        x, y = x[0], y[0]  # of the only member
        _clamp(slow_logits)
        logits = RATE_SPEEDUP * slow_logits
        noise = relaxed_noise(config, logits, plan.seed, next(steps), len(x))
        found = task.loss(network(x, noise)[0], y)
        share = 1 / (len(rows) * task.nats_per_loss(noise_level))
        optimizer.minimise(found + share * divergence(network, logits))
        return found.detach()

    for training_loss in epochs(rows, plan, [generator], optimizer, step):
        _clamp(slow_logits)
        with torch.no_grad():
            noise_level = task.loss(network(validation.x), validation.y).item()
            rates = (RATE_SPEEDUP * slow_logits).sigmoid().tolist()
        yield training_loss, noise_level, tuple(round(rate, DIGITS) for rate in rates)


def _clamp(slow_logits: Tensor) -> None:
    """Clamp the rates to LOWEST and HIGHEST."""
    with torch.no_grad():
        slow_logits.clamp_(_logit(LOWEST) / RATE_SPEEDUP, _logit(HIGHEST) / RATE_SPEEDUP)


def _logit(p: float) -> float:
    return math.log(p / (1 - p))
