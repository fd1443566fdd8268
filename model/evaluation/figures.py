"""The pictures of an evaluation: each a chart, a text on how to read it, and its numbers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.evaluation.charts import Area, Axis, Bars, Dots, Layer, Line, Point, chart
from model.evaluation.formatting import number, percent
from model.evaluation.outcomes import COVERAGES, ClassificationOutcome, Outcome, RegressionOutcome
from model.formulas import scores

MOST_DOTS = 1500  # of a scatter plot: more make the page large and the picture black
MOST_POINTS = 400  # of a curve
BINS = 12  # of a histogram
FEWEST = 30  # rows of a group that is drawn as bars; a smaller group has a dot for each row
COLUMNS = 40  # in which the dots of such a group are stacked
GROUPS = 10  # of rows, sorted by std
BAND = 1.96  # standard errors: 95 %
DIAGONAL: list[Point] = [(0, 0), (1, 1)]


@dataclass(frozen=True, slots=True)
class Figure:
    """A chart as SVG, how to read it, and the same numbers as a table."""

    title: str
    svg: str
    reading: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def figures(outcome: Outcome, key: str) -> list[Figure]:
    """The pictures of one target; `key` makes their ids unique on a page."""
    if isinstance(outcome, ClassificationOutcome):
        return [
            _reliability(outcome, f"{key}-reliability"),
            _risk(outcome, f"{key}-risk", "error rate"),
            _entropies(outcome, f"{key}-entropy"),
            _informations(outcome, f"{key}-information"),
        ]
    return [
        _coverage(outcome, f"{key}-coverage"),
        _errors(outcome, f"{key}-errors"),
        _risk(outcome, f"{key}-risk", _in(outcome, "mean absolute error")),
        _stds(outcome, f"{key}-stds"),
    ]


def _coverage(outcome: RegressionOutcome, key: str) -> Figure:
    rows = len(outcome.actual)
    shares = outcome.coverages()
    points = list(zip(COVERAGES, shares, strict=True))
    grid = np.linspace(0, 1, 41)
    reach = BAND * np.sqrt(grid * (1 - grid) / rows)
    lower, upper = np.clip(grid - reach, 0, 1), np.clip(grid + reach, 0, 1)
    title = "Do intervals hold what they claim?"
    law = "of a log-normal law with that mean and std" if outcome.by_log else "mean ± z std"
    reading = (
        f"Each point is one width of the intervals {law}. On the dashed line, they hold as "
        "many targets as they claim. Below the line they are too narrow, above it too wide. "
        f"In 95 % of all cases, chance alone moves {rows} rows no farther than the shaded band."
    )
    held = f"Of the intervals that claim 90 %, {percent(shares[COVERAGES.index(0.9)])} hold."
    layers: list[Layer] = [
        Area("guide", _points(grid, lower), _points(grid, upper), "chance"),
        Line("guide", DIAGONAL, "as claimed"),
        Line("main", points, "this model"),
        Dots("main", points),
    ]
    if outcome.method != "normal":
        asked = scores.interval_coverage(outcome.lower, outcome.upper, outcome.actual)
        layers.append(Dots("second", [(outcome.coverage, asked)], outcome.method, [6]))
        reading += " The large dot is the intervals that the model really answers with."
    axes = Axis("claimed", 0, 1, percent=True), Axis("targets inside", 0, 1, percent=True)
    table = tuple((percent(level), percent(share)) for level, share in points)
    drawn = chart(key, title, held, axes, layers)
    return Figure(title, drawn, reading, ("claimed", "inside"), table)


def _errors(outcome: RegressionOutcome, key: str) -> Figure:
    std, error = outcome.std, outcome.loss
    order = np.argsort(std, kind="stable")
    shown = _spaced(order, MOST_DOTS)
    groups = [g for g in np.array_split(order, GROUPS) if len(g)]
    binned = [(float(std[g].mean()), float(error[g].mean())) for g in groups]
    widest = float(std.max()) or 1.0
    expected = widest * math.sqrt(2 / math.pi)  # E|error| of a Gaussian of that std
    title = "Do uncertain rows have larger errors?"
    reading = (
        "Each small dot is a row. The line is the mean error of ten groups of rows, sorted by std. "
        "It lies on the dashed line if the std has the right size. It rises if the std at least "
        "ranks the errors."
    ) + (f" {len(shown)} of {len(std)} rows are drawn." if len(shown) < len(std) else "")
    first, last = number(binned[0][1]), number(binned[-1][1])
    told = f"Mean absolute error from {first} at the smallest std to {last} at the largest."
    axes = (
        Axis(_in(outcome, "std"), 0, widest * 1.04),
        Axis(_in(outcome, "absolute error"), 0, max(float(error.max()), expected) * 1.04 or 1.0),
    )
    layers: list[Layer] = [
        Dots("faint", _points(std[shown], error[shown]), "a row"),
        Line("guide", [(0, 0), (widest, expected)], "expected"),
        Line("second", binned, "mean error"),
        Dots("second", binned, radii=[4.0] * len(binned)),
    ]
    sizes = (str(len(g)) for g in groups)
    table = tuple((n, number(s), number(e)) for n, (s, e) in zip(sizes, binned, strict=True))
    drawn = chart(key, title, told, axes, layers)
    return Figure(title, drawn, reading, ("rows", "mean std", "mean absolute error"), table)


def _risk(outcome: Outcome, key: str, risk: str) -> Figure:
    loss, shares = outcome.loss, isinstance(outcome, ClassificationOutcome)
    ours = _points(*scores.risk_coverage(outcome.uncertainty, loss))
    best = _points(*scores.risk_coverage(loss, loss))
    overall = float(loss.mean())
    ours, best = (
        [line[at] for at in _spaced(np.arange(len(line)), MOST_POINTS)] for line in (ours, best)
    )
    top = max(max(value for _, value in (*ours, *best)), overall) * 1.08 or 1.0
    title = "Does leaving out uncertain rows help?"
    reading = (
        "The error of the rows that remain if only the least uncertain rows are answered. A useful "
        "uncertainty lowers the line towards the left. The dashed line is a random order of the "
        "rows; the lower line is the best order, which knows the errors."
    )
    half = next(value for share, value in ours if share >= 0.5)
    show: Callable[[float], str] = percent if shares else number
    told = f"All rows: {show(overall)}; the less uncertain half: {show(half)}."
    layers = [
        Line("guide", [(0, overall), (1, overall)], "random order"),
        Line("second", best, "best order"),
        Line("main", ours, "this model"),
    ]
    axes = Axis("rows answered", 0, 1, percent=True), Axis(risk, 0, top, percent=shares)
    table = []
    for wanted in np.linspace(0.1, 1, 10).tolist():
        at = min(math.ceil(wanted * len(ours) - 1e-9), len(ours)) - 1
        table.append((percent(ours[at][0]), show(ours[at][1]), show(best[at][1])))
    header = ("rows answered", "this model", "best order")
    return Figure(title, chart(key, title, told, axes, layers), reading, header, tuple(table))


def _stds(outcome: RegressionOutcome, key: str) -> Figure:
    return _histogram(
        key,
        "How uncertain are the rows?",
        "A row is out of range if one of its features lies outside the range of the training data. "
        "Such rows should have a larger std. If they do not, the std alone does not warn of them.",
        _in(outcome, "std"),
        outcome.std,
        _by_range(outcome),
    )


def _reliability(outcome: ClassificationOutcome, key: str) -> Figure:
    curve = outcome.reliability()
    points = _points(curve.confidence, curve.accuracy)
    rows = len(outcome.actual)
    title = "Is 90 % confidence right 90 % of the time?"
    reading = (
        "Each dot is a group of rows with about the same confidence. Larger dots have more rows. "
        "Below the dashed line the confidence is too high, above it too low. The vertical bars are "
        "95 % intervals of the accuracy."
    )
    told = f"The mean gap to the diagonal (ECE) is {percent(curve.calibration_error)}."
    radii = [3 + 9 * math.sqrt(count / rows) for count in curve.count.tolist()]
    layers: list[Layer] = [
        Line("guide", DIAGONAL, "as right as confident"),
        *(Line("faint", bar) for bar in _error_bars(points, curve.count)),
        Dots("main", points, "this model", radii),
    ]
    axes = Axis("confidence", 0, 1, percent=True), Axis("accuracy", 0, 1, percent=True)
    table = tuple(
        (str(count), percent(confidence), percent(accuracy))
        for count, (confidence, accuracy) in zip(curve.count.tolist(), points, strict=True)
    )
    header = ("rows", "confidence", "accuracy")
    return Figure(title, chart(key, title, told, axes, layers), reading, header, table)


def _error_bars(points: Sequence[Point], counts: np.ndarray) -> list[list[Point]]:
    """Wilson's 95 % interval of the share of right rows, upright, one for each dot."""
    bars: list[list[Point]] = []
    for (at, share), count in zip(points, counts.tolist(), strict=True):
        shrunk = (share + BAND**2 / (2 * count)) / (1 + BAND**2 / count)
        variance = share * (1 - share) / count + (BAND / (2 * count)) ** 2
        reach = BAND * math.sqrt(variance) / (1 + BAND**2 / count)
        bars.append([(at, shrunk - reach), (at, shrunk + reach)])
    return bars


