"""The page: complete, self-contained, harmless whatever the names are, told in words too."""

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from model import (
    PredictOptions,
    Table,
    TrainOptions,
    evaluate,
    load,
    report_page,
    report_text,
    train,
)
from model.commands import main
from model.evaluation.charts import HEIGHT, WIDTH, Area, Axis, Bars, Dots, Line, chart
from model.evaluation.evaluate import Evaluation
from model.evaluation.extremes import extremes
from model.evaluation.figures import MOST_DOTS, figures
from model.evaluation.formatting import number
from model.evaluation.measures import MEASURES
from model.evaluation.outcomes import RegressionOutcome
from model.evaluation.verdict import verdict

STYLE = files("model.evaluation").joinpath("report.css").read_text()
OPTIONS = PredictOptions(passes=20, seed=0)
VOID = {"meta", "link", "img", "br", "hr", "input"}
EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(1)>&amp;'{}"


class Page(HTMLParser):
    """A page's elements, its text, and whether every element is closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


@pytest.fixture
def evaluation(artifact: Path, houses: Table) -> Evaluation:
    """Of each task's model, on the test rows."""
    return evaluate(load(artifact), houses, OPTIONS)


def test_the_page_has_every_metric_and_four_pictures_for_each_target(
    evaluation: Evaluation,
) -> None:
    page = Page(report_page(evaluation))
    assert page.count("section") == len(evaluation.outcomes)
    assert page.count("figure") == page.count("svg") == 4 * len(evaluation.outcomes)
    for outcome in evaluation.outcomes:
        assert outcome.target in page.text
        for name, value in outcome.metrics().items():
            assert MEASURES[name].title in page.text
            assert MEASURES[name].meaning in page.text
            assert number(value) in page.text
    for word in (evaluation.card.name, evaluation.card.version, evaluation.data_sha256):
        assert word in page.text
    for note in evaluation.notes:
        assert note in page.text


