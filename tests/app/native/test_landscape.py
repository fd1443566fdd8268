"""The route of a stored landscape."""

import json
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

import model
from app.settings import Settings
from model import LandscapeOptions, LandscapeRecord, Table, landscape, load, save_landscape
from tests.app.conftest import asking

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def record(regression_artifact: Path, sold: Table) -> LandscapeRecord:
    options = LandscapeOptions(points=5, masks=2, rows=20)
    return landscape(load(regression_artifact), sold, options).record()


@pytest.fixture
async def asked(
    artifacts: dict[str, Path], record: LandscapeRecord, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Asks of `regression`, which has a landscape, `binary`, whose is damaged, and `multiclass`."""
    for name in ("regression", "binary", "multiclass"):
        shutil.copytree(artifacts[name], tmp_path / name)
    save_landscape(tmp_path / "regression", record)
    (tmp_path / "binary/landscape.json").write_text('{"loss": ')
    async with asking(Settings(models_dir=tmp_path)) as client:
        yield client


async def test_a_stored_landscape_is_answered_as_it_was_drawn(
    asked: httpx.AsyncClient, record: LandscapeRecord
) -> None:
    response = await asked.get("/models/regression/landscape")
    assert response.status_code == 200
    found = response.json()
    assert LandscapeRecord.model_validate_json(response.content) == record
    assert found["model"] == {"name": "regression", "version": record.model.version}
    for plane in found["planes"]:
        assert {surface["name"] for surface in plane["surfaces"]} >= {"deterministic", "average"}
        for surface in plane["surfaces"]:
            assert [len(row) for row in surface["z"]] == [len(plane["x"])] * len(plane["y"])
    random, masks = found["planes"]
    assert (random["name"], random["explained"], random["dots"]) == ("random", None, [])
    assert masks["name"] == "masks"
    assert 0 < masks["explained"] < 1
    assert set(masks["dots"][0]) == {"x", "y", "loss", "distance", "on_plane"}
    assert set(masks["roughness"]) == {"deterministic", "average", "single"}


async def test_the_list_of_models_says_which_has_one(asked: httpx.AsyncClient) -> None:
    models = (await asked.get("/models")).json()["models"]
    assert {entry["name"]: entry["landscape"] for entry in models} == {
        "binary": False,
        "multiclass": False,
        "regression": True,
    }


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("multiclass", "no_landscape", "python -m model landscape"),
        ("binary", "no_landscape", "that can be used"),
        ("nobody", "unknown_model", "regression"),
    ],
)
async def test_without_one_the_answer_is_404(
    asked: httpx.AsyncClient, tmp_path: Path, name: str, code: str, said: str
) -> None:
    response = await asked.get(f"/models/{name}/landscape")
    assert response.status_code == 404
    body = response.json()
    assert body["code"] == code
    assert said in body["error"]
    assert str(tmp_path) not in response.text
    assert (await asked.get("/models/binary")).status_code == 200


async def test_head_and_a_query_are_as_for_the_other_routes(asked: httpx.AsyncClient) -> None:
    head = await asked.head("/models/regression/landscape")
    assert (head.status_code, head.content) == (200, b"")
    refused = await asked.get("/models/regression/landscape?points=5")
    assert refused.status_code == 422


async def test_a_stale_one_is_not_shown(
    artifacts: dict[str, Path], record: LandscapeRecord, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(artifacts["regression"], tmp_path / "regression"))
    save_landscape(folder, record)
    content = json.loads((folder / "landscape.json").read_text())
    content["model"]["version"] = "0" * 16
    (folder / "landscape.json").write_text(json.dumps(content))
    async with asking(Settings(models=(folder,))) as client:
        response = await client.get("/models/regression/landscape")
    assert response.json()["code"] == "no_landscape"


async def test_the_shipped_models_show_theirs() -> None:
    async with asking(Settings()) as client:
        for folder in model.shipped():
            response = await client.get(f"/models/{folder.name}/landscape")
            assert response.json()["model"]["version"] == load(folder).card.version
