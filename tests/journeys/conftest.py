"""Models, and a server, that the journeys share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from model import Table, TrainOptions, train
from tests.journeys.serving import Served, served


@pytest.fixture(scope="session")
def versions(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions of one model."""
    folders = []
    for seed in (1, 2):
        folder = tmp_path_factory.mktemp("versions") / str(seed)
        options = TrainOptions(hidden=(8,), dropout=(0.1,), epochs=2, seed=seed)
        others = ["rent", "dear", "worth"]
        train(houses, ["price"], folder, drop=others, name="houses", options=options)
        folders.append(folder)
    return folders


@pytest.fixture(scope="session")
def plain(artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a regression and a classifier, for tests that leave it as they find it."""
    models = ("--model", artifacts["regression"], "--model", artifacts["multiclass"])
    settings = {"MCD_MAX_ROW_PASSES": "100000000"}
    with served(tmp_path_factory.mktemp("plain"), *models, **settings) as server:
        yield server
