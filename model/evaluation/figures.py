"""The pictures of an evaluation: each a chart, a sentence on how to read it, and its numbers."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from model.evaluation.charts import Area, Axis, Bars, Dots, Layer, Line, Point, chart
from model.evaluation.outcomes import LEVELS, ClassificationOutcome, Outcome, RegressionOutcome
from model.formulas import scores

MOST_DOTS = 1500  # of a scatter plot: more make the page large and the picture black
MOST_POINTS = 400  # of a curve
BINS = 12  # of a histogram
GROUPS = 10  # of the rows by their std
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
            _risk(outcome, f"{key}-risk", "error rate", percent=True),
            _entropies(outcome, f"{key}-entropy"),
            _informations(outcome, f"{key}-information"),
        ]
    amount = _in(outcome, "mean absolute error")
    return [
        _coverage(outcome, f"{key}-coverage"),
        _errors(outcome, f"{key}-errors"),
        _risk(outcome, f"{key}-risk", amount, percent=False),
        _stds(outcome, f"{key}-stds"),
    ]


def _coverage(outcome: RegressionOutcome, key: str) -> Figure:
    rows = len(outcome.actual)
    shares = scores.coverage_by_level(outcome.mean, outcome.std, outcome.actual, LEVELS).tolist()
    points = list(zip(LEVELS, shares, strict=True))
    grid = np.linspace(0, 1, 41)
    reach = BAND * np.sqrt(grid * (1 - grid) / rows)
    lower, upper = np.clip(grid - reach, 0, 1), np.clip(grid + reach, 0, 1)
    title = "Do intervals hold what they claim?"
    reading = (
        "On the diagonal, intervals of mean ± z std hold as many targets as they claim; "
        "below it they are too narrow, above it too wide. The band is what chance alone allows "
        f"with {rows} rows, 95 % of the time."
    )
    held = f"Of the intervals that claim 90 %, {_percent(shares[LEVELS.index(0.9)])} hold."
    layers: list[Layer] = [
        Area("guide", _points(grid, lower), _points(grid, upper), "chance"),
        Line("guide", DIAGONAL, "as claimed"),
        Line("main", points, "this model"),
        Dots("main", points),
    ]
    if outcome.method != "normal":
        asked = scores.interval_coverage(outcome.lower, outcome.upper, outcome.actual)
        layers.append(Dots("second", [(outcome.coverage, asked)], outcome.method, [6]))
    axes = Axis("claimed", 0, 1, percent=True), Axis("targets inside", 0, 1, percent=True)
    table = [(_percent(level), _percent(share)) for level, share in points]
    return Figure(
        title, chart(key, title, held, axes, layers), reading, ("claimed", "inside"), tuple(table)
    )


def _errors(outcome: RegressionOutcome, key: str) -> Figure:
    std, error = outcome.std, outcome.loss
    shown = _spaced(np.argsort(std, kind="stable"), MOST_DOTS)
    groups = [g for g in np.array_split(np.argsort(std, kind="stable"), GROUPS) if len(g)]
    binned = [(float(std[g].mean()), float(error[g].mean())) for g in groups]
    widest = float(std.max()) or 1.0
    expected = widest * math.sqrt(2 / math.pi)  # E|error| of a Gaussian of that std
    title = "Are uncertain rows wrong by more?"
    reading = (
        "Each dot is a row; the line is the mean error of ten groups of rows by std. Where std "
        "is right, it lies on the dashed line; where std only ranks well, it still rises."
    ) + (f" {len(shown)} of {len(std)} rows are drawn." if len(shown) < len(std) else "")
    told = f"Mean absolute error from {binned[0][1]:.4g} at the smallest std to {binned[-1][1]:.4g}"
    axes = (
        Axis(_in(outcome, "std"), 0, widest * 1.04),
        Axis(_in(outcome, "absolute error"), 0, max(float(error.max()), expected) * 1.04 or 1.0),
    )
    layers: list[Layer] = [
        Dots("faint", _points(std[shown], error[shown]), "rows"),
        Line("guide", [(0, 0), (widest, expected)], "expected of such a std"),
        Line("main", binned, "mean of a tenth"),
        Dots("main", binned),
    ]
    table = [
        (str(len(g)), f"{s:.4g}", f"{e:.4g}") for g, (s, e) in zip(groups, binned, strict=True)
    ]
    return Figure(
        title,
        chart(key, title, f"{told} at the largest.", axes, layers),
        reading,
        ("rows", "mean std", "mean absolute error"),
        tuple(table),
    )


def _risk(outcome: Outcome, key: str, risk: str, *, percent: bool) -> Figure:
    loss = outcome.loss
    ours = _points(*scores.risk_coverage(outcome.uncertainty, loss))
    best = _points(*scores.risk_coverage(loss, loss))
    overall = float(loss.mean())
    ours, best = (
        [line[at] for at in _spaced(np.arange(len(line)), MOST_POINTS)] for line in (ours, best)
    )
    top = max(max(value for _, value in (*ours, *best)), overall) * 1.08 or 1.0
    title = "What does leaving out uncertain rows buy?"
    reading = (
        "The error that is left when only the least uncertain rows are answered: the further the "
        "line falls to the left, from random order towards the best order, the better the "
        "uncertainty ranks the errors."
    )
    half = next(value for share, value in ours if share >= 0.5)
    show: Callable[[float], str] = _percent if percent else "{:.4g}".format
    told = f"All rows: {show(overall)}; the less uncertain half: {show(half)}."
    layers = [
        Line("guide", [(0, overall), (1, overall)], "random order"),
        Line("second", best, "best order"),
        Line("main", ours, "this model"),
    ]
    axes = Axis("rows answered", 0, 1, percent=True), Axis(risk, 0, top, percent=percent)
    table = []
    for wanted in np.linspace(0.1, 1, 10).tolist():
        at = min(math.ceil(wanted * len(ours) - 1e-9), len(ours)) - 1
        table.append((_percent(ours[at][0]), show(ours[at][1]), show(best[at][1])))
    header = ("rows answered", "this model", "best order")
    return Figure(title, chart(key, title, told, axes, layers), reading, header, tuple(table))


def _stds(outcome: RegressionOutcome, key: str) -> Figure:
    return _histogram(
        key,
        "How uncertain are the rows?",
        "Rows with a feature outside the range of the training data should be the more uncertain "
        "ones; where they are not, the std alone does not warn of them.",
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
        "Each dot holds the rows of about the same confidence, the larger the more of them. Below "
        "the diagonal the model is too sure of itself, above it too modest; the bars are "
        "95 % intervals of the accuracy, long where rows are few."
    )
    told = f"The mean gap to the diagonal (ECE) is {_percent(curve.calibration_error)}."
    radii = [3 + 9 * math.sqrt(count / rows) for count in curve.count.tolist()]
    layers: list[Layer] = [
        Line("guide", DIAGONAL, "as right as confident"),
        *(Line("faint", bar) for bar in _error_bars(points, curve.count)),
        Dots("main", points, "this model", radii),
    ]
    axes = Axis("confidence", 0, 1, percent=True), Axis("accuracy", 0, 1, percent=True)
    table = [
        (str(count), _percent(confidence), _percent(accuracy))
        for count, (confidence, accuracy) in zip(curve.count.tolist(), points, strict=True)
    ]
    header = ("rows", "confidence", "accuracy")
    return Figure(title, chart(key, title, told, axes, layers), reading, header, tuple(table))


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
        "Does the entropy tell right from wrong?",
        "The less the two histograms overlap, the better a threshold on the predictive entropy "
        "sorts wrong answers out.",
        "predictive entropy (nats)",
        outcome.predictive_entropy,
        {"right": outcome.correct, "wrong": ~outcome.correct},
    )


def _informations(outcome: ClassificationOutcome, key: str) -> Figure:
    return _histogram(
        key,
        "Where do the passes disagree?",
        "Mutual information is the part of the uncertainty that more data could remove: it should "
        "be larger for rows outside the range of the training data.",
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
    """Bars side by side, of the shares of each group's rows; a group without rows is left out."""
    groups = {name: rows for name, rows in groups.items() if rows.any()}
    edges = np.linspace(0, float(values.max()) or 1.0, BINS + 1)
    counts = {name: np.histogram(values[rows], edges)[0] for name, rows in groups.items()}
    slot = 0.86 * (edges[1] - edges[0]) / len(groups)
    layers: list[Layer] = []
    for number, (name, count) in enumerate(counts.items()):
        starts = edges[:-1] + 0.07 * (edges[1] - edges[0]) + number * slot
        shares = (count / count.sum()).tolist()
        bars = [(s, s + slot, h) for s, h in zip(starts.tolist(), shares, strict=True)]
        layers.append(Bars(("main", "second")[number], bars, f"{name} ({count.sum()} rows)"))
    top = max(float((count / count.sum()).max()) for count in counts.values())
    axes = (
        Axis(quantity, 0, float(edges[-1])),
        Axis("share of these rows", 0, top * 1.05, percent=True),
    )
    medians = [f"{name}: {np.median(values[rows]):.4g}" for name, rows in groups.items()]
    told = f"Medians of {quantity}: {', '.join(medians)}."
    table = [
        (f"{low:.4g} to {high:.4g}", *(str(count[at]) for count in counts.values()))
        for at, (low, high) in enumerate(pairwise(edges.tolist()))
    ]
    header = (quantity, *(f"rows {name}" for name in groups))
    return Figure(title, chart(key, title, told, axes, layers), reading, header, tuple(table))


def _in(outcome: RegressionOutcome, quantity: str) -> str:
    return f"{quantity} ({outcome.unit})" if outcome.unit else quantity


def _points(x: np.ndarray, y: np.ndarray) -> list[Point]:
    return list(zip(x.tolist(), y.tolist(), strict=True))


def _spaced(order: np.ndarray, most: int) -> np.ndarray:
    """At most so many of the rows, evenly spaced, the last among them."""
    at = np.linspace(len(order) - 1, 0, min(len(order), most)).astype(int)
    return np.asarray(order[at[::-1]])


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
