"""The figures of the page `/learn`: what dropout does inside the shipped models.

`python -m docs.pictures` stores them beside the page, which draws them. Where the server serves the
same models, the page asks them anew for `passes` and `agreement`.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor

import model
from model.artifact import read
from model.passes import Noise, draw_noise

SEED = 1
PATIENT = (59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87)  # the first row of the data set
FEATURE = "bmi"  # two pictures show the prediction over it
POINTS, LINES = 33, 12
PASSES, MANY = 100, 3000
DIGITS, STEPS = ("3", "8"), 25  # from a picture of the one to a picture of the other
WIDTHS = range(1, 9)


def figures() -> dict[str, Any]:
    """All figures by name, with the versions of the models that they are from."""
    model.use_threads(1)
    patient, digits = _Shipped("diabetes"), _Shipped("digits")
    found = {
        "models": {each.name: each.version for each in (patient, digits)},
        "expectation": _expectation(patient),
        "noise": _noise(patient),
        "gradient": _gradient(patient),
        "passes": _passes(patient),
        "agreement": _agreement(digits),
        "layer": _layer(patient),
    }
    return {name: _rounded(value) for name, value in found.items()}


class _Shipped:
    """A shipped model, and its network."""

    def __init__(self, name: str) -> None:
        (folder,) = (folder for folder in model.shipped() if folder.name == name)
        self.name = name
        self.card, (self.network,), *_ = read(folder)
        self.predictor = model.load(folder)
        self.version = self.card.version
        self.rate = self.card.architecture.dropout[-1]
        self.features = [feature.name for feature in self.card.features]

    def encoded(self, rows: Any) -> Tensor:
        return torch.from_numpy(self.predictor.encode(rows))

    def noise(self, passes: int) -> Noise:
        return draw_noise(self.network.config, SEED, range(passes))

    def targets(self, outputs: Tensor) -> np.ndarray:
        """Outputs of the network in the unit of the target."""
        (mean,), (scale,) = self.card.target.means, self.card.target.scales
        return np.asarray(outputs[..., 0].detach().double().numpy() * scale + mean)

    def sweep(self) -> tuple[list[float], Tensor]:
        """The feature over its training range and a quarter of it beyond, and the rows encoded."""
        at = self.features.index(FEATURE)
        low, high = self.card.features[at].range  # type: ignore[union-attr, misc]
        beyond = (high - low) / 4
        values = np.linspace(low - beyond, high + beyond, POINTS).tolist()
        return values, self.encoded(
            [[*PATIENT[:at], value, *PATIENT[at + 1 :]] for value in values]
        )


def _expectation(shipped: _Shipped) -> dict[str, Any]:
    """The running mean over masks of the layer's most active unit, with the factor and without."""
    network = shipped.network
    h = network.activation(1, network.preactivation(0, shipped.encoded([PATIENT])))[0]
    unit = int(h.argmax())
    mask = shipped.noise(MANY).masks[1][:, 0, unit].double().numpy()  # type: ignore[index]
    scaled = float(h[unit]) * mask.cumsum() / np.arange(1, MANY + 1)
    shown = np.unique(np.geomspace(1, MANY, 60).astype(int))
    return {
        "rate": shipped.rate,
        "activation": float(h[unit]),
        "masks": shown,
        "scaled": scaled[shown - 1],
        "unscaled": scaled[shown - 1] * (1 - shipped.rate),
    }


def _noise(shipped: _Shipped) -> dict[str, Any]:
    """Passes with dropout, and passes with Gaussian noise on the input that spread as widely."""
    values, x = shipped.sweep()
    patient = shipped.encoded([PATIENT])
    inputs = torch.randn(MANY, 1, x.shape[1], generator=torch.Generator().manual_seed(SEED))
    silent = (None,) * len(shipped.network.config.site_widths)

    def gaussian(rows: Tensor, s: float) -> np.ndarray:
        return shipped.targets(shipped.network(rows, Noise(silent, s * inputs, MANY)))

    def dropout(rows: Tensor) -> np.ndarray:
        return shipped.targets(shipped.network(rows, shipped.noise(MANY)))

    wanted, low, high = dropout(patient).std(), 0.0, 1.0
    for _ in range(30):  # the spread grows with s
        middle = (low + high) / 2
        low, high = (middle, high) if gaussian(patient, middle).std() < wanted else (low, middle)
    return {
        "feature": FEATURE,
        "values": values,
        "off": shipped.targets(shipped.network(x)),
        "dropout": dropout(x)[:LINES],
        "gaussian": gaussian(x, low)[:LINES],
        "s": low,
        "std": wanted,
        "rate": shipped.rate,
    }


