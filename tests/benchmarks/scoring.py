"""Peak memory and rate of `python -m model predict` as its file grows, beside the engine's rate.

    python -m tests.benchmarks.scoring [--rows 200000,2000000] [--passes 100] [--workers 1]
                                       [--formats csv] [--json FILE]

The model is a network of 8 features trained here in a moment, with the default widths. The engine's
rate is that of `Predictor.predict_encoded` on encoded rows in memory, in one thread, as it is
measured before and after the command. The share compares rows per second of processor time, which
other programs change little; that of a file of one row, the start, is left out. Each
command is a fresh process. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from model import PredictOptions, Predictor, Table, TrainOptions, load, train, use_threads

FEATURES = 8
ENGINE_ROWS = 4096
ENGINE_SECONDS = 3.0
BLOCK = 50_000
MOST_MEMORY, LEAST_RATE = 1.05, 0.85
MEASURE = """if True:
    import resource, subprocess, sys, time
    start = time.monotonic()
    code = subprocess.call(sys.argv[1:], stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(code, time.monotonic() - start, used.ru_utime + used.ru_stime, used.ru_maxrss)
    """


def trained(folder: Path) -> Predictor:
    """A regression of 8 features with the default network."""
    random = np.random.default_rng(0)
    x = random.normal(size=(600, FEATURES))
    columns = {f"x{at}": x[:, at] for at in range(FEATURES)}
    columns["y"] = np.sin(x[:, 0]) + x[:, 1] + random.normal(0, 0.1, 600)
    train(Table("rows", columns, "0" * 64), "y", folder / "m", options=TrainOptions(epochs=5))
    return load(folder / "m")


def blocks(rows: int) -> Iterator[np.ndarray]:
    """Random rows, [n, 8], block by block."""
    random = np.random.default_rng(1)
    for start in range(0, rows, BLOCK):
        yield random.normal(size=(min(BLOCK, rows - start), FEATURES))


def write(path: Path, rows: int) -> Path:
    """Write a file of so many rows in the format of its extension."""
    names = [f"x{at}" for at in range(FEATURES)]
    if path.suffix == ".parquet":
        schema = pa.schema([(name, pa.float64()) for name in names])
        with pq.ParquetWriter(path, schema) as writer:
            for block in blocks(rows):
                writer.write_table(pa.table(list(block.T), schema=schema))
        return path
    with path.open("w") as file:
        if path.suffix == ".csv":
            file.write(",".join(names) + "\n")
        for block in blocks(rows):
            for row in block.round(6).tolist():
                line = json.dumps(dict(zip(names, row, strict=True)))
                file.write((line if path.suffix == ".jsonl" else ",".join(map(str, row))) + "\n")
    return path


def engine_rate(predictor: Predictor, passes: int) -> float:
    """Rows per second of processor time of the engine on encoded rows."""
    x = predictor.encode(np.random.default_rng(2).normal(size=(ENGINE_ROWS, FEATURES)))
    options = PredictOptions(passes=passes, seed=0)
    predictor.predict_encoded(x, options)
    start, done = time.process_time(), 0
    while time.process_time() - start < ENGINE_SECONDS:
        predictor.predict_encoded(x, options)
        done += len(x)
    return done / (time.process_time() - start)


def measured(folder: Path, source: Path, passes: int, workers: int) -> tuple[float, float, float]:
    """Seconds and processor seconds of a command, and the peak memory in MiB of a process."""
    out = source.with_name(f"out{source.suffix}")
    command = [sys.executable, "-m", "model", "predict", str(folder / "m"), str(source)]
    command += ["--out", str(out), "--seed", "1", "--passes", str(passes)]
    command += ["--workers", str(workers)]
    printed = subprocess.check_output([sys.executable, "-c", MEASURE, *command], text=True)
    code, seconds, used, peak = printed.split()
    if code != "0":
        raise SystemExit(f"the command ended with {code}")
    out.unlink()
    return float(seconds), float(used), int(peak) / 1024


def case(folder: Path, suffix: str, rows: int, chosen: argparse.Namespace) -> dict[str, Any]:
    """What one file takes, beside the engine at the same time."""
    source = write(folder / f"rows.{suffix}", rows)
    predictor = load(folder / "m")
    before = engine_rate(predictor, chosen.passes)
    one = write(folder / f"one.{suffix}", 1)
    _, start, _ = measured(folder, one, chosen.passes, chosen.workers)
    seconds, used, peak = measured(folder, source, chosen.passes, chosen.workers)
    engine = (before + engine_rate(predictor, chosen.passes)) / 2
    source.unlink()
    return {
        "format": suffix,
        "rows": rows,
        "passes": chosen.passes,
        "workers": chosen.workers,
        "peak_mib": peak,
        "rows_per_second": rows / seconds,
        "rows_per_processor_second": rows / used,
        "engine_rows_per_second": engine,
        "share_of_engine": rows / (used - start) / engine,
        "start_processor_seconds": start,
    }


def main() -> None:
    """Measure, and print a table; write JSON where asked."""
    parser = argparse.ArgumentParser(description="Memory and rate of the command predict.")
    parser.add_argument("--rows", default="200000,2000000")
    parser.add_argument("--passes", type=int, default=100)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--formats", default="csv")
    parser.add_argument("--json", type=Path, metavar="FILE")
    chosen = parser.parse_args()
    use_threads(1)
    found = []
    print("| format | rows | peak | of the first | rows/s | engine's rows/s | share | |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    with tempfile.TemporaryDirectory() as name:
        trained(Path(name))
        for suffix in chosen.formats.split(","):
            first = None
            for rows in map(int, chosen.rows.split(",")):
                result = case(Path(name), suffix, rows, chosen)
                first = first or result["peak_mib"]
                growth, share = result["peak_mib"] / first, result["share_of_engine"]
                met = growth <= MOST_MEMORY and share >= LEAST_RATE
                cells = [suffix, f"{rows:,}", f"{result['peak_mib']:.0f} MiB", f"{growth:.3f}"]
                cells += [f"{result[f'{n}rows_per_second']:,.0f}" for n in ("", "engine_")]
                cells += [f"{share:.2f}", "met" if met else "missed"]
                print(f"| {' | '.join(cells)} |", flush=True)
                found.append(result)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
