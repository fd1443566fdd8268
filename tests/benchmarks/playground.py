"""How soon the playground shows an answer: `python -m tests.benchmarks.playground`.

For each view and model: the milliseconds from a click on "Random" to the first plot, with 1,000
passes, in Chromium on this machine, which the server shares; and the bytes of the page.
"""

import tempfile
from pathlib import Path
from statistics import median

import model
from tests.browser import browser
from tests.journeys.playground import Page
from tests.server import serving

CLICKS = 20
PASSES = 1000
VIEWS = ("ask", "sweep", "convergence", "explain")
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


def main() -> None:
    """Measure and print."""
    with (
        serving() as url,
        tempfile.TemporaryDirectory() as profile,
        browser(Path(profile)) as chrome,
    ):
        page = Page(chrome, url)
        print("view         model          median ms   most ms   page kB")
        for view in VIEWS:
            for folder in model.shipped():
                page.view(f"{view}?model={folder.name}&passes={PASSES}")
                times = []
                for _ in range(CLICKS):
                    times.append(chrome.execute_async_script(_FIRST_PLOT))
                    page.settle()
                weight = page.script(_WEIGHT) / 1000
                print(
                    f"{view:12} {folder.name:14} {median(times):9.0f} {max(times):9.0f}"
                    f" {weight:9.1f}"
                )


if __name__ == "__main__":
    main()
