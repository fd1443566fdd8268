"""Models, and a server, that the journeys share."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

import model
from model import Table, TrainOptions, train
from tests.browser import browser
from tests.journeys.playground import Page
from tests.journeys.ray_cluster import RayCluster, ray_cluster
from tests.journeys.serving import Served, served
from tests.model.importing.networks import brought, network


@pytest.fixture(scope="session")
def versions(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two versions of one model."""
    folders = []
    for seed in (1, 2):
        folder = tmp_path_factory.mktemp("versions") / str(seed)
        options = TrainOptions(
            members=1, number_encoding="raw", hidden=(8,), dropout=(0.1,), epochs=2, seed=seed
        )
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


@pytest.fixture(scope="session")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with an imported network: it keeps no training rows, and knows few ranges."""
    folder = tmp_path_factory.mktemp("foreign")
    brought(folder, network(1), {"name": "price"})
    with served(tmp_path_factory.mktemp("foreign-log"), "--model", folder / "net") as server:
        yield server


@pytest.fixture(scope="session")
def cluster(
    artifacts: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RayCluster]:
    """Two nodes of Ray that serve the tiny models; the limits are those of `tests/app`."""
    shipped = (folder for folder in model.shipped() if folder.name in ("diabetes", "digits"))
    limits = {"rows": 50, "passes": 400, "row_passes": 5000, "samples": 1000}
    settings = {f"MCD_MAX_{name.upper()}": str(most) for name, most in limits.items()}
    body = {"MCD_MAX_BODY_BYTES": "100000"}
    folder = tmp_path_factory.mktemp("ray")
    with ray_cluster(folder, [*artifacts.values(), *shipped], body, **settings) as found:
        yield found


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """A browser for the tests of a module."""
    with browser(tmp_path_factory.mktemp("profile")) as chrome:
        yield chrome


@pytest.fixture
def page(plain: Served, chrome: Chrome) -> Iterator[Page]:
    """The browser, which looks at the server `plain`; each test leaves it as it was."""
    page = Page(chrome, plain.url)
    yield page
    page.reset()
