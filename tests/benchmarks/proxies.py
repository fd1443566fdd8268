"""Rolling stops of three servers behind nginx and HAProxy under load.

    python -m tests.benchmarks.proxies --rounds 20

In each round, each of the three servers in turn is stopped by SIGTERM and replaced. Four clients
ask each proxy all the while. It prints how many requests were answered, how many were not, how long
the starts took, and which servers the slowest requests of nginx asked, with the seconds of each.
"""

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.deploy.proxies import ACCESS_LOG, ASKED, COUNT, PROXIES, Fleet, certified
from tests.load import Load


def main() -> int:
    """The exit code: 1 where a request failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--clients", type=int, default=4, help="of each proxy")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Path(folder)
        context = certified(place)
        fleet = stack.enter_context(Fleet(place))
        loads = {
            name: stack.enter_context(
                Load(
                    stack.enter_context(proxy(place, fleet.ports)),
                    ASKED,
                    options.clients,
                    verify=context,
                )
            )
            for name, proxy in PROXIES.items()
        }
        starts = []
        for turn in range(1, options.rounds + 1):
            for number in range(COUNT):
                began = time.monotonic()
                fleet.replace(number)
                starts.append(time.monotonic() - began)
            print(f"round {turn}: {_said(loads)}", flush=True)
        print(f"stop and start: {statistics.median(starts):.1f} s, {max(starts):.1f} s at most")
        print("ports:", *fleet.ports)
        print("slowest of nginx:", *_slowest(place / ACCESS_LOG), sep="\n")
    spread = {mean for load in loads.values() for mean in load.means}
    print(f"{_said(loads)}; means of one seed from {min(spread)!r} to {max(spread)!r}")
    return 1 if any(load.failed() for load in loads.values()) else 0


def _slowest(log: Path) -> list[str]:
    lines = log.read_text().splitlines()
    return sorted(lines, key=lambda line: float(line.split()[0]), reverse=True)[:5]


def _said(loads: dict[str, Load]) -> str:
    return "; ".join(
        f"{name}: {load.outcomes['200']} answered, {dict(load.failed()) or 'none'} failed, "
        f"slowest {load.slowest_seconds:.2f} s"
        for name, load in loads.items()
    )


if __name__ == "__main__":
    sys.exit(main())
