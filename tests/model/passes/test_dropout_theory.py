"""What dropout is, shown: each test is one sentence of the theory.

The bands are normal 99.99 % bands of a mean over independent draws, with fixed seeds.
"""

import math

import pytest
import torch
from torch import Tensor

from model.data.schema import Target
from model.passes.estimate import Estimate
from model.passes.masks import draw_noise
from model.passes.network import MLP, MLPConfig, Noise
from model.passes.samplers import Batch, PlainSampler
from model.passes.stopping import sample
from model.tasks.regression import Regression
from model.training.fit import Dataset, fit, initialised
from model.training.plan import TrainOptions

BAND = 3.9
REGRESSION = Regression(Target(("y",), (), (0.0,), (1.0,), (None,)))


def network(
    hidden: tuple[int, ...], rates: tuple[float, ...], *, inputs: int = 4, seed: int = 0
) -> MLP:
    config = MLPConfig(inputs=inputs, hidden=hidden, outputs=1, dropout=rates)
    return initialised(config, torch.Generator().manual_seed(seed))


def passes_of(
    network: MLP, x: Tensor, seed: int, passes: int, rows: Tensor | None = None
) -> Estimate:
    """Sample mean and variance of the outputs, by the plain estimator."""
    return sample(PlainSampler.of(network, Batch(x, seed, rows), lambda outputs: outputs), passes)


def masks(rate: float, passes: int, width: int = 64) -> Tensor:
    """Masks [P, H] of one hidden layer."""
    config = MLPConfig(inputs=1, hidden=(width,), outputs=1, dropout=(0.0, rate))
    mask = draw_noise(config, 7, range(passes)).masks[1]
    assert mask is not None
    return mask[:, 0]


def linear(weight: Tensor, network: MLP) -> None:
    """Make a ReLU network linear: weights >= 0 and inputs > 0 leave every unit open."""
    with torch.no_grad():
        for layer in network.layers:
            layer.weight.abs_()
            layer.bias.zero_()
        network.layers[-1].weight.copy_(weight)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3, 0.5, 0.9])
def test_inverted_dropout_keeps_the_expectation_of_every_unit(rate: float) -> None:
    h = 1.7
    dropped = (h * masks(rate, 20_000)).double()  # [P, H]
    error = math.sqrt(rate / (1 - rate)) * h / math.sqrt(dropped.numel())
    assert abs(dropped.mean().item() - h) < BAND * error
    assert dropped.unique().tolist() == pytest.approx([0.0, h / (1 - rate)], rel=1e-4)


@pytest.mark.parametrize("rate", [0.05, 0.1, 0.3, 0.5, 0.9])
def test_dropout_adds_the_variance_p_over_1_minus_p_times_h_squared(rate: float) -> None:
    h = 1.7
    squares = (h * masks(rate, 20_000).double() - h).square()  # [P, H]
    error = squares.std().item() / math.sqrt(squares.numel())
    assert abs(squares.mean().item() - rate / (1 - rate) * h**2) < BAND * error + 1e-9


def test_units_are_dropped_independently_of_each_other_and_of_other_passes() -> None:
    dropped = (masks(0.3, 20_000) == 0).double()
    units = torch.corrcoef(dropped.T).fill_diagonal_(0).abs()
    passes = torch.corrcoef(torch.stack([dropped[:-1].flatten(), dropped[1:].flatten()]))[0, 1]
    pairs = 64 * 63 / 2
    assert units.max().item() < math.sqrt(2 * math.log(pairs) + 20) / math.sqrt(20_000)
    assert abs(passes.item()) < BAND / math.sqrt(dropped.numel())


