"""What dropping a unit does on average, beside draws of the other units and beside slopes."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.passes.drop_effects import drop_effects
from model.passes.network import ACTIVATIONS, ActivationName

every_activation = pytest.mark.parametrize("activation", ACTIVATIONS)
UNITS, NEXT = 40, 6


def case(size: float, p: float) -> dict[str, Tensor | float]:
    """Three rows of 40 units of activations of about `size`, dropped with probability p."""
    generator = torch.Generator().manual_seed(1)

    def drawn(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    h, weight, spread = size * drawn(3, UNITS).abs(), drawn(NEXT, UNITS), p / (1 - p)
    return {
        "mean": h @ weight.T + drawn(3, NEXT),
        "variance": spread * h.square() @ weight.square().T,
        "weight": weight,
        "h": h,
        "spread": spread,
        "gain": drawn(2, 3, NEXT),
        "small": torch.full((2, 3, UNITS), 7.0, dtype=torch.float64),
    }


@every_activation
def test_an_effect_is_the_mean_output_less_that_without_the_unit(
    activation: ActivationName,
) -> None:
    """By a million draws of the other units' noise, as Gaussian as it is taken to be."""
    given = case(0.3, 0.2)
    effects = drop_effects(activation, **given)  # type: ignore[arg-type]
    noise = torch.from_numpy(np.random.default_rng(0).normal(size=(1_000_000, 1)))
    f, row, unit = ACTIVATIONS[activation], 1, 7
    a = given["weight"][:, unit] * given["h"][row, unit]  # type: ignore[index]
    mean, variance = given["mean"][row], given["variance"][row]  # type: ignore[index]
    std = (variance - given["spread"] * a**2).sqrt()
    loss = f(mean + noise * variance.sqrt()).mean(0) - f(mean - a + noise * std).mean(0)
    expected = given["gain"][:, row] @ loss  # type: ignore[index]
    torch.testing.assert_close(effects[:, row, unit], expected, rtol=0.03, atol=0.004)


@every_activation
def test_small_activations_have_the_effect_that_slopes_say(activation: ActivationName) -> None:
    """The std that the other units leave is large beside what one unit does."""
    given = case(1e-3, 0.2) | {"variance": torch.full((3, NEXT), 0.04, dtype=torch.float64)}
    effects = drop_effects(activation, **given)  # type: ignore[arg-type]
    told = effects != 7.0  # units that are small even among these
    mean: Tensor = given["mean"].clone().requires_grad_()  # type: ignore[union-attr]
    at, weights = np.polynomial.hermite_e.hermegauss(60)
    points = torch.from_numpy(at) * 0.2
    share = torch.from_numpy(weights / weights.sum())
    level = (ACTIVATIONS[activation](mean[..., None] + points) * share).sum(-1)
    (slope,) = torch.autograd.grad(level.sum(), mean)
    expected = (given["gain"] * slope) @ given["weight"] * given["h"]  # type: ignore[operator]
    scale = 0.05 * float(expected.abs().max())
    assert told.sum() > 100
    torch.testing.assert_close(effects[told], expected[told], rtol=0.05, atol=scale)


def test_a_unit_that_is_off_has_no_effect_and_a_dominant_one_has_its_own() -> None:
    """A ReLU fed by one large unit, which alone makes the variance, loses all of it."""
    h = torch.tensor([[0.0, 8.0]])
    effects = drop_effects(
        "relu",
        mean=torch.tensor([[8.0]]),
        variance=torch.tensor([[64 * 0.02]]),
        weight=torch.ones(1, 2),
        h=h,
        spread=0.02,
        gain=torch.full((1, 1, 1), 3.0),
        small=torch.zeros(1, 1, 2),
    )
    torch.testing.assert_close(effects, torch.tensor([[[0.0, 24.0]]]), rtol=1e-3, atol=1e-5)


def test_units_that_do_little_beside_the_others_have_the_effect_by_slopes() -> None:
    given = case(0.5, 0.1)
    h: Tensor = given["h"]  # type: ignore[assignment]
    small = h < 0.2 * h.square().mean(1, keepdim=True).sqrt()
    found = drop_effects("relu", **given) == 7.0  # type: ignore[arg-type]
    large = h > 0.3 * h.square().mean(1, keepdim=True).sqrt()
    assert found[:, small].all()
    assert not found[:, large].any()


@every_activation
def test_rows_are_computed_alike_in_blocks_of_any_size(
    activation: ActivationName, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = case(0.5, 0.1)
    whole = drop_effects(activation, **given)  # type: ignore[arg-type]
    monkeypatch.setattr("model.passes.drop_effects.AT_ONCE", 1)
    torch.testing.assert_close(drop_effects(activation, **given), whole)  # type: ignore[arg-type]
