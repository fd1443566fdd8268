"""Peak memory of a prediction as its passes go from 100 to 100,000; no pass is asked for.

    python -m tests.benchmarks.memory [--json FILE]

Each figure is the peak of a fresh process that loads the shipped default model and predicts once.
Linux only.
"""

import argparse
import json
import subprocess
import sys
from itertools import product
from pathlib import Path

PASSES, ROWS, ESTIMATORS = (100, 1_000, 10_000, 100_000), (1, 64), ("plain", "reduced")
SCOPES = ("shared", "per_row")
ALLOWED = 1.05

PREDICT = """if True:
    import resource, sys
    import numpy as np
    from model import PredictOptions, load, shipped, use_threads
    passes, rows, estimator, masks = int(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]
    use_threads(1)
    predictor = load(shipped()[0])
    x = np.zeros((rows, len(predictor.card.features)), dtype=np.float32)
    options = PredictOptions(passes=passes, seed=0, estimator=estimator, masks=masks)
    predictor.predict_encoded(x, options)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    """


def peak_mib(*options: object) -> float:
    """Peak resident memory of a process that predicts with these options."""
    command = [sys.executable, "-c", PREDICT, *map(str, options)]
    return int(subprocess.check_output(command)) / 1024


def main() -> None:
    """Measure, and print a table; write JSON where asked."""
    parser = argparse.ArgumentParser(description="Peak memory as the number of passes grows.")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    found = {}
    head = " | ".join(f"{passes:,} passes" for passes in PASSES)
    print(f"| estimator | masks | rows | {head} | most over least | |")
    print("| --- " * 2 + "| ---: " * (2 + len(PASSES)) + "| --- |")
    for estimator, masks, rows in product(ESTIMATORS, SCOPES, ROWS):
        peaks = [peak_mib(passes, rows, estimator, masks) for passes in PASSES]
        found[f"{estimator} {masks} {rows}"] = dict(zip(PASSES, peaks, strict=True))
        ratio = max(peaks) / min(peaks)
        cells = [estimator, masks, rows, *(f"{peak:.0f} MiB" for peak in peaks), f"{ratio:.3f}"]
        met = "met" if ratio <= ALLOWED else "missed"
        print(f"| {' | '.join(map(str, cells))} | {met} |", flush=True)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
