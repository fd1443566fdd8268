"""The still picture of a landscape: for each plane the surfaces side by side, with one scale."""

from collections.abc import Iterator

import numpy as np

from model.exploration.landscape import Landscape, Plane
from model.exploration.landscape_drawing import Anchor, Circle, Drawing, Pixels, Text, raster, svg
from model.exploration.landscape_scale import BANDS, Scale, palette, pixels, scale_of
from model.exploration.landscape_words import in_words
from model.messages import readable

SIDE, GAP, LEFT, TOP, ROW = 232, 28, 46, 40, 356  # lengths
BAR = 16  # width of the scale
WIDTH = LEFT + 3 * (SIDE + GAP) + BAR + 70
DETAIL = 2  # pixels of a surface for each unit of length
SHOWN = {"deterministic": "dropout off", "mask 1": "mask 1", "average": "average over {} masks"}


def landscape_svg(landscape: Landscape) -> str:
    """The picture as one SVG document."""
    return svg(_drawing(landscape))


def landscape_png(landscape: Landscape) -> bytes:
    """The picture as a PNG file; raises InputError without Pillow."""
    return raster(_drawing(landscape))


def _drawing(landscape: Landscape) -> Drawing:
    masks = landscape.options.masks
    items = [
        item
        for at, plane in enumerate(landscape.planes)
        for item in _row(plane, masks, TOP + at * ROW)
    ]
    name = landscape.card.name
    title = f"{name}: {landscape.loss}"
    about = " ".join(said for plane in landscape.planes for said in in_words(plane, masks))
    head = Text(LEFT, 26, title, title=True)
    height = TOP + ROW * len(landscape.planes)
    return Drawing(WIDTH, height, f"Loss landscape of {name}", about, [head, *items])


def _row(plane: Plane, masks: int, top: float) -> Iterator[Pixels | Circle | Text]:
    """The surfaces of a plane that are shown, and their scale."""
    scale, base = scale_of(plane.surfaces.values()), top + 50
    labels = f"across: {plane.labels[0]}; up: {plane.labels[1]}"
    yield Text(LEFT, top + 16, plane.title, title=True)
    yield Text(LEFT, top + 34, labels)
    for at, (name, said) in enumerate(
        (name, said) for name, said in SHOWN.items() if name in plane.surfaces
    ):
        left = LEFT + at * (SIDE + GAP)
        yield Pixels(left, base, SIDE, SIDE, pixels(plane.surfaces[name], scale, SIDE * DETAIL))
        if name == "deterministic":
            yield from _dots(plane, scale, left, base)
        yield Circle(left + SIDE / 2, base + SIDE / 2, 2.5, (209, 67, 16))
        middle = left + SIDE / 2
        yield Text(middle, base + SIDE + 34, said.format(masks), "middle")
        yield from _ticks(plane.axis, left, base)
    yield from _bar(scale, LEFT + 3 * (SIDE + GAP), base)


def _dots(plane: Plane, scale: Scale, left: float, top: float) -> Iterator[Circle]:
    """The thinned networks that lie in the square, in the colour of their own loss."""
    reach, colours = plane.axis[-1], palette()
    bands = scale.bands(np.array([dot.loss for dot in plane.dots]))
    for dot, band in zip(plane.dots, bands.tolist(), strict=True):
        across, up = dot.x / reach, dot.y / reach
        if max(abs(across), abs(up)) <= 1:
            red, green, blue = colours[band].tolist()
            x, y = left + SIDE * (1 + across) / 2, top + SIDE * (1 - up) / 2
            yield Circle(x, y, 3.5, (red, green, blue))


def _ticks(axis: np.ndarray, left: float, top: float) -> Iterator[Text]:
    anchors: tuple[Anchor, ...] = ("start", "middle", "end")  # inside: the next square is near
    for share, anchor in zip((0.0, 0.5, 1.0), anchors, strict=True):
        value = readable(float(axis[0] + share * (axis[-1] - axis[0])), 2)
        yield Text(left + share * SIDE, top + SIDE + 16, value, anchor)
        if left == LEFT:
            yield Text(left - 6, top + SIDE * (1 - share) + 4, value, "end")


def _bar(scale: Scale, left: float, top: float) -> Iterator[Pixels | Text]:
    yield Pixels(left, top, BAR, SIDE, palette()[::-1, None])
    for band in range(0, BANDS + 1, BANDS // 5):
        at = top + SIDE * (1 - band / BANDS)
        yield Text(left + BAR + 6, at + 4, readable(scale.loss(band / BANDS), 3))
