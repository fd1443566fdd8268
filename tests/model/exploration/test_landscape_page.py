"""The page of a landscape in a real browser, read as a file."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from model import LandscapeOptions, Table, TrainOptions, landscape, landscape_page, load, train
from tests.browser import browser, complaints

PIXELS = """
const canvas = document.querySelector(`#${arguments[0]} canvas`);
const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
const found = new Set();
let sum = 0;
for (let at = 0; at < data.length; at += 4) {
    found.add(`${data[at]} ${data[at + 1]} ${data[at + 2]}`);
    sum = (sum * 31 + data[at] + 7 * data[at + 1]) % 1000003;
}
return [found.size, sum, canvas.width, canvas.height];
"""
BEYOND = """
const width = document.documentElement.clientWidth;
return [...document.querySelectorAll("main *")].filter(each => !each.closest(".wide, .tall, svg")
    && each.getBoundingClientRect().right > width + 0.5).map(each => each.outerHTML.slice(0, 80));
"""


@pytest.fixture(scope="module")
def page(multiclass_artifact: Path, sold: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    options = LandscapeOptions(points=21, masks=4, rows=50)
    path = tmp_path_factory.mktemp("page") / "landscape.html"
    found = landscape(load(multiclass_artifact), sold, options)
    path.write_text(landscape_page(found), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with browser(tmp_path_factory.mktemp("profile")) as opened:
        yield opened


def show(chrome: Chrome, page: Path, *, width: int = 1280, **media: str) -> None:
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": f"prefers-{n.replace('_', '-')}", "value": v} for n, v in media.items()]
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    chrome.get(page.as_uri())


def pixels(chrome: Chrome, plane: str = "masks") -> list[Any]:
    """The number of colours, a check sum, and the size of what is drawn."""
    found: list[Any] = chrome.execute_script(PIXELS, plane)
    return found


def click(chrome: Chrome, selector: str) -> None:
    chrome.find_element(By.CSS_SELECTOR, f"#masks {selector}").click()


def text(chrome: Chrome, selector: str) -> str:
    return chrome.find_element(By.CSS_SELECTOR, f"#masks {selector}").text


def faults(chrome: Chrome) -> list[str]:
    """What the console complains about, but for the pixels that this test reads."""
    return [line for line in complaints(chrome) if "getImageData" not in line]


@pytest.mark.parametrize("width", [360, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_both_planes_are_drawn_square_and_nothing_overflows(
    chrome: Chrome, page: Path, width: int, scheme: str
) -> None:
    show(chrome, page, width=width, color_scheme=scheme)
    for plane in ("random", "masks"):
        colours, _, across, down = pixels(chrome, plane)
        assert colours >= 10
        assert across == down > 150
        box = chrome.find_element(By.CSS_SELECTOR, f"#{plane} canvas").rect
        assert abs(box["width"] - box["height"]) < 1
    assert chrome.execute_script(BEYOND) == []
    assert faults(chrome) == []


def test_the_page_asks_for_nothing_else(chrome: Chrome, page: Path) -> None:
    show(chrome, page)
    asked = "return performance.getEntriesByType('resource').map(each => each.name)"
    assert chrome.execute_script(asked) == []


def test_each_surface_is_another_picture(chrome: Chrome, page: Path) -> None:
    show(chrome, page)
    sums = []
    for value in ("deterministic", "average", "film"):
        click(chrome, f"input[value={value}]")
        sums.append(pixels(chrome)[1])
    assert len(set(sums)) == 3
    click(chrome, ".dots")
    assert pixels(chrome)[1] != sums[-1]


def test_the_film_steps_plays_and_pauses(chrome: Chrome, page: Path) -> None:
    show(chrome, page)
    click(chrome, ".next")
    assert text(chrome, ".film output") == "mask 1 of 4"
    click(chrome, ".next")
    assert text(chrome, ".film output") == "mask 2 of 4"
    click(chrome, ".back")
    click(chrome, ".back")
    assert text(chrome, ".film output") == "mask 4 of 4"
    click(chrome, ".play")
    assert text(chrome, ".play") == "Pause"
    seen = {pixels(chrome)[1] for _ in range(30) if not time.sleep(0.1)}
    assert len(seen) > 4  # the masks, and pictures between them
    click(chrome, ".play")
    assert len({pixels(chrome)[1] for _ in range(5) if not time.sleep(0.2)}) == 1


def test_with_reduced_motion_the_film_goes_from_mask_to_mask_at_once(
    chrome: Chrome, page: Path
) -> None:
    show(chrome, page, reduced_motion="reduce")
    frames = set()
    for _ in range(4):
        click(chrome, ".next")
        frames.add(pixels(chrome)[1])
    click(chrome, ".play")
    seen = {pixels(chrome)[1] for _ in range(40) if not time.sleep(0.1)}
    assert 1 < len(seen) <= 4
    assert seen <= frames


def test_the_arrow_keys_read_a_point_out(chrome: Chrome, page: Path) -> None:
    show(chrome, page)
    assert text(chrome, ".readout").startswith("trained weights: loss ")
    canvas = chrome.find_element(By.CSS_SELECTOR, "#masks canvas")
    canvas.send_keys(Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_UP)
    assert text(chrome, ".readout").startswith("x 0.")
    canvas.send_keys(Keys.ESCAPE)
    assert text(chrome, ".readout").startswith("trained weights: loss ")


def test_the_tables_have_the_surfaces_and_the_thinned_networks(chrome: Chrome, page: Path) -> None:
    show(chrome, page)
    for summary in chrome.find_elements(By.CSS_SELECTOR, "#masks summary"):
        summary.click()
    rows = [
        row.text.split() for row in chrome.find_elements(By.CSS_SELECTOR, "#masks .wide tbody tr")
    ]
    assert [row[0] for row in rows] == ["dropout", "average", *["mask"] * 4]
    assert len(chrome.find_elements(By.CSS_SELECTOR, "#masks .tall tbody tr")) == 128


def test_a_network_without_dropout_has_a_page_too(
    chrome: Chrome, houses: Table, tmp_path: Path
) -> None:
    options = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=(0.0,), epochs=3)
    train(houses, "price", tmp_path / "still", drop=["rent", "dear", "worth"], options=options)
    found = landscape(load(tmp_path / "still"), houses, LandscapeOptions(points=11))
    path = tmp_path / "still.html"
    path.write_text(landscape_page(found), encoding="utf-8")
    show(chrome, path)
    assert pixels(chrome, "random")[0] > 5
    assert not chrome.find_elements(By.ID, "masks")
    assert faults(chrome) == []


def test_names_and_texts_of_the_user_are_escaped(regression_artifact: Path, sold: Table) -> None:
    found = landscape(load(regression_artifact), sold, LandscapeOptions(points=5, masks=1))
    text = landscape_page(replace(found, data="</script><b>x", loss="<i>loss"))
    assert "</script><b>" not in text
    assert "<i>loss" not in text
