"""Whichever way is cheapest, the outputs are those of the plain forward pass."""

import math
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from model.passes import products
from model.passes.masks import draw_noise
from model.passes.network import ACTIVATIONS, MLP, MLPConfig, Noise, Norm
from model.passes.products import aligned, outputs, preactivation, prefix, product
from model.training.fit import initialised

PASSES = 5


def network(config: MLPConfig) -> MLP:
    """A network whose biases are not 0."""
    net = initialised(config, torch.Generator().manual_seed(0)).requires_grad_(False)
    for at, linear in enumerate(net.linears()):
        linear.bias.copy_(torch.linspace(-0.5, 0.5 + at, linear.out_features))
    return net


def inputs(rows: int, width: int) -> Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(1))


@contextmanager
def gathering(pays: bool) -> Iterator[None]:
    """Leave dropped weights out always (where anything is dropped), or never."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "GATHER_NS", 0.0)
        patch.setattr(products, "PICK_NS", 0.0 if pays else math.inf)
        patch.setattr(products, "PASS_NS", 0.0 if pays else math.inf)
        yield


@st.composite
def configs(draw: st.DrawFn) -> MLPConfig:
    hidden = draw(st.lists(st.integers(1, 12), min_size=1, max_size=3))
    rates = st.sampled_from([0.0, 0.1, 0.5, 0.9])
    return MLPConfig(
        inputs=draw(st.integers(1, 6)),
        hidden=tuple(hidden),
        outputs=draw(st.integers(1, 3)),
        dropout=tuple(draw(rates) for _ in range(len(hidden) + 1)),
        activation=draw(st.sampled_from(list(ACTIVATIONS))),
        input_noise=draw(st.sampled_from([0.0, 0.0, 0.5])),
    )


@settings(deadline=None, max_examples=120)
@given(
    config=configs(),
    rows=st.sampled_from([1, 3, 40]),  # below and above every width
    pays=st.booleans(),
    seed=st.integers(0, 99),
)
def test_every_way_gives_the_outputs_of_the_forward_pass(
    config: MLPConfig, rows: int, pays: bool, seed: int
) -> None:
    net, x = network(config), inputs(rows, config.inputs)
    noise = draw_noise(config, seed, range(PASSES))
    with gathering(pays):
        found = outputs(net, prefix(net, x), noise)
    expected = net(x, noise)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("rows", [1, 5, 40])
@pytest.mark.parametrize("shape", [(), (3,)], ids=["of all passes", "of each pass"])
def test_a_product_is_the_same_in_either_order_of_memory_and_keeps_it(
    rows: int, shape: tuple[int, ...]
) -> None:
    h = inputs(rows, 7).expand(*shape, rows, 7).contiguous()
    weight, bias = inputs(4, 7), torch.arange(4.0)
    for b in (None, bias):
        expected = torch.nn.functional.linear(h, weight, b)
        found = product(aligned(h), weight, b)
        torch.testing.assert_close(found, expected)
        assert found.stride() == aligned(expected).stride()


@settings(deadline=None, max_examples=60)
@given(config=configs(), rows=st.sampled_from([1, 40]), pays=st.booleans(), data=st.data())
def test_every_way_gives_the_preactivations_of_a_layer(
    config: MLPConfig, rows: int, pays: bool, data: st.DataObject
) -> None:
    net, noise = network(config), draw_noise(config, 1, range(PASSES))
    site = data.draw(st.integers(0, len(config.hidden)))
    h = inputs(rows, config.site_widths[site])
    if data.draw(st.booleans()):
        h = h + torch.arange(PASSES)[:, None, None]  # [P, B, H]
    if data.draw(st.booleans()):
        h = aligned(h)
    expected = net.preactivation(site, h, noise)
    with gathering(pays):
        found = [preactivation(net, site, h, noise)]
        if h.ndim == 2:
            found.append(preactivation(net, site, h, noise, net.preactivation(site, h)))
    for z in found:
        torch.testing.assert_close(z.expand(expected.shape), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("hidden", "rate", "rows"),
    [
        ((24, 16), 0.3, 4),
        ((8, 16), 0.3, 64),
        ((50, 50), 0.1, 256),
        ((256, 256), 0.5, 2_000),
        ((256, 256), 0.2, 2_000),
    ],
    ids=[
        "masks on activations",
        "masks on weights",
        "dropped weights only",
        "kept weights only",
        "dropped weights only, for what the next site keeps",
    ],
)
def test_the_way_that_the_sizes_call_for_gives_the_outputs_of_the_forward_pass(
    hidden: tuple[int, int], rate: float, rows: int
) -> None:
    net = network(MLPConfig(inputs=3, hidden=hidden, outputs=2, dropout=(0.0, rate, rate)))
    x, noise = inputs(rows, 3), draw_noise(net.config, 3, range(3))
    torch.testing.assert_close(
        outputs(net, prefix(net, x), noise), net(x, noise), rtol=1e-4, atol=1e-4
    )


def test_norms_see_all_units_of_a_row_whatever_the_sizes() -> None:
    config = MLPConfig(
        inputs=3, hidden=(8, 4), outputs=1, dropout=(0.2, 0.3, 0.3), after=(Norm("layer"), None)
    )
    net, x = network(config), inputs(30, 3)
    for weight in net.after.parameters():
        weight.copy_(torch.linspace(0.5, 1.5, len(weight)))
    noise = draw_noise(config, 3, range(PASSES))
    with gathering(True):
        torch.testing.assert_close(outputs(net, prefix(net, x), noise), net(x, noise))


def test_fresh_masks_for_every_row_give_the_outputs_of_the_forward_pass() -> None:
    net = network(MLPConfig(inputs=3, hidden=(8, 8), outputs=1, dropout=(0.2, 0.3, 0.3)))
    x = inputs(30, 3)
    noise = draw_noise(net.config, 3, range(PASSES), torch.arange(30))
    known = prefix(net, x, shared=False)
    with gathering(True):
        torch.testing.assert_close(outputs(net, known, noise), net(x, noise))


def poisoned(rate: float, rows: int) -> tuple[MLP, Tensor, Noise]:
    """A network that drops its first unit in every pass, whose weight out of it is not a number."""
    net = network(MLPConfig(inputs=3, hidden=(256, 256), outputs=1, dropout=(0.0, rate, rate)))
    noise = draw_noise(net.config, 3, range(3))
    assert noise.masks[1] is not None
    noise.masks[1][..., 0] = 0
    net.linears()[1].weight[:, 0] = math.nan
    return net, inputs(rows, 3), noise


def test_with_many_rows_and_wide_layers_dropped_weights_are_not_multiplied() -> None:
    net, x, noise = poisoned(0.5, 2_000)
    assert net(x, noise).isnan().all()
    assert outputs(net, prefix(net, x), noise).isfinite().all()
    h = torch.relu(net.preactivation(0, x))
    assert preactivation(net, 1, h, noise).isfinite().all()


def test_where_little_is_saved_nothing_is_gathered() -> None:
    for rate, rows in ((0.5, 1), (1e-3, 2_000)):
        net, x, noise = poisoned(rate, rows)
        assert outputs(net, prefix(net, x), noise).isnan().all()


@pytest.mark.parametrize("pays", [False, True])
@pytest.mark.parametrize("site", [0, 1, 2])
def test_a_layer_with_every_unit_dropped_passes_on_its_bias(site: int, pays: bool) -> None:
    net = network(MLPConfig(inputs=3, hidden=(4, 5), outputs=2, dropout=(0.5, 0.5, 0.5)))
    noise, x = draw_noise(net.config, 0, range(2)), inputs(40, 3)
    mask = noise.masks[site]
    assert mask is not None
    mask.zero_()
    with gathering(pays):
        found = outputs(net, prefix(net, x), noise)
    torch.testing.assert_close(found, net(x, noise))
    torch.testing.assert_close(found, found[:, :1].expand_as(found))  # no row gets through
