"""Pictures that explain a model: its loss over a plane of weights, with dropout."""

from model.exploration.landscape import Landscape, landscape
from model.exploration.landscape_drawing import check_png
from model.exploration.landscape_options import LandscapeOptions
from model.exploration.landscape_page import landscape_page
from model.exploration.landscape_picture import landscape_png, landscape_svg

__all__ = [
    "Landscape",
    "LandscapeOptions",
    "check_png",
    "landscape",
    "landscape_page",
    "landscape_png",
    "landscape_svg",
]