def test_a_dropped_unit_gets_exactly_zero_gradient() -> None:
    net = network((8,), (0.0, 0.5))
    noise = draw_noise(net.config, 3, range(1), torch.arange(1))
    mask = noise.masks[1]
    assert mask is not None
    net(torch.ones(1, 4), noise).sum().backward()
    into, out_of = net.layers[0].weight.grad, net.layers[1].weight.grad
    dropped = mask[0, 0] == 0
    assert 0 < dropped.sum() < 8
    assert (into[dropped] == 0).all()
    assert (out_of[0, dropped] == 0).all()
    alive = net.layers[0](torch.ones(1, 4))[0] > 0
    assert (into[~dropped & alive] != 0).all()


def test_with_dropout_no_output_depends_on_one_unit_alone() -> None:
    """Two equal inputs: without dropout any split of the weight will do, with it the even one."""
    x = torch.randn(400, 1, generator=torch.Generator().manual_seed(0)).repeat(1, 2)
    rows = Dataset(x, x[:, :1])
    shares = {}
    for rate in (0.0, 0.5):
        net = MLP(MLPConfig(inputs=2, hidden=(2,), outputs=1, dropout=(rate, 0.0)))
        with torch.no_grad():  # a linear network that starts out on the first input
            net.layers[0].weight.copy_(torch.tensor([[1.0, 0.2], [-1.0, -0.2]]))
            net.layers[0].bias.zero_()
            net.layers[1].weight.copy_(torch.tensor([[1.0, -1.0]]))
            net.layers[1].bias.zero_()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
        for step in range(1_000):
            noise = draw_noise(net.config, 1, range(step, step + 1), torch.arange(len(x)))
            loss = REGRESSION.loss(net(rows.x, noise).reshape(-1, 1), rows.y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        used = net.layers[0].weight.detach().abs().sum(0)
        shares[rate] = (used.max() / used.sum()).item()
    assert shares[0.0] > 0.8
    assert shares[0.5] < 0.55


def test_dropout_off_is_deterministic() -> None:
    net = network((16, 16), (0.1, 0.3, 0.3))
    x = torch.randn(5, 4)
    assert torch.equal(net(x), net(x))
    assert torch.equal(net.train()(x), net.eval()(x))


def test_where_masks_agree_the_network_is_more_stable() -> None:
    """A row that few units react to has less variance than a row that many react to."""
    net = network((64, 64), (0.0, 0.2, 0.2))
    x = torch.tensor([[0.1, 0.1, 0.1, 0.1], [3.0, -3.0, 3.0, -3.0]])
    with torch.inference_mode():
        estimate = passes_of(net, x, 0, 2_000)
    quiet, loud = estimate.variance[:, 0].tolist()
    assert quiet + BAND * estimate.variance_error[0, 0].item() < loud


@pytest.mark.parametrize("scope", ["shared", "per_row"])
def test_a_linear_network_with_dropout_has_its_closed_form_mean_and_variance(scope: str) -> None:
    p_in, p = 0.2, 0.3
    net = network((6,), (p_in, p))
    linear(torch.linspace(-1, 2, 6)[None], net)
    x = torch.tensor([[0.5, 1.0, 2.0, 0.25]])
    first, last = net.layers[0].weight.double(), net.layers[1].weight.double()[0]
    h = first @ x[0].double()
    mean = (last @ h).item()
    c_in, c = p_in / (1 - p_in), p / (1 - p)
    # Var = Var(E[y | input masks]) + E[Var(y | input masks)]
    h_squared = h.square() + c_in * (first * x[0].double()).square().sum(1)
    variance = c_in * ((last @ first) * x[0]).square().sum() + c * (last.square() @ h_squared)
    variance = variance.item()
    rows = torch.arange(1) if scope == "per_row" else None
    deviations = []
    with torch.inference_mode():
        for seed in range(200):
            e = passes_of(net, x, seed, 100, rows)
            deviations.append(((e.mean - mean) / e.mean_error).item())
            deviations.append(((e.variance - variance) / e.variance_error).item())
    z_mean, z_variance = torch.tensor(deviations).view(-1, 2).unbind(1)
    assert abs(z_mean.mean().item()) < BAND / math.sqrt(200)
    assert abs(z_mean.std().item() - 1) < 0.2
    assert abs(z_variance.median().item()) < 0.35  # skewed: a small variance has a small error
    assert (z_variance.abs() < 3).float().mean() > 0.95


def test_a_layer_with_every_unit_dropped_yields_the_bias_path() -> None:
    net = network((3, 5), (0.0, 0.5, 0.5))
    with torch.no_grad():
        for layer in net.layers:
            layer.bias.fill_(0.25)
    noise = Noise(masks=(None, torch.zeros(1, 1, 3), None))
    x = torch.randn(2, 4)
    bias_path = net.layers[2](torch.relu(net.layers[1].bias))
    torch.testing.assert_close(net(x, noise), bias_path.expand(1, 2, 1))
    everything = Noise(masks=(None, torch.zeros(1, 1, 3), torch.zeros(1, 1, 5)))
    torch.testing.assert_close(net(x, everything), torch.full((1, 2, 1), 0.25))


def test_a_narrow_layer_drops_whole_with_probability_p_to_the_width() -> None:
    whole = (masks(0.5, 40_000, width=3) == 0).all(1).double()
    expected = 0.5**3
    error = math.sqrt(expected * (1 - expected) / len(whole))
    assert abs(whole.mean().item() - expected) < BAND * error


def test_training_survives_passes_that_drop_a_whole_layer() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(64, 4, generator=generator)
    rows = Dataset(x, x.sum(1, keepdim=True))
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(2, 2), dropout=(0.9,), epochs=30, batch=8
    )
    plan = options.plan(REGRESSION, len(rows))
    first = draw_noise(
        plan.config(inputs=4, outputs=1), options.seed, range(1), torch.arange(8)
    ).masks[1]
    assert first is not None
    assert (first == 0).all(-1).any()  # it does happen
    losses: list[float] = []
    fitted = fit(REGRESSION, rows, rows, plan, lambda e: losses.append(e.training_loss))
    assert all(map(math.isfinite, losses))
    assert all(weight.isfinite().all() for weight in fitted.networks.parameters())


