"""An ONNX file computes what the model computes, and says how to make its inputs."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from model import PredictOptions, Predictor, export_onnx, wrap
from model.commands import main
from model.passes.network import Noise
from tests.model.exploration.networks import predictor_of, random_network
from tests.model.importing.networks import DEAR, PRICE, QUARTERS, network, rows

PASSES, SEED, TOLERANCE = 12, 3, 1e-5
FEATURES = [
    {"name": "area", "mean": 100.0, "scale": 30.0},
    {"name": "rooms", "mean": 4.5, "scale": 2.3},
    {"name": "quarter", "categories": QUARTERS},
]
LOG = {"name": "price", "log": True, "mean": 5.7, "scale": 0.3}


def deep(activation: nn.Module, *, seed: int = 1) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Dropout(0.1), nn.Linear(4, 16), activation, nn.Dropout(0.2), nn.Linear(16, 8),
            activation, nn.Linear(8, 8), activation, nn.Dropout(0.3), nn.Linear(8, 1),
        ).eval()  # fmt: skip


def normed(seed: int = 0) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Linear(4, 16), nn.LayerNorm(16, eps=1e-3), nn.ReLU(), nn.BatchNorm1d(16),
            nn.Dropout(0.2), nn.Linear(16, 8), nn.ReLU(), nn.LayerNorm(8), nn.Dropout(0.3),
            nn.Linear(8, 1),
        )  # fmt: skip
        for parameter in net.parameters():
            nn.init.uniform_(parameter, -1, 1)
        for _ in range(3):
            net(2 * torch.randn(64, 4))
        return net.eval()


def wrapped(module: Any, target: Any, **others: Any) -> Callable[[], Predictor]:
    return lambda: wrap(module, FEATURES, target, **others)


BOTH = [PRICE, {"name": "rent", "log": True, "mean": 2.0, "scale": 0.2}]
MODELS: dict[str, Callable[[], Predictor]] = {
    **{kind.__name__: wrapped(deep(kind()), PRICE)
       for kind in (nn.ReLU, nn.GELU, nn.SiLU, nn.Tanh, nn.ELU, nn.LeakyReLU)},
    "noise": wrapped(network(1), PRICE | {"noise_std": 20.0}),
    "heteroscedastic": wrapped(network(2), PRICE, noise="heteroscedastic"),
    "norms": wrapped(normed(), PRICE),
    "no dropout": wrapped(nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)), PRICE),
    "log": wrapped(network(1), LOG | {"noise_std": 0.2}),
    "log, noise unknown": wrapped(network(1), LOG),
    "log, heteroscedastic": wrapped(network(2), LOG, noise="heteroscedastic"),
    "two targets": wrapped(network(2), [each | {"noise_std": 2.0} for each in BOTH]),
    "two, heteroscedastic": wrapped(network(4), BOTH, noise="heteroscedastic"),
    "one logit": wrapped(network(1), DEAR),
    "classes": wrapped(network(3), {"name": "size", "classes": ["s", "m", "l"]}, temperature=1.7),
    "members": wrapped([deep(nn.ReLU(), seed=seed) for seed in range(3)], PRICE),
    "members with norms": wrapped([normed(0), normed(1)], PRICE),
    "members without dropout": wrapped(
        [nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1)) for _ in range(2)], PRICE
    ),
    "codes": lambda: wrap(
        network(1, inputs=6), [{**FEATURES[0], "edges": [40.0, 90.0, 150.0]}, *FEATURES[1:]], PRICE
    ),
    "input noise": lambda: predictor_of(
        random_network(4, (8,), (0.1, 0.2), input_noise=0.3)
    ),
}  # fmt: skip


def inputs(x: np.ndarray, noise: Noise) -> dict[str, np.ndarray]:
    """The inputs of the file for the noise of some passes."""
    found = {"x": x}
    for site, mask in enumerate(noise.masks):
        if mask is not None:
            found[f"mask_{site}"] = mask[:, 0].numpy()  # [P, 1, H]
    if noise.inputs is not None:
        found["input_noise"] = noise.inputs[:, 0].numpy()
    if noise.members is not None:
        found["member"] = noise.members.numpy()
    return found


def run(content: bytes, given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, given), strict=True))


def encoded(predictor: Predictor) -> np.ndarray:
    if len(predictor.card.features) == 4:
        return predictor.encode(np.random.default_rng(0).random((20, 4)))
    return predictor.encode(rows(20, 1)[0])


@pytest.mark.parametrize("name", MODELS)
def test_the_passes_and_their_moments_are_those_of_the_model(name: str) -> None:
    predictor = MODELS[name]()
    x, noise = encoded(predictor), predictor.noise(SEED, range(PASSES))
    found = run(export_onnx(predictor), inputs(x, noise))
    expected = predictor.networks.under(torch.from_numpy(x), noise).numpy()
    passes = PASSES if predictor.networks.config.stochastic or len(predictor.networks) > 1 else 1
    assert found["outputs"].shape == (passes, *expected.shape[1:])
    size = 1 + np.abs(expected)
    np.testing.assert_array_less(np.abs(found["outputs"] - expected), TOLERANCE * size)
    options = PredictOptions(passes=PASSES, seed=SEED, estimator="plain", masks="shared")
    columns = predictor.predict_encoded(x, options).rows.columns
    values = found.get("targets", found.get("probabilities"))
    assert values is not None
    np.testing.assert_allclose(values.mean(0), columns["mean"], rtol=TOLERANCE, atol=1e-5)
    if passes > 1 and len(predictor.networks) == 1:
        np.testing.assert_allclose(values.var(0, ddof=1), columns["variance"], rtol=1e-3, atol=1e-9)
    known = bool(predictor.card.tuning.noise_scales)
    assert ("noise_variances" in found) is known
    if known:
        by_log = predictor.card.target_of_rows.by_log
        noises = found["noise_variances"]
        middle = np.where(by_log, noises.mean(0), np.exp(np.log(noises).mean(0)))
        np.testing.assert_allclose(middle, columns["noise_variance"], rtol=1e-5)


@pytest.mark.parametrize("name", ["ReLU", "members", "classes"])
def test_masks_of_ones_turn_dropout_off(name: str) -> None:
    predictor = MODELS[name]()
    x, config = encoded(predictor), predictor.networks.config
    given = {"x": x}
    for site, level in enumerate(config.drop_levels):
        if level:
            given[f"mask_{site}"] = np.ones((3, config.site_widths[site]), np.float32)
    if len(predictor.networks) > 1:
        given["member"] = np.arange(3)
    found = run(export_onnx(predictor), given)
    options = PredictOptions(passes=6, seed=0)
    expected = predictor.predict_encoded(x, options).rows.columns["deterministic"]
    values = found.get("targets", found.get("probabilities"))
    assert values is not None
    np.testing.assert_allclose(values.mean(0), expected, rtol=TOLERANCE, atol=1e-6)


def test_the_metadata_tell_how_to_make_the_inputs_and_repeat_themselves() -> None:
    predictor = MODELS["ReLU"]()
    content = export_onnx(predictor)
    assert content == export_onnx(predictor)
    file = onnx.load_from_string(content)
    said = {each.key: json.loads(each.value) for each in file.metadata_props}
    assert [each["columns"] for each in said["features"]] == [[0], [1], [2, 3]]
    area, _, quarter = said["features"]
    row, x = said["example"]["row"], said["example"]["x"]
    assert x[0] == pytest.approx((row["area"] - area["mean"]) / area["scale"])
    assert x[2:] == [float(row["quarter"] == each) for each in quarter["categories"]]
    assert said["rates"].keys() == {"mask_0", "mask_1", "mask_3"}
    levels = predictor.networks.config.drop_levels
    assert said["rates"]["mask_3"] == pytest.approx(levels[3] / 2**16)
    assert (said["version"], said["target"]["units"]) == (predictor.card.version, ["kEUR"])
    assert [each.version for each in file.opset_import] == [17]
    assert [each.name for each in file.graph.input] == ["x", "mask_0", "mask_1", "mask_3"]


def test_the_columns_of_a_code_are_told() -> None:
    predictor = MODELS["codes"]()
    file = onnx.load_from_string(export_onnx(predictor))
    said = {each.key: json.loads(each.value) for each in file.metadata_props}
    assert [each["columns"] for each in said["features"]] == [[0, 1, 2], [3], [4, 5]]
    assert said["features"][0]["edges"] == [40.0, 90.0, 150.0]
    row, x = said["example"]["row"], said["example"]["x"]
    assert x[0] == pytest.approx((row["area"] - 100) / 30)
    np.testing.assert_allclose(x, predictor.encode([row])[0])


def test_the_command_writes_both_files_and_says_what_the_inputs_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    predictor = MODELS["norms"]()
    predictor.save(tmp_path / "flats", name="flats")
    files = ["--onnx", str(tmp_path / "a.onnx"), "--torch", str(tmp_path / "a.pt")]
    assert main(["export", str(tmp_path / "flats"), *files]) == 0
    printed = capsys.readouterr().out
    assert "  0: (area - 100) / 30\n" in printed
    assert "  2 to 3: quarter, 1 for the row's category and 0 for the others: north, ea" in printed
    assert printed.endswith("a.pt\n")
    found = run((tmp_path / "a.onnx").read_bytes(), inputs(
        encoded(predictor), predictor.noise(0, range(2))))  # fmt: skip
    assert found["targets"].shape == (2, 20, 1)
    with pytest.raises(SystemExit):
        main(["export", str(tmp_path / "flats")])
    assert "one of --onnx FILE, --torch FILE and --mlflow DIR is needed" in capsys.readouterr().err
    nowhere = str(tmp_path / "no" / "a.onnx")
    assert main(["export", str(tmp_path / "flats"), "--onnx", nowhere]) == 2
    assert "a.onnx cannot be written" in capsys.readouterr().err
