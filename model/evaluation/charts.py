"""Line, dot, area and bar charts as SVG for a page whose style sheet knows the classes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 520.0, 320.0
LEFT, RIGHT, TOP, BOTTOM = 62.0, 22.0, 34.0, 48.0
TICKS = 5  # about so many on an axis
LEGEND_STEP, LETTER = 30.0, 6.7  # widths, for the legend

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale from `low` to `high`; `percent` labels shares."""

    title: str
    low: float
    high: float
    percent: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, 0 to 1 within the axis."""
        return (value - self.low) / ((self.high - self.low) or 1.0)

    def ticks(self) -> list[float]:
        """Round values from `low` to `high`."""
        span = (self.high - self.low) or 1.0
        power = 10.0 ** math.floor(math.log10(span / TICKS))
        step = power * min(m for m in (1, 2, 2.5, 5, 10) if m * power * TICKS >= span * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [number * step for number in range(first, last + 1)]

    def label(self, value: float) -> str:
        """The value as a tick is labelled."""
        return f"{100 * value:.4g} %" if self.percent else f"{value:.4g}"


@dataclass(frozen=True, slots=True)
class Line:
    """A line. `style` is main, second, guide or faint; `name` is what the legend says, if any."""

    style: str
    points: Sequence[Point]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Area:
    """The area between a lower and an upper line."""

    style: str
    lower: Sequence[Point]
    upper: Sequence[Point]
    name: str = ""


@dataclass(frozen=True, slots=True)
class Dots:
    """Dots of one size, or of a radius each."""

    style: str
    points: Sequence[Point]
    name: str = ""
    radii: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars from 0, each from its left to its right end: (left, right, height)."""

    style: str
    bars: Sequence[tuple[float, float, float]]
    name: str = ""


Layer = Line | Area | Dots | Bars


def chart(
    key: str, title: str, description: str, axes: tuple[Axis, Axis], layers: Sequence[Layer]
) -> str:
    """An SVG element of the layers, the first at the back; `key` makes its ids unique on a page."""
    x, y = axes
    parts = [
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-labelledby="{key}-title {key}-description">',
        f'<title id="{key}-title">{escape(title)}</title>',
        f'<desc id="{key}-description">{escape(description)}</desc>',
        *_grid(x, y),
        *(_drawn(layer, x, y) for layer in layers),
        *_legend(layers),
        "</svg>",
    ]
    return "\n".join(parts)


def _across(x: Axis, value: float) -> float:
    return LEFT + x.at(value) * (WIDTH - LEFT - RIGHT)


def _down(y: Axis, value: float) -> float:
    return HEIGHT - BOTTOM - y.at(value) * (HEIGHT - BOTTOM - TOP)


def _grid(x: Axis, y: Axis) -> Iterator[str]:
    """The lines and labels of both axes."""
    bottom, right = HEIGHT - BOTTOM, WIDTH - RIGHT
    for value in y.ticks():
        at = _down(y, value)
        yield f'<line class="grid" x1="{LEFT:g}" x2="{right:g}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield _text("end", LEFT - 8, at + 4, y.label(value))
    for value in x.ticks():
        at, end = _across(x, value), bottom + 5
        yield f'<line class="tick" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:g}" y2="{end:g}"/>'
        yield _text("middle", at, bottom + 19, x.label(value))
    yield f'<line class="axis" x1="{LEFT:g}" x2="{right:g}" y1="{bottom:g}" y2="{bottom:g}"/>'
    yield _text("middle", (LEFT + right) / 2, HEIGHT - 8, x.title, "name")
    middle = (TOP + bottom) / 2
    turned = f' transform="rotate(-90 14 {middle:g})"'
    yield _text("middle", 14, middle, y.title, "name", turned)


def _text(anchor: str, x: float, y: float, text: str, style: str = "label", more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _drawn(layer: Layer, x: Axis, y: Axis) -> str:
    style = escape(layer.style)
    if isinstance(layer, Line):
        return f'<path class="line {style}" d="{_path(layer.points, x, y)}"/>'
    if isinstance(layer, Area):
        outline = [*layer.lower, *reversed(layer.upper)]
        return f'<path class="area {style}" d="{_path(outline, x, y)} Z"/>'
    if isinstance(layer, Bars):
        return f'<g class="bars {style}">{"".join(_bars(layer, x, y))}</g>'
    radii = layer.radii or [2.6] * len(layer.points)
    circles = (
        f'<circle cx="{_across(x, at):.1f}" cy="{_down(y, value):.1f}" r="{radius:.1f}"/>'
        for (at, value), radius in zip(layer.points, radii, strict=True)
    )
    return f'<g class="dots {style}">{"".join(circles)}</g>'


def _path(points: Iterable[Point], x: Axis, y: Axis) -> str:
    places = (f"{_across(x, at):.1f} {_down(y, value):.1f}" for at, value in points)
    return "M " + " L ".join(places)


def _bars(layer: Bars, x: Axis, y: Axis) -> Iterator[str]:
    for left, right, height in layer.bars:
        start, end, top = _across(x, left), _across(x, right), _down(y, height)
        size = f'width="{end - start:.1f}" height="{HEIGHT - BOTTOM - top:.1f}"'
        yield f'<rect x="{start:.1f}" y="{top:.1f}" {size}/>'


def _legend(layers: Sequence[Layer]) -> Iterator[str]:
    """A sample of each named layer and its name, in one line above the chart."""
    at = LEFT
    for layer in layers:
        if layer.name:
            kind = {Line: "line", Area: "area", Dots: "dots", Bars: "bars"}[type(layer)]
            yield f'<g class="{kind} {escape(layer.style)}">{_sample(kind, at)}</g>'
            yield _text("start", at + 22, 20, layer.name, "legend")
            at += LEGEND_STEP + 8 + LETTER * len(layer.name)


def _sample(kind: str, at: float) -> str:
    if kind == "line":
        return f'<path d="M {at:g} 16 L {at + 16:g} 16"/>'
    if kind == "dots":
        return f'<circle cx="{at + 8:g}" cy="16" r="4"/>'
    return f'<rect x="{at:g}" y="10" width="16" height="12"/>'
