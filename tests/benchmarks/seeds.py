"""How often intervals hold the target under one seed after the other, as a table and a picture.

    python -m tests.benchmarks.seeds --data DIR [--models DIR] --figures docs/img/coverage.json
    python -m tests.benchmarks.seeds --figures docs/img/coverage.json --picture coverage.svg

The first trains three splits of naval-propulsion-plant by default options, a set with hardly any
noise, so that the passes dominate (some ten minutes; with --models in folders that are kept and
used again), and asks each model for intervals of the test rows under twelve seeds. It does so
twice: as the model is served, and as it was once, calibrated on rows that share the masks of seed 0
and served with 100 passes. DIR has the sets of ../shared/data/uci. The second draws what the first
has found.
"""

import argparse
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from model import PredictOptions, Predictor, Table, load, train, use_threads
from model.artifact.folder import read
from model.artifact.records import ServingRecord, calibration_record
from model.calibration.regions import Calibration
from model.data.preparation import encode_table, encode_target, split_rows
from model.evaluation.charts import Area, Axis, Dots, Layer, Line, chart
from model.formulas.conformal import sorted_scores
from model.tasks.task import TASKS

SET, SPLITS, LEVELS, SEEDS = "naval-propulsion-plant", range(3), (0.8, 0.9, 0.95), range(100, 112)
SHOWN = 0.9
WAYS = {"before": "masks of seed 0, 100 passes", "now": "masks for each row, own passes"}
STYLE = """
svg { font-family: system-ui, sans-serif; background: #fff } text { fill: #333; font-size: 12px }
.name, .legend { font-size: 13px } .grid { stroke: #ddd } .axis, .tick { stroke: #777 }
.line { fill: none; stroke: #555; stroke-dasharray: 4 3 } .area { fill: #e5ecf6 }
.dots.second { fill: #c44e2b; fill-opacity: .75 } .dots.main { fill: #2b62c4; fill-opacity: .75 }
"""

Figures = dict[str, dict[str, dict[str, list[float]]]]
"""The shares under each seed by split, way and level."""


def table(data: Path, split: int, part: str) -> Table:
    """The train or test rows of a published split."""
    folder = data / SET
    cells, columns = np.loadtxt(folder / "data.txt"), np.loadtxt(folder / "index_features.txt")
    rows = np.loadtxt(folder / f"index_{part}_{split}.txt").astype(int)
    target = int(np.loadtxt(folder / "index_target.txt"))
    features = {f"f{at}": cells[rows, int(column)] for at, column in enumerate(columns)}
    return Table(SET, features | {"y": cells[rows, target]}, f"{split:064}")


def held(predictor: Predictor, given: Table, level: float, seeds: Sequence[int]) -> list[float]:
    """The share of the rows whose interval holds the target, under each seed."""
    x = encode_table(given, predictor.card.schema_of_rows)
    (name,) = predictor.card.target.names
    y, found = np.asarray(given.columns[name], dtype=np.float64), []
    for seed in seeds:
        columns = predictor.predict_encoded(
            x, PredictOptions(seed=seed, coverage=level)
        ).rows.columns
        lower, upper = (columns["interval"].columns[end][:, 0] for end in ("lower", "upper"))
        found.append(round(float(np.mean((lower <= y) & (y <= upper))), 4))
    return found


def as_before(folder: Path, given: Table) -> Predictor:
    """The model of a folder, calibrated on rows of its table that share the masks of seed 0."""
    card, network, *_ = read(folder)
    rows = split_rows(given.row_count, card.training.seed).calibration  # type: ignore[union-attr]
    x = encode_table(given, card.schema_of_rows)[rows]
    y = encode_target(given, card.target_of_rows)[rows]
    update = {"serving": ServingRecord(estimator=card.serving.estimator), "calibration": None}
    card = card.model_copy(update=update)
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    made = Predictor(card, network).predict_encoded(x, PredictOptions(seed=0, masks="shared"))
    scores = {name: sorted_scores(each) for name, each in task.scores(made.rows, y).items()}
    old = Calibration(made.passes, made.estimator, scores, masks="shared")
    return Predictor(
        card.model_copy(update={"calibration": calibration_record(old, given)}), network
    )


def measured(data: Path, models: Path) -> Figures:
    """The figures of all splits; trains the models that are not there."""
    figures: Figures = {}
    for split in SPLITS:
        folder, trained_on = models / f"{SET}-{split}", table(data, split, "train")
        if not folder.exists():
            train(trained_on, "y", folder)
        ways = {"before": as_before(folder, trained_on), "now": load(folder)}
        test = table(data, split, "test")
        figures[str(split)] = {
            way: {str(level): held(predictor, test, level, SEEDS) for level in LEVELS}
            for way, predictor in ways.items()
        }
    return figures


def text(figures: Figures) -> str:
    """The figures as a table."""
    lines = ["| split | calibrated | coverage | mean | least | most |", "| --- " * 6 + "|"]
    for split, ways in figures.items():
        for way, levels in ways.items():
            for level, shares in levels.items():
                said = " | ".join(
                    f"{each:.3f}" for each in (np.mean(shares), min(shares), max(shares))
                )
                lines.append(f"| {split} | {way} | {level} | {said} |")
    return "\n".join(lines)


def picture(figures: Figures) -> str:
    """An SVG of every seed's share at one level: a column of dots for each split and way."""
    dots: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
    for at, ways in enumerate(figures.values()):
        for side, way in enumerate(WAYS):
            place = at + 0.3 + 0.4 * side
            dots[way] += [(place, share) for share in ways[way][str(SHOWN)]]
    shares = [share for points in dots.values() for _, share in points]
    low = min(0.8, np.floor(min(shares) * 20) / 20)
    ends = (0.0, float(len(figures)))
    layers: list[Layer] = [
        Area("band", [(x, SHOWN - 0.04) for x in ends], [(x, SHOWN + 0.04) for x in ends]),
        Line("guide", [(x, SHOWN) for x in ends]),
        Dots("second", dots["before"], WAYS["before"]),
        Dots("main", dots["now"], WAYS["now"]),
    ]
    axes = (
        Axis("split, twelve seeds each", *ends),
        Axis("share of targets held", low, 1.0, percent=True),
    )
    said = f"Intervals that claim {SHOWN:.0%}, {SET}: the share that holds, by seed"
    drawn = chart("coverage", said, text(figures), axes, layers)
    head, _, rest = drawn.partition("\n")
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{head}\n<style>{STYLE}</style>\n{rest}\n"


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure where there is data, draw where a picture is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--data", type=Path)
    parser.add_argument("--models", type=Path)
    parser.add_argument("--figures", type=Path, required=True)
    parser.add_argument("--picture", type=Path)
    asked = parser.parse_args(arguments)
    use_threads(1)
    if asked.data:
        with tempfile.TemporaryDirectory() as scratch:
            found = measured(asked.data, asked.models or Path(scratch))
        asked.figures.write_text(json.dumps(found, indent=1) + "\n")
    figures = json.loads(asked.figures.read_text())
    if asked.picture:
        asked.picture.write_text(picture(figures))
    print(text(figures))


if __name__ == "__main__":
    main()