def test_the_page_needs_nothing_but_itself(evaluation: Evaluation) -> None:
    html = report_page(evaluation)
    page = Page(html)
    assert {"script", "link", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in page.elements)
    for _, attributes in page.elements:
        assert not {"src", "href", "srcset", "xlink:href"} & set(attributes)
        assert not [name for name in attributes if name.startswith("on")]
    assert not re.search(r"url\(|@import|https?:", html)
    policy = next(a for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"] == "default-src 'none'; style-src 'unsafe-inline'"


def test_every_picture_has_a_title_a_description_and_its_numbers_as_a_table(
    evaluation: Evaluation,
) -> None:
    page = Page(report_page(evaluation))
    identities = [a["id"] for _, a in page.elements if "id" in a]
    assert len(set(identities)) == len(identities)
    for tag, attributes in page.elements:
        if tag == "svg":
            assert attributes["role"] == "img"
            assert set((attributes["aria-labelledby"] or "").split()) <= set(identities)
    for outcome in evaluation.outcomes:
        for figure in figures(outcome, "key"):
            drawing = ElementTree.fromstring(figure.svg)
            assert drawing[0].tag == "title"
            assert drawing[0].text == figure.title
            assert drawing[1].tag == "desc"
            assert drawing[1].text
            assert figure.reading.endswith(".")
            assert len(figure.rows) > 1
            assert {len(row) for row in figure.rows} == {len(figure.header)}


def test_every_mark_lies_inside_its_picture(evaluation: Evaluation) -> None:
    for outcome in evaluation.outcomes:
        for figure in figures(outcome, "key"):
            for mark in ElementTree.fromstring(figure.svg).iter():
                across = [float(mark.get(n, "0")) for n in ("x", "x1", "x2", "cx")]
                down = [float(mark.get(n, "0")) for n in ("y", "y1", "y2", "cy")]
                path = [float(n) for n in re.findall(r"-?[\d.]+", mark.get("d", ""))]
                assert all(0 <= value <= WIDTH for value in across + path[::2])
                assert all(0 <= value <= HEIGHT for value in down + path[1::2])
                assert float(mark.get("width", "0")) >= 0
                assert float(mark.get("height", "0")) >= 0


def test_every_class_of_a_picture_is_in_the_style_sheet_in_light_and_dark(
    evaluation: Evaluation,
) -> None:
    drawn = "".join(f.svg for o in evaluation.outcomes for f in figures(o, "key"))
    for name in {name for found in re.findall(r'class="([^"]+)"', drawn) for name in found.split()}:
        assert f".{name}" in STYLE or name == "label"
    light, dark = (set(re.findall(r"(--[\w-]+):", half)) for half in STYLE.split("@media (pref"))
    assert light == dark


def test_names_of_cards_and_data_are_text_never_markup(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    number = random.normal(size=80)
    kinds = np.array([f"a{EVIL}", f"b{EVIL}"], dtype=object)[np.arange(80) % 2]
    columns = {f"x{EVIL}": number, f"kind{EVIL}": kinds}
    amounts = {f"y{EVIL}": number + random.normal(size=80)}
    classes = {f"y{EVIL}": np.array([f"no{EVIL}", f"yes{EVIL}"], dtype=object)[(number > 0) * 1]}
    for at, target in enumerate((amounts, classes)):
        table = Table(f"{EVIL}.csv", columns | target, "0" * 64)
        options = TrainOptions(
            members=1, number_encoding="raw", hidden=(4,), dropout=(0.2,), epochs=2
        )
        train(table, f"y{EVIL}", tmp_path / f"model-{at}", options=options)
        predictor = load(tmp_path / f"model-{at}")
        page = Page(report_page(evaluate(predictor, table, OPTIONS)))
        assert page.count("script") == page.count("img") == 0
        assert page.text.count(EVIL) >= 3
        unit = predictor.card.target.model_copy(update={"units": (EVIL,)})
        predictor.card = predictor.card.model_copy(update={"target": unit})
        assert Page(report_page(evaluate(predictor, table, OPTIONS))).count("script") == 0


def test_the_same_evaluation_is_the_same_page(regression_artifact: Path, houses: Table) -> None:
    first, second = (
        report_page(evaluate(load(regression_artifact), houses, OPTIONS)) for _ in range(2)
    )
    assert first == second


def test_a_page_of_many_rows_stays_small(regression_artifact: Path, sold: Table) -> None:
    at = np.arange(20_000) % sold.row_count
    columns = {name: column[at] for name, column in sold.columns.items()}
    table = replace(sold, columns=columns)
    evaluation = evaluate(load(regression_artifact), table, OPTIONS)
    html = report_page(evaluation)
    assert len(html) < 400_000
    assert f"{MOST_DOTS} of 20000 rows are drawn" in html


def test_degenerate_outcomes_are_drawn_too(
    regression_artifact: Path, binary_artifact: Path, sold: Table
) -> None:
    """One row; no spread; no error; no class ever wrong."""
    one = {name: column[:1] for name, column in sold.columns.items()}
    table = replace(sold, columns=one)
    for folder in (regression_artifact, binary_artifact):
        evaluation = evaluate(load(folder), table, OPTIONS)
        assert Page(report_page(evaluation)).count("svg") == 4
    whole = evaluate(load(regression_artifact), sold, OPTIONS)
    (outcome,) = whole.outcomes
    assert isinstance(outcome, RegressionOutcome)
    still = replace(outcome, std=np.zeros(200), mean=outcome.actual, epistemic_std=np.zeros(200))
    for figure in figures(still, "key"):
        assert "nan" not in figure.svg
        assert "inf" not in figure.svg


def test_the_coverage_picture_is_of_the_coverage_curve(
    regression_artifact: Path, houses: Table
) -> None:
    (outcome,) = evaluate(load(regression_artifact), houses, OPTIONS).outcomes
    picture, *_ = figures(outcome, "key")
    curve = outcome.curves()["coverage"]
    shown = [f"{100 * point['actual']:.3g} %" for point in curve]
    assert [row[1] for row in picture.rows] == shown
    points = picture.svg.partition('class="dots main"')[2].partition("</g>")[0]
    assert points.count("<circle") == len(curve)


def test_the_risk_picture_tells_the_risk_of_the_least_uncertain_rows_beside_the_best(
    regression_artifact: Path, houses: Table
) -> None:
    (outcome,) = evaluate(load(regression_artifact), houses, OPTIONS).outcomes
    picture = figures(outcome, "key")[2]
    rows = len(outcome.loss)
    for share, ours, best in picture.rows:
        taken = round(float(share.removesuffix(" %")) / 100 * rows)
        by_uncertainty = outcome.loss[np.argsort(outcome.uncertainty)][:taken]
        assert ours == number(float(by_uncertainty.mean()))
        assert best == number(float(np.sort(outcome.loss)[:taken].mean()))


def test_a_group_of_few_rows_is_drawn_as_a_dot_for_each_not_as_bars_of_half_of_them(
    regression_artifact: Path, sold: Table
) -> None:
    (outcome,) = evaluate(load(regression_artifact), sold, OPTIONS).outcomes
    assert isinstance(outcome, RegressionOutcome)
    for few, dots in ((2, 2), (29, 29), (30, 0)):
        picture = figures(replace(outcome, outside=np.arange(200) < few), "key")[3]
        drawn = picture.svg.partition('<g class="dots second">')[2].partition("</g>")[0]
        bars = picture.svg.partition('<g class="bars second">')[2].partition("</g>")[0]
        assert drawn.count("<circle") == dots
        assert bool(bars) is not bool(dots)
        assert ("one for each row" in picture.reading) is bool(dots)
        assert f">out of range ({few} rows)<" in picture.svg


def test_the_line_of_the_mean_errors_has_another_colour_than_the_rows(
    regression_artifact: Path, houses: Table
) -> None:
    (outcome,) = evaluate(load(regression_artifact), houses, OPTIONS).outcomes
    picture = figures(outcome, "key")[1]
    assert 'class="dots faint"' in picture.svg
    assert 'class="line second"' in picture.svg
    assert 'class="line main"' not in picture.svg


def test_page_and_terminal_begin_with_the_verdict_of_each_target(evaluation: Evaluation) -> None:
    html, text = report_page(evaluation), report_text(evaluation)
    for outcome in evaluation.outcomes:
        said = verdict(outcome, evaluation.options.coverage)
        assert 0 < html.index(said) < html.index("<section")
        assert 0 < text.index(said) < text.index("MC dropout", text.index(said))


def test_the_page_has_the_most_uncertain_and_the_most_wrong_rows(evaluation: Evaluation) -> None:
    html = report_page(evaluation)
    assert html.count("The most uncertain rows<") == len(evaluation.outcomes)
    assert html.count("The most wrong rows<") == len(evaluation.outcomes)
    numbers = np.arange(1, evaluation.rows + 1)
    for outcome in evaluation.outcomes:
        for table in extremes(outcome, numbers):
            for row in table.rows:
                assert all(f">{cell}</td>" in html for cell in row[1:])


def test_large_targets_are_written_without_an_exponent(
    regression_artifact: Path, houses: Table
) -> None:
    evaluation = evaluate(load(regression_artifact), houses, OPTIONS)
    (outcome,) = evaluation.outcomes
    assert isinstance(outcome, RegressionOutcome)
    arrays = ("actual", "mean", "std", "epistemic_std", "lower", "upper", "deterministic")
    large = replace(outcome, **{name: 1000 * getattr(outcome, name) for name in arrays})
    evaluation = replace(evaluation, outcomes=(large,))
    for report in (report_text(evaluation), Page(report_page(evaluation)).text):
        assert not re.search(r"\de\+\d", report)
        assert number(large.metrics()["rmse"]) in report
        assert re.search(r"\d,\d{3}", report)


def test_calibrated_intervals_are_marked_on_the_coverage_picture(
    regression_artifact: Path, houses: Table
) -> None:
    (outcome,) = evaluate(load(regression_artifact), houses, OPTIONS).outcomes
    assert isinstance(outcome, RegressionOutcome)
    for method, marked in (("normal", False), ("conformal", True)):
        picture, *_ = figures(replace(outcome, method=method), "key")
        assert ('class="dots second"' in picture.svg) is marked
        assert (">conformal<" in picture.svg) is marked


def test_the_command_writes_the_page(
    binary_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], sold: Table
) -> None:
    data = tmp_path / "flats.csv"
    names = ["area", "rooms", "quarter", "dear"]
    lines = zip(*(sold.columns[name].tolist() for name in names), strict=True)
    data.write_text("\n".join(",".join(map(str, line)) for line in [names, *lines]))
    path = tmp_path / "report.html"
    assert main(["evaluate", str(binary_artifact), str(data), "--report", str(path)]) == 0
    page = Page(path.read_text(encoding="utf-8"))
    assert "200 rows of flats.csv" in page.text
    assert "accuracy" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("low", "high"),
    [(0, 1), (0, 7e-9), (0, 5e5), (0, 3.3e8), (0, 2e16), (-2.5, 2.5), (10, 10.4), (0, 0)],
)
def test_ticks_are_few_round_and_inside(low: float, high: float) -> None:
    axis = Axis("x", low, high)
    ticks = axis.ticks()
    assert len(ticks) <= 8
    assert len(ticks) >= 3 or low == high
    slack = 1e-9 * (high - low)
    assert all(low - slack <= tick <= max(high, 1) + slack for tick in ticks)
    assert len({axis.label(tick) for tick in ticks}) == len(ticks)
    assert all(len(axis.label(tick)) <= 9 for tick in ticks)


