"""A drawing of squares of pixels, dots and texts, as SVG, or as PNG with Pillow."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any, Literal

import numpy as np

from model.errors import Detail, InputError
from model.exploration.landscape_scale import png

Rgb = tuple[int, int, int]
Anchor = Literal["start", "middle", "end"]
SHARPNESS = 2  # pixels of a PNG for each unit of length
INK, SOFT, PAPER = (22, 32, 44), (85, 99, 114), (255, 255, 255)

STYLE = """
svg { --paper: #fff; --ink: #16202c; --soft: #556372; }
@media (prefers-color-scheme: dark) { svg { --paper: #181f29; --ink: #e6ebf1; --soft: #9dabba; } }
.paper { fill: var(--paper); }
text { fill: var(--soft); font: 12px system-ui, sans-serif; }
text.title { fill: var(--ink); font-size: 15px; font-weight: 600; }
image { image-rendering: pixelated; }
circle { stroke: #fff; stroke-width: .8; }
"""


@dataclass(frozen=True, slots=True)
class Pixels:
    """A rectangle of coloured pixels [height, width, 3]."""

    x: float
    y: float
    width: float
    height: float
    colours: np.ndarray


@dataclass(frozen=True, slots=True)
class Circle:
    """A dot with a white rim."""

    x: float
    y: float
    radius: float
    colour: Rgb


@dataclass(frozen=True, slots=True)
class Text:
    """A line of text; `y` is that of its base line."""

    x: float
    y: float
    text: str
    anchor: Anchor = "start"
    title: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """Items in the order in which they cover one another, with a title and a description."""

    width: int
    height: int
    title: str
    description: str
    items: Sequence[Pixels | Circle | Text]


def svg(drawing: Drawing) -> str:
    """The drawing as an SVG document, which follows the reader's choice of light or dark."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} '
            f'{drawing.height}" role="img">',
            f"<style>{STYLE}</style>",
            f"<title>{escape(drawing.title)}</title>",
            f"<desc>{escape(drawing.description)}</desc>",
            f'<rect class="paper" width="{drawing.width}" height="{drawing.height}" rx="9"/>',
            *map(_element, drawing.items),
            "</svg>\n",
        ]
    )


def check_png() -> None:
    """Raise InputError without Pillow, which draws a PNG; check before long work."""
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        message = "a .png needs Pillow (pip install 'mc-dropout-service[png]'); a .svg does not"
        raise InputError(f"out: {message}", [Detail("out", message)]) from error


def raster(drawing: Drawing) -> bytes:
    """The drawing as a PNG file; raises InputError without Pillow."""
    check_png()
    from PIL import Image, ImageDraw

    size = (drawing.width * SHARPNESS, drawing.height * SHARPNESS)
    image = Image.new("RGB", size, PAPER)
    pen = ImageDraw.Draw(image)
    for item in drawing.items:
        if isinstance(item, Pixels):
            part = Image.fromarray(item.colours)
            box = _scaled(item.x, item.y, item.width, item.height)
            image.paste(part.resize((box[2], box[3]), Image.Resampling.NEAREST), (box[0], box[1]))
        elif isinstance(item, Circle):
            x, y, radius = (part * SHARPNESS for part in (item.x, item.y, item.radius))
            place = (x - radius, y - radius, x + radius, y + radius)
            pen.ellipse(place, fill=item.colour, outline=PAPER, width=SHARPNESS)
        else:
            _write(pen, item)
    stream = io.BytesIO()
    image.save(stream, "PNG", optimize=True)
    return stream.getvalue()


def _scaled(*lengths: float) -> list[int]:
    return [round(length * SHARPNESS) for length in lengths]


def _write(pen: Any, item: Text) -> None:
    from PIL import ImageFont

    font = ImageFont.load_default((15 if item.title else 12) * SHARPNESS)
    anchor = {"start": "ls", "middle": "ms", "end": "rs"}[item.anchor]
    colour = INK if item.title else SOFT
    pen.text(_scaled(item.x, item.y), item.text, fill=colour, font=font, anchor=anchor)


def _element(item: Pixels | Circle | Text) -> str:
    end = f">{escape(item.text)}</text>" if isinstance(item, Text) else "/>"
    return " ".join(_parts(item)) + end


def _parts(item: Pixels | Circle | Text) -> Iterator[str]:
    if isinstance(item, Pixels):
        yield f'<image x="{item.x:g}" y="{item.y:g}"'
        yield f'width="{item.width:g}" height="{item.height:g}"'
        content = base64.b64encode(png(item.colours)).decode()
        yield f'preserveAspectRatio="none" href="data:image/png;base64,{content}"'
    elif isinstance(item, Circle):
        yield f'<circle cx="{item.x:.1f}" cy="{item.y:.1f}" r="{item.radius:g}"'
        yield 'fill="#{:02x}{:02x}{:02x}"'.format(*item.colour)
    else:
        yield f'<text x="{item.x:g}" y="{item.y:g}" text-anchor="{item.anchor}"'
        yield 'class="title"' if item.title else 'class="label"'
