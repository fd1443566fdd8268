"""The reduced estimator beside the truth: every mask of small networks, each with its probability.

"Expectation" below is the sum over all of them, in double precision.
"""

import math
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from model.passes import reduced
from model.passes.masks import draw_noise
from model.passes.network import ACTIVATIONS, MLP, ActivationName, MLPConfig, Noise, Norm
from model.passes.reduced import Control, Reduction, Terms
from model.training.fit import initialised


def close(found: Tensor | np.ndarray, expected: Tensor) -> None:
    torch.testing.assert_close(torch.as_tensor(found), expected, rtol=1e-9, atol=1e-9)


def network(
    widths: tuple[int, ...],
    rates: tuple[float, ...],
    activation: ActivationName = "relu",
    noise: float = 0.0,
) -> MLP:
    """A random network with biases, in double precision."""
    config = MLPConfig(widths[0], widths[1:-1], widths[-1], rates, activation, noise)
    generator = torch.Generator().manual_seed(sum(widths))
    net = initialised(config, generator).requires_grad_(False).double()
    for linear in net.linears():
        linear.bias.uniform_(-0.5, 0.5, generator=generator)
    net.linears()[-1].weight.mul_(10)
    return net


def normalised(network: MLP) -> MLP:
    """The same network with a norm of some kind on either side of every activation."""
    hidden = network.config.hidden
    kinds = (Norm("layer", eps=0.01), Norm("affine"), Norm("layer"), None)
    config = replace(
        network.config,
        before=tuple(kinds[at % 4] for at in range(len(hidden))),
        after=tuple(kinds[(at + 1) % 4] for at in range(len(hidden))),
    )
    net = MLP(config).requires_grad_(False).double()
    net.layers.load_state_dict(network.layers.state_dict())
    generator = torch.Generator().manual_seed(3)
    for weight in (*net.before.parameters(), *net.after.parameters()):
        weight.uniform_(-1, 2, generator=generator)
    return net


def rows(width: int, count: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    return torch.randn(count, width, generator=generator, dtype=torch.float64)


@dataclass(frozen=True)
class Enumeration:
    """All that can happen to a network, and how likely it is."""

    noise: Noise
    probabilities: Tensor  # [P]

    def expectation(self, t: Tensor) -> Tensor:
        """Of t [P, B, O]."""
        return torch.einsum("p,pbo->bo", self.probabilities, t)

    def covariance(self, s: Tensor, t: Tensor) -> Tensor:
        return self.expectation((s - self.expectation(s)) * (t - self.expectation(t)))


def every_mask(config: MLPConfig, points: int = 24) -> Enumeration:
    """Every mask; Gaussian input noise by its quadrature points, which is exact for smooth nets."""
    outcomes: list[list[tuple[float, float]]] = []  # of each random number: (value, probability)
    for width, spread in zip(config.site_widths, config.spreads, strict=True):
        keep = 1 / (1 + spread)
        outcomes += [[(0.0, 1 - keep), (1 + spread, keep)]] * (width if spread else 0)
    if config.input_noise:
        at, weight = np.polynomial.hermite_e.hermegauss(points)
        normal = list(zip(at * config.input_noise, weight / math.sqrt(2 * math.pi), strict=True))
        outcomes += [normal] * config.inputs
    values, chances = torch.tensor(list(product(*outcomes)), dtype=torch.float64).unbind(-1)
    masks: list[Tensor | None] = []
    for width, spread in zip(config.site_widths, config.spreads, strict=True):
        units = width if spread else 0
        mask, values = values[:, None, :units], values[:, units:]
        masks.append(mask if spread else None)
    inputs = values[:, None] if config.input_noise else None
    return Enumeration(Noise(tuple(masks), inputs, len(values)), chances.prod(1))


SHAPES = {  # widths, rates: at most 12 random units
    "two hidden layers": ((3, 5, 4, 1), (0.0, 0.3, 0.2)),
    "several outputs": ((3, 4, 4, 3), (0.0, 0.5, 0.1)),
    "three hidden layers and input dropout": ((2, 3, 3, 3, 2), (0.1, 0.3, 0.2, 0.4)),
    "a site without dropout between two": ((2, 4, 3, 4, 1), (0.0, 0.2, 0.0, 0.3)),
    "input dropout, then none, then some": ((3, 3, 4, 2), (0.2, 0.0, 0.3)),
    "no dropout at the last site": ((2, 5, 4, 1), (0.1, 0.3, 0.0)),
    "the first noise after the second layer": ((3, 4, 4, 4, 1), (0.0, 0.0, 0.3, 0.2)),
    "layers that drop whole": ((2, 2, 1, 1, 1), (0.6, 0.7, 0.8, 0.9)),
}
every_shape = pytest.mark.parametrize("shape", SHAPES)
every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)


