"""The view Convergence: its numbers are the API's, and it says what an error costs."""

import re

import httpx
import pytest

from tests.journeys.playground import Page


def test_the_last_points_are_what_the_api_answers_with_so_many_passes(page: Page) -> None:
    page.view("convergence?model=regression&row=54,2,north&convergence.most=100")
    page.script("document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    head = [cell.text for cell in page.all(".chart thead th")][:5]
    assert head == ["passes", "plain", "error of plain", "reduced", "error of reduced"]
    rows = [
        [cell.text for cell in row.find_elements("css selector", "th, td")]
        for row in page.all(".chart tbody tr")
    ]
    of_means = rows[: len(rows) // 2]
    assert [row[0] for row in of_means] == ["5", "10", "20", "50", "100"]
    for row in of_means:
        for name, at in (("plain", 1), ("reduced", 3)):
            body = {"rows": [[54, 2, "north"]], "seed": 1, "passes": int(row[0])}
            url = f"{page.url}/models/regression/predict"
            answer = httpx.post(url, json={**body, "estimator": name}).json()["predictions"][0]
            assert float(row[at].replace(",", "")) == pytest.approx(answer["mean"], rel=1e-4)
            assert float(row[at + 1]) == pytest.approx(answer["mean_error"], rel=0.06)
    assert "one pass of reduced is worth" in page.text(".found")


def test_a_smaller_error_costs_more_passes(page: Page) -> None:
    page.view("convergence?model=regression&row=54,2,north&convergence.most=10000")

    def costs() -> list[int]:
        lines = [line.text.replace(",", "") for line in page.all(".line")]
        found = [re.search(r"(\d+) passes", line) for line in lines]
        return [int(each[1]) if each else 0 for each in found]

    page.slide("#tolerance", 90)
    large = page.wait(costs)
    page.wait(lambda: "convergence.tolerance" in page.chrome.current_url)
    page.settle()
    large = costs()
    page.slide("#tolerance", 45)
    page.wait(lambda: costs() != large)
    small = costs()
    assert len(small) == 2
    assert all(a <= b for a, b in zip(large, small, strict=True))
    assert sum(large) < sum(small)
    assert "ms" in page.text(".line")


def test_a_classifier_says_why_it_has_plain_passes_only(page: Page) -> None:
    page.view("convergence?model=multiclass&convergence.most=100")
    assert "Only plain: " in page.text(".found")
    assert len(page.all(".line")) == 1
