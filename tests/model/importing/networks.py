"""Networks that nobody trained here, their rows, and their import."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from model import (
    Card,
    import_model,
)
from model.data.table import Table

ROWS = 600
LAYERS = [{"linear": "0"}, {"activation": "relu"}, {"dropout": 0.2}, {"linear": "3"}]
QUARTERS = ["north", "east"]
FEATURES: list[dict[str, Any]] = [
    {"name": "area", "mean": 100.0, "scale": 30.0},
    {"name": "rooms", "mean": 4.5, "scale": 2.3},
    {"name": "quarter", "categories": QUARTERS},
]


def network(outputs: int, inputs: int = 4) -> nn.Sequential:
    """A network in evaluation mode whose weights are drawn at random."""
    net = nn.Sequential(nn.Linear(inputs, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, outputs))
    generator = torch.Generator().manual_seed(outputs)
    for parameter in net.parameters():
        nn.init.uniform_(parameter, -0.7, 0.7, generator=generator)
    return net.eval().requires_grad_(False)


def brought(folder: Path, net: nn.Module, target: Any, **others: Any) -> Card:
    """Imported into folder / "net": area and rooms standardised, quarter one-hot."""
    spec = {
        "features": [{**FEATURES[0], "range": [10, 200]}, *FEATURES[1:]],
        "target": target,
        "layers": LAYERS,
    }
    (folder / "net.json").write_text(json.dumps(spec | others))
    torch.save(net.state_dict(), folder / "net.pt")
    return import_model(folder / "net.json", folder / "net.pt", folder / "net")


def rows(count: int, seed: int) -> tuple[list[list[Any]], torch.Tensor]:
    """Rows, and what the network takes of them, [B, 4]."""
    random = np.random.default_rng(seed)
    area, room = random.normal(100, 30, count), random.integers(1, 9, count).astype(float)
    quarter = random.integers(0, 2, count)
    encoded = [(area - 100) / 30, (room - 4.5) / 2.3, quarter == 0, quarter == 1]
    named = [QUARTERS[at] for at in quarter]
    x = torch.from_numpy(np.stack(encoded, axis=1)).float()
    return [list(row) for row in zip(area.tolist(), room.tolist(), named, strict=True)], x


def table(seed: int, y: Callable[[torch.Tensor, np.random.Generator], dict[str, Any]]) -> Table:
    """Fresh rows with the targets that `y` makes of the encoded ones."""
    cells, x = rows(ROWS, seed)
    area, room, quarter = zip(*cells, strict=True)
    columns = {
        "area": np.array(area),
        "rooms": np.array(room),
        "quarter": np.array(quarter, object),
    }
    return Table("fresh.csv", columns | y(x, np.random.default_rng(seed + 11)), f"{seed:064}")


def noisy(std: float) -> Callable[[torch.Tensor, np.random.Generator], dict[str, Any]]:
    """The deterministic network's price with noise."""

    def price(x: torch.Tensor, random: np.random.Generator) -> dict[str, Any]:
        values = network(1)(x)[:, 0].double().numpy() * 80 + 300
        return {"price": values + std * random.normal(size=ROWS)}

    return price


PRICE = {"name": "price", "mean": 300.0, "scale": 80.0, "unit": "kEUR"}
DEAR = {"name": "dear", "classes": ["no", "yes"]}
