"""Tables of what the methods measured: a set each, and who wins.

A difference is that of two methods on the same splits; its standard error is that over the splits.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.bookkeeping import Cells, aligned, mean_and_error
from tests.benchmarks.tabular.trial import METHODS, OURS, TODAY

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
TITLE = "Beside other methods"
ROUNDING = 1e-9  # relative: two splits of which one is equal have a mean of one standard error
DIGITS = 3  # of a mean, significant
PARAGRAPHS = (
    "What `python -m tests.benchmarks.tabular DIR --json FILE --markdown PAGE` measured (its head "
    "says how; `tests/benchmarks/tabular` has the lines of every split). "
    "Every method learned from the same training rows, chose among a few options by the same "
    "validation rows and learned both together. The same "
    "calibration rows set the scale of its uncertainty and its intervals, and the same test "
    f"rows judged. `ours` is what `train` does by default; `{TODAY}` is one MLP on standardised "
    "numbers.",
    "Figures are means over the splits +- their standard errors. RMSE, CRPS and widths are "
    "in the unit of the target, NLL and log loss in nats. `equal width` is the mean width "
    "of the intervals after one factor has made them hold 90 % of the test rows; `width` "
    "and `coverage` are those of the 90 % intervals as they were promised. `rank` is the "
    "rank correlation of the total std with the error's size, and for classes the AUROC "
    "with which the entropy finds errors. It is missing where a method has one std for all "
    "rows, or makes no error. Seconds are of one processor, whose core others shared; training "
    "includes the choice of options.",
    "In the first three tables a tie is a mean difference of at most its standard error over "
    "the same splits. The best other method is the one with the best mean on that set by "
    "that measure, so it is chosen on test rows, which favours the others. Where test rows "
    "occur among the training rows too, as 27 % do in wine-quality-red, a method that "
    "memorises rows profits.",
)


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
        if abs(self.worse) <= (0 if math.isnan(self.error) else self.error * (1 + ROUNDING)):
            return "tie"
        return "win" if self.worse < 0 else "loss"


def text(lines: Sequence[Line]) -> str:
    """The tables for a terminal."""
    return "\n\n".join(f"{title}\n\n{aligned(table)}" for title, table in tables(lines))


def markdown(lines: Sequence[Line], title: str = TITLE) -> str:
    """The same tables as a page."""
    parts = [f"# {title}", *PARAGRAPHS]
    for title, (head, *rows) in tables(lines):
        rule = "|" + " --- |" * len(head)
        cells = [f"| {' | '.join(row)} |" for row in (head, *rows)]
        parts.append("\n".join([f"## {title}\n", cells[0], rule, *cells[1:]]))
    return "\n\n".join(parts) + "\n"


def tables(lines: Sequence[Line]) -> Iterator[tuple[str, list[Cells]]]:
    """The three summaries and a table for every set, each with its title."""
    names = list(dict.fromkeys(line["set"] for line in lines))
    for title, others in (
        ("Ours and the best other method", [m for m in METHODS if m not in OURS]),
        (f"Ours and {TODAY}", [TODAY]),
    ):
        table = _summary(lines, names, others)
        if len(table) > 1:
            yield title, table
    yield "Ours and each other method: wins, ties, losses", _each(lines, names)
    for name in names:
        here = [line for line in lines if line["set"] == name]
        yield f"{name}: {here[0]['rows']} rows, {here[0]['inputs']} inputs", _of_set(here)


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
    """The value with as many decimals as give `like` DIGITS significant digits, at most seven."""
    places = DIGITS - 1 - math.floor(math.log10(like)) if like > 0 else DIGITS
    return f"{value:.{min(max(places, 0), 7)}f}"


def duels(
    lines: Sequence[Line], names: Sequence[str], others: Sequence[str], measure: str
) -> list[Duel]:
    """On every set: ours, and the other that is best on the same splits."""
    found = []
    for name in names:
        here = [line for line in lines if line["set"] == name]
        own = _by_split(here, MAIN, measure)
        sign = 1 if measure in SMALLER else -1
        each = []
        for other in others:
            rest = _by_split(here, other, measure)
            apart = [{"d": sign * (own[split] - rest[split])} for split in own if split in rest]
            each += [Duel(name, other, *mean_and_error(apart, "d"))] if apart else []
        found += [max(each, key=lambda duel: duel.worse)] if each else []
    return found


def _by_split(lines: Sequence[Line], method: str, measure: str) -> dict[int, float]:
    """The method's values by split; empty where it has none, or is undefined on a split."""
    found = {line["split"]: line.get(measure) for line in lines if line["method"] == method}
    missing = any(value is None or math.isnan(value) for value in found.values())
    return {} if missing else found  # type: ignore[return-value]


def _each(lines: Sequence[Line], names: Sequence[str]) -> list[Cells]:
    """On how many sets ours wins, ties and loses against each method, by each measure."""
    measures = [name for name in HEADS if name in SMALLER | LARGER]
    measures = [name for name in measures if any(name in line for line in lines)]
    found: list[Cells] = [("method", *(HEADS[measure] for measure in measures))]
    for method in METHODS[1:]:
        cells = []
        for measure in measures:
            said = [duel.verdict for duel in duels(lines, names, [method], measure)]
            counts = (str(said.count(verdict)) for verdict in ("win", "tie", "loss"))
            cells.append(", ".join(counts) if said else "")
        found += [(method, *cells)] if any(cells) else []
    return found


def _summary(lines: Sequence[Line], names: Sequence[str], others: Sequence[str]) -> list[Cells]:
    """How often ours wins, ties and loses by each measure, and where."""
    head = ("measure", "sets", "wins", "ties", "losses", "won or tied", "wins on", "loses on")
    found: list[Cells] = [head]
    for measure in (name for name in HEADS if name in SMALLER | LARGER):
        fought = duels(lines, names, others, measure)
        by = {v: [d for d in fought if d.verdict == v] for v in ("win", "tie", "loss")}
        if fought:
            counts = [str(len(by[verdict])) for verdict in by]
            share = f"{1 - len(by['loss']) / len(fought):.0%}"
            where = (", ".join(map(_told, by[verdict])) for verdict in ("win", "loss"))
            found.append((HEADS[measure], str(len(fought)), *counts, share, *where))
    return found


def _told(duel: Duel) -> str:
    return f"{duel.name} ({duel.other})"
