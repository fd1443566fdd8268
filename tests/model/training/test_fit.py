"""Fitting is reproducible, keeps the best weights, and ends well whatever happens."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from model.calibration import Tuning
from model.data.schema import Target
from model.errors import DataError, InputError
from model.passes.masks import draw_noise
from model.passes.network import MLP
from model.tasks.classification import Classification
from model.tasks.regression import Regression
from model.tasks.task import Task
from model.training.fit import Dataset, Epoch, Fit, fit, initialised, refit
from model.training.plan import TrainOptions
from model.training.rate_search import RATES

ONE = TrainOptions(members=1, number_encoding="raw")
OPTIONS = replace(ONE, hidden=(16,), dropout=(0.2,), epochs=25, patience=25, batch=16)
WIDE = replace(ONE, hidden=(64,), dropout=(0.0,), batch=4)
REGRESSION = Regression(Target(("y",), (), (0.0,), (1.0,), (None,)))
CLASSIFICATION = Classification(Target(("y",), ("a", "b", "c"), (), (), (None,)))
LEARNED_NOISE = Regression(REGRESSION.target, Tuning(noise="heteroscedastic"))
TWO_TARGETS = Regression(
    Target(("y", "z"), (), (0.0, 0.0), (1.0, 1.0), (None, None)), LEARNED_NOISE.tuning
)


PLAN = OPTIONS.plan(REGRESSION, 100)


def rows(count: int, seed: int, noise: float = 0.1) -> Dataset:
    """y = x0 - x1 and noise."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=generator)
    return Dataset(x, x[:, :1] - x[:, 1:2] + noise * torch.randn(count, 1, generator=generator))


TRAINING, VALIDATION = rows(100, 0), rows(40, 1)


def fitted(
    options: TrainOptions = OPTIONS,
    *,
    training: Dataset = TRAINING,
    validation: Dataset = VALIDATION,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Fit:
    plan = options.plan(REGRESSION, len(training))
    return fit(REGRESSION, training, validation, plan, progress)


def only(found: Fit) -> MLP:
    (network,) = found.networks
    return network


def loss(network: MLP, data: Dataset) -> float:
    with torch.inference_mode():
        return REGRESSION.loss(network(data.x), data.y).item()


def same(one: MLP, other: MLP) -> bool:
    return all(map(torch.equal, one.parameters(), other.parameters()))


def test_a_network_learns_a_simple_function() -> None:
    options = replace(OPTIONS, hidden=(32,), dropout=(0.0,), epochs=80, patience=80)
    network = only(fitted(options))
    test = rows(200, 2, noise=0.0)
    assert loss(network, test) < 0.05 * test.y.var().item()


def test_a_classifier_learns_three_clouds() -> None:
    generator = torch.Generator().manual_seed(0)
    label = torch.arange(90) % 3
    x = 3 * torch.eye(3)[label] + torch.randn(90, 3, generator=generator)
    plan = OPTIONS.plan(CLASSIFICATION, len(x))
    network = only(fit(CLASSIFICATION, Dataset(x, label), Dataset(x, label), plan))
    assert (network(x).argmax(-1) == label).float().mean() > 0.85


def test_the_same_seed_gives_the_same_weights_whatever_the_global_seed() -> None:
    networks = []
    for global_seed in (1, 2):
        torch.manual_seed(global_seed)
        networks.append(only(fitted()))
    assert same(*networks)


def test_another_seed_gives_other_weights() -> None:
    assert not same(only(fitted()), only(fitted(replace(OPTIONS, seed=1))))


def test_training_leaves_the_global_random_states_and_its_rows_alone() -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    x, y = TRAINING.x.clone(), TRAINING.y.clone()
    fitted()
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])
    assert torch.equal(TRAINING.x, x)
    assert torch.equal(TRAINING.y, y)


def test_the_weights_of_the_best_epoch_are_kept() -> None:
    """Few noisy rows: validation gets worse again long before the last epoch."""
    noisy, epochs = rows(20, 0, noise=2.0), list[Epoch]()
    options = replace(WIDE, epochs=60, patience=60)
    result = fitted(options, training=noisy, progress=epochs.append)
    losses = [epoch.validation_loss for epoch in epochs]
    assert result.epochs == len(epochs) == 60
    assert result.best_epoch == 1 + int(np.argmin(losses)) < 50
    assert loss(only(result), VALIDATION) == min(losses) < losses[-1]
    assert [e.best_epoch for e in epochs] == [1 + int(np.argmin(losses[:n])) for n in range(1, 61)]


