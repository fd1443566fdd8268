"""How long a landscape takes: `python -m tests.benchmarks.landscape [--json]`.

For each shipped model: the processor seconds of one thread for 61 x 61 points and three surfaces
(dropout off, the average, one mask) in each of two planes, on its own example table.
"""

import time
from typing import Any

from model import LandscapeOptions, landscape, load, read_table, shipped, use_threads
from tests.benchmarks.shown import show

OPTIONS = LandscapeOptions(points=61, masks=1)
HEAD = "model          surfaces   seconds"
LINE = "{model:14} {surfaces:8} {seconds:9.1f}"


def measured() -> list[dict[str, Any]]:
    """A row for each shipped model."""
    use_threads(1)
    found = []
    for folder in shipped():
        predictor, table = load(folder), read_table(f"example:{folder.name}")
        start = time.thread_time()
        drawn = landscape(predictor, table, OPTIONS)
        seconds = time.thread_time() - start
        surfaces = sum(len(plane.surfaces) for plane in drawn.planes)
        found.append({"model": folder.name, "surfaces": surfaces, "seconds": seconds})
    return found


if __name__ == "__main__":
    show(__doc__, measured, head=HEAD, line=LINE)
