"""The network is a pure function of its input and its noise."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from model.errors import InputError
from model.passes.masks import draw_noise
from model.passes.network import MLP, RATE_LEVELS, MLPConfig, Noise, Norm
from model.training.fit import initialised

Formula = Callable[[np.ndarray], np.ndarray]

FORMULAS: dict[str, Formula] = {
    "relu": lambda z: np.where(z > 0, z, 0),
    "gelu": lambda z: z * 0.5 * (1 + np.vectorize(math.erf)(z / math.sqrt(2))),
    "silu": lambda z: z / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "elu": lambda z: np.where(z > 0, z, np.exp(z) - 1),
    "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z),
}


def network(activation: str = "relu", *, input_noise: float = 0.0) -> MLP:
    config = MLPConfig(
        inputs=4,
        hidden=(6, 5),
        outputs=3,
        dropout=(0.3, 0.2, 0.5),
        activation=activation,  # type: ignore[arg-type]
        input_noise=input_noise,
    )
    return initialised(config, torch.Generator().manual_seed(0)).requires_grad_(False)


def normalised() -> MLP:
    """A network with every norm somewhere, and no weight at a round number."""
    config = MLPConfig(
        inputs=4,
        hidden=(6, 5),
        outputs=3,
        dropout=(0.3, 0.2, 0.5),
        before=(Norm("layer", eps=0.1), None),
        after=(Norm("affine"), Norm("layer")),
    )
    net = MLP(config).requires_grad_(False)
    generator = torch.Generator().manual_seed(0)
    for weight in net.parameters():
        weight.uniform_(-1, 1, generator=generator)
    return net


def by_hand(net: MLP, x: np.ndarray, masks: list[np.ndarray], noise: np.ndarray) -> np.ndarray:
    """One pass over one row, with vectors and matrices alone."""
    activate = FORMULAS[net.config.activation]
    h = x + noise
    for layer, mask in zip(net.linears(), masks, strict=True):
        weight, bias = layer.weight.double().numpy(), layer.bias.double().numpy()
        if layer is not net.linears()[0]:
            h = activate(h)
        h = weight @ (h * mask) + bias
    return h


@pytest.mark.parametrize("activation", FORMULAS)
def test_dropout_off_is_the_formula_of_a_perceptron(activation: str) -> None:
    net = network(activation)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    ones = [np.ones(width) for width in net.config.site_widths]
    expected = [by_hand(net, row, ones, np.zeros(4)) for row in x.double().numpy()]
    np.testing.assert_allclose(net(x), expected, rtol=1e-5, atol=1e-6)


def test_norms_stand_around_the_activation_and_before_its_dropout() -> None:
    net = normalised()
    noise = draw_noise(net.config, 3, range(7), torch.arange(5))
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    w = {name: weight.double().numpy() for name, weight in net.state_dict().items()}
    masks = [m.double().numpy() for m in noise.masks if m is not None]  # [P, B, H]

    def standardised(h: np.ndarray, eps: float, name: str) -> np.ndarray:
        centred = h - h.mean(-1, keepdims=True)
        std = np.sqrt(np.mean(centred**2, axis=-1, keepdims=True) + eps)
        return np.asarray(centred / std * w[f"{name}.weight"] + w[f"{name}.bias"])

    h = (x.double().numpy() * masks[0]) @ w["layers.0.weight"].T + w["layers.0.bias"]
    h = np.maximum(standardised(h, 0.1, "before.0"), 0)
    h = (h * w["after.0.weight"] + w["after.0.bias"]) * masks[1]
    h = np.maximum(h @ w["layers.1.weight"].T + w["layers.1.bias"], 0)
    h = standardised(h, 1e-5, "after.1") * masks[2]
    expected = h @ w["layers.2.weight"].T + w["layers.2.bias"]
    np.testing.assert_allclose(net(x, noise), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("net", [network(), normalised()], ids=["plain", "normalised"])
def test_the_plain_layers_of_a_network_compute_the_same(net: MLP) -> None:
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(net.module().eval()(x), net(x))


@pytest.mark.parametrize("activation", FORMULAS)
@pytest.mark.parametrize("scope", ["shared", "per_row"])
def test_a_pass_multiplies_each_layers_input_by_its_mask(activation: str, scope: str) -> None:
    net = network(activation, input_noise=0.5)
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1))
    noise = draw_noise(net.config, 3, range(7), torch.arange(5) if scope == "per_row" else None)
    outputs = net(x, noise)
    assert outputs.shape == (7, 5, 3)
    assert noise.inputs is not None
    for t in range(7):
        for row in range(5):
            drawn = row if scope == "per_row" else 0
            masks = [m[t, drawn].double().numpy() for m in noise.masks if m is not None]
            added = noise.inputs[t, drawn].double().numpy()
            expected = by_hand(net, x[row].double().numpy(), masks, added)
            np.testing.assert_allclose(outputs[t, row], expected, rtol=1e-5, atol=1e-6)


def test_layers_before_the_first_noise_are_computed_once_per_row() -> None:
    config = MLPConfig(inputs=4, hidden=(6, 5), outputs=3, dropout=(0.0, 0.0, 0.5))
    net = initialised(config, torch.Generator().manual_seed(0))
    shapes: list[tuple[int, ...]] = []

    class Watch(TorchFunctionMode):
        def __torch_function__(
            self, function: Any, _: Any, args: Any = (), named: Any = None
        ) -> Any:
            if function is F.linear:
                shapes.append(tuple(args[0].shape))
            return function(*args, **named or {})

    noise = draw_noise(config, 0, range(9))
    with Watch():
        net(torch.ones(2, 4), noise)
    assert shapes == [(2, 4), (2, 6), (9, 2, 5)]


def test_a_pass_leaves_its_input_and_the_weights_as_they_were() -> None:
    net = network(input_noise=0.5)
    x = torch.randn(5, 4)
    before = x.clone(), [weight.clone() for weight in net.parameters()]
    net(x, draw_noise(net.config, 3, range(7)))
    assert torch.equal(x, before[0])
    assert all(map(torch.equal, net.parameters(), before[1]))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("inputs", 0, "0"),
        ("outputs", -1, "-1"),
        ("hidden", (), "at least one hidden layer"),
        ("hidden", (8, 0), "0"),
        ("activation", "swish", "relu, gelu, silu, tanh, elu, leaky_relu"),
        ("dropout", (0.1,), "3 rates"),
        ("dropout", (0.1, 1.0, 0.1), "1.0"),
        ("dropout", (0.1, 0.1, -0.1), "-0.1"),
        ("dropout", (0.1, 0.1, math.nan), "nan"),
        ("input_noise", -1.0, "-1.0"),
        ("input_noise", math.inf, "inf"),
        ("before", (None,), "2 norms are needed, not 1"),
        ("after", (None, Norm("batch")), "'batch' is not one of layer, affine"),  # type: ignore[arg-type]
        ("after", (None, Norm("layer", eps=-1.0)), "-1.0"),
    ],
)
def test_a_network_that_cannot_be_is_refused_by_field(field: str, value: object, said: str) -> None:
    fine = {"inputs": 4, "hidden": (6, 5), "outputs": 3, "dropout": (0.1, 0.1, 0.1)}
    with pytest.raises(InputError, match=f"^{field}: ") as caught:
        MLPConfig(**{**fine, field: value})  # type: ignore[arg-type]
    assert [detail.field for detail in caught.value.details] == [field]
    assert said in caught.value.details[0].message


@given(st.floats(0, 1, exclude_max=True))
def test_rates_are_multiples_of_2_to_the_minus_16_and_never_become_0_or_1(rate: float) -> None:
    (level,) = {
        *MLPConfig(inputs=1, hidden=(1,), outputs=1, dropout=(rate, rate)).drop_levels,
    }
    assert (level == 0) == (rate == 0)
    assert level < RATE_LEVELS == 1 << 16
    if 1 / RATE_LEVELS <= rate <= 1 - 1 / RATE_LEVELS:
        assert abs(level / RATE_LEVELS - rate) <= 0.5 / RATE_LEVELS
    else:
        assert level in (0, 1, RATE_LEVELS - 1)


@pytest.mark.parametrize(
    ("dropout", "input_noise", "stochastic"),
    [((0.0, 0.0), 0.0, False), ((0.0, 1e-30), 0.0, True), ((0.0, 0.0), 0.1, True)],
)
def test_a_network_is_stochastic_if_it_has_any_noise(
    dropout: tuple[float, ...], input_noise: float, stochastic: bool
) -> None:
    config = MLPConfig(inputs=1, hidden=(1,), outputs=1, dropout=dropout, input_noise=input_noise)
    assert config.stochastic is stochastic


def test_a_given_mask_of_ones_is_dropout_off() -> None:
    net = network()
    x = torch.randn(5, 4)
    ones = Noise(masks=tuple(torch.ones(1, 1, width) for width in net.config.site_widths))
    torch.testing.assert_close(net(x, ones)[0], net(x))
