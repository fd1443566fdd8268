"""Attack a server of our own in every way that has stopped one before; print figures and limits.

    python -m tests.benchmarks.chaos
    python -m tests.benchmarks.chaos --only structure pace --json chaos.json
    python -m tests.benchmarks.chaos --only soak --requests 100000

Each attack starts a fresh server. Beside it, a client asks for liveness all the time: its slowest
answer shows how long the event loop stood still. Linux only.
"""

import argparse
import json
import tempfile
from pathlib import Path

from tests.benchmarks.chaos import bodies, load, surroundings
from tests.benchmarks.chaos.finding import Finding
from tests.benchmarks.chaos.models import make_models

ATTACKS = {**bodies.ATTACKS, **load.ATTACKS, **surroundings.ATTACKS}


def main() -> int:
    """Attack, and print a table; the exit code is 1 where a limit was missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", nargs="+", choices=ATTACKS, default=list(ATTACKS))
    parser.add_argument("--requests", type=int, default=100_000, help="of the soak")
    parser.add_argument("--stops", type=int, default=50, help="under load")
    parser.add_argument(
        "--burners", type=int, default=8, help="processes that compute beside the stops"
    )
    parser.add_argument("--json", type=Path, metavar="FILE")
    asked = parser.parse_args()
    found: list[Finding] = []
    print("| attack | figure | seen | limit | |\n| --- | --- | ---: | ---: | --- |", flush=True)
    with tempfile.TemporaryDirectory() as place:
        models = make_models(Path(place))
        for name in asked.only:
            for finding in ATTACKS[name](Path(place), models, asked):
                found.append(finding)
                print(finding.row(), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([vars(each) for each in found], indent=1))
    return 0 if all(each.met for each in found) else 1


if __name__ == "__main__":
    raise SystemExit(main())
