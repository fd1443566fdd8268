"""What a regression makes of the passes: the target's unit, and nothing lost on the way."""

import math
from statistics import NormalDist

import numpy as np
import pytest
import torch

from model.calibration.novelty import Likeness
from model.calibration.regions import Calibration
from model.calibration.tuning import NoiseKind, Tuning
from model.data.schema import Target
from model.formulas import VarianceParts
from model.options import PredictOptions
from model.passes.estimate import Between, Estimate, Passes
from model.tasks.columns import Columns
from model.tasks.predictions import RegressionPrediction
from model.tasks.regression import Regression

ONE = Target(("price",), (), (100.0,), (20.0,), ("EUR",))
TWO = Target(("price", "rent"), (), (100.0, -1.0), (20.0, 0.5), ("EUR", None))


def passes(width: int, *, samples: bool = False) -> Passes:
    """Two rows of standardised values, easy to scale by hand."""
    base = np.array([[1.0, 2.0], [-1.0, 0.0]])[:, :width]
    estimate = Estimate(
        mean=base,
        variance=np.full_like(base, 0.25),
        mean_error=np.full_like(base, 0.1),
        variance_error=np.full_like(base, 0.01),
    )
    three = np.stack([base, base + 1, base - 1])
    return Passes(
        estimate=estimate,
        deterministic=base + 0.5,
        counts=np.array([3, 2]),
        settled=False,
        warnings=[(), ("no_dropout",)],
        likeness=Likeness(np.array([0.5, 2.5]), np.array([0.75, 0.25]), np.array([False, False])),
        samples=[three[:, 0], three[:, 1]] if samples else None,
    )


def predictions(
    target: Target, coverage: float = 0.9, **options: bool
) -> Columns[RegressionPrediction]:
    given = passes(len(target.names), **options)
    return Regression(target).summarise(given, PredictOptions(coverage=coverage))


def test_every_number_is_in_the_targets_unit() -> None:
    first, second = predictions(ONE)
    assert first.mean == 120.0
    assert first.variance == 0.25 * 20**2
    assert first.std == 10.0
    assert first.mean_error == 2.0
    assert first.variance_error == 0.01 * 20**2
    assert first.deterministic == 130.0
    assert (first.passes, second.passes) == (3, 2)
    assert (first.warnings, second.warnings) == ((), ("no_dropout",))
    assert first.samples is None


def test_several_targets_are_keyed_by_name_each_in_its_own_unit() -> None:
    first, second = predictions(TWO, samples=True)
    assert first.mean == {"price": 120.0, "rent": 0.0}
    assert first.std == {"price": 10.0, "rent": 0.25}
    assert second.deterministic == {"price": 90.0, "rent": -0.75}
    assert first.interval.lower.keys() == first.interval.upper.keys() == {"price", "rent"}
    assert first.samples is not None
    assert first.samples[1] == {"price": 140.0, "rent": 0.5}


def test_samples_are_the_passes_in_order_in_the_targets_unit() -> None:
    assert predictions(ONE, samples=True)[1].samples == (80.0, 100.0, 60.0)


@pytest.mark.parametrize("coverage", [1e-9, 0.5, 0.9, 0.999999])
def test_the_interval_has_the_normal_probability_of_its_coverage(coverage: float) -> None:
    first = predictions(ONE, coverage)[0]
    normal = NormalDist(first.mean, first.std)
    interval = first.interval
    assert interval.coverage == coverage
    assert interval.method == "normal"
    inside = normal.cdf(interval.upper) - normal.cdf(interval.lower)
    assert inside == pytest.approx(coverage, abs=1e-9)


def test_more_coverage_is_a_wider_interval_around_the_same_middle() -> None:
    intervals = [predictions(ONE, coverage)[0].interval for coverage in (0.1, 0.5, 0.9, 0.99)]
    widths = [interval.upper - interval.lower for interval in intervals]
    assert widths == sorted(widths)
    assert len(set(widths)) == 4
    assert {round(interval.upper + interval.lower, 9) for interval in intervals} == {240.0}


def test_the_loss_is_the_mean_squared_error_of_all_targets() -> None:
    outputs, actual = torch.tensor([[1.0, 2.0], [0.0, 0.0]]), torch.tensor([[0.0, 2.0], [0.0, 3.0]])
    assert Regression(TWO).loss(outputs, actual).item() == pytest.approx((1 + 0 + 0 + 9) / 4)


def test_there_is_one_output_per_target_and_values_are_the_outputs() -> None:
    assert Regression(TWO).outputs == 2
    outputs = torch.randn(3, 2, 2)
    assert torch.equal(Regression(TWO).values(outputs), outputs)


