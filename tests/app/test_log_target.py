"""A model that learns the logarithm of its target is served as any other regression."""

from pathlib import Path

import pytest

from app.settings import Settings
from model import PredictOptions, Table, TrainOptions, load, train
from tests.app.conftest import asking

pytestmark = pytest.mark.anyio


async def test_clients_see_a_regression_in_the_targets_own_unit(
    houses: Table, tmp_path: Path
) -> None:
    options = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=(0.2,), epochs=20)
    train(
        houses,
        "price",
        tmp_path / "flats",
        drop=["dear", "worth"],
        log_target=True,
        options=options,
    )
    row = {"area": 120.0, "rooms": 4.0, "quarter": "east", "rent": 14.0}
    expected = load(tmp_path / "flats").predict([row], PredictOptions(seed=3)).rows.records()[0]
    async with asking(Settings(models=(tmp_path / "flats",))) as client:
        answer = (await client.post("/predict", json={"rows": [row], "seed": 3})).json()
        card = (await client.get("/models/flats")).json()
        infer = {
            "inputs": [
                {
                    "name": name,
                    "shape": [1, 1],
                    "datatype": "BYTES" if name == "quarter" else "FP64",
                    "data": [value],
                }
                for name, value in row.items()
            ],
            "parameters": {"seed": 3},
        }
        tensors = (await client.post("/v2/models/flats/infer", json=infer)).json()["outputs"]
        metrics = (await client.get("/metrics")).text
    assert (answer["task"], answer["estimator"]) == ("regression", "plain")
    (found,) = answer["predictions"]
    assert found["mean"] == pytest.approx(expected["mean"], rel=1e-5)
    assert found["mean"] == pytest.approx(440, rel=0.3)
    assert 0 < found["interval"]["lower"] < found["mean"] < found["interval"]["upper"]
    assert card["target"]["logs"] == ["price"]
    by_name = {tensor["name"]: tensor["data"][0] for tensor in tensors}
    assert by_name["mean"] == pytest.approx(expected["mean"], rel=1e-5)
    assert "predictive_std" in metrics
