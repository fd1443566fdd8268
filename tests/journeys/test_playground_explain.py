"""The playground's view of where the doubt comes from, in a real browser."""

import httpx
import pytest
from selenium.webdriver import Chrome

from tests.journeys.playground import Page
from tests.journeys.serving import PATIENCE_SECONDS, ROW, Served

LAYERS, FEATURES = ".explain .card:nth-of-type(1)", ".explain .card:nth-of-type(2)"
SEED = 5


def explanation(page: Page) -> dict[str, float]:
    """What the service says of the row that the page shows, by feature."""
    asked = {"row": ROW, "seed": SEED}
    url = f"{page.url}/models/regression/explain"
    answer = httpx.post(url, json=asked, timeout=PATIENCE_SECONDS).json()
    return {each["feature"]: each["std"] for each in answer["features"]}


def names(page: Page, part: str) -> list[str]:
    """The names beside the bars."""
    return [each.text.split("\n")[0] for each in page.all(f"{part} .length-name")]


def test_bars_show_the_parts_of_layers_and_features_the_largest_first(page: Page) -> None:
    page.view(f"explain?model=regression&row=54,2,east&seed={SEED}")
    expected = explanation(page)
    assert names(page, LAYERS) == ["hidden 1", "hidden 2"]
    assert names(page, FEATURES) == sorted(expected, key=lambda name: -abs(expected[name]))
    first = page.text(f"{FEATURES} .length-value")
    assert first.startswith("+") == (max(expected.values(), key=abs) > 0)
    assert len(page.all(f"{LAYERS} line.length-error")) == 6
    assert "1000 passes" in page.text(".tiles")
    shares = [each.text.removesuffix("%").strip() for each in page.all(f"{LAYERS} .length-value")]
    assert sum(map(float, shares)) == pytest.approx(100, abs=1)
    assert "disagree" in page.text(f"{FEATURES} .conclusion")
    assert "training rows" in page.text(f"{FEATURES} .note")
    assert page.colours(f"{FEATURES} .lengths") > 10
    assert not page.complaints()


def test_another_row_has_another_explanation(page: Page) -> None:
    page.view("explain?model=regression&row=54,2,east")
    before = page.text(".tiles dd")
    page.slide(".field input[type=range]", 140)
    page.wait(lambda: page.text(".tiles dd") != before)


def test_the_class_is_the_likeliest_unless_another_is_chosen(page: Page) -> None:
    page.view("explain?model=multiclass&row=54,2,east")
    chosen = page.find("#explain-of")
    likely = chosen.get_attribute("value")
    assert f"the probability of {likely}" in page.text(".tiles")
    other = next(name for name in ("high", "low", "middle") if name != likely)
    page.script(
        "arguments[0].focus();"
        "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))",
        chosen,
        other,
    )
    page.wait(lambda: f"the probability of {other}" in page.text(".tiles"))
    page.wait(lambda: f"explain.of={other}" in page.chrome.current_url)
    assert page.chrome.switch_to.active_element == chosen


def test_a_model_without_kept_rows_says_so_and_has_the_layers_nevertheless(
    foreign: Served, chrome: Chrome
) -> None:
    page = Page(chrome, foreign.url)
    page.view("explain")
    assert "price" in page.text(".tiles")
    assert names(page, LAYERS) == ["hidden 1"]
    assert not names(page, FEATURES)
    assert "keeps no training rows" in page.text(FEATURES)
    assert page.grave() == []
    assert not page.complaints()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_view_fits_and_can_be_read(page: Page, width: int, scheme: str) -> None:
    page.width(width)
    page.prefer(color_scheme=scheme)
    page.view("explain?model=regression")
    page.find(FEATURES)
    for summary in page.all("details:not([open]) > summary"):
        page.script("arguments[0].parentElement.open = true", summary)
    assert page.overflow() <= 0
    assert page.colours(f"{LAYERS} .lengths") > 10
    assert page.grave() == []
    assert not page.complaints()
