"""The playground's shell in a real browser: from a form to a plot, and what may go wrong."""

import pytest

from tests.journeys.playground import Page

SHOWN = "#view .body canvas"


def test_a_reader_moves_a_slider_and_sees_another_answer(page: Page) -> None:
    page.view()
    before = page.text(".headline strong")
    assert page.colours(SHOWN) > 20
    page.slide(".field input[type=range]", 140)
    page.wait(lambda: page.text(".headline strong") != before)
    assert "row=140" in page.wait(
        lambda: page.chrome.current_url if "row=140" in page.chrome.current_url else ""
    )
    assert all(name.startswith(page.url) for name in page.requested())
    assert not page.complaints()


@pytest.mark.parametrize("model", ["regression", "multiclass"])
def test_a_program_that_reads_the_page_aloud_finds_nothing_grave(page: Page, model: str) -> None:
    page.view(f"ask?model={model}")
    assert page.grave() == []
