"""Whatever comes over the wire: an answer or an error in the one shape, and a server as before."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

import pytest

from tests.fuzzing import answer_to, faults, message
from tests.journeys.serving import Served, served

MESSAGES = 400
CONFIGURATION = Path(__file__).parents[1] / "schemathesis.toml"


@pytest.fixture(scope="module")
def server(
    artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("fuzz")
    models = ("--model", artifacts["regression"], "--model", artifacts["multiclass"])
    with served(folder, *models) as server:
        yield server


def unharmed(server: Served) -> bool:
    """Whether the server is ready, and its log has no failure of its own."""
    failures = [line for line in server.lines() if line["level"] in ("error", "critical")]
    return server.ready() and server.process.poll() is None and not failures


def test_any_bytes_on_a_socket_get_an_answer_in_the_one_shape_or_none(server: Served) -> None:
    address = urlsplit(server.url)
    assert address.hostname
    assert address.port
    place = (address.hostname, address.port)
    before = server.predict(seed=1).json()
    sent = [message(Random(seed)) for seed in range(MESSAGES)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda each: answer_to(place, each), sent))
    found = {seed: wrong for seed, each in enumerate(answers) if (wrong := faults(each))}
    assert not found
    assert sum(map(bool, answers)) > MESSAGES / 2
    assert unharmed(server)
    assert server.predict(seed=1).json() == before


def test_schemathesis_finds_nothing(server: Served, tmp_path: Path) -> None:
    command = "from schemathesis.cli import schemathesis; schemathesis()"
    options = ["--config-file", CONFIGURATION, "run", f"{server.url}/openapi.json", "--no-color"]
    options += ["--generation-deterministic", "--max-examples", "10"]
    ended = subprocess.run(
        [sys.executable, "-c", command, *options, "--phases", "examples,coverage,fuzzing"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert unharmed(server)
