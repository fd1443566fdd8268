"""A network that was trained elsewhere is served at once, and says what is not known of it yet."""

import json
from pathlib import Path

import httpx
import torch
from torch import nn

from model import import_model, wrap
from tests.server import serving


def test_an_imported_network_is_served_before_any_row_has_calibrated_it(tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(2, 8), nn.LayerNorm(8), nn.ReLU(), nn.Linear(8, 1)).eval()
    torch.save(net.state_dict(), tmp_path / "net.pt")
    spec = {
        "features": ["age", "load"],
        "target": {"name": "wear", "unit": "mm"},
        "layers": [
            {"linear": "0"},
            {"layer_norm": "1"},
            {"activation": "relu"},
            {"dropout": 0.1},
            {"linear": "3"},
        ],
    }
    (tmp_path / "net.json").write_text(json.dumps(spec))
    import_model(tmp_path / "net.json", tmp_path / "net.pt", tmp_path / "wear")
    wrap(net, ["age", "load"], "wear").save(tmp_path / "wrapped", name="wrapped")
    models = ("--model", "wear", "--model", "wrapped")
    with serving(*models, folder=tmp_path) as url, httpx.Client(base_url=url) as client:
        card = client.get("/models/wear").json()
        answer = client.post("/predict", json={"rows": [{"age": 2.5, "load": 1}]}).json()
        same = client.post("/models/wrapped/predict", json={"rows": [[2.5, 1]]}).json()
        tensor = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [2.5, 1.0]}
        inferred = client.post("/v2/models/wear/infer", json={"inputs": [tensor]}).json()
    assert [feature["range"] for feature in card["features"]] == [None, None]
    assert card["training"]["weights"] == "net.pt"
    assert card["calibration"] is None
    (row,) = answer["predictions"]
    assert row["warnings"] == ["no_training_range", "no_calibration"]
    assert row["interval"]["method"] == "normal"
    expected = net(torch.tensor([[2.5, 1.0]])).item()
    assert abs(row["deterministic"] - expected) < 1e-5
    assert abs(same["predictions"][0]["deterministic"] - expected) < 1e-5
    assert same["predictions"][0]["warnings"][0] == "no_dropout"
    outputs = {output["name"]: output["data"] for output in inferred["outputs"]}
    assert abs(outputs["deterministic"][0] - expected) < 1e-5
