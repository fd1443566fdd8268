"""Files of rows for the houses of `tests.conftest`, and what an output has."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

QUARTERS = ("east", "north", "south")


def house_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Random houses with a name that needs quotes."""
    random = np.random.default_rng(seed)
    return [
        {
            "id": f'house {at}, "new"',
            "area": round(float(random.normal(100, 30)), 1),
            "rooms": int(random.integers(1, 9)),
            "quarter": QUARTERS[int(random.integers(3))],
        }
        for at in range(count)
    ]


def write(path: Path, rows: Sequence[dict[str, Any]]) -> Path:
    """Write the rows in the format of the extension."""
    match path.suffix:
        case ".parquet":
            pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=700)
        case ".jsonl":
            path.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        case _:
            with path.open("w", newline="") as file:
                writer = csv.DictWriter(
                    file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ","
                )
                writer.writeheader()
                writer.writerows(rows)
    return path


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of an output; those of CSV are texts."""
    match path.suffix:
        case ".parquet":
            return list(pq.read_table(path).to_pylist())
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
    with path.open(newline="") as file:
        return list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
