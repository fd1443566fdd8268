"""Line, dot, area and bar charts as SVG; the style sheet of the page has their classes."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape

from model.evaluation.formatting import number

WIDTH, HEIGHT = 440.0, 300.0
LETTER = 8.0  # the width of a letter in a wide font, for the space that texts take
LINE = 18.0  # the height of a line of text
TITLE = 22.0  # the space that the title of the y axis takes
BOTTOM = 48.0  # the space of the labels and the title of the x axis
SAMPLE, GAP = 22.0, 12.0  # widths in the legend
TICKS = 5  # about so many on an axis
UNITS = ((1e12, "trillions"), (1e9, "billions"), (1e6, "millions"))  # for short labels

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Axis:
    """A linear scale from `low` to `high`; `percent` labels shares."""

    title: str
    low: float
    high: float
    percent: bool = False

    def at(self, value: float) -> float:
        """The position of a value on the axis, from 0 to 1."""
        return (value - self.low) / ((self.high - self.low) or 1.0)

    def ticks(self) -> list[float]:
        """Round values from `low` to `high`."""
        span = (self.high - self.low) or 1.0
        power = 10.0 ** math.floor(math.log10(span / TICKS))
        step = power * min(m for m in (1, 2, 2.5, 5, 10) if m * power * TICKS >= span * 0.999)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [at * step for at in range(first, last + 1)]

    def label(self, value: float) -> str:
        """The label of a tick: the value in percent, or in the unit that `name` has."""
        return f"{100 * value:.4g} %" if self.percent else number(value / self._unit[0])

    @property
    def name(self) -> str:
        """The title, with the unit of the labels if they are in millions or more."""
        _, unit = self._unit
        return f"{self.title}, in {unit}" if unit else self.title

    @property
    def _unit(self) -> tuple[float, str]:
        largest = max(abs(self.low), abs(self.high))
        found = (unit for unit in UNITS if unit[0] <= largest < 1000 * UNITS[0][0])
        return next(found, (1.0, ""))


@dataclass(frozen=True, slots=True)
class Line:
    """A line. `style` is main, second, guide or faint; `name` is its text in the legend, if any."""

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
    """Dots of one size, or with a radius for each."""

    style: str
    points: Sequence[Point]
    name: str = ""
    radii: Sequence[float] | None = None


@dataclass(frozen=True, slots=True)
class Bars:
    """Bars (left, right, height) that start at 0."""

    style: str
    bars: Sequence[tuple[float, float, float]]
    name: str = ""


Layer = Line | Area | Dots | Bars


@dataclass(frozen=True, slots=True)
class Plot:
    """The place of both axes in the drawing."""

    x: Axis
    y: Axis
    left: float
    right: float
    top: float
    bottom: float = HEIGHT - BOTTOM

    def across(self, value: float) -> float:
        """The x coordinate of a value."""
        return self.left + self.x.at(value) * (self.right - self.left)

    def down(self, value: float) -> float:
        """The y coordinate of a value."""
        return self.bottom - self.y.at(value) * (self.bottom - self.top)


def chart(
    key: str, title: str, description: str, axes: tuple[Axis, Axis], layers: Sequence[Layer]
) -> str:
    """An SVG element of the layers, the first at the back; `key` makes its ids unique on a page."""
    legend = _places([layer for layer in layers if layer.name])
    plot = _plot(*axes, lines=1 + max((line for _, _, line in legend), default=0))
    parts = [
        f'<svg viewBox="0 0 {WIDTH:g} {HEIGHT:g}" role="img" '
        f'aria-labelledby="{key}-title {key}-description">',
        f'<title id="{key}-title">{escape(title)}</title>',
        f'<desc id="{key}-description">{escape(description)}</desc>',
        *_grid(plot),
        *(_drawn(layer, plot) for layer in layers),
        *(_legend(*place) for place in legend),
        "</svg>",
    ]
    return "\n".join(parts)


def _plot(x: Axis, y: Axis, *, lines: int) -> Plot:
    """The plot with space for its labels and for `lines` lines of legend."""
    longest = max(len(y.label(value)) for value in y.ticks())
    left = TITLE + longest * LETTER + 8
    last = x.ticks()[-1]  # its label is centred on it and must end inside the drawing
    end = WIDTH - 2 - len(x.label(last)) * LETTER / 2
    right = min(WIDTH - 12, left + (end - left) / max(x.at(last), 0.5))
    return Plot(x, y, left, right, top=14 + lines * LINE)


def _grid(plot: Plot) -> Iterator[str]:
    """The lines and labels of both axes."""
    x, y, left, right, bottom = plot.x, plot.y, plot.left, plot.right, plot.bottom
    for value in y.ticks():
        at = plot.down(value)
        yield f'<line class="grid" x1="{left:g}" x2="{right:g}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield _text("end", left - 8, at + 4, y.label(value))
    for value in x.ticks():
        at, end = plot.across(value), bottom + 5
        yield f'<line class="tick" x1="{at:.1f}" x2="{at:.1f}" y1="{bottom:g}" y2="{end:g}"/>'
        yield _text("middle", at, bottom + 19, x.label(value))
    yield f'<line class="axis" x1="{left:g}" x2="{right:g}" y1="{bottom:g}" y2="{bottom:g}"/>'
    yield _text("middle", (left + right) / 2, HEIGHT - 8, x.name, "name")
    middle = (plot.top + bottom) / 2
    turned = f' transform="rotate(-90 14 {middle:g})"'
    yield _text("middle", 14, middle, y.name, "name", turned)


def _text(anchor: str, x: float, y: float, text: str, style: str = "label", more: str = "") -> str:
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}'
    return f'<text class="{style}" {place}>{escape(text)}</text>'


def _drawn(layer: Layer, plot: Plot) -> str:
    style = escape(layer.style)
    if isinstance(layer, Line):
        return f'<path class="line {style}" d="{_path(layer.points, plot)}"/>'
    if isinstance(layer, Area):
        outline = [*layer.lower, *reversed(layer.upper)]
        return f'<path class="area {style}" d="{_path(outline, plot)} Z"/>'
    if isinstance(layer, Bars):
        return f'<g class="bars {style}">{"".join(_bars(layer, plot))}</g>'
    radii = layer.radii or [2.6] * len(layer.points)
    circles = (
        f'<circle cx="{plot.across(at):.1f}" cy="{plot.down(value):.1f}" r="{radius:.1f}"/>'
        for (at, value), radius in zip(layer.points, radii, strict=True)
    )
    return f'<g class="dots {style}">{"".join(circles)}</g>'


def _path(points: Iterable[Point], plot: Plot) -> str:
    places = (f"{plot.across(at):.1f} {plot.down(value):.1f}" for at, value in points)
    return "M " + " L ".join(places)


def _bars(layer: Bars, plot: Plot) -> Iterator[str]:
    for left, right, height in layer.bars:
        start, end, top = plot.across(left), plot.across(right), plot.down(height)
        size = f'width="{end - start:.1f}" height="{plot.bottom - top:.1f}"'
        yield f'<rect x="{start:.1f}" y="{top:.1f}" {size}/>'


def _places(named: Sequence[Layer]) -> list[tuple[Layer, float, int]]:
    """Each layer with its x coordinate and its line in the legend."""
    found, at, line = [], TITLE, 0
    for layer in named:
        width = SAMPLE + LETTER * len(layer.name)
        if at > TITLE and at + width > WIDTH:
            at, line = TITLE, line + 1
        found.append((layer, at, line))
        at += width + GAP
    return found


def _legend(layer: Layer, at: float, line: int) -> str:
    """A sample of the layer and its name."""
    kind = {Line: "line", Area: "area", Dots: "dots", Bars: "bars"}[type(layer)]
    base = 16 + line * LINE
    sample = f'<g class="{kind} {escape(layer.style)}">{_sample(kind, at, base - 4)}</g>'
    return sample + _text("start", at + SAMPLE, base, layer.name, "legend")


def _sample(kind: str, at: float, middle: float) -> str:
    if kind == "line":
        return f'<path d="M {at:g} {middle:g} L {at + 16:g} {middle:g}"/>'
    if kind == "dots":
        return f'<circle cx="{at + 8:g}" cy="{middle:g}" r="4"/>'
    return f'<rect x="{at:g}" y="{middle - 6:g}" width="16" height="12"/>'
