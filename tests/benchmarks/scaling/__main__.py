"""Measure what a request costs, check the queueing model against servers, and plan for a load.

    python -m tests.benchmarks.scaling [pace] [check] [workers] [threads] [costs] [proxies] [plan]
        [--seconds 10] [--rounds 3] [--members 1] [--figures FILE] [--price .04] ...

pace: CPU time per batch, request, row and pass, fitted to that of a server. check: latency,
throughput and refusals of servers under load, beside what the simulation predicts. workers,
threads: two over one. costs: scrapes, connections, hashes. proxies: CPU time of a request at each.
plan: what a load needs. What is measured goes into the file of figures, which `plan` reads. All
figures are of this machine, with whatever else runs on it: the file says how much. Linux only.
"""

import argparse
import json
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.benchmarks.scaling.checking import check_one, check_proxies, check_two, fleets
from tests.benchmarks.scaling.concurrency import costs, threads, workers
from tests.benchmarks.scaling.measuring import Fit, Machine, Target, measure_pace
from tests.benchmarks.scaling.planning import Prices, plan
from tests.benchmarks.scaling.simulation import Pace
from tests.benchmarks.serving import pinned, serving, take_other_cores, train

PARTS = ("pace", "check", "workers", "threads", "costs", "proxies", "plan")


def main() -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description="How many machines a load needs.")
    parser.add_argument("what", nargs="*", choices=[*PARTS, []])
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--members", type=int, default=1, help="networks of the model")
    parser.add_argument("--seed", type=int, default=0, help="of the arrivals")
    parser.add_argument("--figures", type=Path, default=Path("scaling.json"))
    for name, price in Prices.__dataclass_fields__.items():
        text = f"--{name.replace('_', '-')}"
        parser.add_argument(text, type=float, default=price.default, help=price.metadata["help"])
    given = parser.parse_args()
    figures: dict[str, Any] = {}
    with suppress(FileNotFoundError):
        figures = json.loads(given.figures.read_text())
    with tempfile.TemporaryDirectory() as folder:
        artifact = train(Path(folder), given.members)
        for part in given.what or PARTS:
            if part == "plan":
                prices = Prices(**{name: getattr(given, name) for name in vars(Prices())})
                print(*plan(figures, prices), sep="\n\n")
                continue
            figures[part] = _measured(part, artifact, Path(folder), given, figures)
            figures["of"] = f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {given.members} members"
            given.figures.write_text(json.dumps(figures, indent=1) + "\n")
            print(part, json.dumps(figures[part], indent=1), flush=True)


def _measured(
    part: str, artifact: Path, folder: Path, given: argparse.Namespace, figures: dict[str, Any]
) -> Any:
    if part == "pace":
        return _paces(artifact, given)
    if part == "check":
        return _checks(artifact, folder, given, figures)
    if part == "proxies":
        return {name: cost for name, _, cost in fleets(artifact, folder)}
    if part == "costs":
        return costs(artifact)
    compared = {"workers": workers, "threads": threads}[part]
    return compared(artifact, given.seconds, given.rounds)


def _paces(artifact: Path, given: argparse.Namespace) -> dict[str, Any]:
    """The pace of each estimator, on a core of the server's own, and how well it fits."""
    found: dict[str, Any] = {}
    with pinned(), serving(artifact) as served:
        take_other_cores()
        for estimator in ("reduced", "plain"):
            machine = Machine()
            fit = measure_pace(
                Target.of(served),
                estimator=estimator,
                seconds=given.seconds / 10,
                rounds=given.rounds,
            )
            found[estimator] = {
                **asdict(fit),
                "worst": fit.worst(),
                "others": machine.others(),
            }
    return found


def _checks(
    artifact: Path, folder: Path, given: argparse.Namespace, figures: dict[str, Any]
) -> list[dict[str, Any]]:
    known = figures["pace"]["reduced"]
    fit = Fit(Pace(**known["pace"]), known["cells"], known["away"])
    found = []
    parts: list[Iterable[dict[str, Any]]] = [
        check_one(artifact, fit, given.seconds, given.seed),
        check_two(artifact, fit, given.seconds, given.seed),
        check_proxies(artifact, folder, fit, given.seconds, given.seed),
    ]
    for part in parts:
        for compared in part:
            found.append(compared)
            print(json.dumps(compared), flush=True)
    return found


if __name__ == "__main__":
    main()
