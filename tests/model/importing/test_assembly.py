"""Layers in the orders that people train them in become the same function, dropout included."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from model import ArtifactError, InputError, import_model
from model.artifact.folder import read
from model.passes.masks import draw_noise
from model.passes.network import MLP, Noise

Layers = list[dict[str, Any]]
PASSES = 20


def layers_of(net: nn.Sequential) -> Layers:
    """The specification's layers of a sequential network, as one would write them."""
    layers: Layers = []
    for number, module in enumerate(net):
        match module:
            case nn.Linear():
                layers.append({"linear": f"{number}"})
            case nn.BatchNorm1d():
                layers.append({"batch_norm": f"{number}", "eps": module.eps})
            case nn.LayerNorm():
                layers.append({"layer_norm": f"{number}", "eps": module.eps})
            case nn.Dropout():
                layers.append({"dropout": module.p})
            case _:
                layers.append({"activation": type(module).__name__.lower()})
    return layers


def shaken(net: nn.Sequential) -> nn.Sequential:
    """The network in evaluation mode with no number at its start value."""
    generator = torch.Generator().manual_seed(0)
    for parameter in net.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=generator)
    for name, buffer in net.named_buffers():
        if "running" in name:
            low = 0.1 if "var" in name else -1.0
            nn.init.uniform_(buffer, low, 2, generator=generator)
    return net.eval().requires_grad_(False)


def imported(
    folder: Path, net: nn.Module | None, layers: Layers, *, inputs: int = 4, outputs: int = 2
) -> MLP:
    """The network imported from its state dict, or from that which is in the folder already."""
    if net:
        torch.save(net.state_dict(), folder / "net.pt")
    spec = {
        "features": [f"x{number}" for number in range(inputs)],
        "target": [{"name": f"y{number}"} for number in range(outputs)],
        "layers": layers,
    }
    (folder / "net.json").write_text(json.dumps(spec))
    import_model(folder / "net.json", folder / "net.pt", folder / "out")
    return read(folder / "out").networks.members[0]


def one_pass(net: nn.Sequential, noise: Noise, number: int, x: Tensor) -> Tensor:
    """The network's outputs with the masks of one pass in the place of its dropouts."""
    masks = iter([mask[number] for mask in noise.masks if mask is not None])  # [1, H]
    for module in net:
        x = x * next(masks) if isinstance(module, nn.Dropout) and module.p else module(x)
    return x


class BareBatchNorm(nn.BatchNorm1d):
    """One that has learned no scale and shift."""

    def __init__(self, width: int) -> None:
        super().__init__(width, affine=False)


ORDERS = {
    "no norm": lambda: nn.Sequential(nn.Linear(4, 6), nn.Tanh(), nn.Dropout(0.2), nn.Linear(6, 2)),
    "no dropout": lambda: nn.Sequential(nn.Linear(4, 6), nn.GELU(), nn.Linear(6, 2)),
    "no bias": lambda: nn.Sequential(
        nn.Linear(4, 6, bias=False), nn.SiLU(), nn.Dropout(0.2), nn.Linear(6, 2, bias=False)
    ),
    "norm, activation, dropout": lambda: nn.Sequential(
        nn.Linear(4, 6, bias=False),
        nn.BatchNorm1d(6, eps=0.01),
        nn.ELU(),
        nn.Dropout(0.2),
        nn.Linear(6, 5),
        BareBatchNorm(5),
        nn.ELU(),
        nn.Dropout(0.4),
        nn.Linear(5, 2),
    ),
    "activation, norm, dropout": lambda: nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Dropout(0.2), nn.Linear(6, 2)
    ),
    "activation, norm, no dropout": lambda: nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.BatchNorm1d(6), nn.Dropout(0.0), nn.Linear(6, 2)
    ),
    "activation, dropout, norm": lambda: nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.2), nn.BatchNorm1d(6), nn.Linear(6, 2)
    ),
    "norms at the input and of the output": lambda: nn.Sequential(
        nn.Dropout(0.1),
        nn.BatchNorm1d(4),
        nn.Linear(4, 6),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(6, 2),
        nn.BatchNorm1d(2),
    ),
    "norm, dropout, activation": lambda: nn.Sequential(
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.Dropout(0.2),
        nn.ReLU(),
        nn.BatchNorm1d(6),
        nn.Linear(6, 2),
    ),
    "layer norms": lambda: nn.Sequential(
        nn.Linear(4, 6),
        nn.LayerNorm(6, eps=0.01),
        nn.BatchNorm1d(6),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.Linear(6, 5),
        nn.ReLU(),
        nn.LayerNorm(5, elementwise_affine=False),
        nn.BatchNorm1d(5),
        nn.Dropout(0.3),
        nn.BatchNorm1d(5),
        nn.Linear(5, 2),
    ),
    "several norms in a row": lambda: nn.Sequential(
        nn.BatchNorm1d(4),
        nn.BatchNorm1d(4),
        nn.Linear(4, 6),
        nn.BatchNorm1d(6),
        nn.BatchNorm1d(6),
        nn.SiLU(),
        nn.BatchNorm1d(6),
        nn.BatchNorm1d(6),
        nn.Dropout(0.2),
        nn.BatchNorm1d(6),
        nn.BatchNorm1d(6),
        nn.Linear(6, 2),
    ),
}