def test_a_regression_trains_to_the_end_unless_patience_is_given() -> None:
    noisy, epochs = rows(20, 0, noise=2.0), list[Epoch]()
    options = replace(WIDE, epochs=60)
    result = fitted(options, training=noisy, progress=epochs.append)
    assert (result.epochs, result.best_epoch) == (60, 60)
    losses = [epoch.validation_loss for epoch in epochs]
    assert loss(only(result), VALIDATION) == losses[-1] > min(losses)
    best = fitted(replace(options, patience=60), training=noisy)
    assert loss(only(best), VALIDATION) == min(losses)


def test_defaults_of_the_task_fill_in_options_that_are_not_given() -> None:
    """5,000 steps: of 100 rows in batches of 64, two an epoch; and ten epochs at least."""
    plan = TrainOptions().plan(REGRESSION, 100)
    assert (plan.members, plan.encoding, plan.rates) == (5, "auto", (0.005, 0.02, 0.05))
    assert (plan.epochs, plan.patience, plan.weight_decays) == (2_500, 0, (0.1,))
    assert plan.longer == 7_500
    plan = TrainOptions().plan(REGRESSION, 120_000)
    assert (plan.epochs, plan.patience, plan.weight_decays) == (10, 0, (0.001,))
    plan = TrainOptions().plan(CLASSIFICATION, 100)
    assert (plan.epochs, plan.patience, plan.weight_decays) == (2_500, 0, (0.3, 10.0))
    assert plan.longer == 0
    plan = replace(ONE, epochs=7, patience=3, weight_decay=0.0).plan(REGRESSION, 100)
    assert (plan.epochs, plan.patience, plan.weight_decays) == (7, 3, (0.0,))
    assert (plan.longer, plan.rates) == (0, ())


@pytest.mark.parametrize(
    ("task", "rows", "widths", "rate"),
    [
        (REGRESSION, 100, (100, 100), 0.1),
        (REGRESSION, 2_400, (100, 100), 0.05),
        (REGRESSION, 6_000, (100, 100, 100), 0.02),
        (REGRESSION, 10**6, (100, 100, 100), 0.01),
        (CLASSIFICATION, 10**6, (100, 100), 0.1),
    ],
)
def test_the_network_suits_the_task_and_the_rows_where_no_option_names_one(
    task: Task[Any], rows: int, widths: tuple[int, ...], rate: float
) -> None:
    plan = replace(ONE, seed=3).plan(task, rows)
    assert (plan.hidden, plan.dropout) == (widths, (rate,) * len(widths))
    assert (plan.find_dropout, plan.seed) == ("given", 3)
    named = replace(ONE, hidden=(7,), dropout=(0.3,)).plan(task, rows)
    assert (named.hidden, named.dropout) == ((7,), (0.3,))
    assert TrainOptions(dropout="search").plan(task, rows).rates == RATES


def test_training_stops_once_patience_ends() -> None:
    noisy = rows(20, 0, noise=2.0)
    options = replace(WIDE, epochs=500, patience=7)
    result = fitted(options, training=noisy)
    assert result.epochs == result.best_epoch + 7 < 500
    assert not result.interrupted


def test_a_classifier_trains_to_the_end_unless_patience_is_given() -> None:
    """Labels at random: with dropout off the validation loss only grows."""
    generator = torch.Generator().manual_seed(0)
    training, validation = (
        Dataset(
            torch.randn(40, 3, generator=generator), torch.randint(3, (40,), generator=generator)
        )
        for _ in range(2)
    )
    options = replace(ONE, hidden=(32,), epochs=40, batch=8, weight_decay=0.0)
    plan, epochs = options.plan(CLASSIFICATION, 40), list[Epoch]()
    result = fit(CLASSIFICATION, training, validation, plan, epochs.append)
    losses = [epoch.validation_loss or 0 for epoch in epochs]
    assert result.epochs == result.best_epoch == 40
    assert min(losses) < losses[-1]
    with torch.inference_mode():
        loss = CLASSIFICATION.loss(only(result)(validation.x), validation.y).item()
    assert loss == losses[-1]
    early = fit(CLASSIFICATION, training, validation, replace(plan, patience=5))
    assert early.best_epoch == 1 + int(np.argmin(losses)) == early.epochs - 5 < 30


