"""Learned dropout rates: what relaxed masks are, what rates depend on, what is done with them."""

import math
from dataclasses import replace
from pathlib import Path
from statistics import NormalDist

import pytest
import torch
from torch import Tensor

from model import (
    DataError,
    Epoch,
    InputError,
    PredictOptions,
    Table,
    TrainOptions,
    load,
    read_table,
    train,
)
from model.calibration.tuning import Tuning
from model.data.schema import Target
from model.passes.masks import draw_noise
from model.passes.network import MLPConfig
from model.tasks.classification import Classification
from model.tasks.regression import Regression
from model.training.concrete_dropout import (
    HIGHEST,
    LOWEST,
    divergence,
    entropy,
    learn_rates,
    relaxed_noise,
)
from model.training.fit import Dataset, initialised

REGRESSION = Regression(Target(("y",), (), (0.0,), (1.0,), (None,)))
CLASSIFICATION = Classification(Target(("y",), ("a", "b"), (), (), (None,)))
OPTIONS = TrainOptions(
    members=1, number_encoding="raw", hidden=(20, 20), dropout="learn", epochs=60, batch=20
)
RATES = (0.0, 0.1, 0.3)
CONFIG = MLPConfig(inputs=3, hidden=(40, 30), outputs=1, dropout=RATES)


def waves(count: int, seed: int = 0, noise: float = 0.3) -> Dataset:
    """y = sin(2 x0) + x1 and noise; the third input says nothing."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=generator)
    y = torch.sin(2 * x[:, :1]) + x[:, 1:2]
    return Dataset(x, y + noise * torch.randn(count, 1, generator=generator))


def learned(training: Dataset, options: TrainOptions = OPTIONS) -> tuple[float, ...]:
    plan = options.plan(REGRESSION, len(training))
    return learn_rates(REGRESSION, training, waves(80, 1), plan).config(3, 1).dropout


def logits(config: MLPConfig = CONFIG) -> Tensor:
    return torch.tensor(config.dropout[1:]).logit()


def relaxed(config: MLPConfig = CONFIG, rows: int = 4000, t: float = 0.1) -> tuple[Tensor, ...]:
    """The hidden sites' masks [1, B, H]."""
    noise = relaxed_noise(config, logits(config), 7, 5, rows, t)
    return tuple(mask for mask in noise.masks[1:] if mask is not None)


def test_relaxed_masks_become_those_of_ordinary_dropout_as_the_temperature_falls() -> None:
    hard = draw_noise(CONFIG, 7, range(5, 6), torch.arange(4000))
    for soft, mask in zip(relaxed(t=1e-7), hard.masks[1:], strict=True):
        assert mask is not None
        agree = (soft - mask).abs() < 1e-3  # but where a uniform is as good as the rate
        assert agree.double().mean() > 0.9999
    assert relaxed_noise(CONFIG, logits(), 7, 5, 9).masks[0] is None


def test_a_relaxed_mask_exceeds_one_half_with_the_probability_of_keeping_a_unit() -> None:
    for mask, rate in zip(relaxed(), RATES[1:], strict=True):
        kept = mask * (1 - rate) > 0.5
        error = math.sqrt(rate * (1 - rate) / kept.numel())
        assert abs(kept.double().mean().item() - (1 - rate)) < 4 * error


@pytest.mark.parametrize("rate", [0.05, 0.3, 0.5])
def test_a_relaxed_mask_has_the_mean_and_the_spread_of_its_law(rate: float) -> None:
    """Against the integral over the uniform, at its midpoints; the mean is near 1, not 1."""
    config = replace(CONFIG, dropout=(0.0, rate, rate))
    u = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    law = torch.sigmoid((u.logit() - math.log(rate / (1 - rate))) / 0.1) / (1 - rate)
    for mask in relaxed(config):
        error = law.std() / math.sqrt(mask.numel())
        assert (mask.double().mean() - law.mean()).abs() < 4 * error
        assert mask.std().item() == pytest.approx(law.std().item(), rel=0.02)
        assert mask.mean().item() == pytest.approx(1, abs=0.02)
        assert 0 <= mask.min() < 0.01 / (1 - rate) < 0.99 / (1 - rate) < mask.max()


