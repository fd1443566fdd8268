"""Versions of one model beside each other, asked by their names."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.http as triton

import model
from tests.journeys.serving import Served, served

SEEDED = {"seed": 3, "passes": 20}
HOUSE = [54.0, 2.0, "east"]


@pytest.fixture(scope="module")
def server(versions: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Serves `houses` in the versions of the folders `1` and `2`."""
    folder = tmp_path_factory.mktemp("served")
    for number, version in enumerate(versions, start=1):
        shutil.copytree(version, folder / "models" / "houses" / str(number))
    with served(folder, MCD_MODELS_DIR=str(folder / "models")) as server:
        yield server


@pytest.fixture
def client(server: Served) -> Iterator[triton.InferenceServerClient]:
    with triton.InferenceServerClient(server.url.removeprefix("http://")) as client:
        yield client


def inputs() -> list[triton.InferInput]:
    datatypes = {"area": "FP64", "rooms": "FP64", "quarter": "BYTES"}
    made = []
    for (name, datatype), value in zip(datatypes.items(), HOUSE, strict=True):
        dtype = object if datatype == "BYTES" else np.float64
        made.append(triton.InferInput(name, [1], datatype))
        made[-1].set_data_from_numpy(np.array([value], dtype=dtype))
    return made


def test_all_versions_are_listed_and_ready_the_newest_first(
    versions: list[Path], client: triton.InferenceServerClient
) -> None:
    old, new = (model.load(folder).card.version for folder in versions)
    assert client.get_model_metadata("houses")["versions"] == [new, old]
    for version in (old, new):
        assert client.is_model_ready("houses", version)
        assert client.get_model_metadata("houses", version)["versions"] == [new, old]
    assert not client.is_model_ready("houses", "0" * 16)


def test_each_version_answers_with_its_own_numbers_and_the_newest_where_none_is_named(
    versions: list[Path], client: triton.InferenceServerClient
) -> None:
    means = []
    for folder in versions:
        predictor = model.load(folder)
        [expected] = predictor.predict([HOUSE], model.PredictOptions(**SEEDED)).rows
        version = predictor.card.version
        result = client.infer("houses", inputs(), model_version=version, parameters=SEEDED)
        assert result.get_response()["model_version"] == version
        assert result.as_numpy("mean") == pytest.approx([expected.mean], rel=1e-5)
        means.append(result.as_numpy("mean").tolist())
    assert means[0] != means[1]
    newest = client.infer("houses", inputs(), parameters=SEEDED)
    assert newest.as_numpy("mean").tolist() == means[1]


def test_a_version_that_is_not_there_is_a_404_that_names_those_that_are(
    versions: list[Path], server: Served
) -> None:
    for method, tail in (("GET", ""), ("GET", "/ready"), ("POST", "/infer")):
        path = f"/v2/models/houses/versions/7{tail}"
        response = httpx.request(method, server.url + path)
        error: dict[str, Any] = response.json()
        assert (response.status_code, error["code"]) == (404, "unknown_model")
        for folder in versions:
            assert model.load(folder).card.version in error["error"]


def test_the_metrics_tell_which_versions_are_served(versions: list[Path], server: Served) -> None:
    text = httpx.get(f"{server.url}/metrics").text
    for folder in versions:
        version = model.load(folder).card.version
        assert f'mcd_model_info{{model="houses",version="{version}"}} 1.0' in text