def _gradient(shipped: _Shipped) -> dict[str, Any]:
    """How long the gradient of the loss is for each hidden unit's weights, in one pass."""
    network, noise = shipped.network, shipped.noise(1)
    table = model.read_table("example:diabetes")
    rows = np.column_stack([table.columns[name] for name in shipped.features])
    (target,) = shipped.card.target.names
    (mean,), (scale,) = shipped.card.target.means, shipped.card.target.scales
    y = torch.from_numpy((np.asarray(table.columns[target], float) - mean) / scale)
    weight = network.linears()[1].weight.requires_grad_()
    loss = (network(shipped.encoded(rows), noise)[0, :, 0] - y).square().mean()
    lengths = torch.autograd.grad(loss, weight)[0].norm(dim=1)
    dropped = noise.masks[2][0, 0] == 0  # type: ignore[index]
    return {"rate": shipped.rate, "lengths": lengths.tolist(), "dropped": dropped.tolist()}


def _passes(shipped: _Shipped) -> dict[str, Any]:
    """One row with dropout off, and in every pass with dropout on."""
    row = dict(zip(shipped.features, PATIENT, strict=True))
    options = model.PredictOptions(passes=PASSES, seed=SEED, estimator="plain", samples=True)
    (found,) = shipped.predictor.predict([row], options).rows
    assert isinstance(found, model.RegressionPrediction)
    return {
        "row": row,
        "off": found.deterministic,
        "on": found.samples,
        "mean": found.mean,
        "std": found.std,
    }


def _agreement(shipped: _Shipped) -> dict[str, Any]:
    """How many masks agree on the label, from a picture of one digit to one of another."""
    table = model.read_table("example:digits")
    (target,) = shipped.card.target.names
    labels = np.asarray(table.columns[target]).astype(str)
    pixels = np.column_stack([table.columns[name] for name in shipped.features])
    first, last = (pixels[np.flatnonzero(labels == digit)[0]] for digit in DIGITS)
    shares = np.linspace(0, 1, STEPS)
    rows = [((1 - share) * first + share * last).round(3).tolist() for share in shares]
    options = model.PredictOptions(passes=PASSES, seed=SEED)
    found = shipped.predictor.predict(rows, options).rows
    return {
        "digits": DIGITS,
        "features": shipped.features,
        "rows": rows,
        "labels": [row.label for row in found],  # type: ignore[union-attr]
        "agreement": [1 - row.variation_ratio for row in found],  # type: ignore[union-attr, operator]
    }


def _layer(shipped: _Shipped) -> dict[str, Any]:
    """Ordinary passes, and the pass that drops every unit of the last hidden layer."""
    values, x = shipped.sweep()
    noise = shipped.noise(LINES)
    none = Noise((None, None, torch.zeros(1, 1, shipped.network.config.hidden[-1])), None, 1)
    return {
        "feature": FEATURE,
        "values": values,
        "passes": shipped.targets(shipped.network(x, noise)),
        "dropped": shipped.targets(shipped.network(x, none))[0],
        "rate": shipped.rate,
        "units": shipped.network.config.hidden[-1],
        "widths": [*WIDTHS],
        "probabilities": [shipped.rate**width for width in WIDTHS],
    }


def _rounded(value: Any) -> Any:
    """The value in JSON's types, its numbers with five digits."""
    if isinstance(value, dict):
        return {name: _rounded(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | Iterator):
        return [_rounded(each) for each in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value
