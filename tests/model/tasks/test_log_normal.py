"""A target that is learned by its logarithm: every number is about the target itself.

The oracle draws passes and noise by brute force, and takes exp of each draw.
"""

import math
from dataclasses import replace
from statistics import NormalDist

import numpy as np
import pytest
import torch

from model.calibration.regions import Calibration
from model.calibration.tuning import NoiseKind, Tuning
from model.data.schema import Target
from model.options import PredictOptions
from model.passes.estimate import Passes
from model.passes.moments import PlainMoments
from model.tasks.log_normal import MOST_NOISE, moments
from model.tasks.predictions import RegressionPrediction
from model.tasks.regression import Regression

MU, SIGMA = math.log(200_000.0), 0.5
PRICE = Target(("price",), (), (MU,), (SIGMA,), ("EUR",), ("price",))
BOTH = Target(("age", "price"), (), (40.0, MU), (12.0, SIGMA), (None, "EUR"), ("price",))
KINDS: tuple[NoiseKind, ...] = ("homoscedastic", "heteroscedastic")


def tuned(noise: NoiseKind, targets: int = 1, factor: float = 0.6) -> Tuning:
    return Tuning(
        noise=noise,
        variance_factors=(factor,) * targets,
        noise_scales=(0.3,) * targets,
        typical_stds=(0.2,) * targets,
        largest_errors=(3.0,) * targets,
    )


def drawn(task: Regression, count: int = 400, rows: int = 3) -> torch.Tensor:
    """Outputs of passes, [P, B, O]."""
    generator = torch.Generator().manual_seed(7)
    outputs = torch.randn(count, rows, task.outputs, generator=generator) * 0.4
    return outputs + torch.randn(1, rows, task.outputs, generator=generator)


def taken(task: Regression, outputs: torch.Tensor) -> Passes:
    """What the passes of these outputs give; the first of them is the deterministic one."""
    values, count = task.values(outputs).double(), outputs.shape[1]
    sums = PlainMoments(values[0])
    sums.add(values)
    return Passes(
        estimate=sums.estimate(),
        deterministic=values[0].numpy(),
        counts=np.full(count, len(outputs)),
        settled=False,
        warnings=[()] * count,
        likeness=None,
        samples=[values[:, row].numpy() for row in range(count)],
    )


def summary(
    task: Regression, outputs: torch.Tensor, coverage: float = 0.9
) -> list[RegressionPrediction]:
    """The predictions from these passes."""
    return list(task.summarise(taken(task, outputs), PredictOptions(coverage=coverage)))


def noise_of(task: Regression, outputs: torch.Tensor, at: int = 0) -> np.ndarray:
    """The noise variance of each pass's standardised target."""
    if task.tuning.noise == "homoscedastic":
        return np.full(outputs.shape[:2], 0.3)
    return 0.3 * np.exp(outputs[..., task.linear + at].double().numpy())


@pytest.mark.parametrize("noise", KINDS)
def test_the_moments_are_those_of_brute_force_draws_of_passes_and_noise(noise: NoiseKind) -> None:
    task = Regression(PRICE, tuned(noise))
    outputs = drawn(task)
    f, s = outputs[..., 0].double().numpy(), np.sqrt(noise_of(task, outputs))
    random = np.random.default_rng(1)
    draws = np.exp(MU + SIGMA * (f + s * random.normal(size=(4_000, *f.shape))))  # [N, P, B]
    by_pass, within = draws.mean(0), draws.var(0)
    for row, found in enumerate(summary(task, outputs)):
        assert found.mean == pytest.approx(draws[..., row].mean(), rel=0.003)
        assert found.std == pytest.approx(by_pass[:, row].std(ddof=1), rel=0.02)
        assert found.noise_variance == pytest.approx(within[:, row].mean(), rel=0.03)
        whole = found.variance + found.noise_variance
        assert whole == pytest.approx(draws[..., row].var(), rel=0.02)  # law of total variance
        assert found.total_variance == pytest.approx(0.6 * found.variance + found.noise_variance)


@pytest.mark.parametrize("noise", KINDS)
def test_samples_and_the_deterministic_pass_have_the_same_map(noise: NoiseKind) -> None:
    task = Regression(PRICE, tuned(noise))
    outputs = drawn(task)
    f, square = outputs[..., 0].double().numpy(), noise_of(task, outputs)
    expected = np.exp(MU + SIGMA * f + SIGMA**2 * square / 2)
    for row, found in enumerate(summary(task, outputs)):
        assert found.samples == pytest.approx(expected[:, row], rel=1e-9)
        assert found.deterministic == pytest.approx(expected[0, row], rel=1e-9)
        assert found.mean == pytest.approx(np.mean(found.samples), rel=1e-9)
        error = np.std(expected[:, row], ddof=1) / math.sqrt(len(outputs))
        assert found.mean_error == pytest.approx(error, rel=1e-6)