def test_an_axis_of_large_values_says_its_unit_in_the_title() -> None:
    assert (Axis("price", 0, 9e5).name, Axis("price", 0, 9e5).label(2e5)) == ("price", "200,000")
    assert Axis("price", 0, 3e6).name == "price, in millions"
    assert Axis("price", 0, 3e6).label(1.5e6) == "1.5"
    assert Axis("price", -4e9, 0).name == "price, in billions"
    assert Axis("share", 0, 1, percent=True).label(0.2) == "20 %"


def test_a_chart_places_each_kind_of_mark_by_its_axes() -> None:
    axes = Axis("across", 0, 10), Axis("up", 0, 2)
    layers = [
        Area("guide", [(0, 0), (10, 1)], [(0, 1), (10, 2)], "area"),
        Line("main", [(0, 0), (10, 2)], "line"),
        Bars("second", [(0, 5, 1)], "bars"),
        Dots("faint", [(5, 1)], "dots", [4]),
    ]
    drawing = ElementTree.fromstring(chart("k", "a < b", "c & d", axes, layers))
    marks = list(drawing.iter())
    dot = next(m for m in marks if m.tag == "circle" and m.get("r") == "4.0")
    bar = next(m for m in marks if m.tag == "rect" and m.get("height") != "12")
    line = next(m for m in marks if m.get("class") == "line main" and m.tag == "path")
    start, end = re.findall(r"([\d.]+) ([\d.]+)", line.get("d", ""))
    middle = [(float(a) + float(b)) / 2 for a, b in zip(start, end, strict=True)]
    assert [float(dot.get("cx", "")), float(dot.get("cy", ""))] == pytest.approx(middle, abs=0.1)
    right = float(bar.get("x", "")) + float(bar.get("width", ""))
    assert [right, float(bar.get("y", ""))] == pytest.approx(middle, abs=0.1)
    texts = [m.text for m in marks if m.tag == "text"]
    assert {"across", "up", "area", "line", "bars", "dots"} <= set(texts)
    assert [drawing[0].text, drawing[1].text] == ["a < b", "c & d"]
