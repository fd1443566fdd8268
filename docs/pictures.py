"""The pictures of README and docs, and the figures that the page `/learn` draws.

    python -m docs.pictures [FOLDER]

Writes all to the folder. Without one, the pictures go to docs/img, and the figures beside the page.
`band` trains a small network on made-up rows; `report` takes two charts out of the page that
`model.report_page` makes of the shipped model `digits`. Both follow the reader's choice of light or
dark. `docs.lessons` computes the figures. `docs.screenshots` lists and takes the pictures of our
pages, with Chromium.
"""

import json
import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import numpy as np

import model
from docs.lessons import figures
from docs.screenshots import take

FIGURES = Path(__file__).parents[1] / "app/pages/static"
IMAGES = Path(__file__).parent / "img"
WIDTH, HEIGHT = 520, 320  # of a chart, as those of the report
LEFT, RIGHT, TOP, BOTTOM = 40, 16, 40, 40
X, Y = (-6.0, 6.0), (-3.4, 2.8)  # the ends of the band's axes
EDGES = 0.8, 3.0  # training rows have EDGES[0] <= |x| <= EDGES[1]
ROWS, NOISE, SEED = 200, 0.12, 0
CHOSEN = ("leaving out", "entropy")  # words in the titles of the charts that are shown

STYLE = """
svg { --paper: #fff; --ink: #16202c; --soft: #556372; --rule: #dfe4ea; --main: #1763c6;
  --second: #c4560a; --guide: #7b8896; }
@media (prefers-color-scheme: dark) { svg { --paper: #181f29; --ink: #e6ebf1; --soft: #9dabba;
  --rule: #2b3644; --main: #6cb0ff; --second: #ff9f55; --guide: #8593a3; } }
.paper { fill: var(--paper); stroke: var(--rule) }
text { fill: var(--soft); font: 12px system-ui, sans-serif }
.title { fill: var(--ink); font-size: 15px; font-weight: 600 }
.name, .legend { fill: var(--ink); font-size: 13px }
.grid { stroke: var(--rule) } .axis, .tick { stroke: var(--guide) }
.line { fill: none; stroke-width: 2.25; stroke-linejoin: round }
.main { fill: var(--main) } .second { fill: var(--second) }
.line.main, .line.main path { fill: none; stroke: var(--main) }
.line.second, .line.second path { fill: none; stroke: var(--second) }
.line.guide, .line.guide path { stroke: var(--guide); stroke-dasharray: 5 5; stroke-width: 1.5 }
.band { fill: var(--main); fill-opacity: .25 }
.dots { fill: var(--ink); fill-opacity: .55 }
"""

Points = Sequence[tuple[float, float]]


def band() -> str:
    """What a network trained on two clusters of x predicts from -6 to 6."""
    x, y = _rows()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "curve"
        options = model.TrainOptions(epochs=150, members=1, number_encoding="raw")
        model.train(model.Table("curve", {"x": x, "y": y}, "0" * 64), "y", folder, options=options)
        predictor = model.load(folder)
    grid = np.linspace(*X, 121)
    found = predictor.predict(grid[:, None], model.PredictOptions(seed=1)).rows
    mean, std = (np.array([getattr(row, name) for row in found]) for name in ("mean", "std"))
    warned = grid[[bool(row.warnings) for row in found]]
    return _svg(
        "A prediction knows where it has no data",
        f"The std across the passes is {_typical(std, grid, inside=True):.2f} among the training "
        f"rows (median), and {_typical(std, grid, inside=False):.2f} beyond them.",
        [
            *_frame(),
            _area("band", grid, mean - 2 * std, mean + 2 * std),
            f'<path class="line main" d="{_path(zip(grid, mean, strict=True))}"/>',
            _dots("dots", zip(x, y, strict=True), 2.2),
            _dots("second", ((at, Y[0] + 0.1) for at in warned), 2),
            *_legend(),
        ],
    )


def report() -> str:
    """Two charts of the page that `python -m model evaluate --report` writes of `digits`."""
    (folder,) = (folder for folder in model.shipped() if folder.name == "digits")
    evaluation = model.evaluate(
        model.load(folder), model.read_table("example:digits"), model.PredictOptions(seed=1)
    )
    charts = re.findall(r"<svg .*?</svg>", model.report_page(evaluation), re.S)
    titles = [re.findall(r"<title[^>]*>(.*?)</title>", chart)[0] for chart in charts]
    shown = [at for words in CHOSEN for at, title in enumerate(titles) if words in title]
    parts = []
    for place, at in enumerate(shown):
        x = 4 + place * (WIDTH + 8)
        parts.append(f'<text class="title" x="{x + 16}" y="28">{titles[at]}</text>')
        size = f'<svg x="{x}" y="34" width="{WIDTH}" height="{HEIGHT}" '
        parts.append(charts[at].replace("<svg ", size, 1))
    said = f"{evaluation.card.name}: two of the charts of its report"
    return _svg(said, evaluation.card.name, parts, width=2 * WIDTH + 16, height=HEIGHT + 40)


