"""The view Ask: what it says of an answer is what the API answered."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import pytest
from selenium.webdriver import Chrome

from tests.journeys.playground import Page
from tests.journeys.serving import served

ROOT = Path(__file__).parents[2]


def asked(page: Page, model: str, row: list[Any], **options: Any) -> dict[str, Any]:
    """What the API predicts."""
    url = f"{page.url}/models/{model}/predict"
    answer = httpx.post(url, json={"rows": [row], "seed": 1, **options}, timeout=60)
    assert answer.status_code == 200, answer.text
    prediction: dict[str, Any] = answer.json()["predictions"][0]
    return prediction


def test_a_regression_shows_the_answers_mean_parts_and_warnings(page: Page) -> None:
    page.view("ask?model=regression&row=400,2,north")
    found = asked(page, "regression", [400, 2, "north"])
    assert float(page.text(".headline strong").replace(",", "")) == pytest.approx(
        found["mean"], rel=1e-3
    )
    share = 1 - found["noise_variance"] / found["total_variance"]
    assert page.script(
        "return Number(document.querySelector('.piece.epistemic').style.flexGrow)"
    ) == pytest.approx(share)
    codes = [line.get_attribute("data-code") for line in page.all(".warnings li")]
    assert codes == found["warnings"]
    assert "outside_training_range:area" in codes
    assert "outside the range" in page.text(".warnings")
    said = page.wait(lambda: page.find("#said").get_property("textContent"))
    assert re.match(r"price: mean \S+ ±\s\S+, std \S+ over \d+ passes; 90\s% interval", said)
    assert "outside_training_range:area" in said


def test_a_classifier_shows_the_answers_label_set_and_entropies(page: Page) -> None:
    page.view("ask?model=multiclass&row=100,4,east")
    found = asked(page, "multiclass", [100, 4, "east"])
    assert page.text(".headline strong") == found["label"]
    assert [chip.text for chip in page.all(".chip")] == found["label_set"]["labels"]
    assert f"{found['expected_entropy']:.4g}" in page.text(".parts dl")
    page.script("document.querySelector('.card .table').open = true")
    assert len(page.all(".card .table tbody tr")) == 3


def test_several_targets_each_have_a_cloud_and_parts(
    artifacts: dict[str, Path], tmp_path: Path, chrome: Chrome
) -> None:
    with served(tmp_path, "--model", artifacts["two_targets"]) as server:
        page = Page(chrome, server.url)
        for view in ("ask", "convergence"):
            page.view(view)
            assert not page.complaints()
            assert page.grave() == []
            if view == "ask":
                names = [name.text for name in page.all(".headline .name")]
                assert names == ["price", "rent"]
        page.find("#convergence-of option[value=rent]").click()
        page.wait(lambda: "rent" in page.text(".chart .table summary"))
        page.wait(lambda: "convergence.of=rent" in page.chrome.current_url)


def test_an_error_that_the_reader_names_accepts_or_abstains(page: Page) -> None:
    page.view("ask?model=multiclass&row=100,4,east")
    assert "Name an error" in page.text(".verdict .words")
    page.slide("#largest-error", 1000)
    page.wait(lambda: "largest_error=" in page.chrome.current_url)
    assert page.text(".verdict .words strong") in ("Accept", "Abstain: ask a person")
    assert "95 % confidence" in page.text(".verdict .words")
    named = float(page.find("#option-largest_error").get_property("value"))
    found = asked(page, "multiclass", [100, 4, "east"], largest_error=named)
    shown = "accepted" if found["accept"] else "refused"
    assert shown in str(page.find(".verdict").get_attribute("class"))


def test_the_passes_come_at_once_where_the_reader_wants_little_motion(page: Page) -> None:
    page.prefer(reduced_motion="reduce")
    page.view("ask?model=regression")
    assert page.find("[data-passes]").get_attribute("data-passes") == "100"
    page.prefer(reduced_motion="no-preference")
    page.view("ask?model=regression&passes=30")
    page.wait(lambda: page.find("[data-passes]").get_attribute("data-passes") == "30")


def test_every_warning_has_a_sentence(page: Page) -> None:
    page.open()
    table = (ROOT / "docs/answer.md").read_text().split("\n## Warnings\n")[1].split("\n## ")[0]
    codes = re.findall(r"^\| `(\S+)` \|", table, re.M)
    assert len(codes) > 6
    script = """const [codes, done] = arguments;
        import("./static/js/words.js").then(({warning, known}) =>
          done([codes.map(warning), known]));"""
    sentences, known = page.chrome.execute_async_script(script, codes)
    assert sorted(known) == sorted(code.partition(":")[0] for code in codes)
    for code, sentence in zip(codes, sentences, strict=True):
        assert re.match(r"[A-Zb].{20,}\.$", sentence), code
        for part in code.split(":")[1:]:
            assert part in sentence


def test_what_is_copied_asks_the_same_again(page: Page) -> None:
    permissions = {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    page.chrome.execute_cdp_cmd("Browser.grantPermissions", permissions)
    page.view("ask?model=regression&row=54,2,north&passes=40")
    found = asked(page, "regression", [54, 2, "north"], passes=40)

    def copied(button: str) -> str:
        page.find(button).click()
        page.wait(lambda: page.text(".copied"))
        script = "navigator.clipboard.readText().then(arguments[0])"
        return str(page.chrome.execute_async_script(script))

    assert copied("#copy-link") == page.chrome.current_url
    words = shlex.split(copied("#copy-curl"))
    assert words[:3] == ["curl", "-s", f"{page.url}/models/regression/predict"]
    again = httpx.post(words[2], content=words[-1], headers={"content-type": "application/json"})
    assert again.json()["predictions"][0]["mean"] == pytest.approx(found["mean"])
    code = copied("#copy-python").replace("print(response.json())", "print(response.text)")
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(run.stdout)["predictions"][0]["mean"] == pytest.approx(found["mean"])


def test_the_example_and_a_random_row_fill_the_form(page: Page) -> None:
    page.view("ask?model=regression")
    first = page.text(".headline strong")
    page.find("#random").click()
    page.wait(lambda: page.text(".headline strong") != first)
    page.find("#example").click()
    page.wait(lambda: page.text(".headline strong") == first)