def test_ctrl_c_keeps_the_best_so_far() -> None:
    epochs: list[Epoch] = []

    def interrupt(epoch: Epoch) -> None:
        epochs.append(epoch)
        if epoch.number == 6:
            raise KeyboardInterrupt

    result = fitted(progress=interrupt)
    assert result.interrupted
    assert result.epochs == 6
    assert loss(only(result), VALIDATION) == min(epoch.validation_loss for epoch in epochs)


def test_ctrl_c_before_the_first_epoch_has_ended_is_said() -> None:
    class Impatient(Dataset):
        def __getitem__(self, index: torch.Tensor) -> Dataset:
            raise KeyboardInterrupt

    with pytest.raises(DataError, match="before the first epoch had ended"):
        fitted(training=Impatient(TRAINING.x, TRAINING.y))


@pytest.mark.parametrize("rate", [1e3, 1e8, 1e30])
def test_a_wild_learning_rate_gives_finite_weights_or_a_word_of_advice(rate: float) -> None:
    options = replace(ONE, hidden=(16, 16), epochs=30, patience=30, batch=16, learning_rate=rate)
    try:
        network = only(fitted(options))
    except DataError as error:
        advice = str(error)
        assert "lower learning_rate" in advice
    else:
        assert all(weight.isfinite().all() for weight in network.parameters())
        assert math.isfinite(loss(network, VALIDATION))


def test_a_target_that_is_never_finite_is_said() -> None:
    broken = Dataset(VALIDATION.x, torch.full_like(VALIDATION.y, torch.nan))
    with pytest.raises(DataError, match="never finite"):
        fitted(validation=broken)


@pytest.mark.parametrize("batch", [1, 3, 33, 100, 1000])
def test_any_size_of_batch_will_do(batch: int) -> None:
    options = replace(ONE, hidden=(4,), epochs=2, batch=batch)
    assert fitted(options).epochs == 2


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_a_step_is_one_pass_with_fresh_masks_for_every_row_of_the_batch(dropout: float) -> None:
    """One epoch of one batch: its loss is that of pass 0 on the first weights."""
    options = replace(ONE, hidden=(16,), dropout=(dropout,), epochs=1, batch=100, seed=5)
    epochs: list[Epoch] = []
    fitted(options, progress=epochs.append)
    generator = torch.Generator().manual_seed(5)
    first = initialised(options.plan(REGRESSION, 100).config(inputs=3, outputs=1), generator)
    batch = TRAINING[torch.randperm(100, generator=generator)]
    noise = draw_noise(first.config, 5, range(1), torch.arange(100))
    expected = REGRESSION.loss(first(batch.x, noise)[0], batch.y)
    assert epochs[0].training_loss == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("changes", [{}, {"input_dropout": 0.1, "input_noise": 0.2}])
def test_training_is_the_plain_loop_over_epochs_and_batches(changes: dict[str, float]) -> None:
    """100 rows in batches of 16, the last of 4: step number n draws the masks of pass n."""
    options = replace(OPTIONS, epochs=12, hidden=(16, 8), **changes)  # type: ignore[arg-type]
    generator = torch.Generator().manual_seed(options.seed)
    net = initialised(options.plan(REGRESSION, 100).config(3, 1), generator)
    adam = torch.optim.AdamW(net.parameters(), options.learning_rate, weight_decay=0.1)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=12)
    found, step = [], 0
    for _ in range(12):
        order = torch.randperm(100, generator=generator)
        for index in order.split(16):
            batch = TRAINING[index]
            noise = draw_noise(net.config, 0, range(step, step + 1), torch.arange(len(index)))
            adam.zero_grad()
            REGRESSION.loss(net(batch.x, noise)[0], batch.y).backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
            adam.step()
            step += 1
        falling.step()
        found.append(loss(net, VALIDATION))
    epochs: list[Epoch] = []
    fitted(options, progress=epochs.append)
    assert [epoch.validation_loss for epoch in epochs] == pytest.approx(found, rel=1e-4)


