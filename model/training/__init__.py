"""Turn a table into an artifact: fit, choose, calibrate and save."""

from model.training.calibrate import calibrate
from model.training.fit import Epoch
from model.training.plan import TrainOptions
from model.training.train import train, trained

__all__ = [
    "Epoch",
    "TrainOptions",
    "calibrate",
    "train",
    "trained",
]
