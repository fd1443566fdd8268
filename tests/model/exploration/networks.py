"""Small networks whose variance is known exactly, as predictors."""

from collections.abc import Iterator, Sequence
from itertools import product
from math import comb
from typing import Any

import numpy as np
import torch

from model import Predictor
from model.artifact.card import (
    Architecture,
    Card,
    ImportRecord,
    NumericRecord,
    TargetRecord,
    similarity_record,
)
from model.calibration.novelty import fit
from model.passes.network import MLP, MLPConfig, Noise
from model.training.fit import initialised

SCALE, MEAN = 2.0, 5.0  # of the target
IMPORTED = ImportRecord(
    weights="w",
    weights_sha256="0" * 64,
    specification="s",
    specification_sha256="0" * 64,
    versions={},
)


def random_network(
    inputs: int, hidden: Sequence[int], rates: Sequence[float], seed: int = 0, **shape: Any
) -> MLP:
    """Random weights and biases."""
    config = MLPConfig(inputs, tuple(hidden), 1, tuple(rates), **shape)
    random = torch.Generator().manual_seed(seed)
    network = initialised(config, random)
    for layer in network.linears():
        layer.bias.data = torch.randn(layer.bias.shape, generator=random) / 2
    return network.requires_grad_(False)


def linear(network: MLP) -> MLP:
    """The ReLU network with weights >= 0 and no biases: linear for inputs >= 0."""
    for layer in network.linears():
        layer.weight.data = layer.weight.abs()
        layer.bias.data.zero_()
    return network


def predictor_of(network: MLP, kept: np.ndarray | None = None) -> Predictor:
    """A regression of features x0, x1, ... that are not scaled; `kept` [R, D] are kept rows."""
    config = network.config
    similarity = None if kept is None else fit(kept, kept[:2], seed=0)
    card = Card(
        name="small",
        task="regression",
        features=tuple(
            NumericRecord(name=f"x{at}", range=(0.0, 1.0), mean=0.0, scale=1.0)
            for at in range(config.inputs)
        ),
        target=TargetRecord(names=("y",), means=(MEAN,), scales=(SCALE,)),
        architecture=Architecture(
            hidden=config.hidden,
            activation=config.activation,
            dropout=config.dropout,
            input_noise=config.input_noise,
        ),
        weights_sha256="0" * 64,
        similarity=None if similarity is None else similarity_record(similarity),
        training=IMPORTED,
        metrics={},
    )
    return Predictor(card, network, similarity)


def explained_variances(network: MLP, row: Sequence[float]) -> dict[frozenset[int], float]:
    """Var(E(y | masks of the sites in u)) for every set u of noisy sites, by all masks there are.

    Sites are numbered in the order of those with noise.
    """
    outputs, chances, masks = _all_masks(network, row)
    sites = [at for at, level in enumerate(network.config.drop_levels) if level]
    found = {}
    for inside in product((False, True), repeat=len(sites)):
        known = frozenset(at for at, yes in enumerate(inside) if yes)
        groups: dict[bytes, list[float]] = {}
        for y, chance, mask in zip(outputs, chances, masks, strict=True):
            key = b"".join(mask[sites[at]].tobytes() for at in sorted(known))
            total = groups.setdefault(key, [0.0, 0.0])
            total[0] += chance
            total[1] += chance * y
        mean = float(chances @ outputs)
        found[known] = sum(t * (s / t - mean) ** 2 for t, s in groups.values())
    return found


def linear_variances(network: MLP, row: Sequence[float]) -> dict[frozenset[int], float]:
    """The same of a linear network in closed form, from the second moments of its masks."""
    config = network.config
    sites = [at for at, level in enumerate(config.drop_levels) if level]
    found = {}
    for inside in product((False, True), repeat=len(sites)):
        known = {sites[at] for at, yes in enumerate(inside) if yes}
        x = np.array(row, dtype=np.float64)
        moment, mean = np.outer(x, x), x
        for at, layer in enumerate(network.linears()):
            spread = config.spreads[at] if at in known else 0.0
            moment = moment * (1 + spread * np.eye(len(moment)))
            weight = layer.weight.double().numpy()
            moment, mean = weight @ moment @ weight.T, weight @ mean
        key = frozenset(at for at, yes in enumerate(inside) if yes)
        found[key] = float(moment[0, 0] - mean[0] ** 2) * SCALE**2
    return found


def shapley(worth: dict[frozenset[int], float], players: int) -> list[float]:
    """The Shapley values of a game, by the definition over subsets."""
    return [
        sum(
            (worth[s | {player}] - worth[s]) / (players * comb(players - 1, len(s)))
            for s in worth
            if player not in s
        )
        for player in range(players)
    ]


def _all_masks(
    network: MLP, row: Sequence[float]
) -> tuple[np.ndarray, np.ndarray, list[list[np.ndarray]]]:
    """The outputs of all masks, their probabilities, and the masks by site."""
    config = network.config
    outputs, chances, all_masks = [], [], []
    for masks, chance in _masks(config):
        noise = Noise(tuple(torch.tensor(m, dtype=torch.float32)[None, None] for m in masks))
        y = network(torch.tensor([list(row)], dtype=torch.float32), noise)
        outputs.append(float(y[0, 0, 0]) * SCALE + MEAN)
        chances.append(chance)
        all_masks.append(masks)
    return np.array(outputs), np.array(chances), all_masks


def _masks(config: MLPConfig) -> Iterator[tuple[list[np.ndarray], float]]:
    noisy = [
        w if level else 0 for w, level in zip(config.site_widths, config.drop_levels, strict=True)
    ]
    rates = [level / (1 << 16) for level in config.drop_levels]
    for kept in product((0.0, 1.0), repeat=sum(noisy)):
        masks, chance, at = [], 1.0, 0
        for width, drawn, rate in zip(config.site_widths, noisy, rates, strict=True):
            bits = np.array(kept[at : at + drawn]) if drawn else np.ones(width)
            chance *= float(np.where(bits > 0, 1 - rate, rate).prod()) if drawn else 1.0
            masks.append(bits / (1 - rate) if drawn else bits)
            at += drawn
        yield masks, chance
