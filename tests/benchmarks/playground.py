"""How soon the playground shows an answer: `python -m tests.benchmarks.playground [--json]`.

For each view and model: the milliseconds from a click on "Random" to the first plot, with 1,000
passes, in Chromium on this machine, which the server shares; and the bytes of the page.
"""

import tempfile
from itertools import product
from pathlib import Path
from statistics import median
from typing import Any

import model
from tests.benchmarks.shown import show
from tests.browser import browser
from tests.journeys.playground import Page
from tests.server import serving

CLICKS = 20
PASSES = 1000
VIEWS = ("ask", "sweep", "convergence", "explain")
HEAD = "view         model          median ms   most ms   page kB"
LINE = "{view:12} {model:14} {median_ms:9.0f} {most_ms:9.0f} {page_kb:9.1f}"
_FIRST_PLOT = """
const done = arguments[0];
document.getElementById("random").click();
const look = () => {
  const [changed] = performance.getEntriesByName("mcd-changed");
  const [drawn] = performance.getEntriesByName("mcd-drawn");
  if (changed && drawn) done(drawn.startTime - changed.startTime);
  else setTimeout(look, 2);
};
look();
"""
_WEIGHT = """
return performance.getEntriesByType("resource").concat(performance.getEntriesByType("navigation"))
  .filter(({name}) => !name.includes("/models"))
  .reduce((sum, {decodedBodySize}) => sum + decodedBodySize, 0);
"""


def measured() -> list[dict[str, Any]]:
    """A row for each view and model."""
    found: list[dict[str, Any]] = []
    with (
        serving() as url,
        tempfile.TemporaryDirectory() as profile,
        browser(Path(profile)) as chrome,
    ):
        page = Page(chrome, url)
        for view, folder in product(VIEWS, model.shipped()):
            page.view(f"{view}?model={folder.name}&passes={PASSES}")
            times = []
            for _ in range(CLICKS):
                times.append(chrome.execute_async_script(_FIRST_PLOT))
                page.settle()
            found.append(
                {
                    "view": view,
                    "model": folder.name,
                    "median_ms": median(times),
                    "most_ms": max(times),
                    "page_kb": page.script(_WEIGHT) / 1000,
                }
            )
    return found


if __name__ == "__main__":
    show(__doc__, measured, head=HEAD, line=LINE)
