"""A page of ours in a real browser, as the tests of the playground and of other pages use it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from tests.browser import PATIENCE_SECONDS, complaints

AXE = Path(__file__).parents[1] / "vendor/axe-core/axe.min.js"

_COLOURS = """
const [data, done] = arguments, image = new Image();
image.onload = () => {
  const canvas = new OffscreenCanvas(image.width, image.height), ctx = canvas.getContext("2d");
  ctx.drawImage(image, 0, 0);
  const pixels = new Uint32Array(ctx.getImageData(0, 0, image.width, image.height).data.buffer);
  done(new Set(pixels).size);
};
image.src = "data:image/png;base64," + data;
"""
_FINDINGS = """
const done = arguments[0];
axe.run(document, {resultTypes: ["violations"]}).then(({violations}) => done(
  violations.map(({id, impact, nodes}) => [impact, id, nodes.map((node) => node.html)])
));
"""


@dataclass(frozen=True)
class Page:
    """A browser that looks at the server at `url`."""

    chrome: Chrome
    url: str

    def open(self, fragment: str = "", path: str = "/") -> None:
        """Load a page anew, with that behind `#`, and wait until the view has its answer."""
        self.chrome.get("about:blank")
        complaints(self.chrome)  # those of another page
        self.chrome.get(f"{self.url}{path}{'#' if fragment else ''}{fragment}")

    def view(self, fragment: str = "") -> None:
        """Load the playground, and wait until the view has drawn its answer."""
        self.open(fragment)
        self.settle()

    def settle(self) -> None:
        """Wait until the view is there and waits for no answer."""
        self.find("#view .body > *")
        self.wait(lambda: not self.all("#view[aria-busy]"))

    def wait(self, condition: Any) -> Any:
        """The condition's value once it is true; fails where that takes too long."""
        ignored = (StaleElementReferenceException,)
        waiting = WebDriverWait(self.chrome, PATIENCE_SECONDS, 0.05, ignored)
        return waiting.until(lambda _: condition())

    def all(self, selector: str) -> list[WebElement]:
        """The elements that are there now."""
        return self.chrome.find_elements(By.CSS_SELECTOR, selector)

    def find(self, selector: str) -> WebElement:
        """The first such element, once there is one."""
        found: WebElement = self.wait(lambda: next(iter(self.all(selector)), None))
        return found

    def text(self, selector: str) -> str:
        """The text of the first such element, once it has one."""
        found: str = self.wait(lambda: self.find(selector).text)
        return found

    def script(self, source: str, *arguments: Any) -> Any:
        """The value that a script returns."""
        return self.chrome.execute_script(source, *arguments)

    def type(self, selector: str, text: str) -> None:
        """Type a text instead of the one that is in the field."""
        self.find(selector).send_keys(Keys.CONTROL, "a")
        self.find(selector).send_keys(text)

    def slide(self, selector: str, value: float) -> None:
        """Move a slider as a drag would."""
        self.script(
            "arguments[0].value = arguments[1];"
            "arguments[0].dispatchEvent(new Event('input', {bubbles: true}))",
            self.find(selector),
            value,
        )

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.chrome.switch_to.active_element.send_keys(*keys)

    def width(self, width: int, height: int = 1600) -> None:
        """Let the window have that many CSS pixels; `reset` undoes it."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.chrome.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def prefer(self, **features: str) -> None:
        """Let the system prefer that: `color_scheme="dark"`, `reduced_motion="reduce"`."""
        media = [
            {"name": f"prefers-{name.replace('_', '-')}", "value": value}
            for name, value in features.items()
        ]
        self.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": media})

    def reset(self) -> None:
        """Undo `width` and `prefer`, and forget what the page keeps."""
        self.chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
        self.prefer()
        if self.chrome.current_url.startswith("http"):
            self.script("localStorage.clear()")

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        script = (
            "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        return int(self.script(script))

    def colours(self, selector: str) -> int:
        """How many colours the picture of an element has: 1 is an empty one."""
        picture = self.find(selector).screenshot_as_base64
        return int(self.chrome.execute_async_script(_COLOURS, picture))

    def requested(self) -> list[str]:
        """The URLs that the page has loaded or asked."""
        script = "return performance.getEntriesByType('resource').map(each => each.name)"
        return [str(name) for name in self.script(script)]

    def grave(self) -> list[str]:
        """What axe finds that is serious or critical."""
        self.script(AXE.read_text(encoding="utf-8"))  # past the page's policy, as a debugger may
        found = self.chrome.execute_async_script(_FINDINGS)
        return [json.dumps(each) for each in found if each[0] in ("serious", "critical")]

    def complaints(self) -> list[str]:
        """What the console has to complain about."""
        return complaints(self.chrome)
