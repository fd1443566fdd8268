"""The models that are attacked: the shipped ones, and a classifier of a hundred classes."""

from pathlib import Path

import numpy as np

import model
from model import Table, TrainOptions


def make_models(place: Path) -> list[Path]:
    """The folders of the models; the first is the default model."""
    folder = place / "hundred"
    rng = np.random.default_rng(0)
    columns = {name: rng.normal(size=2000) for name in "abcd"}
    label = np.array([f"class {row % 100}" for row in range(2000)], dtype=object)
    table = Table("hundred", {**columns, "class": label}, "0" * 64)
    model.train(table, "class", folder, options=TrainOptions(epochs=1, hidden=(16,)))
    return [*model.shipped(), folder]
