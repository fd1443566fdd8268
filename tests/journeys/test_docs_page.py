"""The docs page in a real browser without the internet: drawn, usable, and held by its policy."""

import httpx
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.expected_conditions import element_to_be_clickable
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import PATIENCE_SECONDS, complaints
from tests.journeys.serving import Served


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
