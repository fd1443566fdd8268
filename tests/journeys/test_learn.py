"""The page /learn in a real browser: six pictures, from stored figures or from this server."""

from collections.abc import Iterator

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.keys import Keys

from tests.journeys.playground import Page
from tests.journeys.proxy import stripping
from tests.journeys.serving import Served, served

LESSONS = ("expectation", "noise", "gradient", "passes", "agreement", "layer")
LIVE = ("passes", "agreement")
KEY = "0123456789abcdef"


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of the shipped models that wants a key."""
    folder = tmp_path_factory.mktemp("shipped")
    (folder / "keys").write_text(KEY)
    with served(folder, MCD_API_KEYS_FILE=str(folder / "keys")) as server:
        yield server


def drawn(page: Page) -> None:
    """Wait until all pictures are there."""
    page.wait(lambda: len(page.all(".lesson canvas")) >= len(LESSONS))
    page.wait(lambda: page.all("#layer canvas"))


def of_other_masks(page: Page, name: str) -> str:
    """What a picture says of a fresh seed: one of twelve has the least agreement of the seed 1."""
    foot = page.text(f"#{name} .foot")
    page.find(f"#{name} button").send_keys(Keys.ENTER)  # by the keyboard
    page.wait(lambda: page.text(f"#{name} .foot") != foot)
    return page.text(f"#{name} .said")


def test_without_the_shipped_models_the_page_draws_stored_figures_and_says_so(page: Page) -> None:
    page.open(path="/learn")
    drawn(page)
    assert [each.get_attribute("id") for each in page.all(".lesson")] == [*LESSONS]
    for name in LESSONS:
        assert page.colours(f"#{name} canvas") > 10
        assert len(page.all(f"#{name} details tbody tr")) > 5
    for name in LIVE:
        page.wait(
            lambda name=name: "does not serve the shipped model" in page.text(f"#{name} .foot")
        )
    assert all(url.startswith(page.url) for url in page.requested())
    assert not page.complaints()


@pytest.mark.parametrize(("width", "theme"), [(360, "dark"), (1280, "light")])
def test_the_page_is_readable_in_both_themes_on_narrow_and_wide_windows(
    page: Page, width: int, theme: str
) -> None:
    page.width(width)
    page.prefer(color_scheme=theme, reduced_motion="reduce")
    page.open(path="/learn")
    drawn(page)
    for summary in page.all("summary"):
        summary.click()
    assert page.overflow() == 0
    assert page.grave() == []


def test_with_the_shipped_models_the_server_computes_two_pictures_anew(
    shipped: Served, chrome: Chrome
) -> None:
    page = Page(chrome, shipped.url)
    page.open(path="/learn")
    page.type("#key", KEY)
    page.press(Keys.ENTER)
    for name in LIVE:
        page.find(f"#{name} button")
        page.wait(lambda name=name: "with seed 1." in page.text(f"#{name} .foot"))
        before = page.text(f"#{name} .said")
        page.wait(lambda name=name, before=before: of_other_masks(page, name) != before)
    assert KEY not in page.chrome.current_url


def test_what_the_server_computes_is_what_is_stored(shipped: Served, chrome: Chrome) -> None:
    page = Page(chrome, shipped.url)
    page.open(path="/learn")
    drawn(page)
    stored = {name: page.text(f"#{name} .said") for name in LIVE}
    page.type("#key", KEY)
    page.press(Keys.ENTER)
    for name in LIVE:
        page.wait(lambda name=name: "with seed 1." in page.text(f"#{name} .foot"))
        assert page.text(f"#{name} .said") == stored[name]


@pytest.mark.parametrize("path", ["/learn", "/docs"])
def test_below_a_prefix_that_a_proxy_strips_the_page_finds_its_files_and_the_service(
    plain: Served, chrome: Chrome, path: str
) -> None:
    with stripping("/a/b", plain.url) as url:
        page = Page(chrome, url)
        page.open(path=path)
        if path == "/learn":
            drawn(page)
            page.wait(lambda: "does not serve" in page.text("#passes .foot"))
        else:
            page.find("#operations-predictions-list_models .opblock-summary-control").click()
            page.find(".try-out__btn").click()
            page.find(".execute").click()
            assert page.text(".live-responses-table .response .response-col_status").startswith(
                "200"
            )
        assert all(each.startswith(url) or each.startswith("data:") for each in page.requested())
        assert not page.complaints()