def test_metrics_of_one_target_are_in_its_unit() -> None:
    actual = np.array([[0.0], [0.0]])  # standardised: 100 twice; the means are 120 and 80
    metrics = Regression(ONE).metrics(predictions(ONE), actual)
    assert metrics["rmse"] == pytest.approx(20)
    assert metrics["mae"] == pytest.approx(20)
    assert metrics["deterministic_rmse"] == pytest.approx(np.sqrt((30**2 + 10**2) / 2))


def test_metrics_of_several_targets_are_in_training_stds() -> None:
    actual = np.array([[0.0, 2.0], [-1.0, 0.0]])
    metrics = Regression(TWO).metrics(predictions(TWO), actual)
    assert metrics["rmse"] == pytest.approx(0.5)  # one of four is off, by one std
    assert metrics["mae"] == pytest.approx(0.25)


def test_an_interval_reaches_by_the_rows_own_std_and_the_typical_one() -> None:
    """What calibration rows score is what intervals undo: a row with the largest score is at the
    end of its interval."""
    tuning = Tuning(noise_scales=(0.75,), typical_stds=(0.25,))  # total std 1, and 2 x 0.25
    rows = Regression(ONE, tuning).summarise(passes(1), PredictOptions())
    actual = np.array([[2.5], [-1.75]])  # 1.5 and 0.75 away
    scores = Regression(ONE, tuning).scores(rows, actual)["price"]
    assert scores == pytest.approx([1.0, 0.5])
    calibration = Calibration(3, "reduced", {"price": np.sort(np.tile(scores, 10))})
    options = PredictOptions(coverage=0.9)
    first, second = Regression(ONE, tuning, calibration).summarise(passes(1), options)
    assert (first.interval.lower, first.interval.upper) == pytest.approx((90.0, 150.0))
    assert (second.interval.lower, second.interval.upper) == pytest.approx((50.0, 110.0))


NOISY = Regression(
    ONE, Tuning(noise="heteroscedastic", noise_scales=(2.0,)), calibration=None
)  # two outputs: the price, and the logarithm of its noise variance


def test_a_heteroscedastic_network_has_a_noise_variance_for_every_row() -> None:
    assert (NOISY.outputs, NOISY.linear) == (2, 1)
    values = NOISY.values(torch.tensor([[0.5, math.log(3.0)]]))
    assert values.tolist()[0] == pytest.approx([0.5, math.log(3.0)])
    estimate = Estimate(*(np.array([[1.0, math.log(3.0)]]) for _ in range(4)))
    passes = Passes(
        estimate, estimate.mean, np.array([9]), settled=False, warnings=[()], likeness=None
    )
    (row,) = NOISY.summarise(passes, PredictOptions())
    assert row.noise_variance == pytest.approx(2.0 * 3.0 * 20**2)
    assert row.total_variance == row.variance + row.noise_variance


@pytest.mark.parametrize("noise", ["homoscedastic", "heteroscedastic"])
def test_the_total_variance_has_a_factor_on_that_of_the_passes(noise: NoiseKind) -> None:
    tuning = Tuning(noise=noise, variance_factors=(0.25,), noise_scales=(0.5,))
    task = Regression(ONE, tuning)
    (row, _) = task.summarise(passes(task.outputs), PredictOptions())
    assert row.total_variance == pytest.approx(0.25 * row.variance + row.noise_variance)
    reach = -NormalDist().inv_cdf(0.05) * math.sqrt(row.total_variance)
    assert row.interval.upper == pytest.approx(row.mean + reach)


@pytest.mark.parametrize("factor", [0.04, 1.0, 2.5])
@pytest.mark.parametrize("noise", ["homoscedastic", "heteroscedastic"])
def test_the_density_has_the_mean_and_the_variances_of_the_prediction(
    factor: float, noise: NoiseKind
) -> None:
    """By quadrature over the target's own unit."""
    tuning = Tuning(noise=noise, variance_factors=(factor,), noise_scales=(0.5,))
    task = Regression(ONE, tuning)
    values = np.random.default_rng(1).normal(size=(6, 1, task.outputs))
    y, step = np.linspace(-12, 12, 40_001, retstep=True)  # standardised
    density = np.exp(task.log_density(np.repeat(values, len(y), 1), y[:, None], 1)[:, 0])
    price, weight = 20 * y, density * step * 20
    mean, spread = 20 * values[..., 0].mean(), 400 * values[..., 0].var()
    noise_variance = 400 * 0.5 * (np.exp(values[..., 1].mean()) if task.outputs == 2 else 1)
    assert weight.sum() == pytest.approx(1)
    assert weight @ price == pytest.approx(mean)
    found = weight @ (price - mean) ** 2
    assert found == pytest.approx(factor * spread + noise_variance, rel=1e-4)


