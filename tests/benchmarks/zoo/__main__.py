"""The judge: every promise on some forty small networks that nothing was tuned on; one table.

    python -m tests.benchmarks.zoo --data DIR --models DIR [--only NAME ...] [--json FILE]
    python -m tests.benchmarks.zoo --models DIR --small

`networks.ZOO` lists the networks: published sets and synthetic laws with a known truth, one to four
layers, dropout rates from .005 to .5, both kinds of noise, and the defaults of `train`. Each is
trained once into the folder of `--models` and read from there the next time. DIR of `--data` holds
`uci/SET` with the published splits and `tabular/*.csv`; without it only laws are judged.

- No seed of a request is calibration's. Coverage and p-values allow for the chance of the test rows
  and of the calibration rows; a law draws 2,000 fresh rows, and 1,999 for calibration.
- The truth of a row is that of 20,000 passes of `plain` and as many of `reduced`, weighted by their
  errors. "agreement" tells whether the two contradict each other.
- Both estimators get the same seeds, and so the same masks: their ratio is known better than either
  error. What the truth's own error adds to a squared error is taken off.
- A row's error bar fails where so few of 200 requests hold the truth by two errors that a row with
  85 % would have a chance of one in 100, over all rows, to look so. Answers that warn of their
  error bar do not count; at most 2 % may.
- Whatever a cell in bold says missed its target by more than chance explains.
"""

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from time import process_time

from model import use_threads
from tests.benchmarks.zoo.findings import SMALL as LITTLE
from tests.benchmarks.zoo.findings import WHOLE, Finding
from tests.benchmarks.zoo.networks import SMALL, ZOO, Network, case, stale
from tests.benchmarks.zoo.promises import table, timed

Zoo = dict[str, dict[str, Finding]]  # by network and promise


def chosen(arguments: argparse.Namespace) -> tuple[Network, ...]:
    """The networks that were asked for."""
    names = SMALL if arguments.small else arguments.only
    wanted = [net for net in ZOO if not names or net.name in names]
    return tuple(net for net in wanted if net.of_a_law or arguments.data)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(description="Every promise on many small networks.")
    add = found.add_argument
    add("--data", type=Path, help="folder of the sets; without it only laws are judged")
    add("--models", type=Path, required=True, help="folder of the trained networks")
    add("--only", nargs="+", metavar="NAME", choices=[net.name for net in ZOO])
    add("--small", action="store_true", help="a few networks and runs: a minute")
    add("--json", type=Path, metavar="FILE", help="write all figures as JSON")
    add("--out", type=Path, metavar="FILE", help="write the table, too")
    return found


def main() -> None:
    """Judge network by network, and print the table."""
    arguments = parser().parse_args()
    use_threads(1)
    nets, effort = chosen(arguments), LITTLE if arguments.small else WHOLE
    zoo: Zoo = {}
    lines: list[str] = []
    for net in nets:
        start = process_time()
        one = case(net, arguments.data, arguments.models, print)
        ready = process_time() - start
        zoo[net.name], seconds = timed(one, effort)
        missed = [name for name, finding in zoo[net.name].items() if not finding.met]
        print(
            f"{net.name}: {ready:.0f} s to have it, {seconds:.0f} s to judge it; "
            f"missed: {', '.join(missed) or 'nothing'}",
            flush=True,
        )
        lines = [*table(zoo), *_notes(nets, arguments.models)]
        _keep(arguments, zoo, lines)  # at once: a run that is cut off has something to show
    print(*lines, sep="\n")


def _notes(nets: tuple[Network, ...], models: Path) -> list[str]:
    old = stale(nets, models)
    return [f"- trained by other code than this: {', '.join(old)}"] if old else []


def _keep(arguments: argparse.Namespace, zoo: Zoo, lines: list[str]) -> None:
    """Write what was asked for."""
    if arguments.json:
        found = {
            net: {name: asdict(finding) for name, finding in findings.items()}
            for net, findings in zoo.items()
        }
        arguments.json.write_text(json.dumps(found, indent=1, default=float))
    if arguments.out:
        arguments.out.write_text("\n".join(lines).lstrip() + "\n")


if __name__ == "__main__":
    main()
