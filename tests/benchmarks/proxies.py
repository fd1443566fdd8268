"""Rolling stops of three servers behind nginx and HAProxy under load.

    python -m tests.benchmarks.proxies --rounds 20

In each round, each of the three servers in turn is stopped by SIGTERM and replaced. Four clients
ask each proxy all the while. It prints how many requests were answered, and how many were not.
"""

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from tests.deploy.proxies import ASKED, COUNT, PROXIES, Fleet, certified
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
        for turn in range(1, options.rounds + 1):
            for number in range(COUNT):
                fleet.replace(number)
            print(f"round {turn}: {_said(loads)}", flush=True)
    spread = {mean for load in loads.values() for mean in load.means}
    print(f"{_said(loads)}; means of one seed from {min(spread)!r} to {max(spread)!r}")
    return 1 if any(load.failed() for load in loads.values()) else 0


def _said(loads: dict[str, Load]) -> str:
    return "; ".join(
        f"{name}: {load.outcomes['200']} answered, {dict(load.failed()) or 'none'} failed, "
        f"slowest {load.slowest_seconds:.2f} s"
        for name, load in loads.items()
    )


if __name__ == "__main__":
    sys.exit(main())