@pytest.mark.parametrize("noise", KINDS)
@pytest.mark.parametrize("factor", [0.2, 1.0])
def test_the_density_is_one_of_the_target_itself(noise: NoiseKind, factor: float) -> None:
    """By quadrature over the target's own unit: it adds up to 1, and with a factor of 1 it has the
    mean and the variance of the prediction."""
    task = Regression(PRICE, tuned(noise, factor=factor))
    outputs = drawn(task, count=6, rows=1)
    z, step = np.linspace(-14, 14, 40_001, retstep=True)
    y = PRICE.decoded(z[:, None])[:, 0]
    values = np.repeat(task.values(outputs).double().numpy(), len(z), 1)
    density = np.exp(task.log_density(values, z[:, None], 1)[:, 0])
    weight = density * SIGMA * y * step  # dy = sigma y dz
    assert weight.sum() == pytest.approx(1, rel=1e-6)
    if factor == 1:
        (found,) = summary(task, outputs)
        assert weight @ y == pytest.approx(found.mean, rel=1e-6)
        spread = found.variance * 5 / 6 + found.noise_variance
        assert weight @ (y - found.mean) ** 2 == pytest.approx(spread, rel=1e-4)


@pytest.mark.parametrize("coverage", [0.01, 0.5, 0.9, 0.999_999])
def test_an_interval_is_exp_of_that_of_the_logarithm_and_never_begins_below_0(
    coverage: float,
) -> None:
    task = Regression(PRICE, tuned("heteroscedastic"))
    outputs = drawn(task)
    reach = NormalDist().inv_cdf((1 + coverage) / 2)
    for row, found in enumerate(summary(task, outputs, coverage)):
        f, u = outputs[:, row].double().numpy().T
        std = math.sqrt(0.6 * f.var(ddof=1) + 0.3 * math.exp(u.mean()))
        ends = [math.log(end) for end in (found.interval.lower, found.interval.upper)]
        assert ends == pytest.approx(
            [MU + SIGMA * (f.mean() - reach * std), MU + SIGMA * (f.mean() + reach * std)]
        )
        assert found.interval.lower > 0


def test_scores_are_those_of_the_logarithm_and_intervals_undo_them() -> None:
    """The actual value with the largest score is at the end of its interval, on either side."""
    task = Regression(PRICE, tuned("heteroscedastic"))
    outputs = drawn(task)
    predictions = task.summarise(
        taken(task, outputs), PredictOptions(coverage=0.7)
    )  # any coverage tells centre and std
    ends = predictions.columns["interval"].columns
    middle = np.sqrt(ends["lower"] * ends["upper"])
    for factor in (0.5, 2.0):
        actual = PRICE.standardised(middle * factor)
        scores = task.scores(predictions, actual)["price"]
        for row, score in enumerate(scores.tolist()):
            calibration = Calibration(400, "plain", {"price": np.full(20, score)})
            again = replace(task, calibration=calibration)
            found = summary(again, outputs)[row].interval
            end = found.lower if factor < 1 else found.upper
            assert end == pytest.approx(float(middle[row, 0]) * factor)
            assert found.method == "conformal"


def test_rescaling_the_variances_after_a_refit_moves_no_interval() -> None:
    """One factor on the total variance: all scores shrink alike, so that q undoes it exactly."""
    task = Regression(PRICE, tuned("heteroscedastic"))
    outputs = drawn(task, rows=40)
    actual = np.random.default_rng(0).normal(0, 2, (40, 1))
    predictions = task.summarise(taken(task, outputs), PredictOptions())
    again = replace(task, tuning=task.rescaled(predictions, actual))
    assert again.tuning != task.tuning
    other = again.summarise(taken(again, outputs), PredictOptions())
    found = [each.scores(p, actual)["price"] for each, p in ((task, predictions), (again, other))]
    ratio = found[0] / found[1]
    assert ratio == pytest.approx(np.full(40, ratio[0]), rel=1e-6)


