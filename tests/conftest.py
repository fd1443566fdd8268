"""Small tables, and artifacts that are really trained on them, once per run."""

import secrets
from collections.abc import Generator, Iterator
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

from model import Table, TrainOptions, train

TINY = TrainOptions(
    members=1, number_encoding="raw", hidden=(16, 16), dropout=(0.2,), epochs=20, batch=32
)


class ByModule(LoadScopeScheduling):
    """Each process of `pytest -n 2` takes whole modules, and one of them all journeys.

    What a module makes is made once, and no two journeys compete for the processors.
    """

    def _split_scope(self, nodeid: str) -> str:
        module = nodeid.partition("::")[0]
        return "journeys" if module.startswith("tests/journeys/") else module


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByModule:
    """The scheduler of `pytest -n`. Its own groups by mark do not work with pytest 9.2."""
    return ByModule(config, log)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    """Draw the seeds of calls without one from the test's name.

    Numbers that are judged by chance are then the same in every run; another name is another draw.
    """
    random = Random(item.nodeid)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(secrets, "randbits", random.getrandbits)
        patch.setattr(secrets, "randbelow", random.randrange)
        return (yield)


@pytest.fixture(scope="session")
def houses() -> Table:
    """Two numbers and a category; two prices, a class of two and a class of three to predict."""
    return Table("houses.csv", house_columns(0), "0" * 64)


@pytest.fixture(scope="session")
def sold() -> Table:
    """Other houses, which no model has seen."""
    return Table("sold.csv", house_columns(1), "1" * 64)


def house_columns(seed: int) -> dict[str, np.ndarray]:
    """The columns of 200 random houses."""
    random = np.random.default_rng(seed)
    area, rooms = random.normal(100, 30, 200), random.integers(1, 9, 200).astype(float)
    quarter = random.choice(np.array(["east", "north", "south"], dtype=object), 200)
    price = 3 * area + 10 * rooms + 40 * (quarter == "east") + random.normal(0, 10, 200)
    rent = 8 + area / 20 + random.normal(0, 1, 200)
    worth = np.digitize(price + random.normal(0, 30, 200), [280, 400])
    return {
        "area": area,
        "rooms": rooms,
        "quarter": quarter,
        "price": price,
        "rent": rent,
        "dear": np.where(price + random.normal(0, 30, 200) > 340, "yes", "no").astype(object),
        "worth": np.array(["low", "middle", "high"], dtype=object)[worth],
    }


@pytest.fixture(scope="session")
def artifacts(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders by task: `regression`, `two_targets`, `binary` and `multiclass`."""
    folder = tmp_path_factory.mktemp("artifacts")
    targets = {
        "regression": ["price"],
        "two_targets": ["price", "rent"],
        "binary": ["dear"],
        "multiclass": ["worth"],
    }
    everything = {"price", "rent", "dear", "worth"}
    for name, chosen in targets.items():
        others = sorted(everything - set(chosen))
        train(houses, chosen, folder / name, drop=others, options=TINY)
    return {name: folder / name for name in targets}


@pytest.fixture(scope="session")
def regression_artifact(artifacts: dict[str, Path]) -> Path:
    """Predicts `price` from area, rooms and quarter (east, north, south)."""
    return artifacts["regression"]


@pytest.fixture(scope="session")
def two_target_artifact(artifacts: dict[str, Path]) -> Path:
    """Predicts `price` and `rent`."""
    return artifacts["two_targets"]


@pytest.fixture(scope="session")
def binary_artifact(artifacts: dict[str, Path]) -> Path:
    """Predicts `dear`: no, yes."""
    return artifacts["binary"]


@pytest.fixture(scope="session")
def multiclass_artifact(artifacts: dict[str, Path]) -> Path:
    """Predicts `worth`: high, low, middle."""
    return artifacts["multiclass"]


@pytest.fixture(scope="session")
def classification_artifact(multiclass_artifact: Path) -> Path:
    """The classifier with more than two classes."""
    return multiclass_artifact


@pytest.fixture(scope="session")
def slow_artifact(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predicts `price` as `regression_artifact` does; 10,000 passes of 1,000 rows take seconds.

    For what happens while a server computes. With its compiled kernel, it is done with the tiny
    networks before anybody can look.
    """
    folder = tmp_path_factory.mktemp("slow") / "slow"
    options = TrainOptions(members=1, number_encoding="raw", hidden=(128, 128), epochs=1, batch=200)
    train(houses, "price", folder, drop=["rent", "dear", "worth"], options=options)
    return folder


@pytest.fixture(scope="session")
def imputing_artifact(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Predicts `price`, and fills in areas and quarters, but no rooms."""
    columns = {name: houses.columns[name].copy() for name in ("area", "rooms", "quarter", "price")}
    columns["area"][::10], columns["quarter"][5] = np.nan, None
    table, folder = Table("gaps.csv", columns, "2" * 64), tmp_path_factory.mktemp("gaps") / "gaps"
    options = TrainOptions(hidden=(4,), epochs=1, members=1)
    train(table, "price", folder, missing="impute", options=options)
    return folder


@pytest.fixture(params=["regression", "two_targets", "binary", "multiclass"])
def artifact(request: pytest.FixtureRequest, artifacts: dict[str, Path]) -> Path:
    """Each of the artifacts in turn."""
    return artifacts[request.param]


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> None:
    """Networks this small compute several times faster in one thread than in two."""
    torch.set_num_threads(1)


@pytest.fixture
def torch_threads() -> Iterator[None]:
    """Whatever a test sets the number of torch's threads to, the next finds it as it was."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)
