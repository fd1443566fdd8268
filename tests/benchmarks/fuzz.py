"""Sends a server what no client should, and looks at its answers and at what it did to the server.

    python -m tests.benchmarks.fuzz wire --count 5000
    python -m tests.benchmarks.fuzz bodies --count 20000
    python -m tests.benchmarks.fuzz schema --count 200

The server is a process of its own, with a model of three features that is trained first.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import httpx
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from app.errors import ErrorBody
from model import Table, TrainOptions, train
from tests.app.bodies import native_bodies, v2_messages
from tests.fuzzing import answer_to, faults, message
from tests.journeys.serving import Served, served

CONFIGURATION = str(Path(__file__).parents[1] / "schemathesis.toml")
WARM_UP = 1000
CLIENTS = 32
QUIET_SECONDS = 1.5  # long enough for a busy machine

Asked = tuple[str, tuple[bytes, dict[bytes, bytes]]]
"""A path, and the body and the headers of a request for it."""


def main() -> int:
    """The exit code: 1 where something was found."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("kind", choices=KINDS)
    parser.add_argument("--count", type=int, default=1000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, _server(Path(folder)) as server:
        KINDS[arguments.kind](server, WARM_UP, Counter())
        before, seen = _size(server), Counter[str]()
        found = KINDS[arguments.kind](server, arguments.count, seen)
        print(f"{arguments.count} x {arguments.kind}: {dict(sorted(seen.items()))}")
        print(f"  memory, threads, descriptors before {before}, after {_size(server)}")
        lines = [line for line in server.lines() if line["level"] in ("error", "critical")]
        print(f"  ready after: {server.ready()}; errors in the log: {len(lines)}")
    for each in found[:20]:
        print(f"  FOUND {each}")
    print(f"  {len(found)} faults")
    return 1 if found or lines else 0


def wire(server: Served, count: int, seen: Counter[str]) -> list[str]:
    """Messages on a socket, from many clients at a time."""
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    place = (address.hostname, address.port)
    found = []
    with ThreadPoolExecutor(CLIENTS) as pool:
        sent = (message(Random(seed)) for seed in range(count))
        for seed, received in enumerate(
            pool.map(lambda each: answer_to(place, each, QUIET_SECONDS), sent)
        ):
            found += [f"message {seed}: {each}" for each in faults(received)]
            statuses = re.findall(rb"HTTP/1\.1 (\d+)", received)
            seen.update(status.decode() for status in statuses or [b"no answer"])
    return found


def bodies(server: Served, count: int, seen: Counter[str]) -> list[str]:
    """Bodies on the prediction routes of both protocols."""
    found: list[str] = []
    routes: st.SearchStrategy[Asked] = st.tuples(
        st.just("/predict"), st.tuples(native_bodies, st.just({}))
    )
    tensors: st.SearchStrategy[Asked] = st.tuples(
        st.just("/v2/models/regression/infer"), v2_messages()
    )
    limits = httpx.Limits(keepalive_expiry=1)  # sooner than the server closes what is idle
    with httpx.Client(base_url=server.url, timeout=60, limits=limits) as client:

        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(routes | tensors)
        def send(request: Asked) -> None:
            path, (content, headers) = request
            response = client.post(path, content=content, headers=headers)
            seen[str(response.status_code)] += 1
            if wrong := _wrong(response):
                found.append(f"{path} {content!r} {headers}: {wrong}")

        send()
    return found


def schema(server: Served, count: int, seen: Counter[str]) -> list[str]:
    """schemathesis, all its phases and checks, with so many examples per operation."""
    command = "from schemathesis.cli import schemathesis; schemathesis()"
    options = ["--config-file", CONFIGURATION, "run", f"{server.url}/openapi.json", "--no-color"]
    options += ["--generation-database", "none", "--max-examples", str(count)]
    with tempfile.TemporaryDirectory() as folder:
        ended = subprocess.run(
            [sys.executable, "-c", command, *options],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
        )
    seen["cases"] = int((re.findall(r"(\d+) generated", ended.stdout) or ["0"])[0])
    return [ended.stdout] if ended.returncode else []


KINDS = {"wire": wire, "bodies": bodies, "schema": schema}


def _wrong(response: httpx.Response) -> str | None:
    if response.status_code >= 500:
        return response.text[:200]
    if response.status_code >= 400:
        try:
            ErrorBody.model_validate_json(response.content)
        except ValidationError:
            return response.text[:200]
    return None if response.headers.get("x-request-id") else "no request id"


@contextmanager
def _server(folder: Path) -> Iterator[Served]:
    random = np.random.default_rng(0)
    area, rooms = random.normal(100, 30, 200), random.integers(1, 9, 200).astype(float)
    quarter = random.choice(np.array(["east", "north", "south"], dtype=object), 200)
    price = 3 * area + 10 * rooms + 40 * (quarter == "east") + random.normal(0, 10, 200)
    columns = {"area": area, "rooms": rooms, "quarter": quarter, "price": price}
    options = TrainOptions(hidden=(16, 16), dropout=(0.2,), epochs=20, batch=32)
    table = Table("houses.csv", columns, "0" * 64)
    train(table, ["price"], folder / "regression", options=options)
    with served(folder, "--model", folder / "regression") as server:
        yield server


def _size(server: Served) -> str:
    process = Path(f"/proc/{server.process.pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    megabytes = int(status["VmRSS"].split()[0]) / 1024
    descriptors = len(list((process / "fd").iterdir()))
    return f"{megabytes:.1f} MiB, {status['Threads'].strip()}, {descriptors}"


if __name__ == "__main__":
    sys.exit(main())
