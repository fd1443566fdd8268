"""What comes out behind norms on average, and what a gain on it is worth before them."""

import pytest
import torch
from torch import Tensor

from model.passes.masks import draw_noise
from model.passes.network import MLP, MLPConfig, Norm
from model.passes.propagation import propagate
from model.passes.reduced import Reduction

LAYER, AFFINE = Norm("layer", eps=0.01), Norm("affine")


def network(before: Norm | None, after: Norm | None, activation: str = "tanh") -> MLP:
    """Two hidden layers with these norms, in double precision."""
    config = MLPConfig(
        inputs=4,
        hidden=(30, 30),
        outputs=1,
        dropout=(0.0, 0.1, 0.1),
        activation=activation,  # type: ignore[arg-type]
        before=(before, before),
        after=(after, after),
    )
    net = MLP(config).requires_grad_(False).double()
    generator = torch.Generator().manual_seed(0)
    for linear in net.linears():
        linear.weight.normal_(0, (2 / linear.in_features) ** 0.5, generator=generator)
        linear.bias.uniform_(-0.3, 0.3, generator=generator)
    for weight in (*net.before.parameters(), *net.after.parameters()):
        weight.uniform_(0.5, 1.5, generator=generator)
    return net


def drawn(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize("after", [None, AFFINE])
@pytest.mark.parametrize("before", [None, AFFINE])
def test_affine_norms_pass_on_the_moments_of_a_gaussian(
    before: Norm | None, after: Norm | None
) -> None:
    net, mean, std = network(before, after), drawn(30), 0.7
    found = propagate(net, 1, mean[None], torch.full((1, 30), std**2, dtype=torch.float64))
    h = net.activation(1, mean + std * drawn(100_000, 30))
    for given, sampled in ((found.level[0], h), (found.square[0], h.square())):
        error = sampled.std(0) / len(sampled) ** 0.5
        assert ((given - sampled.mean(0)).abs() < 5 * error).all()


@pytest.mark.parametrize("after", [None, AFFINE, LAYER])
@pytest.mark.parametrize("before", [None, AFFINE, LAYER])
def test_with_little_noise_a_gain_is_propagated_by_the_derivative(
    before: Norm | None, after: Norm | None
) -> None:
    net, z, gain = network(before, after), drawn(3, 30), drawn(3, 30).flip(0)
    found = propagate(net, 1, z, torch.full((3, 30), 1e-8, dtype=torch.float64))
    given = found.inner(found.derivatives[1] * found.outer(gain[None]))[0]
    leaf = z.clone().requires_grad_()
    (expected,) = torch.autograd.grad((net.activation(1, leaf) * gain).sum(), leaf)
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.level, net.activation(1, z), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("after", [None, AFFINE, LAYER])
@pytest.mark.parametrize("before", [None, LAYER])
def test_norms_leave_little_of_the_variance_to_sample(
    before: Norm | None, after: Norm | None
) -> None:
    net, x = network(before, after, "relu").float(), drawn(20, 4).float()
    reduction, noise = Reduction(net), draw_noise(net.config, 0, range(1_000))
    terms = reduction.terms(reduction.control(x), noise)
    left = terms.output - terms.linear - terms.quadratic
    assert (left.var(0) / net(x, noise).var(0)).median() < 0.05
