"""What a benchmark measured, as a table or as JSON."""

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any


def show(
    about: str | None,
    measured: Callable[[], Sequence[Mapping[str, Any]]],
    *,
    head: str,
    line: str,
) -> None:
    """Measure, and print a line for each row below the head; with --json one document instead."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--json", action="store_true", help="one JSON document instead of a table")
    as_json = parser.parse_args().json
    found = measured()
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print("\n".join([head, *(line.format_map(row) for row in found)]))
