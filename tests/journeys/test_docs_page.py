"""The docs page in a real browser without the internet: drawn, usable, and held by its policy."""

import re
from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import PATIENCE_SECONDS, complaints
from tests.journeys.playground import Page
from tests.journeys.serving import Served, served

PREDICT = "#operations-predictions-predict"
ANSWER = ".live-responses-table .response"


def click(chrome: Chrome, selector: str) -> None:
    wait = WebDriverWait(chrome, PATIENCE_SECONDS)
    wait.until(element_to_be_clickable((By.CSS_SELECTOR, selector))).click()


def test_the_page_shows_every_operation_and_asks_nobody_but_its_server(
    plain: Served, chrome: Chrome
) -> None:
    document = httpx.get(f"{plain.url}/openapi.json").json()
    operations = sum(map(len, document["paths"].values()))
    chrome.get(f"{plain.url}/docs")
    WebDriverWait(chrome, PATIENCE_SECONDS).until(
        lambda page: len(page.find_elements(By.CSS_SELECTOR, ".opblock")) == operations
    )
    script = "return performance.getEntriesByType('resource').map(each => each.name)"
    resources = chrome.execute_script(script)
    assert len(resources) >= 4
    assert all(name.startswith((plain.url, "data:")) for name in resources), resources
    assert not complaints(chrome)


def test_the_example_on_the_page_can_be_tried_with_two_clicks(
    plain: Served, chrome: Chrome
) -> None:
    chrome.get(f"{plain.url}/docs")
    click(chrome, "#operations-predictions-predict .opblock-summary-control")
    click(chrome, "#operations-predictions-predict .try-out__btn")
    click(chrome, "#operations-predictions-predict .execute")
    answer = WebDriverWait(chrome, PATIENCE_SECONDS).until(
        lambda page: page.find_element(By.CSS_SELECTOR, ".live-responses-table .response")
    )
    assert answer.find_element(By.CSS_SELECTOR, ".response-col_status").text.startswith("200")
    assert '"variance"' in answer.text
    assert not complaints(chrome)


def test_the_pages_policy_stops_scripts_and_requests_of_others(
    plain: Served, chrome: Chrome
) -> None:
    chrome.get(f"{plain.url}/docs")
    assert not complaints(chrome)
    script = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit=1\">')"
    chrome.execute_script(script)
    elsewhere = "fetch('http://127.0.0.1:9/').catch(error => error.name).then(arguments[0])"
    assert chrome.execute_async_script(elsewhere) == "TypeError"
    said = "\n".join(complaints(chrome))
    assert chrome.execute_script("return window.hit === undefined")
    assert "Content Security Policy" in said
    assert "connect-src" in said
    assert "script-src" in said


@pytest.mark.parametrize(("width", "theme"), [(360, "dark"), (1280, "light")])
def test_the_page_is_readable_in_both_themes_on_narrow_and_wide_windows(
    page: Page, width: int, theme: str
) -> None:
    page.width(width)
    page.prefer(color_scheme=theme)
    page.open(path="/docs")
    for operation in (PREDICT, "#operations-predictions-describe_model"):
        page.find(f"{operation} .opblock-summary-control").click()
    page.find(f"{PREDICT} .try-out__btn").click()
    page.find(f"{PREDICT} .execute").click()
    page.find(ANSWER)
    page.wait(lambda: not page.all(".loading-container, .btn.loading"))
    assert page.grave() == []
    assert page.overflow() == 0
    colour = page.script("return getComputedStyle(document.body).backgroundColor")
    assert (int(re.findall(r"\d+", colour)[0]) < 128) is (theme == "dark")


def test_the_page_begins_with_predictions_and_ends_with_folded_schemas(page: Page) -> None:
    page.open(path="/docs")
    tags = [page.find(".opblock-tag").text, *(each.text for each in page.all(".opblock-tag"))]
    assert tags[0].startswith("predictions")
    assert tags[-1].startswith("open inference protocol")
    assert page.find("section.models")
    assert not page.all("section.models .json-schema-2020-12")
    assert page.chrome.title.startswith("MC dropout")
    assert page.script("return document.querySelector('.brand img').naturalWidth") > 0


def test_with_keys_the_page_asks_for_one_and_its_requests_have_it(
    regression_artifact: Path, chrome: Chrome, tmp_path: Path
) -> None:
    key = "0123456789abcdef"
    (tmp_path / "keys").write_text(key)
    settings = {"MCD_API_KEYS_FILE": str(tmp_path / "keys")}
    # `served` waits for readiness, which needs no key.
    with served(tmp_path, "--model", regression_artifact, **settings) as server:
        page = Page(chrome, server.url)
        page.open(path="/docs")
        page.type("#key", "not the right key")
        page.find(".key button").click()
        page.wait(lambda: "not one of" in page.text("#notices"))
        page.type("#key", key)
        page.find(".key button").click()
        page.find(f"{PREDICT} .opblock-summary-control").click()
        page.find(f"{PREDICT} .try-out__btn").click()
        page.find(f"{PREDICT} .execute").click()
        assert page.text(f"{ANSWER} .response-col_status").startswith("200")
        assert key not in page.chrome.current_url
        assert not page.script("return localStorage.length + sessionStorage.length")