def _entropies(outcome: ClassificationOutcome, key: str) -> Figure:
    return _histogram(
        key,
        "Does the entropy separate right from wrong?",
        "The predictive entropy is 0 if the model is sure of one class. Wrong rows should have "
        "more of it. The less the two groups overlap, the better a limit on the entropy finds "
        "wrong rows.",
        "predictive entropy (nats)",
        outcome.predictive_entropy,
        {"right": outcome.correct, "wrong": ~outcome.correct},
    )


def _informations(outcome: ClassificationOutcome, key: str) -> Figure:
    return _histogram(
        key,
        "Where do the passes disagree?",
        "The mutual information is the uncertainty that more training data could remove. It should "
        "be larger for rows out of range, which have a feature outside the range of the training "
        "data.",
        "mutual information (nats)",
        outcome.mutual_information,
        _by_range(outcome),
    )


def _by_range(outcome: Outcome) -> dict[str, np.ndarray]:
    return {"in range": ~outcome.outside, "out of range": outcome.outside}


def _histogram(
    key: str,
    title: str,
    reading: str,
    quantity: str,
    values: np.ndarray,
    groups: dict[str, np.ndarray],
) -> Figure:
    """The values of each group of rows; a group without rows is left out."""
    found = {name: values[rows] for name, rows in groups.items() if rows.any()}
    edges = np.linspace(0, float(values.max()) or 1.0, BINS + 1)
    counts = {name: np.histogram(group, edges)[0].tolist() for name, group in found.items()}
    layers, top = _groups(found, edges)
    axes = (
        Axis(quantity, 0, float(edges[-1])),
        Axis("share of these rows", 0, top * 1.05, percent=True),
    )
    medians = [f"{name}: {number(float(np.median(group)))}" for name, group in found.items()]
    told = f"Medians of {quantity}: {', '.join(medians)}."
    if any(isinstance(layer, Dots) for layer in layers):
        reading += f" A group of fewer than {FEWEST} rows is drawn as dots, one for each row."
    table = tuple(
        (f"{number(low)} to {number(high)}", *(str(count[at]) for count in counts.values()))
        for at, (low, high) in enumerate(pairwise(edges.tolist()))
    )
    header = (quantity, *(f"rows {name}" for name in found))
    return Figure(title, chart(key, title, told, axes, layers), reading, header, table)


