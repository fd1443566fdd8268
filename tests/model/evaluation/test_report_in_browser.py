"""The page in a real browser: nothing overflows a narrow screen, no text lies on another."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver import Chrome

from model import Predictor, Table, TrainOptions, evaluate, load, read_table, report_page, train
from tests.browser import browser, complaints

ROWS = 300
SHIPPED = Path(__file__).parents[3] / "model/artifact/pretrained/breast-cancer"

OVERLAPS = """
const box = text => text.getBoundingClientRect();
const meet = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 0.5
    && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 0.5;
const found = [];
for (const svg of document.querySelectorAll("svg")) {
    const texts = [...svg.querySelectorAll("text")];
    texts.forEach((one, at) => texts.slice(at + 1).forEach(other => {
        if (meet(box(one), box(other))) found.push([one.textContent, other.textContent]);
    }));
}
return found;
"""
OUTSIDE = """
const found = [];
for (const svg of document.querySelectorAll("svg")) {
    const frame = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll("text")) {
        const box = text.getBoundingClientRect();
        if (box.left < frame.left - 0.5 || box.right > frame.right + 0.5) {
            found.push(text.textContent);
        }
    }
}
return found;
"""
BEYOND = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("main *")].filter(each =>
    !each.closest("thead[role], svg") && (each.getBoundingClientRect().right > width + 0.5
        || (each.scrollWidth > each.clientWidth + 1 && each.clientWidth > 0)))
    .map(each => `${each.tagName} ${each.className}: ${each.textContent.slice(0, 60)}`);
"""
BROKEN = """
return [...document.querySelectorAll(".numbers td, .numbers th, .number, .tile strong")]
    .filter(each => /^[-\\d.,]+$/.test(each.textContent.trim()) && !each.closest("thead"))
    .filter(each => {
        const range = document.createRange();
        range.selectNodeContents(each);
        return new Set([...range.getClientRects()].map(box => Math.round(box.top))).size > 1;
    }).map(each => each.textContent);
"""


def prices(times: float) -> Table:
    """Prices, near 50,000 times that, whose noise grows with the area."""
    random = np.random.default_rng(0)
    area, age = random.uniform(20, 200, ROWS), random.uniform(0, 80, ROWS)
    noise = random.normal(size=ROWS) * 20 * area
    price = times * (20_000 + 300 * area - 100 * age + noise)
    return Table("prices.csv", {"area": area, "age": age, "price": price}, "0" * 64)


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


@pytest.fixture(scope="module", params=["thousands", "millions", "classes"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a regression with a large target, of one with a huge one, of a classifier."""
    folder = tmp_path_factory.mktemp(request.param)
    predictor, table = evaluated(request.param, folder)
    (folder / "report.html").write_text(report_page(evaluate(predictor, table)), encoding="utf-8")
    return folder / "report.html"


def evaluated(kind: str, folder: Path) -> tuple[Predictor, Table]:
    if kind == "classes":
        return load(SHIPPED), read_table("example:breast-cancer")
    table = prices(1.0 if kind == "thousands" else 1_000.0)
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(16,), dropout=(0.1,), epochs=20
    )
    train(table, "price", folder / "model", options=options)
    columns = {name: column.copy() for name, column in table.columns.items()}
    columns["area"][:2] = 300.0, 340.0
    return load(folder / "model"), replace(table, columns=columns, sha256="1" * 64)


def ask(chrome: Chrome, page: Path, width: int, script: str) -> list[Any]:
    """What the script finds on the page on a screen of that width, its numbers unfolded."""
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get(page.as_uri())
    chrome.execute_script("document.querySelectorAll('details').forEach(e => { e.open = true; });")
    found: list[Any] = chrome.execute_script(script)
    return found


@pytest.mark.parametrize("width", [360, 1280])
def test_nothing_overflows_the_screen(chrome: Chrome, page: Path, width: int) -> None:
    assert ask(chrome, page, width, BEYOND) == []
    assert ask(chrome, page, width, BROKEN) == []


@pytest.mark.parametrize("width", [360, 1280])
def test_no_text_of_a_chart_lies_on_another_or_outside(
    chrome: Chrome, page: Path, width: int
) -> None:
    """Tick labels, axis titles and legends, by their boxes."""
    assert len(ask(chrome, page, width, "return [...document.querySelectorAll('svg')]")) == 4
    assert ask(chrome, page, width, OVERLAPS) == []
    assert ask(chrome, page, width, OUTSIDE) == []


def test_the_page_is_light_or_dark_as_asked_and_has_nothing_to_complain_of(
    chrome: Chrome, page: Path
) -> None:
    colours = {}
    for scheme in ("light", "dark"):
        wanted = [{"name": "prefers-color-scheme", "value": scheme}]
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": wanted})
        asked = "return [getComputedStyle(document.body).backgroundColor]"
        colours[scheme] = ask(chrome, page, 1280, asked)
    assert colours["light"] != colours["dark"]
    assert complaints(chrome) == []