def test_the_first_member_is_the_network_that_the_seed_gives_alone() -> None:
    """The others have other weights. The losses are those of all members, averaged."""
    to_the_end, epochs = replace(OPTIONS, patience=None), list[Epoch]()
    alone = fitted(to_the_end)
    together = fitted(replace(to_the_end, members=3), progress=epochs.append)
    first, *others = together.networks
    for one, other in zip(only(alone).parameters(), first.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    assert len(others) == 2
    assert not same(first, others[0])
    assert not same(*others)
    losses = [loss(network, VALIDATION) for network in together.networks]
    assert epochs[-1].validation_loss == pytest.approx(np.mean(losses), rel=1e-6)


def test_a_refit_takes_the_epochs_that_were_best_on_other_rows() -> None:
    """The same rows again give the same weights; more rows give others, as many epochs long."""
    first = fitted()
    assert not first.refitted
    seen: list[Epoch] = []
    again = refit(REGRESSION, TRAINING, first, PLAN, seen.append)
    assert again.refitted
    assert same(only(again), only(first))
    assert [epoch.number for epoch in seen] == list(range(1, first.best_epoch + 1))
    assert all(epoch.validation_loss is None for epoch in seen)
    assert all(epoch.of == first.best_epoch for epoch in seen)
    more = refit(REGRESSION, rows(140, 3), first, PLAN)
    assert not same(only(more), only(first))
    assert loss(only(more), VALIDATION) < 0.5
    assert (more.epochs, more.best_epoch) == (first.epochs, first.best_epoch)


def test_ctrl_c_in_a_refit_leaves_the_first_fit() -> None:
    def interrupt(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    first = fitted()
    found = refit(REGRESSION, TRAINING, first, PLAN, interrupt)
    assert found == replace(first, interrupted=True)


def test_a_refit_with_weights_that_are_not_finite_keeps_the_first_fit() -> None:
    first = fitted()
    broken = Dataset(TRAINING.x, torch.full_like(TRAINING.y, torch.nan))
    assert refit(REGRESSION, broken, first, PLAN) == first


def test_first_weights_keep_the_variance_of_relu_activations_and_start_near_zero() -> None:
    options = replace(ONE, hidden=(400, 400))
    config = options.plan(REGRESSION, 100).config(inputs=400, outputs=50)
    network = initialised(config, torch.Generator().manual_seed(0))
    h = torch.randn(200, 400, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        for layer in network.linears()[:-1]:
            h = torch.relu(layer(h))
            assert 0.85 < h.square().mean().item() < 1.15
        assert network.linears()[-1](h).std().item() < 0.3
    assert all((layer.bias == 0).all() for layer in network.linears())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("epochs", 0),
        ("patience", 0),
        ("batch", 0),
        ("seed", -1),
        ("seed", 1 << 63),
        ("learning_rate", 0.0),
        ("learning_rate", math.inf),
        ("learning_rate", math.nan),
        ("weight_decay", -1e-9),
        ("weight_decay", math.nan),
        ("dropout", (0.1, 0.1, 0.1)),
        ("dropout", (1.0,)),
        ("dropout", ()),
        ("hidden", ()),
        ("hidden", (8, 0)),
        ("activation", "softmax"),
        ("input_noise", -0.1),
    ],
)
def test_an_option_out_of_its_domain_is_refused_by_name(field: str, value: object) -> None:
    with pytest.raises(InputError, match=f"^{field}: ") as caught:
        TrainOptions(**{field: value})  # type: ignore[arg-type]
    assert [detail.field for detail in caught.value.details] == [field]


def test_one_rate_is_for_all_hidden_layers_and_the_input_has_its_own() -> None:
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(8, 4), dropout=(0.3,), input_dropout=0.05
    )
    assert options.plan(REGRESSION, 100).config(3, 1).dropout == (0.05, 0.3, 0.3)
    each = TrainOptions(members=1, number_encoding="raw", hidden=(8, 4), dropout=(0.3, 0.1)).plan(
        REGRESSION, 100
    )
    assert each.config(3, 1).dropout == (0.0, 0.3, 0.1)
