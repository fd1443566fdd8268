"""The playground's view Landscape in a real browser: planes, surfaces, the film, the dots."""

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome, Keys

from model import LandscapeOptions, Table, landscape, load, save_landscape
from tests.journeys.playground import Page
from tests.journeys.serving import Served, served

MAP, DOTS, READOUT = ".heat-field", ".heat-field [role=listbox]", ".readout"
OPTIONS = LandscapeOptions(points=11, masks=3)


@pytest.fixture(scope="module")
def drawn(
    artifacts: dict[str, Path], houses: Table, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """A server with a model that has a landscape."""
    folder = tmp_path_factory.mktemp("drawn") / "houses"
    shutil.copytree(artifacts["regression"], folder)
    save_landscape(folder, landscape(load(folder), houses, OPTIONS).record())
    with served(tmp_path_factory.mktemp("drawn-log"), "--model", folder) as server:
        yield server


@pytest.fixture
def seen(drawn: Served, chrome: Chrome) -> Iterator[Page]:
    """The browser, which looks at that server."""
    page = Page(chrome, drawn.url)
    yield page
    page.reset()


def choose(page: Page, surface: str) -> None:
    """Show another surface."""
    page.find(f".choice input[value={surface}]").click()


def caption(page: Page) -> str:
    """The title of the first picture."""
    return page.text(".stage figcaption")


def test_surfaces_are_pictures_with_a_name_that_tells_their_lowest_place(seen: Page) -> None:
    seen.view("landscape")
    for surface, title in (("deterministic", "Dropout off"), ("average", "Average over masks")):
        choose(seen, surface)
        assert caption(seen) == title
        assert seen.colours(MAP) > 100
        name = seen.find(".heat-field canvas").get_attribute("aria-label") or ""
        assert name.startswith(f"{title}: loss from ")
        assert "lowest at" in name
    seen.wait(lambda: "landscape.surface=average" in seen.chrome.current_url)
    assert not seen.complaints()


def test_the_planes_are_tabs_that_arrow_keys_turn(seen: Page) -> None:
    seen.view("landscape")
    assert seen.find("[role=tab][aria-selected=true]").get_attribute("id") == "plane-masks"
    assert seen.all(DOTS)
    seen.script("arguments[0].focus()", seen.find("[role=tab][aria-selected=true]"))
    seen.press(Keys.ARROW_LEFT)
    assert seen.find("[role=tab][aria-selected=true]").get_attribute("id") == "plane-random"
    assert not seen.all(DOTS)
    seen.wait(lambda: "landscape.plane=random" in seen.chrome.current_url)


def test_the_keyboard_goes_from_dot_to_dot_and_each_tells_its_loss_and_distance(
    seen: Page,
) -> None:
    seen.view("landscape?landscape.plane=masks&landscape.surface=average")
    seen.script("arguments[0].focus()", seen.find(DOTS))
    first = seen.text(READOUT)
    assert first.startswith("Thinned network 1: loss ")
    assert "distance from the plane" in first
    seen.press(Keys.ARROW_RIGHT)
    assert seen.text(READOUT).startswith("Thinned network 2: loss ")
    chosen = seen.find("[role=option][aria-selected=true]")
    assert chosen.get_attribute("id") == seen.find(DOTS).get_attribute("aria-activedescendant")
    assert chosen.get_attribute("aria-label") == seen.text(READOUT)
    rows = seen.all("details:nth-of-type(1) tbody tr")
    assert len(rows) == len(seen.all("[role=option]"))


def test_the_film_plays_by_itself_and_pauses_steps_and_slides(seen: Page) -> None:
    seen.view("landscape?landscape.plane=masks&landscape.surface=average")
    choose(seen, "masks")
    seen.wait(lambda: caption(seen) == "Mask 2 of 3")
    seen.find(".film-play").click()
    assert seen.text(".film-play") == "Play"
    shown = caption(seen)
    seen.find(".film button[aria-label='Next frame']").click()
    assert caption(seen) != shown
    seen.slide(".film input", 0)
    assert caption(seen) == "Mask 1 of 3"
    assert seen.text(".stage figure:nth-of-type(2) figcaption") == "Average of 1 mask"
    seen.wait(lambda: "landscape.frame=0" in seen.chrome.current_url)
    assert not seen.complaints()


def test_the_film_waits_for_those_who_want_little_motion(seen: Page) -> None:
    seen.prefer(reduced_motion="reduce")
    seen.view("landscape?landscape.plane=masks&landscape.surface=masks")
    assert seen.text(".film-play") == "Play"
    seen.script("arguments[0].focus()", seen.find(".film-play"))
    seen.press(Keys.ENTER)
    assert seen.text(".film-play") == "Pause"
    seen.wait(lambda: caption(seen) == "Mask 2 of 3")


def test_another_view_ends_the_film(seen: Page) -> None:
    seen.view("landscape?landscape.plane=masks&landscape.surface=masks")
    seen.find("#views a[data-view=ask]").click()
    seen.wait(lambda: seen.text("h1") == "Ask")
    seen.settle()
    before = seen.chrome.current_url
    time.sleep(1)  # a film that goes on would write its frame into the URL
    assert seen.chrome.current_url == before


def test_a_model_without_a_landscape_says_how_to_make_one(page: Page) -> None:
    page.view("landscape?model=regression")
    assert "python -m model landscape DIR DATA" in page.text(".empty pre")
    assert page.grave() == []
    assert not page.complaints()


def test_the_request_for_the_landscape_can_be_copied(seen: Page) -> None:
    seen.view("landscape")
    seen.script("navigator.clipboard.writeText = () => Promise.reject(new Error('no'))")
    seen.find("#copy-curl").click()
    command = seen.find(".copied textarea").get_attribute("value") or ""
    assert command.startswith(f"curl -s '{seen.url}/models/")
    assert command.endswith("/landscape'")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
@pytest.mark.parametrize("surface", ["average", "masks"])
def test_the_view_fits_and_can_be_read(seen: Page, surface: str, width: int, scheme: str) -> None:
    seen.width(width)
    seen.prefer(color_scheme=scheme, reduced_motion="reduce")
    seen.view(f"landscape?landscape.plane=masks&landscape.surface={surface}")
    for summary in seen.all("details:not([open]) > summary"):
        seen.script("arguments[0].parentElement.open = true", summary)
    assert seen.overflow() <= 0
    assert seen.colours(MAP) > 100
    assert seen.grave() == []
    assert not seen.complaints()
