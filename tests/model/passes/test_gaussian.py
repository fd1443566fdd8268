"""Moments of activations of a Gaussian, beside fine integration and finite differences."""

import math

import pytest
import torch
from torch import Tensor

from model.passes.gaussian import ORDER, Smoothed, smoothed
from model.passes.network import ACTIVATIONS, ActivationName

SMOOTH: tuple[ActivationName, ...] = ("gelu", "silu", "tanh")
KINKED: tuple[ActivationName, ...] = ("elu", "leaky_relu")  # by quadrature: less exact at the kink

MEANS = torch.linspace(-3, 3, 13, dtype=torch.float64)
STDS = torch.tensor([0.05, 0.3, 1.0, 1.5], dtype=torch.float64)


def grid() -> tuple[Tensor, Tensor]:
    """Every mean with every standard deviation."""
    mean, std = torch.meshgrid(MEANS, STDS, indexing="ij")
    return mean, std


def moments(name: ActivationName) -> Smoothed:
    return smoothed(ACTIVATIONS[name], *grid())


def integrated(name: ActivationName, power: int) -> Tensor:
    """E f(z)^power by the trapezoid rule."""
    mean, std = grid()
    x = torch.linspace(-10, 10, 40_001, dtype=torch.float64)
    density = torch.exp(-x.square() / 2) / math.sqrt(2 * math.pi)
    values = ACTIVATIONS[name](mean[..., None] + std[..., None] * x) ** power
    return torch.trapezoid(values * density, x)


def slope(name: ActivationName, order: int, step: float = 1e-4) -> Tensor:
    """The derivative of E f^(order)(z) in the mean of z, which is E f^(order + 1)(z)."""
    mean, std = grid()
    above = smoothed(ACTIVATIONS[name], mean + step, std).derivatives[order]
    below = smoothed(ACTIVATIONS[name], mean - step, std).derivatives[order]
    return (above - below) / (2 * step)


@pytest.mark.parametrize("name", ["relu", *SMOOTH])
def test_mean_and_square_of_a_smooth_activation_are_those_of_fine_integration(
    name: ActivationName,
) -> None:
    torch.testing.assert_close(moments(name).derivatives[0], integrated(name, 1), rtol=0, atol=1e-6)
    torch.testing.assert_close(moments(name).square, integrated(name, 2), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", KINKED)
def test_a_kink_costs_the_quadrature_little(name: ActivationName) -> None:
    _, std = grid()
    off = (moments(name).derivatives[0] - integrated(name, 1)).abs()
    assert (off / std).max() < 0.01
    assert ((moments(name).square - integrated(name, 2)).abs() / std).max() < 0.01


@pytest.mark.parametrize("order", range(ORDER))
def test_every_mean_derivative_of_relu_is_the_slope_of_the_one_before(order: int) -> None:
    found, std = moments("relu").derivatives[order + 1], grid()[1]
    scale = std ** -float(order)
    torch.testing.assert_close(found / scale, slope("relu", order) / scale, rtol=0, atol=1e-4)


@pytest.mark.parametrize("order", range(ORDER))
@pytest.mark.parametrize("name", SMOOTH)
def test_every_mean_derivative_of_a_smooth_activation_is_the_slope_of_the_one_before(
    name: ActivationName, order: int
) -> None:
    found, expected, std = moments(name).derivatives[order + 1], slope(name, order), grid()[1]
    scaled = std ** (order + 1)  # a derivative of order r matters by std^r
    tolerance = 2e-5 if order < 3 else 5e-4  # high polynomials feel the tails that are cut off
    torch.testing.assert_close(found * scaled, expected * scaled, rtol=0, atol=tolerance)


def test_an_activation_far_from_its_kink_is_its_linear_self() -> None:
    for mean, level in ((50.0, 50.0), (-50.0, 0.0)):
        found = smoothed(ACTIVATIONS["relu"], torch.tensor(mean), torch.tensor(2.0))
        values = [derivative.item() for derivative in found.derivatives]
        assert values == [level, float(mean > 0), 0]


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_mean_square_is_never_below_the_squared_mean(name: ActivationName) -> None:
    found = moments(name)
    assert (found.square >= found.derivatives[0].square() - 1e-9).all()


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_single_precision_is_as_good_as_double(name: ActivationName) -> None:
    mean, std = grid()
    single = smoothed(ACTIVATIONS[name], mean.float(), std.float())
    for order, value in enumerate(single.derivatives):
        scaled = std**order
        expected = moments(name).derivatives[order]
        torch.testing.assert_close(value * scaled, expected * scaled, rtol=0, atol=2e-5)
