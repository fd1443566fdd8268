"""A model whose names are HTML, names of JavaScript's objects, long, or from right to left."""

from collections.abc import Iterator

import numpy as np
import pytest
from selenium.webdriver import Chrome

from model import Table, TrainOptions, train
from tests.journeys.playground import Page
from tests.journeys.serving import Served, served

HTML = '<img src=x onerror="document.title=1">'
NAMES = [
    HTML,
    "__proto__",
    "constructor",
    "a/b#c%d?e&f=g,h",
    "\u202e\u05e9\u05dc",
    "🦊" * 40,
    "L" * 300,
]
VIEWS = ["ask", "sweep", "convergence", "explain", "landscape"]


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a classifier of such categories and classes, and with a huge target."""
    folder, random = tmp_path_factory.mktemp("odd"), np.random.default_rng(0)
    texts = np.array(NAMES, dtype=object)
    columns = {name: random.normal(size=140) for name in NAMES}
    columns |= {"valueOf": random.choice(texts, 140), "toString": np.tile(texts, 20)}
    options = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=(0.2,), epochs=1)
    table = Table("odd.csv", columns, "0" * 64)
    train(table, ["toString"], folder / "classes", name="classes", options=options)
    huge = {"a": columns[HTML], HTML: 1e90 * columns["constructor"]}
    train(Table("b.csv", huge, "0" * 64), [HTML], folder / "huge", name="huge", options=options)
    models = ("--model", folder / "classes", "--model", folder / "huge")
    with served(folder, *models) as server:
        yield server


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("name", ["classes", "huge"])
def test_names_are_texts_and_nothing_is_wider_than_the_window(
    odd: Served, chrome: Chrome, name: str, view: str
) -> None:
    page = Page(chrome, odd.url)
    for width in (1200, 400):
        page.width(width)
        page.view(f"{view}?model={name}")
        assert page.overflow() <= 0
    assert "MC dropout" in chrome.title
    assert not page.all("img[src=x]")
    assert not page.all(".field .fault:not(:empty)")
    assert page.complaints() == []
    page.reset()


@pytest.mark.parametrize(
    "fragment",
    [
        "nothing?model=classes&row=,,,&passes=x&seed=-1&coverage=7",
        "__proto__?__proto__=1&constructor=2&model=classes",
        "sweep?model=classes&sweep.feature=__proto__&sweep.of=constructor&sweep.at=1e999",
        "convergence?model=classes&convergence.of=__proto__",
        "explain?model=classes&explain.of=hasOwnProperty",
        "sweep?model=huge&row=1e400&passes=1e9&" + "x=%E0%A4%A&" * 2000,
    ],
)
def test_a_hostile_link_ends_in_an_answer_or_in_a_sentence(
    odd: Served, chrome: Chrome, fragment: str
) -> None:
    page = Page(chrome, odd.url)
    page.open(fragment)
    page.find("#view .body > *, #view .notices > *")
    page.wait(lambda: not page.all("#view[aria-busy]"))
    faults = [line for line in page.complaints() if "status of 4" not in line]
    assert faults == []
    assert page.script("return document.querySelector('#view').innerText.length") > 40
    assert page.script("return Object.keys(Object.prototype).length") == 0
    page.reset()