@dataclass(frozen=True)
class Everything:
    """A network under all its noise: outputs y, and the terms."""

    all: Enumeration
    control: Control
    y: Tensor
    terms: Terms

    @staticmethod
    def of(net: MLP) -> "Everything":
        every, x, reduction = every_mask(net.config), rows(net.config.inputs), Reduction(net)
        assert not reduction.exact
        control = reduction.control(x)
        terms = reduction.terms(control, every.noise)
        assert every.probabilities.sum().item() == pytest.approx(1, abs=1e-12)
        return Everything(every, control, net(x, every.noise), terms)


def check_expectations(found: Everything) -> None:
    every, y, t, law = found.all, found.y, found.terms, found.control.law
    zero = torch.zeros_like(y[0])
    close(law.pivot + every.expectation(t.output), every.expectation(y))
    sampled = every.covariance(t.output, t.output)
    close(every.expectation(t.last_variance) + sampled, every.covariance(y, y))
    close(every.expectation(t.linear), zero)
    known = law.linear + every.expectation(t.linear_variance)
    close(known, every.covariance(t.linear, t.linear))
    close(every.expectation(t.quadratic), zero)
    close(every.covariance(t.linear, t.quadratic), zero)


@every_activation
@every_shape
def test_the_terms_have_the_expectations_of_all_masks(
    shape: str, activation: ActivationName
) -> None:
    check_expectations(Everything.of(network(*SHAPES[shape], activation)))


@every_activation
@every_shape
def test_the_terms_have_the_expectations_of_all_masks_with_norms_too(
    shape: str, activation: ActivationName
) -> None:
    check_expectations(Everything.of(normalised(network(*SHAPES[shape], activation))))


