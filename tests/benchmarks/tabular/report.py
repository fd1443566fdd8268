"""Tables of what the methods measured: a set each, and who wins.

A difference is that of two methods on the same splits; its standard error is that over the splits.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tests.benchmarks.tabular.trial import METHODS, OURS, TODAY
from tests.benchmarks.uci_report import Cells, aligned, mean_and_error

Line = dict[str, Any]

HEADS = {  # of the measures, in the order of the columns
    "rmse": "RMSE",
    "nll": "NLL",
    "crps": "CRPS",
    "equal_width": "equal width",
    "width": "width",
    "coverage": "coverage",
    "accuracy": "accuracy",
    "log_loss": "log loss",
    "ece": "ECE",
    "rank": "rank",
    "train_seconds": "train, s",
    "predict_ms": "predict, ms/row",
}
SMALLER = {"rmse", "nll", "crps", "equal_width", "log_loss", "ece"}  # is better
LARGER = {"accuracy", "rank"}  # is better
MAIN = next(iter(OURS))
DIGITS = 3  # of a mean, significant


@dataclass(frozen=True)
class Duel:
    """Ours beside another method on one set, by one measure: how much worse, in its unit."""

    name: str
    other: str
    worse: float  # below 0 where ours is better
    error: float  # standard error over the splits; nan for one split

    @property
    def verdict(self) -> str:
        """Win, tie or loss; a tie lies within one standard error."""
        if abs(self.worse) <= (0 if math.isnan(self.error) else self.error):
            return "tie"
        return "win" if self.worse < 0 else "loss"


def text(lines: Sequence[Line]) -> str:
    """The tables for a terminal."""
    return "\n\n".join(f"{title}\n\n{aligned(table)}" for title, table in tables(lines))


def markdown(lines: Sequence[Line]) -> str:
    """The same tables as sections of a page."""
    parts = []
    for title, (head, *rows) in tables(lines):
        rule = "|" + " --- |" * len(head)
        cells = [f"| {' | '.join(row)} |" for row in (head, *rows)]
        parts.append("\n".join([f"## {title}\n", cells[0], rule, *cells[1:]]))
    return "\n\n".join(parts) + "\n"


def tables(lines: Sequence[Line]) -> Iterator[tuple[str, list[Cells]]]:
    """A table for every set, and the two summaries, each with its title."""
    names = list(dict.fromkeys(line["set"] for line in lines))
    for name in names:
        here = [line for line in lines if line["set"] == name]
        one = here[0]
        yield f"{name}: {one['rows']} rows, {one['inputs']} inputs", _of_set(here)
    for title, others in (
        ("Ours and the best other method", [m for m in METHODS if m not in OURS]),
        (f"Ours and {TODAY}", [TODAY]),
    ):
        table = _summary(lines, names, others)
        if len(table) > 1:
            yield title, table


def _of_set(lines: Sequence[Line]) -> list[Cells]:
    """The mean and its standard error of every measure of every method."""
    measures = [measure for measure in HEADS if measure in lines[0]]
    found: list[Cells] = [("method", "splits", *(HEADS[measure] for measure in measures))]
    for method in METHODS:
        own = [line for line in lines if line["method"] == method]
        if own:
            found.append((method, str(len(own)), *(_cell(own, measure) for measure in measures)))
    return found


def _cell(lines: Sequence[Line], measure: str) -> str:
    """`mean +- error`; nothing where the measure is not defined, as the rank of equal stds is."""
    mean, error = mean_and_error(lines, measure)
    if math.isnan(mean):
        return ""
    said = _rounded(mean, abs(mean))
    return said if math.isnan(error) else f"{said} +- {_rounded(error, abs(mean))}"


def _rounded(value: float, like: float) -> str:
    """The value with as many decimals as give `like` DIGITS significant digits, at most five."""
    places = DIGITS - 1 - math.floor(math.log10(like)) if like > 0 else DIGITS
    return f"{value:.{min(max(places, 0), 5)}f}"


def duels(
    lines: Sequence[Line], names: Sequence[str], others: Sequence[str], measure: str
) -> list[Duel]:
    """On every set that has both: ours, and the best of the others by the mean."""
    found = []
    for name in names:
        here = [line for line in lines if line["set"] == name]
        values = {method: _by_split(here, method, measure) for method in (MAIN, *others)}
        own, rest = values.pop(MAIN), {m: v for m, v in values.items() if v}
        sign = 1 if measure in SMALLER else -1
        if own and rest:
            best = min(rest, key=lambda method: sign * np.mean(list(rest[method].values())))
            both = [split for split in own if split in rest[best]]
            apart = [{"d": sign * (own[split] - rest[best][split])} for split in both]
            found.append(Duel(name, best, *mean_and_error(apart, "d")))
    return found


def _by_split(lines: Sequence[Line], method: str, measure: str) -> dict[int, float]:
    """The method's values by split; empty where it has none, or is undefined on a split."""
    found = {line["split"]: line.get(measure) for line in lines if line["method"] == method}
    missing = any(value is None or math.isnan(value) for value in found.values())
    return {} if missing else found  # type: ignore[return-value]


def _summary(lines: Sequence[Line], names: Sequence[str], others: Sequence[str]) -> list[Cells]:
    """How often ours wins, ties and loses by each measure, and where."""
    found: list[Cells] = [("measure", "sets", "wins", "ties", "losses", "wins on", "loses on")]
    for measure in (name for name in HEADS if name in SMALLER | LARGER):
        fought = duels(lines, names, others, measure)
        by = {v: [d for d in fought if d.verdict == v] for v in ("win", "tie", "loss")}
        if fought:
            counts = (str(len(by[verdict])) for verdict in by)
            where = (", ".join(map(_told, by[verdict])) for verdict in ("win", "loss"))
            found.append((HEADS[measure], str(len(fought)), *counts, *where))
    return found


def _told(duel: Duel) -> str:
    return f"{duel.name} ({duel.other})"
