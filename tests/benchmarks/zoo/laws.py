"""Synthetic laws, of whose rows the truth is known: the noise variance, or the class probabilities.

Every law draws any number of fresh rows. Shapes: B rows, D features, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

FREEDOM = 5  # degrees of freedom of the heavy tails: the kurtosis is finite


@dataclass(frozen=True, slots=True)
class Drawn:
    """Rows x [B, D] and their targets y [B], numbers or class numbers, with what is true of them.

    `noise_variance` [B] of a regression, `probabilities` [B, K] of a classification.
    """

    x: np.ndarray
    y: np.ndarray
    noise_variance: np.ndarray | None = None
    probabilities: np.ndarray | None = None


Law = Callable[[np.random.Generator, int], Drawn]
Function = Callable[[np.ndarray], np.ndarray]


def _surface(x: np.ndarray) -> np.ndarray:
    """A smooth function [B] with a kink, of the first four features; its std is about 1."""
    return np.asarray(np.sin(2 * x[:, 0]) + x[:, 1] * x[:, 2] / 2 + np.abs(x[:, 3]))


def _linear(x: np.ndarray) -> np.ndarray:
    """So easy that what the passes differ by is most of what is left, as on naval."""
    return np.asarray(x @ np.linspace(-0.6, 0.6, x.shape[1]))


def _steps(x: np.ndarray) -> np.ndarray:
    return np.asarray(np.floor(x[:, 0]) + np.where(x[:, 1] * x[:, 2] > 0, 1.0, -1.0))


def _nothing(x: np.ndarray) -> np.ndarray:
    return np.zeros(len(x))


def _regression(
    mean: Function, std: float | Function, *, features: int = 5, heavy: bool = False
) -> Law:
    """Standard normal features; noise with this std, with heavy tails if so asked."""

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        x = random.normal(size=(rows, features))
        scale = std(x) if callable(std) else np.full(rows, std)
        unit = random.normal(size=rows)
        if heavy:
            unit = random.standard_t(FREEDOM, rows) / np.sqrt(FREEDOM / (FREEDOM - 2))
        return Drawn(x, mean(x) + scale * unit, noise_variance=scale**2)

    return draw


def _classes(probabilities: Function, *, features: int) -> Law:
    """Standard normal features; the class follows the probabilities [B, K]."""

    def draw(random: np.random.Generator, rows: int) -> Drawn:
        x = random.normal(size=(rows, features))
        p = probabilities(x)
        y = (random.random((rows, 1)) > p.cumsum(1)[:, :-1]).sum(1)
        return Drawn(x, y, probabilities=p)

    return draw


def _softmax(logits: np.ndarray) -> np.ndarray:
    weights = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(weights / weights.sum(1, keepdims=True))


def _two(positive: np.ndarray) -> np.ndarray:
    """The probabilities [B, 2] of two classes, from those of the second one."""
    return np.stack([1 - positive, positive], axis=1)


def _overlapping(x: np.ndarray) -> np.ndarray:
    return _softmax(np.stack([_surface(x), x[:, 0] - x[:, 1], -(x[:, 2] ** 2)], axis=1))


def _rare(x: np.ndarray) -> np.ndarray:
    return _two(1 / (1 + np.exp(5 - 1.5 * x[:, 0] - x[:, 1] * x[:, 2])))  # some 3 %


def _noisy_labels(x: np.ndarray) -> np.ndarray:
    return _two(np.where(x[:, 0] > -1, 0.8, 0.25))


def _flipped(x: np.ndarray) -> np.ndarray:
    """Four sectors; a fifth of the labels are drawn at random."""
    sector = 2 * (x[:, 0] > 0) + (x[:, 1] > 0)
    return np.asarray(0.2 / 4 + 0.8 * np.eye(4)[sector])


def _ten(x: np.ndarray) -> np.ndarray:
    """The nearest of ten centres, mostly."""
    centres = np.random.default_rng(10).normal(size=(10, x.shape[1]))
    return _softmax(-2 * np.square(x[:, None] - centres).sum(2))


LAWS: dict[str, Law] = {
    "no noise": _regression(_surface, 0.0),
    "linear": _regression(_linear, 0.0),
    "some noise": _regression(_surface, 0.3),
    "all noise": _regression(_nothing, 1.0),
    "heavy tails": _regression(_surface, 0.5, heavy=True),
    "steps": _regression(_steps, 0.05),
    "uneven noise": _regression(_surface, lambda x: 0.1 + 0.5 * np.abs(x[:, 4])),
    "many features": _regression(_surface, 0.3, features=60),
    "overlapping classes": _classes(_overlapping, features=4),
    "rare class": _classes(_rare, features=4),
    "noisy labels": _classes(_noisy_labels, features=8),
    "flipped labels": _classes(_flipped, features=4),
    "ten classes": _classes(_ten, features=6),
}