def _groups(groups: dict[str, np.ndarray], edges: np.ndarray) -> tuple[list[Layer], float]:
    """Bars side by side for the large groups, dots for the small ones, and the highest share.

    Bars of two rows would show 50 % each, and look as important as bars of a thousand rows.
    """
    largest = max(groups, key=lambda name: len(groups[name]))
    barred = [name for name in groups if len(groups[name]) >= FEWEST or name == largest]
    shares = {n: np.histogram(groups[n], edges)[0] / len(groups[n]) for n in barred}
    top = max(float(share.max()) for share in shares.values())
    width = float(edges[1] - edges[0])
    slot = 0.86 * width / len(barred)
    layers: list[Layer] = []
    for style, (name, values) in zip(("main", "second"), groups.items(), strict=False):
        title = f"{name} ({len(values)} {'row' if len(values) == 1 else 'rows'})"
        if name in shares:
            starts = (edges[:-1] + 0.07 * width + barred.index(name) * slot).tolist()
            pairs = zip(starts, shares[name].tolist(), strict=True)
            layers.append(Bars(style, [(s, s + slot, share) for s, share in pairs], title))
        else:
            dots = _stacked(values, float(edges[-1]), top)
            layers.append(Dots(style, dots, title, [4.0] * len(dots)))
    return layers, top


def _stacked(values: np.ndarray, highest: float, top: float) -> list[Point]:
    """A dot for each value; dots of about equal values are stacked."""
    columns = np.minimum(values / highest * COLUMNS, COLUMNS - 1).astype(int).tolist()
    step = min(0.04, 0.92 / max(columns.count(column) for column in columns)) * top
    height = dict.fromkeys(columns, 0)
    dots: list[Point] = []
    for value, column in sorted(zip(values.tolist(), columns, strict=True)):
        dots.append((value, (height[column] + 0.5) * step))
        height[column] += 1
    return dots


def _in(outcome: RegressionOutcome, quantity: str) -> str:
    return f"{quantity} ({outcome.unit})" if outcome.unit else quantity


def _points(x: np.ndarray, y: np.ndarray) -> list[Point]:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _spaced(order: np.ndarray, most: int) -> np.ndarray:
    """At most `most` of the rows, evenly spaced; the last row is always among them."""
    at = np.linspace(len(order) - 1, 0, min(len(order), most)).astype(int)
    return np.asarray(order[at[::-1]])
