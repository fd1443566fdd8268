"""The playground's view Sweep in a real browser: curves, switches, and a query that is dragged."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome, Keys

from tests.journeys.playground import Page
from tests.journeys.serving import Served, served

AREA = "sweep?model=regression&sweep.feature=area&row=100,4,east"
HANDLE = ".query"
WARNED = ".likeness li[data-code='outside_training_range:area']"
PLOT = ".sweep-plot canvas"


@pytest.fixture(scope="module")
def two_targets(
    artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a model of two targets."""
    with served(tmp_path_factory.mktemp("two"), "--model", artifacts["two_targets"]) as server:
        yield server


def sweeps(page: Page) -> int:
    """How many sweeps the page has asked for."""
    return sum(name.endswith("/sweep") for name in page.requested())


def spoken(page: Page) -> str:
    """What a screen reader says of the query."""
    return str(page.find(HANDLE).get_attribute("aria-valuetext"))


def lines_in_table(page: Page) -> list[str]:
    """The first cells of the table under the plot."""
    script = "return [...document.querySelectorAll('.sweep tbody th')].map(th => th.textContent)"
    return list(page.script(script))


def test_the_keyboard_moves_the_query_out_of_the_range_and_its_warnings_follow(page: Page) -> None:
    page.view(AREA)
    assert not page.all(WARNED)
    assert "No warning" in spoken(page)
    page.script("arguments[0].focus()", page.find(HANDLE))
    page.press(Keys.END)
    assert "outside the range" in page.text(WARNED)
    assert "outside the range" in spoken(page)
    beyond = float(page.find(".field input[type=text]").get_attribute("value") or "nan")
    assert beyond == pytest.approx(float(lines_in_table(page)[-1]), rel=1e-3)
    page.press(Keys.HOME)
    assert page.find(WARNED)
    page.press(Keys.PAGE_UP, Keys.PAGE_UP, Keys.PAGE_UP, Keys.ARROW_RIGHT)
    page.wait(lambda: not page.all(WARNED))
    assert sweeps(page) == 1
    assert not page.complaints()


def test_a_drag_moves_the_query_without_another_request(page: Page) -> None:
    page.view(AREA)
    before = page.text(".tiles dd")
    over = page.find(".sweep-plot .u-over")
    inside = over.size["width"] // 2 - 4
    drag = ActionChains(page.chrome).move_to_element(over).click_and_hold()
    drag.move_by_offset(inside, 0).release().perform()
    assert page.find(WARNED)
    assert page.text(".tiles dd") != before
    changed = page.wait(lambda: "row=100," not in page.chrome.current_url)
    assert changed
    assert sweeps(page) == 1


def test_another_value_of_another_feature_asks_for_another_sweep(page: Page) -> None:
    page.view(AREA)
    before = page.text(".tiles div:nth-child(2) dd")
    page.slide(".field:nth-child(2) input[type=range]", 1)
    page.wait(lambda: page.text(".tiles div:nth-child(2) dd") != before)
    assert sweeps(page) == 2


def test_a_typed_value_becomes_a_point_of_the_sweep(page: Page) -> None:
    page.view(AREA)
    page.type(".field input[type=text]", "123.456")
    page.wait(lambda: page.text(".tiles dd").startswith("123.46"))
    assert "123.46" in lines_in_table(page)


def test_switches_hide_parts_and_the_link_keeps_them(page: Page) -> None:
    page.view(AREA)
    everything = page.colours(PLOT)
    for name in ("passes", "std", "interval", "deterministic"):
        page.find(f".choice input[name={name}]").click()
    page.wait(lambda: "sweep.hide=" in page.chrome.current_url)
    assert 1 < page.colours(PLOT) < everything
    page.chrome.refresh()
    page.settle()
    assert not page.find(".choice input[name=std]").is_selected()
    assert page.find(".choice input[name=mean]").is_selected()


def test_the_choices_of_a_view_are_there_again_after_another_view(page: Page) -> None:
    page.view(AREA)
    page.script(
        "arguments[0].value = 'rooms'; arguments[0].dispatchEvent(new Event('change'))",
        page.find("#sweep-feature"),
    )
    page.wait(lambda: page.text(".tiles dt") == "rooms")
    for view, title in (("ask", "Ask"), ("sweep", "Sweep")):
        page.find(f"#views a[data-view={view}]").click()
        page.wait(lambda title=title: page.text("h1") == title)
        page.settle()
    assert page.text(".tiles dt") == "rooms"


def test_a_category_has_a_point_with_error_bars_and_the_query_chooses_one(page: Page) -> None:
    page.view("sweep?model=regression&sweep.feature=quarter&row=100,4,east")
    assert lines_in_table(page) == ["east", "north", "south"]
    assert page.colours(PLOT) > 20
    page.script("arguments[0].focus()", page.find(HANDLE))
    page.press(Keys.ARROW_RIGHT)
    assert page.text(".tiles dd").startswith("north")
    assert page.find(".field select").get_attribute("value") == "north"


def test_a_classifier_shows_the_probability_of_the_chosen_class(page: Page) -> None:
    page.view("sweep?model=multiclass&sweep.feature=area&row=100,4,east")
    assert not page.all(".choice input[name=interval]")
    page.script(
        "arguments[0].value = 'high'; arguments[0].dispatchEvent(new Event('change'))",
        page.find("#sweep-of"),
    )
    assert "probability of high" in page.find(".tiles").text
    assert "probability of high" in spoken(page)
    page.wait(lambda: "sweep.of=high" in page.chrome.current_url)


def test_one_of_several_targets_is_chosen(two_targets: Served, chrome: Chrome) -> None:
    page = Page(chrome, two_targets.url)
    page.view("sweep?sweep.of=rent")
    assert page.find("#sweep-of").get_attribute("value") == "rent"
    assert "rent" in spoken(page)
    assert not page.complaints()


def test_a_feature_without_a_training_range_is_swept_around_its_mean(
    foreign: Served, chrome: Chrome
) -> None:
    page = Page(chrome, foreign.url)
    page.view("sweep?sweep.feature=rooms&row=100,4,east")
    assert float(lines_in_table(page)[0]) < 4.5 - 3 * 2.3
    assert page.colours(PLOT) > 20
    assert not page.complaints()


def test_the_fault_of_a_row_stands_at_its_field(page: Page) -> None:
    page.view(AREA)
    page.type(".field:nth-child(2) input[type=text]", "many")
    page.wait(lambda: page.text(".field:nth-child(2) .fault"))
    assert page.all(PLOT)


def test_the_request_can_be_copied_and_gives_what_is_shown(page: Page) -> None:
    page.view(AREA)
    page.script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    page.find("#copy-curl").click()
    command = page.find(".copied textarea").get_attribute("value") or ""
    assert "/models/regression/sweep" in command
    assert '"feature":"area"' in command


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_the_view_fits_and_can_be_read(page: Page, width: int, scheme: str) -> None:
    page.width(width)
    page.prefer(color_scheme=scheme)
    page.view(AREA)
    assert page.overflow() <= 0
    assert page.colours(PLOT) > 20
    assert page.grave() == []
    assert not page.complaints()