@every_activation
def test_the_terms_have_the_expectations_of_all_masks_where_slopes_take_the_place_of_effects(
    activation: ActivationName, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = network(*SHAPES["three hidden layers and input dropout"], activation)
    effects = Everything.of(net)
    monkeypatch.setattr(reduced, "FEW_DROPS", 0.0)
    slopes = Everything.of(net)
    check_expectations(slopes)
    assert not torch.equal(slopes.terms.linear, effects.terms.linear)  # they are other terms


@every_shape
def test_without_controls_the_last_site_is_integrated_and_no_more(shape: str) -> None:
    net = network(*SHAPES[shape])
    every, x, reduction = (
        every_mask(net.config),
        rows(net.config.inputs),
        Reduction(net, controls=False),
    )
    control = reduction.control(x)
    terms = reduction.terms(control, every.noise)
    with_controls = Everything.of(net).terms
    output = terms.output + control.law.pivot
    close(output, with_controls.output + Everything.of(net).control.law.pivot)
    close(terms.last_variance, with_controls.last_variance)
    assert not any(t.any() for t in (terms.linear, terms.quadratic, terms.linear_variance))


@pytest.mark.parametrize("rates", [(0.0, 0.3, 0.2), (0.2, 0.3, 0.2), (0.0, 0.0, 0.4)])
def test_the_terms_have_the_expectations_of_gaussian_input_noise(rates: tuple[float, ...]) -> None:
    check_expectations(Everything.of(network((2, 3, 3, 1), rates, "tanh", noise=0.2)))


@every_shape
def test_outputs_differ_from_the_terms_by_the_last_sites_noise_alone(shape: str) -> None:
    net = network(*SHAPES[shape])
    found, last = Everything.of(net), net.config.dropout[-1]
    off = found.y - (found.control.law.pivot + found.terms.output)
    if last:
        close(found.all.expectation(off), torch.zeros_like(off[0]))
    else:
        close(off, torch.zeros_like(off))


@every_shape
def test_little_of_the_variance_is_left_to_sample(shape: str) -> None:
    found = Everything.of(network(*SHAPES[shape], "tanh"))
    share = what_is_left(found) / found.all.covariance(found.y, found.y)
    assert share.median() < 0.2


def what_is_left(found: Everything) -> Tensor:
    """The variance [B, O] of c less the best multiples of l and q, which are uncorrelated."""
    t, covariance = found.terms, found.all.covariance
    left = covariance(t.output, t.output)
    for control in (t.linear, t.quadratic):
        explained = covariance(t.output, control).square() / covariance(control, control)
        left = left - torch.nan_to_num(explained)
    return left


@pytest.mark.parametrize("norms", [False, True])
@every_activation
def test_one_hidden_layer_is_exact_without_a_pass(activation: ActivationName, norms: bool) -> None:
    net = network((3, 8, 2), (0.0, 0.3), activation)
    net = normalised(net) if norms else net
    every, x, reduction = every_mask(net.config), rows(3), Reduction(net)
    assert reduction.exact
    estimate, y = reduction.integrated(x), net(x, every.noise)
    close(estimate.mean, every.expectation(y))
    close(estimate.variance, every.covariance(y, y))
    assert not estimate.mean_error.any()
    assert not estimate.variance_error.any()
    assert not estimate.relative_error.any()


def test_any_depth_is_exact_where_only_the_last_site_drops() -> None:
    net = network((3, 5, 5, 6, 2), (0.0, 0.0, 0.0, 0.4))
    every, x, reduction = every_mask(net.config), rows(3), Reduction(net)
    assert reduction.exact
    y = net(x, every.noise)
    close(reduction.integrated(x).variance, every.covariance(y, y))


def test_without_any_noise_the_mean_is_the_deterministic_pass_and_the_variance_is_0() -> None:
    net = network((3, 5, 5, 2), (0.0, 0.0, 0.0))
    estimate = Reduction(net).integrated(rows(3))
    close(estimate.mean, net(rows(3)))
    assert not estimate.variance.any()


def test_noise_at_the_input_is_never_called_exact() -> None:
    assert not Reduction(network((3, 5, 2), (0.1, 0.3))).exact
    assert not Reduction(network((3, 5, 2), (0.0, 0.3), noise=0.1)).exact


@every_activation
def test_one_control_serves_shared_and_fresh_masks(activation: ActivationName) -> None:
    net = network((3, 5, 4, 2), (0.2, 0.3, 0.2), activation, noise=0.1)
    reduction, x = Reduction(net), rows(3)
    control, shared = reduction.control(x), every_draw(net.config)
    fresh = Noise(
        tuple(None if mask is None else mask.expand(-1, 3, -1) for mask in shared.masks),
        None if shared.inputs is None else shared.inputs.expand(-1, 3, -1),
        shared.passes,
    )
    one, other = reduction.terms(control, shared), reduction.terms(control, fresh)
    close(one.stacked(), other.stacked())


def test_the_terms_of_a_row_are_those_that_it_has_alone() -> None:
    net = network((3, 5, 4, 4, 2), (0.2, 0.3, 0.0, 0.2))
    reduction, x, noise = Reduction(net), rows(3, 6), every_draw(net.config)
    control, some = reduction.control(x), torch.tensor([4, 1])
    picked = reduction.terms(control.select(some), noise)
    alone = reduction.terms(reduction.control(x[some]), noise)
    together = reduction.terms(control, noise)
    close(picked.stacked(), alone.stacked())
    close(picked.stacked(), together.stacked()[:, :, some])


def every_draw(config: MLPConfig) -> Noise:
    """40 passes of drawn noise, in double precision."""
    noise = draw_noise(config, 0, range(40))
    masks = tuple(None if mask is None else mask.double() for mask in noise.masks)
    return Noise(masks, None if noise.inputs is None else noise.inputs.double(), noise.passes)
