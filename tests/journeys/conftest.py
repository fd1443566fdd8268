"""Models that the journeys share."""

from pathlib import Path

import pytest

from model import Table, TrainOptions, train


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
