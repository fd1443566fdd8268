"""The search keeps the dropout rate with the highest log density of validation rows."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model import Card, Epoch, Split, Table, TrainOptions, load, train
from model.artifact.folder import read
from model.data.preparation import encode_table, encode_target
from model.formulas.scores import mixture_log_likelihood
from model.tasks import ENSEMBLE_RATE as FIRST
from model.tasks import USUAL_RATE
from model.training.plan import SEARCH
from model.training.rate_search import RATES, best_rate

OPTIONS = TrainOptions(members=1, number_encoding="raw", hidden=(8,), dropout=SEARCH, epochs=3)
OTHERS = ("rent", "dear", "worth")
PARTS = Split(np.arange(100), np.arange(100, 140), np.arange(140, 170), np.arange(170, 200))


def trained(table: Table, folder: Path, **changes: Any) -> Card:
    given = {"drop": OTHERS, "options": OPTIONS, "split": PARTS, "name": "a"}
    return train(table, "price", folder, **{**given, **changes})


@given(arrays(float, (len(RATES), 5), elements=st.integers(-9, 9).map(float)))
def test_a_search_ends_where_no_neighbour_is_better_by_a_standard_error(rows: np.ndarray) -> None:
    found = dict(zip(RATES, rows, strict=True))
    at = RATES.index(best_rate(found))
    for beside in RATES[max(at - 1, 0) : at + 2]:
        gain = found[beside] - found[RATES[at]]
        assert gain.mean() <= gain.std() / 5**0.5
    assert found[RATES[at]].mean() >= found[FIRST].mean()


@given(st.integers(0, len(RATES) - 1))
def test_with_one_peak_the_search_finds_it(peak: int) -> None:
    found = {rate: np.full(9, -abs(at - peak)) for at, rate in enumerate(RATES)}
    assert best_rate(found) == RATES[peak]


def test_a_gain_within_its_standard_error_does_not_move_the_search() -> None:
    doubtful = np.array([3.0, -2.0, -2.0, 3.0, 0.0])  # .4 +- 1.0
    found = {FIRST: np.zeros(5), 0.005: doubtful, 0.2: np.full(5, -1.0)}
    assert best_rate(found) == FIRST
    many = {rate: np.tile(rows, 8) for rate, rows in found.items()}  # .4 +- .35
    assert best_rate(many) == 0.005


def test_a_rate_at_which_a_network_overflows_is_left() -> None:
    overflowed = np.full(5, -np.inf)
    found = {FIRST: overflowed, 0.005: overflowed, 0.05: np.zeros(5)}
    assert best_rate(found) == 0.05
    assert best_rate({FIRST: np.zeros(5), 0.05: overflowed}) == FIRST


def test_the_rate_of_the_model_is_the_best_of_those_tried(houses: Table, tmp_path: Path) -> None:
    card = trained(houses, tmp_path / "a")
    found = {float(rate): value for rate, value in card.training.searched.items()}
    _, best = card.architecture.dropout
    assert tuple(found) == RATES
    assert found[best] >= found[USUAL_RATE]
    assert card.training.settings["dropout"] == SEARCH
    asked = trained(houses, tmp_path / "b", options=replace(OPTIONS, dropout=(best,)))
    assert asked.training.searched == {}
    assert asked.architecture == card.architecture


def test_the_card_tells_the_log_likelihood_of_the_validation_rows(
    houses: Table, tmp_path: Path
) -> None:
    """By the mixture of the passes' normals, in the target's own unit."""
    card = trained(houses, tmp_path / "a", options=replace(OPTIONS, refit=False))
    predictor, rows = load(tmp_path / "a"), PARTS.validation
    target, (noise,) = card.target_of_rows, card.tuning.noise_scales
    (factor,) = card.tuning.variance_factors
    x = encode_table(houses, card.schema_of_rows)[rows]
    price = encode_target(houses, target)[rows, 0] * target.scales[0] + target.means[0]
    values = predictor.values(x, passes=400, seed=1)
    centre = values[..., 0].mean(0)
    around = centre + np.sqrt(factor) * (values[..., 0] - centre)
    mean = around * target.scales[0] + target.means[0]
    std = np.sqrt(noise * np.exp(values[..., 1])) * target.scales[0]
    expected = mixture_log_likelihood(mean, std, price)
    said = card.training.searched[f"{card.architecture.dropout[1]:g}"]
    assert said == pytest.approx(expected, abs=0.01)


def test_a_noisy_target_is_given_more_dropout_than_a_clean_one(tmp_path: Path) -> None:
    random, rates, none = np.random.default_rng(0), dict[str, float](), np.arange(0)
    x, split = random.normal(size=(500, 4)), Split(np.arange(200), np.arange(200, 500), none, none)
    signal = x[:, 0] + np.abs(x[:, 1])
    for name, noise in (("clean", 0.0), ("noisy", 3.0)):
        y = signal + noise * random.normal(size=500)
        table = Table("made.csv", {**dict(zip("abcd", x.T, strict=True)), "y": y}, name * 8)
        options = TrainOptions(
            members=1, number_encoding="raw", hidden=(32,), dropout=SEARCH, epochs=200, refit=False
        )
        card = train(table, "y", tmp_path / name, options=options, split=split)
        rates[name] = card.architecture.dropout[1]
    assert rates["clean"] < USUAL_RATE <= rates["noisy"]


@pytest.mark.parametrize("target", ["dear", "worth"])
def test_classifiers_search_too(houses: Table, tmp_path: Path, target: str) -> None:
    others = {"price", "rent", "dear", "worth"} - {target}
    card = train(houses, target, tmp_path / "a", drop=sorted(others), options=OPTIONS)
    assert all(value < 0 for value in card.training.searched.values())
    assert card.architecture.dropout[1] in map(float, card.training.searched)


def test_ctrl_c_chooses_among_the_networks_as_they_are(houses: Table, tmp_path: Path) -> None:
    def interrupt(epoch: Epoch) -> None:
        if epoch.number == 2:
            raise KeyboardInterrupt

    card = trained(houses, tmp_path / "a", progress=interrupt)
    assert tuple(map(float, card.training.searched)) == RATES
    assert card.training.epochs == 2
    assert any("interrupted" in notice for notice in card.training.notices)
    assert not card.training.refitted
    network = read(tmp_path / "a").networks
    assert all(torch.isfinite(weights).all() for weights in network.parameters())