def main(arguments: Sequence[str]) -> None:
    """Draw and take all."""
    images = Path(arguments[0]) if arguments else IMAGES
    draw(images, images if arguments else FIGURES)
    take(images)


def draw(images: Path, computed: Path) -> None:
    """Write what needs no browser: two pictures to one folder, the figures to another."""
    model.use_threads(1)
    (images / "band.svg").write_text(band())
    (images / "report.svg").write_text(report())
    text = json.dumps(figures(), separators=(",", ":"))
    (computed / "learn.json").write_text(f"{text}\n")


def _rows() -> tuple[np.ndarray, np.ndarray]:
    """The made-up rows: a wave with noise, x in two clusters."""
    random = np.random.default_rng(SEED)
    x = random.uniform(*EDGES, ROWS) * np.where(np.arange(ROWS) % 2, 1, -1)
    return x, np.sin(1.5 * x) + 0.15 * x + random.normal(0, NOISE, ROWS)


def _typical(std: np.ndarray, grid: np.ndarray, *, inside: bool) -> float:
    far = np.abs(grid)
    among = (EDGES[0] <= far) & (far <= EDGES[1])
    return float(np.median(std[among if inside else far > EDGES[1]]))


def _svg(
    title: str, description: str, parts: Iterable[str], *, width: int = WIDTH, height: int = HEIGHT
) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<style>{STYLE}</style>",
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(description)}</desc>",
            f'<rect class="paper" x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="9"/>',
            *parts,
            "</svg>\n",
        ]
    )


def _frame() -> list[str]:
    """The axes: ticks of x, and their names."""
    low = HEIGHT - BOTTOM
    lines = [f'<path class="axis" d="M {LEFT} {low} H {WIDTH - RIGHT}"/>']
    for value in range(int(X[0]), int(X[1]) + 1, 2):
        at = _place((value, 0))[0]
        lines.append(f'<text x="{at:.1f}" y="{low + 17}" text-anchor="middle">{value}</text>')
    middle, centre = (LEFT + WIDTH - RIGHT) / 2, (TOP + low) / 2
    named = f'<text class="name" text-anchor="middle" x="{middle}" y="{HEIGHT - 6}">feature</text>'
    turned = f'transform="rotate(-90 22 {centre})" x="22" y="{centre}"'
    return [*lines, named, f'<text class="name" text-anchor="middle" {turned}>target</text>']


def _legend() -> list[str]:
    """A sample of each layer and its name, in one line above the chart."""
    said = (
        ("line main", "mean"),
        ("band", "mean ± 2 std"),
        ("dots", "training rows"),
        ("second", "answers with a warning"),
    )
    parts, at = [], LEFT
    for style, name in said:
        line = f'<path class="{style}" d="M {at} 20 h 14"/>'
        box = f'<rect class="{style}" x="{at}" y="14" width="14" height="12"/>'
        dot = f'<circle class="{style}" cx="{at + 7}" cy="20" r="3"/>'
        parts.append({"line main": line, "band": box}.get(style, dot))
        parts.append(f'<text x="{at + 18}" y="24">{name}</text>')
        at += 36 + round(6.7 * len(name))
    return parts


def _place(point: tuple[float, float]) -> tuple[float, float]:
    across = (point[0] - X[0]) / (X[1] - X[0])
    up = (min(max(point[1], Y[0]), Y[1]) - Y[0]) / (Y[1] - Y[0])
    return LEFT + across * (WIDTH - LEFT - RIGHT), HEIGHT - BOTTOM - up * (HEIGHT - BOTTOM - TOP)


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "M " + " L ".join(f"{x:.1f} {y:.1f}" for x, y in map(_place, points))


def _area(style: str, x: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> str:
    outline = [*zip(x, lower, strict=True), *reversed(list(zip(x, upper, strict=True)))]
    return f'<path class="{style}" d="{_path(outline)} Z"/>'


def _dots(style: str, points: Iterable[tuple[float, float]], radius: float) -> str:
    circles = (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius}"/>' for x, y in map(_place, points))
    return f'<g class="{style}">{"".join(circles)}</g>'


if __name__ == "__main__":
    main(sys.argv[1:])