@pytest.mark.parametrize("noise", ["homoscedastic", "heteroscedastic"])
def test_the_variance_between_members_has_a_factor_of_its_own(noise: NoiseKind) -> None:
    """In the total variance, the interval and the density, whose passes 0, 2, 4 are of a member."""
    tuning = Tuning(
        noise=noise, variance_factors=(0.25,), member_factors=(3.0,), noise_scales=(0.5,)
    )
    task = Regression(ONE, tuning)
    values = np.random.default_rng(3).normal(size=(6, 1, task.outputs))
    values[::2, :, 0] += 2
    spread = VarianceParts.of(values, 2)
    between = Between(spread.between, spread.between, spread.within)
    zero = np.zeros_like(spread.mean)
    estimate = Estimate(spread.mean, spread.within + spread.between, zero, zero, between=between)
    taken = Passes(
        estimate, estimate.mean, np.array([6]), settled=False, warnings=[()], likeness=None
    )
    (row,) = task.summarise(taken, PredictOptions())
    assert row.member_variance == pytest.approx(400 * spread.between[0, 0])
    expected = 0.25 * (row.variance - row.member_variance) + 3 * row.member_variance
    assert row.total_variance == pytest.approx(expected + row.noise_variance)
    reach = -NormalDist().inv_cdf(0.05) * math.sqrt(row.total_variance)
    assert row.interval.upper == pytest.approx(row.mean + reach)
    at, step = np.linspace(-20, 20, 40_001, retstep=True)
    y = np.sinh(at)  # standardised, as far as Student's tails matter
    many = np.repeat(values, len(y), 1)
    weight = np.exp(task.log_density(many, y[:, None], members=2)[:, 0]) * 20 * np.cosh(at) * step
    assert weight.sum() == pytest.approx(1)
    assert weight @ (20 * y) == pytest.approx(20 * spread.mean[0, 0])
    found = weight @ np.square(20 * y - 20 * spread.mean[0, 0])
    within = 400 * np.square(spread.own[..., 0]).mean()
    assert found == pytest.approx(
        0.25 * within + 3 * row.member_variance + row.noise_variance, rel=1e-4
    )


def test_an_extreme_log_variance_gives_a_finite_noise_variance() -> None:
    for claimed in (-1e4, 1e4):
        estimate = Estimate(*(np.array([[1.0, claimed]]) for _ in range(4)))
        taken = Passes(
            estimate, estimate.mean, np.array([9]), settled=False, warnings=[()], likeness=None
        )
        (row,) = NOISY.summarise(taken, PredictOptions())
        assert 0 < row.noise_variance < 1e12
        assert math.isfinite(row.total_variance)


def test_the_likelihood_of_heteroscedastic_noise_is_greatest_at_the_true_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    y = 0.5 + 1.5 * torch.randn(20_000, 1, generator=generator)

    def gradient(log_variance: float) -> float:
        outputs = torch.tensor([[0.5, log_variance]]).repeat(len(y), 1).requires_grad_()
        NOISY.loss(outputs, y).backward()
        assert outputs.grad is not None
        return float(outputs.grad[:, 1].sum())

    true = 2 * math.log(1.5)
    assert gradient(true - 0.1) < 0 < gradient(true + 0.1)


def test_the_best_epoch_is_that_of_the_best_noise_after_its_scale() -> None:
    """A network twice too sure of itself everywhere is as good as one that is right: `tuned` will
    say so. One that is sure of the wrong rows is not."""
    random = torch.Generator().manual_seed(0)
    std = torch.rand(500, 1, generator=random) + 0.1
    targets = std * torch.randn(500, 1, generator=random)
    right, sure, flat = (
        torch.cat([torch.zeros(500, 1), log_variance], -1)
        for log_variance in (2 * std.log(), 2 * std.log() - 1.4, torch.zeros(500, 1))
    )
    found = [NOISY.validation_loss(outputs, targets).item() for outputs in (right, sure)]
    assert found[0] == pytest.approx(found[1], abs=1e-5)
    assert found[0] == pytest.approx(NOISY.loss(right, targets).item(), abs=0.01)
    assert NOISY.validation_loss(flat, targets).item() > found[0] + 0.05
    mean = torch.zeros(500, 1)
    assert Regression(ONE).validation_loss(mean, targets) == Regression(ONE).loss(mean, targets)
