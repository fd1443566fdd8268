"""Pictures of our pages, taken with a real browser from a server of the shipped models."""

import base64
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import PATIENCE_SECONDS, browser
from tests.server import serving

WIDTH, HEIGHT = 1160, 760  # of the window, in CSS pixels
SCALE = 1.5  # pixels of the picture per CSS pixel
PREFERRED = (
    {"name": "prefers-color-scheme", "value": "light"},
    {"name": "prefers-reduced-motion", "value": "reduce"},
)
_SETTLED = """const done = arguments[0];
    document.fonts.ready.then(() => requestAnimationFrame(() => setTimeout(done, 300)));"""
_BOX = """const box = document.querySelector(arguments[0]).getBoundingClientRect();
    return {x: box.x + scrollX, y: box.y + scrollY, width: box.width, height: box.height};"""


@dataclass(frozen=True)
class Shot:
    """A picture `file` of `part` of the page at `path`, once there is `ready` and not `busy`."""

    file: str
    path: str
    part: str = "body"
    ready: str = "canvas"
    busy: str = "[aria-busy]"
    width: int = WIDTH


LESSONS = ("expectation", "noise", "gradient", "passes", "agreement", "layer")
ROW = "59,2,32.1,101,157,93.2,38,4,4.8598,87"
SHOTS = (
    Shot("playground.png", f"/#ask?model=diabetes&row={ROW}&seed=1", ready="#view .body canvas"),
    *(
        Shot(f"learn-{name}.png", "/learn", f"#{name}", "#agreement button", width=820)
        for name in LESSONS
    ),
)


def take(folder: Path, shots: Sequence[Shot] = SHOTS) -> None:
    """Take the pictures; the same code on the same machine takes the same ones."""
    with (
        tempfile.TemporaryDirectory() as profile,
        serving() as url,
        browser(Path(profile)) as chrome,
    ):
        chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [*PREFERRED]})
        chrome.execute_cdp_cmd("Emulation.setScrollbarsHidden", {"hidden": True})
        for shot in shots:
            (folder / shot.file).write_bytes(_picture(chrome, url, shot))


def _picture(chrome: Chrome, url: str, shot: Shot) -> bytes:
    size = {"width": shot.width, "height": HEIGHT, "deviceScaleFactor": SCALE, "mobile": False}
    chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    chrome.get("about:blank")
    chrome.get(url + shot.path)
    wait = WebDriverWait(chrome, PATIENCE_SECONDS)
    wait.until(lambda page: page.find_elements(By.CSS_SELECTOR, shot.ready))
    wait.until(lambda page: not page.find_elements(By.CSS_SELECTOR, shot.busy))
    chrome.execute_async_script(_SETTLED)
    clip = {**chrome.execute_script(_BOX, shot.part), "scale": 1}
    if shot.part == "body":
        clip["height"] = min(clip["height"], HEIGHT)
    taken = chrome.execute_cdp_cmd(
        "Page.captureScreenshot", {"clip": clip, "captureBeyondViewport": True}
    )
    return base64.b64decode(taken["data"])
