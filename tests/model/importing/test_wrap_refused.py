"""What no model can represent is refused by the name of the step, the layer or the field."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from model import ArtifactError, InputError, wrap
from tests.model.importing.networks import FEATURES, PRICE, network


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.block, self.out = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = F.relu(self.first(x))
        return self.out(h + F.relu(self.block(h)))  # type: ignore[no-any-return]


class Twofold(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.mean, self.log_variance = nn.Linear(4, 1), nn.Linear(4, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self.mean(x), self.log_variance(x)


class Headless(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = network(1)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class Doubled(nn.Module):
    """What it says is a change of the shape is a change of the order."""

    def __init__(self) -> None:
        super().__init__()
        self.net = network(1)

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x[:, [1, 0, 2, 3]])  # type: ignore[no-any-return]


class Fickle(nn.Module):
    """It drops when it is traced only."""

    def __init__(self) -> None:
        super().__init__()
        self.net, self.calls = network(1), 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(F.dropout(x, 0.5) if self.calls == 1 else x)  # type: ignore[no-any-return]


class Other(nn.Module):
    """A network with a forward of one expression."""

    def __init__(self, expression: Callable[[nn.Module, Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.expression = network(1), expression

    def forward(self, x: Tensor) -> Tensor:
        return self.expression(self.net, x)


def hooked() -> nn.Module:
    net = network(1)
    net[0].register_forward_hook(lambda _, __, output: 2 * output)
    return net


def small() -> nn.Module:
    """Of a target in a unit that makes its numbers small."""
    net = hooked()
    with torch.no_grad():
        for parameter in net[-1].parameters():
            parameter.mul_(1e-7)
    return net


def of(*layers: nn.Module) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(4, 8), *layers, nn.Linear(8, 1))


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "AlphaDropout": (of(nn.ReLU(), nn.AlphaDropout(0.1)), "2 (AlphaDropout): such a layer"),
    "Dropout1d": (of(nn.ReLU(), nn.Dropout1d(0.1)), "2 (Dropout1d): such a layer cannot be"),
    "SELU": (of(nn.SELU()), "1 (SELU): such a layer cannot be represented; known are Linear"),
    "slope": (of(nn.LeakyReLU(0.2)), "its negative_slope is 0.2; only torch's default, 0.01, is"),
    "tanh form": (of(nn.GELU("tanh")), "1 (GELU): its approximate is 'tanh'"),
    "mixed": (of(nn.ReLU(), nn.Linear(8, 8), nn.Tanh()), "all hidden layers have the same activ"),
    "rate of 1": (of(nn.ReLU(), nn.Dropout(1.0)), "a dropout rate lies in [0, 1), not 1.0"),
    "a layer norm after a dropout": (
        of(nn.ReLU(), nn.Dropout(0.1), nn.LayerNorm(8)),
        "layers.3.layer_norm: '3': a layer norm after a dropout cannot be represented",
    ),
    "batch statistics": (
        of(nn.BatchNorm1d(8, track_running_stats=False), nn.ReLU()),
        "1 (BatchNorm1d): it has no running statistics",
    ),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 1)), "no weights yet"),
    "residual": (Residual, "module: add (in forward): it takes relu, relu_1: a connection past"),
    "two outputs": (Twofold, "module: Twofold: it returns a tuple of 2, not one tensor"),
    "below": (lambda: Other(lambda net, x: 1 / net(x)), "(in forward): a quotient with the"),
    "a power": (lambda: Other(lambda net, x: net(x) ** 2), "pow (in forward): such a step cannot"),
    "another shape": (
        lambda: Other(lambda net, x: net(x - net[0].bias)),
        "sub (in forward): its numbers have the shape [16], not [4]",
    ),
    "no forward": (Headless, "module: Headless: it has no forward; wrap one of its parts: net"),
    "a branch": (Branching, "module: Branching: its forward cannot be traced (TraceError: "),
    "an order": (Doubled, "these steps change more than the shape of a batch: getitem"),
    "a trace alone": (Fickle, "it drops at other places than when it was traced"),
    "a hook": (hooked, "module: Sequential: with dropout off it gives ["),
    "a hook of small numbers": (small, "module: Sequential: with dropout off it gives ["),
    "TorchScript": (lambda: torch.jit.script(network(1)), "a TorchScript module cannot be traced"),
    "convolution": (lambda: nn.Sequential(nn.Conv1d(1, 4, 3)), "module: 0 (Conv1d): such a layer"),
    "no module": (lambda: 3, "module: an nn.Module is needed, not a int"),
    "state": (lambda: network(1).state_dict(), "an nn.Module is needed, not a OrderedDict"),
    "none": (list, "module: from 1 to 64 are needed, not 0"),
    "other inputs": (lambda: network(1, inputs=3), "'0.weight' has shape [16, 3], not [any, 4]"),
    "other outputs": (lambda: network(2), "target: the network has 2 outputs; 1 x 1 are needed"),
    "linear only": (lambda: nn.Linear(4, 1), "at least one hidden layer and the output layer"),
    "meta": (lambda: network(1).to("meta"), "'0.weight' has no numbers; it is on the device"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.parametrize("name", REFUSED)
def test_what_a_module_cannot_be_is_refused_by_name(name: str) -> None:
    module, said = REFUSED[name]
    with pytest.raises((InputError, ArtifactError)) as caught:
        wrap(module(), FEATURES, PRICE)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"features": ["a", "b", "c"]}, "Sequential: '0.weight' has shape [16, 4], not [any, 3]"),
        ({"features": ["a", "b", "c", "c"]}, "two features have the same name"),
        ({"features": []}, "wrap: features"),
        ({"target": {"name": "y", "clases": ["a"]}}, "no such field is known (did you mean 'cl"),
        ({"name": "a b"}, "wrap: name: String should match pattern"),
        ({"noise": "none"}, "wrap: noise: must be 'homoscedastic' or 'heteroscedastic'"),
        ({"rows": [[1.0, 2.0, "south"]]}, "rows.0: feature 'quarter' has the unknown category"),
    ],
)
def test_what_is_said_of_a_module_is_checked(given: dict[str, Any], said: str) -> None:
    arguments: dict[str, Any] = {"features": FEATURES, "target": PRICE, **given}
    with pytest.raises((InputError, ArtifactError)) as caught:
        wrap(network(1), **arguments)
    assert said in str(caught.value)
