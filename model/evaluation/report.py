"""The report of an evaluation: a text for the terminal, and a page with pictures.

The page is `page.html.j2` with `report.css` inside, one file without scripts. Jinja2 escapes all
texts; only the style sheet and the charts, which escape their own texts, go in as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from jinja2 import Environment, StrictUndefined, Template

from model.evaluation.beside import Beside
from model.evaluation.evaluate import Evaluation
from model.evaluation.extremes import RowTable, extremes
from model.evaluation.figures import Figure, figures
from model.evaluation.formatting import number
from model.evaluation.measures import CLAIMED, HIGH, LOW, MEASURES, TILES, Measure
from model.evaluation.outcomes import ClassFigures, ClassificationOutcome, Outcome
from model.evaluation.verdict import verdict
from model.tasks import comparison_in_words

CLASS_TITLES = ("class", "rows", "recall", "label set coverage")
MOST_CLASSES = 20  # in a text; the page has them all
LONGEST = 200  # letters of a list of names; a longer list is cut


@dataclass(frozen=True, slots=True)
class MetricRow:
    """A metric in words, its value, and its value with dropout off ("" if it has none)."""

    measure: Measure
    value: str
    off: str


@dataclass(frozen=True, slots=True)
class Tile:
    """A metric in large letters, with a value or a goal to compare it with."""

    title: str
    value: str
    beside: str


@dataclass(frozen=True, slots=True)
class Section:
    """The part of the page about one target; `key` makes its ids unique."""

    key: str
    title: str
    verdict: str
    compared: str  # with baselines; empty without them
    baselines: tuple[tuple[str, ...], ...]  # titles, then a row for each
    tiles: tuple[Tile, ...]
    figures: tuple[Figure, ...]
    extremes: tuple[RowTable, ...]
    metrics: tuple[MetricRow, ...]
    classes: tuple[tuple[str, ...], ...]  # name, rows, recall, label set coverage


def report_text(evaluation: Evaluation) -> str:
    """The verdict and the metrics of each target for a terminal."""
    card = evaluation.card
    lines = [
        f"{card.name} (version {card.version}) on {_rows(evaluation)}",
        f"  {_asked(evaluation)}",
    ]
    for outcome, beside in zip(evaluation.outcomes, evaluation.baselines, strict=True):
        lines += ["", f"  {verdict(outcome, evaluation.options.coverage)}"]
        lines += [f"  {said}" for said in [_compared(outcome, beside)] if said]
        lines += [""]
        lines += (f"  {line}".rstrip() for line in _text_table(outcome))
        lines += (f"  {line}".rstrip() for line in _baseline_table(beside))
        lines += (f"  {line}".rstrip() for line in _class_table(outcome))
    lines += ["", *(f"  note: {note}" for note in evaluation.notes)] if evaluation.notes else []
    return "\n".join(lines)


def report_page(evaluation: Evaluation) -> str:
    """One HTML page with tables and pictures that needs no other file and no network."""
    return _template().render(
        card=evaluation.card,
        css=_file("report.css"),
        class_titles=CLASS_TITLES,
        data_sha256=evaluation.data_sha256,
        facts=_facts(evaluation),
        notes=evaluation.notes,
        sections=[_section(evaluation, number) for number in range(len(evaluation.outcomes))],
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.from_string(_file("page.html.j2"))


def _file(name: str) -> str:
    return files("model.evaluation").joinpath(name).read_text(encoding="utf-8")


def _text_table(outcome: Outcome) -> Iterator[str]:
    """A line for each metric below a line of titles."""
    rows = tuple(_metric_rows(outcome))
    values = max(len("MC dropout"), *(len(row.value) for row in rows))
    offs = max(len("dropout off"), *(len(row.off) for row in rows))
    yield f"{_named(outcome):24} {'MC dropout':>{values}} {'dropout off':>{offs}}   better"
    for row in rows:
        title, better = row.measure.title, row.measure.better
        yield f"{title:24} {row.value:>{values}} {row.off:>{offs}}   {better}"


def _compared(outcome: Outcome, beside: Beside) -> str:
    """How the model compares with the baselines, in one sentence; empty without them."""
    return comparison_in_words(outcome.metrics(), beside, len(outcome.actual))


def _baseline_rows(beside: Beside) -> tuple[tuple[str, ...], ...]:
    """A title, and the name and the metrics of each baseline; nothing without baselines."""
    keys = list(dict.fromkeys(key for each in beside.values() for key in each.metrics))
    rows = [(name, *(number(e.metrics.get(key)) for key in keys)) for name, e in beside.items()]
    return (("baseline", *(MEASURES[key].title for key in keys)), *rows) if rows else ()


def _baseline_table(beside: Beside) -> Iterator[str]:
    """A line for each baseline below a line of titles."""
    rows = _baseline_rows(beside)
    if rows:
        yield ""
    for name, *cells in rows:
        yield f"{name:24} " + " ".join(f"{cell:>10}" for cell in cells)


def _class_table(outcome: Outcome) -> Iterator[str]:
    """A line for each class below a line of titles; of many classes, those of least recall."""
    if not isinstance(outcome, ClassificationOutcome):
        return
    found, title = outcome.by_class(), "class"
    if len(found) > MOST_CLASSES:
        title = f"least recall of {len(found)}"
        found = tuple(sorted(found, key=_least_recall)[:MOST_CLASSES])
    rows = [_class_row(each) for each in found]
    width = max(24, *(len(name) for name, *_ in rows))
    yield ""
    for name, *cells in ((title, *CLASS_TITLES[1:]), *rows):
        yield f"{name:{width}} " + " ".join(f"{cell:>18}" for cell in cells)


def _least_recall(figures: ClassFigures) -> tuple[bool, float]:
    return figures.recall is None, figures.recall or 0.0


def _class_row(figures: ClassFigures) -> tuple[str, ...]:
    shares = (number(figures.recall), number(figures.set_coverage))
    return (figures.name, str(figures.rows), *shares)


def _facts(evaluation: Evaluation) -> dict[str, str]:
    """What was evaluated, on what, and how."""
    card = evaluation.card
    shape, record = card.architecture, card.training
    rates = ", ".join(f"{rate:g}" for rate in shape.dropout)
    facts = {
        "judged on": _rows(evaluation),
        "options": _asked(evaluation),
        "network": f"{'-'.join(map(str, shape.hidden))} {shape.activation}, dropout {rates}",
        "trained on": f"{record.rows['train']} rows of {record.data}"
        if "train" in record.rows
        else "unknown data",
        "version": card.version,
        "features": _counted([feature.name for feature in card.features]),
    }
    return facts | ({"classes": _counted(card.target.classes)} if card.target.classes else {})


def _section(evaluation: Evaluation, at: int) -> Section:
    """The part of the page about target number `at`."""
    coverage, key = evaluation.options.coverage, f"target-{at}"
    outcome, beside = evaluation.outcomes[at], evaluation.baselines[at]
    return Section(
        key=key,
        title=_named(outcome),
        verdict=verdict(outcome, coverage),
        compared=_compared(outcome, beside),
        baselines=_baseline_rows(beside),
        tiles=tuple(_tiles(outcome, coverage)),
        figures=tuple(figures(outcome, key)),
        extremes=extremes(outcome, evaluation.row_numbers),
        metrics=tuple(_metric_rows(outcome)),
        classes=tuple(map(_class_row, outcome.by_class()))
        if isinstance(outcome, ClassificationOutcome)
        else (),
    )


def _tiles(outcome: Outcome, coverage: float) -> Iterator[Tile]:
    metrics, off = outcome.metrics(), outcome.deterministic_metrics()
    goals = {LOW: "lower is better", HIGH: "higher is better", CLAIMED: f"claimed: {coverage:g}"}
    for name in TILES:
        if name in metrics:
            measure = MEASURES[name]
            beside = f"dropout off: {number(off[name])}" if name in off else goals[measure.better]
            yield Tile(measure.title, number(metrics[name]), beside)


def _metric_rows(outcome: Outcome) -> Iterator[MetricRow]:
    off = outcome.deterministic_metrics()
    for name, value in outcome.metrics().items():
        yield MetricRow(MEASURES[name], number(value), number(off[name]) if name in off else "")


def _asked(evaluation: Evaluation) -> str:
    options, seeds = evaluation.options, evaluation.seeds
    more = f" (regions: {seeds[0]} to {seeds[-1]})" if len(seeds) > 1 else ""
    return f"passes {options.passes}, seed {options.seed}{more}, coverage {options.coverage:g}"


def _rows(evaluation: Evaluation) -> str:
    """The rows that were evaluated, in words."""
    kept = ", which training set apart" if evaluation.part == "test" else ""
    which = {"test": "test rows", "unseen": "unseen rows", "all": "rows"}[evaluation.part]
    return f"{evaluation.rows} {which} of {evaluation.data}{kept}"


def _named(outcome: Outcome) -> str:
    return f"{outcome.target} ({outcome.unit})" if outcome.unit else outcome.target


def _counted(names: tuple[str, ...] | list[str]) -> str:
    """How many names there are, and the names; a list of hundreds is cut."""
    text = f"{len(names)}: {', '.join(names)}"
    return text if len(text) <= LONGEST else text[:LONGEST].rpartition(", ")[0] + ", ..."