def test_gaussian_input_noise_adds_the_weighted_variance_of_the_noise() -> None:
    """Bishop 1995: for a linear network, noise N(0, s^2) on x gives the output s^2 |w|^2."""
    s = 0.3
    config = MLPConfig(inputs=4, hidden=(6,), outputs=1, dropout=(0.0, 0.0), input_noise=s)
    net = initialised(config, torch.Generator().manual_seed(0))
    linear(torch.linspace(0.5, 2, 6)[None], net)
    x = torch.full((1, 4), 9.0)  # so far from 0 that the noise closes no unit
    slope = (net.layers[1].weight @ net.layers[0].weight).double()[0]
    with torch.inference_mode():
        e = passes_of(net, x, 0, 50_000)
        off = net(x).item()
    assert abs((e.mean - off).item()) < BAND * e.mean_error.item()
    expected = s**2 * slope.square().sum().item()
    assert abs((e.variance - expected).item()) < BAND * e.variance_error.item()


def test_dropout_narrows_the_gap_between_training_and_test_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1_060, 10, generator=generator)
    y = x[:, :1] + torch.randn(1_060, 1, generator=generator)
    small, test = Dataset(x[:60], y[:60]), Dataset(x[60:], y[60:])
    gaps, test_losses = {}, {}
    for rate in (0.0, 0.5):
        options = TrainOptions(
            members=1,
            number_encoding="raw",
            hidden=(100, 100),
            dropout=(rate,),
            epochs=150,
            patience=150,
            weight_decay=0.0,
        )
        # validated on its own training rows: nothing but dropout stands against overfitting
        net = fit(REGRESSION, small, small, options.plan(REGRESSION, 60)).networks.members[0]
        loss = REGRESSION.loss
        test_losses[rate] = loss(net(test.x), test.y).item()
        gaps[rate] = test_losses[rate] - loss(net(small.x), small.y).item()
    assert gaps[0.5] < 0.8 * gaps[0.0]
    assert test_losses[0.5] < test_losses[0.0]
