"""Pictures that explain a model: its loss over a plane of weights, with dropout."""

from model.exploration.landscape import Landscape, landscape
from model.exploration.landscape_options import LandscapeOptions

__all__ = ["Landscape", "LandscapeOptions", "landscape"]
