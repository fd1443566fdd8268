"""A classifier's weight decay: strong where labels are noisy, unless held-out rows object."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import Card, DataError, Epoch, Table, TrainOptions, read_table, train
from model.artifact.card import TrainingRecord
from model.commands.describe import describe

PLAIN = TrainOptions(members=1, number_encoding="raw", epochs=100)
SMALL = TrainOptions(members=1, number_encoding="raw", hidden=(16,), dropout=(0.1,), epochs=4)
NOTHING = "worse than no model: the log loss of the test rows is "


def noisy(kind: str, rows: int = 400) -> Table:
    """Eight features, of which at most one says anything, and that with much noise."""
    random = np.random.default_rng(len(kind))
    x = random.normal(size=(rows, 8))
    likely = {
        "step": np.where(x[:, 0] > -1, 0.8, 0.25),
        "slope": 1 / (1 + np.exp(-x[:, 0])),
        "nothing": np.full(rows, 0.3),
    }[kind]
    y = np.where(random.random(rows) < likely, "Y", "N").astype(object)
    return Table(kind, {**{f"x{at}": x[:, at] for at in range(8)}, "y": y}, "0" * 64)


def entropy_of_shares(table: Table) -> float:
    share = float(np.mean(table.columns["y"] == "Y"))
    return -share * np.log(share) - (1 - share) * np.log(1 - share)


def record(card: Card) -> TrainingRecord:
    assert isinstance(card.training, TrainingRecord)
    return card.training


@pytest.mark.parametrize("kind", ["step", "slope", "nothing"])
def test_a_single_classifier_of_a_noisy_table_is_no_worse_than_its_base_rates(
    kind: str, tmp_path: Path
) -> None:
    table = noisy(kind)
    card = train(table, "y", tmp_path / kind, options=PLAIN)
    assert card.metrics["log_loss"] < entropy_of_shares(table) + 0.03
    assert record(card).settings["weight_decay"] == 10
    assert list(record(card).decays) == ["0.3", "10"]


def test_clean_labels_keep_the_mild_weight_decay(tmp_path: Path) -> None:
    options = TrainOptions(members=1, number_encoding="raw", hidden=(64,), epochs=20)
    card = train(read_table("example:digits"), "digit", tmp_path / "digits", options=options)
    assert record(card).settings["weight_decay"] == 0.3
    assert card.metrics["accuracy"] > 0.9
    assert "searched   weight decay 0.3: -0." in describe(card)


def test_a_weight_decay_that_is_named_is_the_only_one(tmp_path: Path) -> None:
    seen = list[Epoch]()
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(8,), epochs=3, weight_decay=0.5, refit=False
    )
    card = train(noisy("step"), "y", tmp_path / "m", options=options, progress=seen.append)
    assert (record(card).settings["weight_decay"], record(card).decays) == (0.5, {})
    assert len(seen) == 3


def test_a_strong_weight_decay_is_tried_with_the_same_dropout(tmp_path: Path) -> None:
    seen = list[Epoch]()
    train(noisy("step"), "y", tmp_path / "m", options=SMALL, progress=seen.append)
    phases = [epoch.phase for epoch in seen]
    trying = ["trying a weight decay of 10"] * 4
    assert phases == ["training"] * 4 + trying + ["final training"] * 4
    assert {epoch.metric for epoch in seen} == {"log loss"}
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(16,), dropout="learn", epochs=4
    )
    card = train(noisy("step"), "y", tmp_path / "n", options=options)
    assert record(card).settings["dropout"] == "learn"
    assert card.architecture.dropout[1] not in (0, 0.1)


def test_ctrl_c_while_the_strong_weight_decay_is_tried_keeps_the_first_fit(tmp_path: Path) -> None:
    def interrupt(epoch: Epoch) -> None:
        if "weight decay" in epoch.phase and epoch.number == 2:
            raise KeyboardInterrupt

    card = train(noisy("step"), "y", tmp_path / "m", options=SMALL, progress=interrupt)
    assert record(card).settings["weight_decay"] == 0.3
    assert (record(card).epochs, record(card).refitted) == (4, False)
    assert "the choice of a weight decay was interrupted" in card.training.notices


def test_a_learning_rate_too_high_for_the_strong_weight_decay_keeps_the_first_fit(
    tmp_path: Path,
) -> None:
    options = TrainOptions(
        members=1,
        number_encoding="raw",
        hidden=(16,),
        dropout=(0.1,),
        epochs=60,
        learning_rate=1.5,
        batch=4,
    )
    card = train(noisy("step"), "y", tmp_path / "m", options=options)
    assert record(card).settings["weight_decay"] == 0.3
    assert any("weight decay of 10 was tried: " in notice for notice in card.training.notices)
    strong = replace(options, weight_decay=10.0)
    with pytest.raises(DataError, match="lower learning_rate"):
        train(noisy("step"), "y", tmp_path / "n", options=strong)


def test_a_classifier_that_is_worse_than_base_rates_says_so(tmp_path: Path) -> None:
    by_heart = replace(PLAIN, weight_decay=0.0)
    card = train(noisy("nothing"), "y", tmp_path / "worse", options=by_heart)
    (notice,) = card.training.notices
    assert notice.startswith(NOTHING + f"{card.metrics['log_loss']:.3f}, and 0.5")
    assert f"note       {NOTHING}" in describe(card)
    good = train(noisy("slope"), "y", tmp_path / "good", options=PLAIN)
    assert good.training.notices == ()
