"""The playground where something is in the way: a wrong value, a key, a limit, a server that went,
and a proxy."""

from pathlib import Path

import httpx
import pytest
from selenium.webdriver import Chrome

from tests.journeys.playground import Page
from tests.journeys.proxy import stripping
from tests.journeys.serving import served

KEY = "0123456789-abcdefghij"


def test_a_wrong_value_is_marked_at_its_field_in_the_words_of_the_api(page: Page) -> None:
    page.view("ask?model=regression")
    page.type(".fields input[type=text]", "many")
    body = {"rows": [{"area": "many", "rooms": 2, "quarter": "east"}]}
    (said,) = httpx.post(f"{page.url}/models/regression/predict", json=body).json()["details"]
    assert page.text(".field .fault") == said["message"]
    assert page.find(".fields input[type=text]").get_attribute("aria-invalid") == "true"
    assert "refuses" in page.text(".notice[role=alert]")
    page.type(".fields input[type=text]", "100")
    page.wait(lambda: not page.all(".notice"))
    assert page.find(".fields input[type=text]").get_attribute("aria-invalid") is None
    page.type("#option-passes", "1")
    assert "2" in page.text("#option-passes-fault")
    assert all("422" in line for line in page.complaints())  # the browser's own line of a refusal


def test_a_model_that_is_not_there_is_named_and_another_one_can_be_chosen(page: Page) -> None:
    page.open("ask?model=nobody")
    assert "nobody" in page.text(".notice[role=alert]")
    page.find("#model option[value=multiclass]").click()
    page.settle()
    assert not page.all(".notice")


def test_a_key_is_asked_for_and_kept_in_memory_only(
    artifacts: dict[str, Path], tmp_path: Path, chrome: Chrome
) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"{KEY} a reader\n")
    settings = {"MCD_API_KEYS_FILE": str(keys)}
    with served(tmp_path, "--model", artifacts["regression"], **settings) as server:
        page = Page(chrome, server.url)
        page.open()
        page.type("#key", "wrong-wrong-wrong-wrong")
        page.find(".key button").click()
        page.wait(lambda: "not one of" in page.text(".notice"))
        page.type("#key", KEY)
        page.find(".key button").click()
        page.settle()
        assert page.colours("#view .body canvas") > 20
        kept = page.script(
            "return [location.href, JSON.stringify({...localStorage, ...sessionStorage}),"
            " document.cookie, document.documentElement.outerHTML].join()"
        )
        assert KEY not in kept
        allow = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
        chrome.execute_cdp_cmd("Browser.grantPermissions", allow)
        page.find("#copy-curl").click()
        page.wait(lambda: "copied" in page.text(".copied"))
        copied = chrome.execute_async_script("navigator.clipboard.readText().then(arguments[0])")
        assert "Bearer $MCD_API_KEY" in copied
        assert KEY not in copied
        page.open()
        assert page.find("#key")
        page.complaints()


def test_a_server_with_much_to_do_is_asked_again_after_the_time_that_it_names(
    artifacts: dict[str, Path], tmp_path: Path, chrome: Chrome
) -> None:
    settings = {"MCD_RATE_LIMIT": "0.5"}
    with served(tmp_path, "--model", artifacts["regression"], **settings) as server:
        page = Page(chrome, server.url)
        page.open()
        notice = page.text(".notice.wait")
        assert "MCD_RATE_LIMIT" in notice
        assert "Trying again in" in notice
        page.settle()
        assert page.colours("#view .body canvas") > 20
        assert not page.all(".notice")
        assert all("429" in line for line in page.complaints())


def test_a_server_that_went_is_told_and_found_again(
    artifacts: dict[str, Path], tmp_path: Path, chrome: Chrome
) -> None:
    with served(tmp_path, "--model", artifacts["regression"]) as server:
        page = Page(chrome, server.url)
        page.view()
    page.slide(".field input[type=range]", 60)
    assert "server is gone" in page.text(".notice.wait")
    port = str(httpx.URL(server.url).port)
    with served(tmp_path, "--model", artifacts["regression"], "--port", port):
        page.wait(lambda: not page.all(".notice"))
        page.settle()
        assert page.script("return location.hash").count("row=60")
    page.complaints()


@pytest.mark.parametrize("setting", ["/mcd", ""])
def test_the_page_works_below_a_prefix_that_a_proxy_strips(
    artifacts: dict[str, Path], tmp_path: Path, chrome: Chrome, setting: str
) -> None:
    """Also where the server does not know its prefix: the page has relative URLs only."""
    settings = {"MCD_ROOT_PATH": setting}
    with (
        served(tmp_path, "--model", artifacts["regression"], **settings) as server,
        stripping("/mcd", server.url) as url,
    ):
        page = Page(chrome, url)
        page.view("convergence")
        assert page.colours("#view .body canvas") > 20
        assert all(name.startswith(f"{url}/") for name in page.requested())
        assert not page.complaints()
