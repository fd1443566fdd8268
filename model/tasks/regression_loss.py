"""The training loss of a regression: squared error, or the likelihood where the noise is learned.

Outputs are standardised targets; with learned noise as many log-variances follow. The likelihood is
the normal negative log-likelihood, up to a constant (Nix and Weigend 1994). Two alternatives were
worse: weights by the predicted variance (beta-NLL, Seitzer et al. 2022) fit means a little better
and noise worse; no gradient of the noise to the hidden layers (Stirn et al. 2023) fits noise much
worse.

Shapes: M networks, B rows, T targets, O outputs: T, or 2 T with learned noise.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from model.data import Target

LOG_VARIANCES = (-12.0, 6.0)  # of standardised targets; beyond them the loss has no gradient


def loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss, a scalar, of outputs [B, O] against standardised targets [B, T]."""
    if outputs.shape == targets.shape:
        return F.mse_loss(outputs, targets)
    return losses(outputs, targets).mean()


def losses(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss [..., B] of each row, of outputs [..., B, O]: the mean over its targets."""
    if outputs.shape[-1] == targets.shape[-1]:
        return (targets - outputs).square().mean(-1)
    mean, log_variance = outputs.chunk(2, dim=-1)  # [..., B, T]
    log_variance = log_variance.clamp(*LOG_VARIANCES)
    normal = log_variance + (targets - mean).square() / log_variance.exp()
    return 0.5 * normal.mean(-1)


def validation_loss(outputs: Tensor, targets: Tensor) -> Tensor:
    """The loss; learned noise is first scaled by the factor of the least loss."""
    if outputs.shape == targets.shape:
        return loss(outputs, targets)
    mean, log_variance = outputs.chunk(2, dim=-1)
    scale = ((targets - mean).square() / log_variance.exp()).mean(0)  # [T]
    return 0.5 * (log_variance.mean(0) + scale.log() + 1).mean()


def gradient(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The loss [M] of outputs [M, B, O] of M networks, and its gradient in them [M, B, O]."""
    share = 1 / (targets.shape[1] * targets.shape[2])  # of a number in the average
    if outputs.shape == targets.shape:
        off = outputs - targets
        return off.square().mean((1, 2)), off.mul(2 * share)
    mean, logs = outputs.chunk(2, dim=-1)  # [M, B, T]
    log_variance = logs.clamp(*LOG_VARIANCES)
    off, precision = targets - mean, (-log_variance).exp()
    weighted = off * precision
    square = off * weighted
    inside = logs == log_variance
    slopes = -share * weighted, 0.5 * share * (1 - square) * inside
    return 0.5 * (log_variance + square).mean((1, 2)), torch.cat(slopes, -1)


def in_words(target: Target, *, learned_noise: bool) -> str:
    """What the loss of a target is, and its unit."""
    names = target.names
    of = names[0] if len(names) == 1 else f"{len(names)} targets (their mean)"
    if target.logs:
        of = f"the logarithm of {of}" if len(names) == 1 else f"{of}, some of them logarithms"
    if learned_noise:
        return f"negative log-likelihood of {of}, standardised, in nats, without its constant"
    unit = f"; 1 is {target.scales[0]:.4g} squared" if len(names) == 1 else ""
    return f"mean squared error of {of}, standardised{unit}"
