"""Both clients, and the servers that they ask."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.client.asking import Connect, connect, connect_async
from tests.journeys.serving import Served, served

KEY, OTHER = "a-key-of-the-tests-0123", "another-key-of-the-tests"


@pytest.fixture(params=[connect, connect_async], ids=["sync", "async"])
def ask(request: pytest.FixtureRequest) -> Connect:
    """Each of the clients in turn."""
    chosen: Connect = request.param
    return chosen


@pytest.fixture(scope="session")
def small(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server of all tasks with low limits for one request."""
    models = [option for folder in artifacts.values() for option in ("--model", folder)]
    limits = {"MCD_MAX_ROWS": "700", "MCD_MAX_ROW_PASSES": "9000", "MCD_MAX_PASSES": "1000"}
    with served(tmp_path_factory.mktemp("small"), *models, **limits) as server:
        yield server


@pytest.fixture(scope="session")
def busy(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with keys, a queue of one chunk and a rate limit."""
    folder = tmp_path_factory.mktemp("busy")
    (folder / "keys").write_text(f"{KEY} tests\n{OTHER} others\n")
    settings = {
        "MCD_API_KEYS_FILE": str(folder / "keys"),
        "MCD_QUEUE_ROWS": "100",
        "MCD_RATE_LIMIT": "2",
    }
    with served(folder, "--model", artifacts["regression"], **settings) as server:
        yield server
