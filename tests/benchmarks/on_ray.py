"""What Ray costs: the answer to one row through its proxy, and rows per second of `predict`.

    python -m tests.benchmarks.on_ray serve [--requests 500]
    python -m tests.benchmarks.on_ray predict [--rows 200000,2000000] [--passes 100]

`serve` asks a cluster of two nodes on this machine and a server of ours in turn, on one connection
each. `predict` runs the command with two workers by both engines in turn. The share compares rows
per second of processor time, of all processes of the command, which other programs change little;
the time of a file of one row, the start, is left out. Linux only.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from secrets import token_hex

import httpx

import model
from tests.benchmarks.scoring import trained, write
from tests.deploy.proxies import ASKED
from tests.journeys.ray_cluster import environment, ray_cluster
from tests.journeys.serving import served

MARK = "MEASURED_BY"  # an environment variable of all processes of one command
LOOK_SECONDS = 0.05
TICKS = os.sysconf("SC_CLK_TCK")


def marked(mark: str) -> Iterator[tuple[int, float]]:
    """Each process that has the mark in its environment, and its processor time in seconds."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"{MARK}={mark}".encode() in (path / "environ").read_bytes():
                fields = (path / "stat").read_text().rpartition(")")[2].split()
                yield int(path.name), (int(fields[11]) + int(fields[12])) / TICKS


def measured(command: list[str]) -> tuple[float, float]:
    """Seconds, and processor seconds of all processes, of a command."""
    mark, used, started = token_hex(8), dict[int, float](), time.monotonic()
    with subprocess.Popen(
        command, env=environment(**{MARK: mark}), stdout=subprocess.DEVNULL
    ) as process:
        while process.poll() is None:
            used |= dict(marked(mark))
            time.sleep(LOOK_SECONDS)
    if process.returncode:
        raise SystemExit(f"the command ended with {process.returncode}")
    return time.monotonic() - started, sum(used.values())


def predict(rows: list[int], passes: int) -> None:
    """Print a table of both engines for files of so many rows."""
    print("| rows | engine | seconds | processor seconds | of them the start | share |")
    print("| ---: | --- | ---: | ---: | ---: | ---: |")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        trained(folder)
        command = [sys.executable, "-m", "model", "predict", str(folder / "m")]
        options = ["--seed", "1", "--passes", str(passes), "--workers", "2", "--engine"]
        one = write(folder / "one.csv", 1)
        for count in rows:
            source, paces = write(folder / "rows.csv", count), dict[str, float]()
            for engine in ("local", "ray"):
                out = folder / f"{engine}.csv"
                rest = ["--out", str(out), *options, engine]
                _, start = measured([*command, str(one), *rest])
                seconds, used = measured([*command, str(source), *rest])
                paces[engine] = count / (used - start)
                cells = [f"{count:,}", engine, f"{seconds:.1f}", f"{used:.1f}", f"{start:.1f}"]
                print(f"| {' | '.join(cells)} | {paces[engine] / paces['local']:.2f} |", flush=True)
            if (folder / "ray.csv").read_bytes() != (folder / "local.csv").read_bytes():
                raise SystemExit("the engines wrote different bytes")


def serve(requests: int) -> None:
    """Print the times of an answer to one row."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        place, shipped = Path(name), model.shipped()
        [diabetes] = (folder for folder in shipped if folder.name == "diabetes")
        (place / "ours").mkdir()
        ours = stack.enter_context(served(place / "ours", "--model", diabetes))
        cluster = stack.enter_context(ray_cluster(place, [diabetes], {}))
        client = stack.enter_context(httpx.Client(timeout=60))
        taken: dict[str, list[float]] = {ours.url: [], cluster.url: []}
        for _ in range(requests):
            for url, times in taken.items():
                started = time.perf_counter()
                client.post(f"{url}/predict", json=ASKED).raise_for_status()
                times.append(1000 * (time.perf_counter() - started))
        for said, url in (("python -m app", ours.url), ("Ray Serve", cluster.url)):
            low, middle, high = (statistics.quantiles(taken[url], n=20)[at] for at in (0, 9, 18))
            print(f"{said}: median {middle:.2f} ms, 5 % {low:.2f} ms, 95 % {high:.2f} ms")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser(description="What Ray costs.")
    parser.add_argument("what", choices=("serve", "predict"))
    parser.add_argument("--requests", type=int, default=500)
    parser.add_argument("--rows", default="200000,2000000")
    parser.add_argument("--passes", type=int, default=100)
    chosen = parser.parse_args()
    if chosen.what == "serve":
        serve(chosen.requests)
    else:
        predict([int(count) for count in chosen.rows.split(",")], chosen.passes)


if __name__ == "__main__":
    main()