@pytest.mark.parametrize("order", ORDERS)
def test_every_pass_is_that_of_the_network_as_it_was(order: str, tmp_path: Path) -> None:
    net = shaken(ORDERS[order]())
    ours = imported(tmp_path, net, layers_of(net))
    x = torch.randn(30, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(ours(x), net(x), rtol=1e-5, atol=1e-5)
    noise = draw_noise(ours.config, 3, range(PASSES))
    expected = torch.stack([one_pass(net, noise, t, x) for t in range(PASSES)])
    torch.testing.assert_close(ours(x, noise), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("order", ["norm, activation, dropout", "activation, dropout, norm"])
def test_a_batch_norm_beside_a_linear_layer_leaves_no_trace(order: str, tmp_path: Path) -> None:
    net = shaken(ORDERS[order]())
    assert not imported(tmp_path, net, layers_of(net)).config.normalised


RELU = {"activation": "relu"}
FIRST, LAST = {"linear": "0"}, {"linear": "3"}


@pytest.mark.parametrize(
    ("layers", "field", "said"),
    [
        ([FIRST, {"activation": "mish"}, LAST], "1.activation", "'mish': known are relu, gelu"),
        ([RELU, FIRST, LAST], "0.activation", "follows a linear layer"),
        ([FIRST, RELU, RELU, LAST], "2.activation", "follows a linear layer"),
        ([FIRST, LAST], "1.linear", "without an activation"),
        (
            [FIRST, {"dropout": 0.5}, {"activation": "tanh"}, LAST],
            "2.activation",
            "only before relu",
        ),
        ([FIRST, RELU, {"dropout": 0.1}, {"dropout": 0.2}, LAST], "3.dropout", "0.2: a second"),
        ([{"dropout": 0.1}, {"dropout": 0.2}, FIRST, RELU, LAST], "1.dropout", "0.2: a second"),
        ([{"batch_norm": "in"}, {"dropout": 0.1}, FIRST, RELU, LAST], "1.dropout", "of the inputs"),
        ([{"layer_norm": "in"}, FIRST, RELU, LAST], "0.layer_norm", "of the inputs"),
        (
            [FIRST, RELU, {"dropout": 0.1}, {"layer_norm": "n"}, LAST],
            "3.layer_norm",
            "put it before",
        ),
        ([FIRST, {"layer_norm": "n"}, {"layer_norm": "n"}, RELU, LAST], "2.layer_norm", "second"),
        ([FIRST, RELU, {"batch_norm": "b"}, {"layer_norm": "n"}, LAST], "3.layer_norm", "second"),
        ([FIRST, {"dropout": 0.1}, {"batch_norm": "b"}, RELU, LAST], "2.batch_norm", "between"),
        (
            [FIRST, RELU, LAST, {"activation": "tanh"}, FIRST],
            "3.activation",
            "the first has 'relu'",
        ),
        ([FIRST, RELU, LAST, {"activation": "softmax"}, RELU], "4.activation", "after softmax"),
    ],
)
def test_a_layer_that_cannot_be_represented_is_refused_by_place_and_name(
    layers: Layers, field: str, said: str, tmp_path: Path
) -> None:
    net = nn.ModuleDict(
        {
            "0": nn.Linear(4, 6),
            "3": nn.Linear(6, 6),
            "n": nn.LayerNorm(6),
            "b": nn.BatchNorm1d(6),
            "in": nn.BatchNorm1d(4),
        }
    )
    with pytest.raises(InputError, match=rf"net.json: layers.{field}: ") as caught:
        imported(tmp_path, net, layers)
    assert said in str(caught.value)
    assert [detail.field for detail in caught.value.details] == [f"layers.{field}"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"2.running_var": torch.tensor([1.0, -0.5, 1.0])}, "'2.running_var' is negative"),
        ({"2.running_var": None}, "net.pt: '2.running_var' is not there; the file has 2.running"),
        (
            {"0.weight": torch.ones(3, 5)},
            r"net.pt: '0.weight' has shape [3, 5], not [any, 4]: the features come to 4",
        ),
        ({"3.weight": torch.ones(2, 5)}, "not [any, 3]: the layer before has 3 numbers"),
        ({"2.weight": torch.ones(2)}, r"net.pt: '2.weight' has shape [2], not [3]"),
        (
            {"extra.weight": torch.ones(2)},
            "net.pt: no layer of the specification takes 'extra.weight'",
        ),
        (
            {"3.weight": torch.full((2, 3), torch.nan)},
            "'3.weight' holds a number that is not finite",
        ),
        ({"3.weight": torch.ones(2, 3).int()}, "'3.weight' is int32"),
        ({"3.weight": torch.full((2, 3), 1e300, dtype=torch.float64)}, "layers.1.weight: folding"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused_by_file_and_key(
    change: dict[str, Tensor | None], said: str, tmp_path: Path
) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.ReLU(), nn.BatchNorm1d(3), nn.Linear(3, 2))
    layers = layers_of(net)
    state = {**net.state_dict(), **change}
    torch.save(
        {key: tensor for key, tensor in state.items() if tensor is not None}, tmp_path / "net.pt"
    )
    with pytest.raises((ArtifactError, InputError)) as caught:
        imported(tmp_path, None, layers)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
