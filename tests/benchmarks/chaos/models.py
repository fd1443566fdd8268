"""The models that are attacked: the shipped ones, and a classifier of a hundred classes."""

import json
from pathlib import Path

import safetensors.torch
import torch

import model


def make_models(place: Path) -> list[Path]:
    """The folders of the models; the first is the default model."""
    generator = torch.Generator().manual_seed(0)
    shapes = {"0.weight": (16, 4), "0.bias": (16,), "3.weight": (100, 16), "3.bias": (100,)}
    weights = {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}
    safetensors.torch.save_file(weights, place / "hundred.safetensors")
    description = {
        "features": list("abcd"),
        "target": {"name": "class", "classes": [f"class {number}" for number in range(100)]},
        "layers": [{"linear": "0"}, {"activation": "relu"}, {"dropout": 0.1}, {"linear": "3"}],
    }
    (place / "hundred.json").write_text(json.dumps(description))
    weights_file, folder = place / "hundred.safetensors", place / "hundred"
    model.import_model(place / "hundred.json", weights_file, folder)
    return [*model.shipped(), folder]