@pytest.mark.parametrize("noise", KINDS)
def test_beside_a_target_that_is_learned_as_it_is_each_is_as_if_alone(noise: NoiseKind) -> None:
    task = Regression(BOTH, tuned(noise, targets=2))
    outputs = drawn(task)
    alone = [
        (Regression(Target(("age",), (), (40.0,), (12.0,), (None,)), tuned(noise)), "age", 0),
        (Regression(PRICE, tuned(noise)), "price", 1),
    ]
    for single, name, at in alone:
        own = outputs[..., at::2] if noise == "heteroscedastic" else outputs[..., at : at + 1]
        for whole, one in zip(summary(task, outputs), summary(single, own), strict=True):
            for field in ("mean", "variance", "mean_error", "noise_variance", "total_variance"):
                assert getattr(whole, field)[name] == pytest.approx(getattr(one, field), rel=1e-6)
            assert whole.interval.lower[name] == pytest.approx(one.interval.lower, rel=1e-6)


def test_metrics_and_abstention_are_in_the_targets_own_unit() -> None:
    task = Regression(PRICE, replace(tuned("homoscedastic"), largest_errors=(30.0,)))
    outputs = drawn(task, rows=60)
    predictions = task.summarise(taken(task, outputs), PredictOptions())
    y = np.exp(np.random.default_rng(0).normal(MU, SIGMA, (60, 1)))
    actual = PRICE.standardised(y)
    error = predictions.columns["mean"] - y
    metrics = task.metrics(predictions, actual)
    assert metrics["rmse"] == pytest.approx(np.sqrt(np.mean(error**2)))
    assert metrics["mae"] == pytest.approx(np.mean(np.abs(error)))
    found = task.abstention(predictions, actual)
    assert found is not None
    assert found.largest == pytest.approx(30 * math.exp(MU) * SIGMA)
    assert found.levels[-1].risk == pytest.approx(metrics["rmse"])


def test_the_tuning_measures_the_largest_error_in_the_targets_own_unit() -> None:
    random = np.random.default_rng(3)
    actual = random.normal(size=(80, 1))
    means = actual + random.normal(0, 0.3, (80, 1)) + random.normal(0, 0.1, (50, 80, 1))
    outputs = np.concatenate([means, random.normal(-2, 0.3, (50, 80, 1))], axis=-1)
    given = Regression(PRICE, Tuning(noise="heteroscedastic"))
    tuning = given.tuned(given.values(torch.from_numpy(outputs)).numpy(), actual, 1)
    outputs[..., 1] *= tuning.noise_powers[0]  # as `with_noise_powers` does to the weights
    found = summary(Regression(PRICE, tuning), torch.from_numpy(outputs))
    error = np.array([row.mean for row in found]) - PRICE.decoded(actual)[:, 0]
    largest = np.abs(error).max() / (math.exp(MU) * SIGMA)
    assert tuning.largest_errors[0] == pytest.approx(largest)


def test_noise_that_no_row_can_have_does_not_become_the_answer() -> None:
    task = Regression(PRICE, tuned("heteroscedastic"))
    outputs = torch.zeros(50, 1, 2)
    outputs[0, 0, 1] = 12.0  # one odd pass claims 49,000 times the target's variance as noise
    (found,) = summary(task, outputs)
    largest = math.exp(MU + SIGMA**2 * MOST_NOISE / 2)
    assert found.mean < largest / 50 + 2 * math.exp(MU)
    assert math.isfinite(found.total_variance)


def test_a_target_of_any_unit_has_the_same_relative_numbers() -> None:
    """Moments are in units of the geometric mean x sigma, so nothing overflows or loses digits."""
    relative = []
    for shift in (-200.0, 0.0, 200.0):
        target = Target(("y",), (), (shift,), (SIGMA,), (None,), ("y",))
        task = Regression(target, tuned("homoscedastic"))
        (found,) = summary(task, drawn(task, rows=1))
        relative.append([found.mean / math.exp(shift), found.std / found.mean])
    assert relative[0] == pytest.approx(relative[1], rel=1e-9)
    assert relative[2] == pytest.approx(relative[1], rel=1e-9)


def test_a_small_sigma_gives_the_moments_of_the_linear_law() -> None:
    sigma = torch.tensor([1e-4], dtype=torch.float64)
    mean, noise = (torch.tensor([[value]], dtype=torch.float64) for value in (0.7, 0.3))
    first, second = moments(mean, noise, sigma)[0].tolist()
    assert first - 1e4 == pytest.approx(0.7, abs=1e-3)
    assert second == pytest.approx(0.3, rel=1e-3)


def test_a_logarithm_needs_the_plain_estimator_and_says_why() -> None:
    because = Regression(PRICE).plain_because
    assert because
    assert "exponential" in because
    assert Regression(replace(PRICE, logs=())).plain_because is None