def test_units_and_rows_are_relaxed_independently_of_one_another() -> None:
    first, second = (mask[0] for mask in relaxed())
    for one, other in (
        (first[:, 0], first[:, 1]),
        (first[:-1, 0], first[1:, 0]),
        (first[:, 0], second[:, 0]),
    ):
        correlation = torch.corrcoef(torch.stack([one, other]))[0, 1].item()
        assert abs(correlation) < NormalDist().inv_cdf(0.9999) / math.sqrt(len(one))


def test_the_divergence_is_that_of_the_dropped_out_weights() -> None:
    """The authors' (1 - p) |M|^2 / 2 - H h(p), with M = W / (1 - p) the weights that are used."""
    network = initialised(CONFIG, torch.Generator().manual_seed(0)).requires_grad_(False)
    expected = sum(
        (1 - p) * (layer.weight / (1 - p)).square().sum().item() / 2
        + width * (p * math.log(p) + (1 - p) * math.log(1 - p) if p else 0)
        for layer, p, width in zip(network.linears(), RATES, (3, 40, 30), strict=True)
    )
    assert divergence(network, logits()).item() == pytest.approx(expected, rel=1e-5)


def test_the_entropy_of_a_rate_is_largest_at_one_half() -> None:
    found = entropy(torch.tensor([0.0, 0.1, 0.5, 0.9]))
    expected = [0.0, -0.1 * math.log(0.1) - 0.9 * math.log(0.9), math.log(2)]
    assert found.tolist() == pytest.approx([*expected, expected[1]], rel=1e-5)


def test_more_rows_give_lower_rates() -> None:
    few, more = learned(waves(40)), learned(waves(800), replace(OPTIONS, epochs=12))
    assert few[0] == more[0] == 0
    assert min(few[1:]) > 0.15
    assert max(more[1:]) < 0.05


def test_every_layer_has_a_rate_of_its_own_within_the_bounds() -> None:
    options = replace(OPTIONS, hidden=(40, 20, 5))
    rates = learned(waves(100), options)[1:]
    assert len(set(rates)) == 3
    assert all(LOWEST <= rate <= HIGHEST for rate in rates)
    assert max(rates) > 1.5 * min(rates)


def test_the_noise_of_the_input_stays_as_it_is_given() -> None:
    options = replace(OPTIONS, input_dropout=0.2, input_noise=0.1, epochs=3)
    plan = options.plan(REGRESSION, 40)
    found = learn_rates(REGRESSION, waves(40), waves(40, 1), plan)
    config = found.config(inputs=3, outputs=1)
    assert (config.dropout[0], config.input_noise) == (0.2, 0.1)
    assert found.dropout != plan.dropout


def test_the_same_seed_learns_the_same_rates_whatever_the_global_seed() -> None:
    options, found = replace(OPTIONS, epochs=4), []
    for global_seed, seed in ((1, 0), (2, 0), (1, 1)):
        torch.manual_seed(global_seed)
        before = torch.get_rng_state()
        found.append(learned(waves(60), replace(options, seed=seed)))
        assert torch.equal(torch.get_rng_state(), before)
    assert found[0] == found[1] != found[2]


def test_learned_rates_predict_no_worse_than_the_usual_one(tmp_path: Path) -> None:
    """Log loss of fresh rows: a standard error of its difference is about .01."""
    table, losses = read_table("example:breast-cancer"), {"learn": 0.0, "usual": 0.0}
    for seed in range(2):
        options = TrainOptions(
            members=1, number_encoding="raw", hidden=(32, 32), dropout="learn", epochs=40, seed=seed
        )
        for name, chosen in {"learn": options, "usual": replace(options, dropout=(0.1,))}.items():
            card = train(table, "diagnosis", tmp_path / f"{name}{seed}", options=chosen)
            losses[name] += card.metrics["log_loss"] / 2
    assert losses["learn"] < losses["usual"] + 0.02, losses


