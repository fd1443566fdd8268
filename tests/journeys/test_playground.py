"""The playground's shell in a real browser: from a form to a plot, and what may go wrong."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.journeys.playground import Page

VIEWS = ("ask", "sweep", "convergence")
MODELS = ("regression", "multiclass")
PICTURE = "#view .body canvas"


def test_a_reader_moves_a_slider_and_sees_another_answer(page: Page) -> None:
    page.view()
    before = page.text(".headline strong")
    assert page.colours(PICTURE) > 20
    page.slide(".field input[type=range]", 140)
    page.wait(lambda: page.text(".headline strong") != before)
    page.wait(lambda: "row=140" in page.chrome.current_url)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_asks_nobody_but_its_server_and_leaves_the_console_empty(
    page: Page, view: str, model: str
) -> None:
    page.view(f"{view}?model={model}")
    assert page.colours(PICTURE) > 20
    assert len(page.requested()) > 10
    assert all(name.startswith(page.url) for name in page.requested())
    assert not page.complaints()


@pytest.mark.parametrize("view", VIEWS)
def test_a_view_weighs_less_than_150_kilobytes_before_it_is_compressed(
    page: Page, view: str
) -> None:
    page.view(f"{view}?model=regression")
    script = """return ["navigation", "resource"]
        .flatMap((kind) => performance.getEntriesByType(kind))
        .map(({name, decodedBodySize}) => [name, decodedBodySize])"""
    sizes = {name: size for name, size in page.script(script) if "/models" not in name}
    assert len(sizes) > 10
    assert sum(sizes.values()) < 150_000, sizes


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("view", VIEWS)
def test_a_program_that_reads_the_page_aloud_finds_nothing_grave(
    page: Page, view: str, model: str, scheme: str
) -> None:
    page.prefer(color_scheme=scheme)
    page.view(f"{view}?model={model}")
    for summary in page.all("details:not([open]) > summary"):
        page.script("arguments[0].parentElement.open = true", summary)
    assert page.grave() == []


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("view", VIEWS)
def test_a_view_fits_a_telephone(page: Page, view: str, model: str) -> None:
    page.width(360)
    page.view(f"{view}?model={model}")
    for summary in page.all("details:not([open]) > summary"):
        page.script("arguments[0].parentElement.open = true", summary)
    assert page.overflow() == 0
    assert page.script("return innerWidth") == 360


def test_a_link_brings_back_model_row_options_and_view(page: Page) -> None:
    link = "ask?model=regression&row=54,2,north&seed=7&passes=40&coverage=0.8"
    page.view(link)
    shown = page.text(".headline")
    page.find("#views a[data-view=convergence]").click()
    page.wait(lambda: page.text("h1") == "Convergence")
    assert "passes=40" in page.chrome.current_url
    page.chrome.back()
    page.wait(lambda: page.text("h1") == "Ask")
    page.settle()
    assert page.text(".headline") == shown
    page.view("ask?model=regression&row=54,2,south&seed=7&passes=40&coverage=0.8")
    assert page.text(".headline") != shown
    page.view(link)
    assert page.text(".headline") == shown
    values = [field.get_property("value") for field in page.all(".fields input[type=text]")]
    assert values == ["54", "2"]
    assert page.find(".fields select").get_property("value") == "north"


def test_the_page_is_used_with_the_keyboard_alone(page: Page) -> None:
    page.view()
    before = page.text(".headline strong")
    reached = []
    for _ in range(40):
        page.press(Keys.TAB)
        focus = page.chrome.switch_to.active_element
        reached.append(focus.get_attribute("id") or focus.get_attribute("data-view") or focus.text)
        if focus.get_attribute("type") == "range" and "slider" in str(focus.accessible_name):
            break
    assert "convergence" in reached
    assert "model" in reached
    page.press(*[Keys.ARROW_RIGHT] * 30)
    page.wait(lambda: page.text(".headline strong") != before)
    assert page.script("return getComputedStyle(document.activeElement).outlineStyle") != "none"
