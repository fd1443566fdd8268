"""A model of several members is served on all routes, and tells the variance between them."""

from pathlib import Path
from typing import Any

import pytest

from app.settings import Settings
from model import PredictOptions, Table, TrainOptions, load, train
from tests.app.conftest import asking

pytestmark = pytest.mark.anyio

ROW = {"area": 120.0, "rooms": 4.0, "quarter": "east"}


@pytest.fixture(scope="module", params=["price", "worth"])
def folder(
    request: pytest.FixtureRequest, houses: Table, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A regression, and a classifier, of three members."""
    folder = tmp_path_factory.mktemp("members") / "flats"
    drop = sorted({"price", "rent", "dear", "worth"} - {request.param})
    options = TrainOptions(number_encoding="raw", members=3, hidden=(8,), dropout=(0.2,), epochs=20)
    train(houses, request.param, folder, drop=drop, options=options)
    return folder


async def test_both_protocols_tell_the_variance_between_members(folder: Path) -> None:
    options = PredictOptions(seed=3, passes=30)
    expected = load(folder).predict([ROW], options).rows.records()[0]
    infer: dict[str, Any] = {
        "inputs": [
            {
                "name": name,
                "shape": [1, 1],
                "datatype": "BYTES" if name == "quarter" else "FP64",
                "data": [value],
            }
            for name, value in ROW.items()
        ],
        "parameters": {"seed": 3, "passes": 30},
    }
    async with asking(Settings(models=(folder,))) as client:
        body = {"rows": [ROW], "seed": 3, "passes": 30}
        (found,) = (await client.post("/predict", json=body)).json()["predictions"]
        tensors = (await client.post("/v2/models/flats/infer", json=infer)).json()["outputs"]
        described = (await client.get("/v2/models/flats")).json()["outputs"]
    by_name = {tensor["name"]: tensor["data"] for tensor in tensors}
    assert {"member_variance", "member_variance_error"} <= {each["name"] for each in described}
    for name in ("variance", "member_variance", "member_variance_error"):
        own = expected[name]
        assert found[name] == pytest.approx(own, rel=1e-4)
        values = list(own.values()) if isinstance(own, dict) else [own]
        assert by_name[name] == pytest.approx(values, rel=1e-4)


async def test_too_few_passes_are_refused_by_name(folder: Path) -> None:
    async with asking(Settings(models=(folder,))) as client:
        answer = await client.post("/predict", json={"rows": [ROW], "passes": 5})
    assert answer.status_code == 422
    (detail,) = answer.json()["details"]
    said = "a model of 3 members needs 6 at least, not 5"
    assert detail == {"field": "passes", "message": said}


async def test_sweeps_and_explanations_know_the_members(folder: Path) -> None:
    async with asking(Settings(models=(folder,))) as client:
        body = {"row": ROW, "feature": "area", "points": 5, "lines": 2, "passes": 30}
        swept = await client.post("/sweep", json=body)
        explained = await client.post("/explain", json={"row": ROW, "passes": 60})
    assert swept.status_code == 200
    assert len(swept.json()["predictions"]) == 5
    assert explained.json()["layers"][0]["layer"] == "member"
