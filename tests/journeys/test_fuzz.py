"""Whatever comes over the wire: an answer or an error in the one shape, and a server as before."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from tests.fuzzing import answer_to, faults, message
from tests.journeys.serving import Served

MESSAGES = 400
CONFIGURATION = Path(__file__).parents[1] / "schemathesis.toml"


def unharmed(plain: Served) -> bool:
    """Whether the server is ready, and its log has no failure of its own."""
    failures = [line for line in plain.lines() if line["level"] in ("error", "critical")]
    return plain.ready() and plain.process.poll() is None and not failures


def test_any_bytes_on_a_socket_get_an_answer_in_the_one_shape_or_none(plain: Served) -> None:
    address = urlsplit(plain.url)
    assert address.hostname
    assert address.port
    place = (address.hostname, address.port)
    before = plain.predict(seed=1).json()
    sent = [message(Random(seed)) for seed in range(MESSAGES)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda each: answer_to(place, each), sent))
    found = {seed: wrong for seed, each in enumerate(answers) if (wrong := faults(each))}
    assert not found
    assert sum(map(bool, answers)) > MESSAGES / 4
    assert unharmed(plain)
    assert plain.predict(seed=1).json() == before


def test_schemathesis_finds_nothing(plain: Served, tmp_path: Path) -> None:
    command = "from schemathesis.cli import schemathesis; schemathesis()"
    options = ["--config-file", CONFIGURATION, "run", f"{plain.url}/openapi.json", "--no-color"]
    options += ["--generation-deterministic", "--max-examples", "5"]
    ended = subprocess.run(
        [sys.executable, "-c", command, *options, "--phases", "examples,coverage,fuzzing"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout
    assert unharmed(plain)