@pytest.mark.parametrize("noise", ["homoscedastic", "heteroscedastic"])
def test_an_artifact_predicts_with_the_rates_that_were_learned(
    houses: Table, tmp_path: Path, noise: str
) -> None:
    options = replace(OPTIONS, epochs=15, noise=noise)
    others = ["rent", "dear", "worth"]
    card = train(houses, "price", tmp_path / "a", drop=others, options=options)
    first, *rates = card.architecture.dropout
    assert first == 0
    assert len(set(rates)) == 2
    assert not {0.1} & set(rates)
    assert card.training.settings["dropout"] == "learn"
    predictor = load(tmp_path / "a")
    assert predictor.card == card
    dropouts = [m.p for m in predictor.module() if isinstance(m, torch.nn.Dropout)]
    assert dropouts == rates
    (row,) = predictor.predict([[100.0, 3, "east"]], PredictOptions(seed=1)).rows
    assert row.std > 0
    again = train(houses, "price", tmp_path / "b", name="a", drop=others, options=options)
    assert again.weights_sha256 == card.weights_sha256


def test_rates_that_were_found_train_the_same_network_when_they_are_given(
    houses: Table, tmp_path: Path
) -> None:
    options = replace(OPTIONS, epochs=5)
    others = ["rent", "dear", "worth"]
    card = train(houses, "price", tmp_path / "a", drop=others, options=options)
    given = replace(options, dropout=card.architecture.dropout[1:])
    other = train(houses, "price", tmp_path / "b", drop=others, options=given)
    assert other.weights_sha256 == card.weights_sha256


def test_progress_tells_every_epoch_and_the_best() -> None:
    epochs: list[Epoch] = []
    options = replace(OPTIONS, epochs=30, patience=30)
    plan = options.plan(REGRESSION, 40)
    learn_rates(REGRESSION, waves(40), waves(40, 1), plan, epochs.append)
    losses = [epoch.validation_loss or 0 for epoch in epochs]
    assert [epoch.number for epoch in epochs] == list(range(1, 31))
    assert losses[epochs[-1].best_epoch - 1] == min(losses)


def test_learning_that_is_interrupted_or_never_finite_is_said() -> None:
    def interrupt(_: Epoch) -> None:
        raise KeyboardInterrupt

    plan = OPTIONS.plan(REGRESSION, 40)
    with pytest.raises(DataError, match="interrupted before the dropout rates were learned"):
        learn_rates(REGRESSION, waves(40), waves(40, 1), plan, interrupt)
    broken = Dataset(waves(40).x, torch.full((40, 1), math.nan))
    with pytest.raises(DataError, match="never finite"):
        learn_rates(REGRESSION, waves(40), broken, plan)


@pytest.mark.parametrize("dropout", ["learned", "", "0.1"])
def test_no_other_word_is_accepted_for_rates(dropout: str) -> None:
    with pytest.raises(InputError, match=r"^dropout: .*learn"):
        TrainOptions(members=1, number_encoding="raw", dropout=dropout)  # type: ignore[arg-type]


def test_a_squared_error_is_worth_more_nats_the_less_noise_there_is() -> None:
    """A row's log-likelihood is -error^2 / (2 variance): worth 1 / (2 variance) for one target."""
    two = Target(("y", "z"), (), (0.0, 0.0), (1.0, 1.0), (None, None))
    assert REGRESSION.nats_per_loss(0.25) == 2
    assert Regression(two).nats_per_loss(0.25) == 4
    assert Regression(two, Tuning(noise="heteroscedastic")).nats_per_loss(-3.0) == 2
    assert math.isfinite(REGRESSION.nats_per_loss(0.0))
    assert CLASSIFICATION.nats_per_loss(0.1) == 1
