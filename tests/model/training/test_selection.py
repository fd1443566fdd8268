"""Validation rows choose the encoding; members then learn with all that was chosen."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import Card, Epoch, PredictOptions, Split, Table, TrainOptions, evaluate, load, train
from model.artifact.card import TrainingRecord
from model.commands.describe import describe
from model.data.preparation import encode_table, encode_target, fit_schema, fit_target
from model.training.prepared import Prepared
from model.training.selection import selected

SMALL = TrainOptions(members=2, hidden=(24,), epochs=25)
PARTS = Split(np.arange(300), np.arange(300, 400), np.arange(400, 500), np.arange(500, 600))


def stairs(noise: float = 0.1) -> Table:
    """A target that climbs in steps with x, and does not depend on the group."""
    random = np.random.default_rng(0)
    x, z = random.uniform(-1, 1, (2, 600))
    y = 3.0 * (np.floor(4 * x) % 2) + z + noise * random.normal(size=600)
    group = random.choice(np.array(["a", "b"], dtype=object), 600)
    return Table("stairs", {"x": x, "z": z, "group": group, "y": y}, "0" * 64)


def trained(folder: Path, table: Table | None = None, **changes: Any) -> Card:
    options = replace(SMALL, **changes.pop("options", {}))
    return train(table or stairs(), "y", folder, options=options, split=PARTS, **changes)


def record(card: Card) -> TrainingRecord:
    assert isinstance(card.training, TrainingRecord)
    return card.training


def edges(card: Card) -> list[int]:
    return [len(getattr(feature, "edges", ())) for feature in card.features]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("stairs") / "m"
    trained(path)
    return path


def test_steps_are_seen_by_their_codes(folder: Path) -> None:
    card = load(folder).card
    assert set(record(card).encodings) == {"raw", "piecewise", "mixed"}
    assert record(card).encodings["piecewise"] > record(card).encodings["raw"]
    assert record(card).settings["number_encoding"] != "raw"
    assert edges(card) == [13, 13, 0]
    assert set(record(card).searched) == {"0.005", "0.02", "0.05"}
    assert card.architecture.members == len(load(folder).modules()) == 2
    assert "searched   encoding raw: " in describe(card)


def test_a_saved_model_of_codes_predicts_explains_and_warns(folder: Path) -> None:
    predictor = load(folder)
    options = PredictOptions(seed=1)
    rows = [{"x": 0.1, "z": 0.2, "group": "a"}, {"x": 9.0, "z": 0.2, "group": "b"}]
    inside, outside = predictor.predict(rows, options).rows
    assert "outside_training_range:x" in outside.warnings
    assert outside.distance_p_value < 0.05 < inside.distance_p_value  # type: ignore[operator]
    assert predictor.predict([predictor.example()], options).rows[0].warnings == ()
    kept = predictor.kept_rows()
    assert kept is not None
    assert kept.shape[1] == sum(predictor.columns)
    assert evaluate(predictor, stairs(), options, seeds=1).part == "test"


def test_numbers_alone_win_where_asked_for_or_where_there_is_no_code(tmp_path: Path) -> None:
    asked = trained(tmp_path / "a", options={"number_encoding": "raw"})
    assert record(asked).encodings == {}
    assert edges(asked) == [0, 0, 0]
    table = stairs()
    texts = {**table.columns, "x": np.where(table.columns["x"] > 0, "u", "v").astype(object)}
    only = replace(table, columns={name: texts[name] for name in ("x", "group", "y")})
    assert record(trained(tmp_path / "b", only)).encodings == {}


def test_mixed_members_see_codes_in_turn(tmp_path: Path) -> None:
    card = trained(tmp_path / "m", options={"number_encoding": "mixed", "epochs": 5})
    first, second = (module[0].weight for module in load(tmp_path / "m").modules())
    codes = card.schema_of_rows.code_columns
    assert first[:, codes].any(dim=0).all()
    assert not second[:, codes].any()


@pytest.mark.parametrize("members", [1, 3])
def test_without_a_refit_the_model_has_its_members(tmp_path: Path, members: int) -> None:
    card = trained(tmp_path / "m", options={"members": members, "refit": False})
    assert card.architecture.members == members
    assert not record(card).refitted


def test_the_same_seed_gives_the_same_model(folder: Path, tmp_path: Path) -> None:
    assert trained(tmp_path / "m").weights_sha256 == load(folder).card.weights_sha256


@pytest.mark.parametrize(("noise", "tried"), [(0.0, 180), (0.3, None), (4.0, 6)])
def test_hardly_any_noise_may_take_more_steps_and_much_noise_fewer(
    noise: float, tried: int | None
) -> None:
    data, phases = prepared_line(noise), list[Epoch]()
    options = TrainOptions(members=1, hidden=(16,), dropout=(0.005,), refit=False)
    plan = options.plan(data.untuned("heteroscedastic"), 300)
    assert plan.brief
    few = replace(plan, epochs=60, longer=180, brief=replace(plan.brief, epochs=6))
    draft = selected(data, few, "m", phases.append)
    assert [epoch.phase for epoch in phases if epoch.phase.startswith("trying")] == (
        [f"trying {tried} epochs"] * (tried or 0)
    )
    assert set(draft.lengths) == ({"60", f"{tried}"} if tried else set())
    if tried == 180:
        assert draft.plan.epochs == int(max(draft.lengths, key=lambda name: draft.lengths[name]))


def test_a_noisy_small_table_is_trained_briefly_under_much_dropout_and_decay() -> None:
    data = prepared_line(2.0, columns=9)
    options = TrainOptions(members=1, number_encoding="raw")
    plan = options.plan(data.untuned("heteroscedastic"), 300)
    draft = selected(data, plan, "m", lambda _: None)
    assert draft.plan.epochs < plan.epochs / 9
    assert draft.plan.dropout == (0.3, 0.3)
    assert draft.plan.weight_decays == (30 * plan.weight_decays[0],)
    assert draft.fitted.epochs == draft.plan.epochs
    assert [network.config.dropout for network in draft.networks] == [(0, 0.3, 0.3)]


def test_a_brief_training_takes_numbers_as_they_are_in_doubt() -> None:
    """Twelve validation rows prefer the codes, and tell little."""
    data = prepared_line(2.0, columns=2, seed=3)
    data = replace(data, split=replace(data.split, validation=data.split.validation[:12]))
    options = TrainOptions(members=1, hidden=(16,))
    plan = replace(options.plan(data.untuned("heteroscedastic"), 300), epochs=30, longer=0)
    draft = selected(data, plan, "m", lambda _: None)
    assert draft.plan.epochs > 30
    assert draft.encodings["piecewise"] > draft.encodings["raw"]
    assert draft.plan.encoding == "raw"
    assert not draft.data.schema.code_columns.any()


def test_a_brief_training_keeps_the_options_that_are_given() -> None:
    data = prepared_line(1.0)
    task = data.untuned("heteroscedastic")
    given = TrainOptions(dropout=(0.05,), weight_decay=0.5).plan(task, 300)
    assert given.brief
    assert (given.brief.dropout, given.brief.weight_decays) == ((0.05, 0.05), (0.5,))
    assert TrainOptions(epochs=9).plan(task, 300).brief is None
    assert TrainOptions(dropout="search").plan(task, 300).brief is None


def prepared_line(noise: float, columns: int = 1, seed: int = 0) -> Prepared:
    """600 rows of which the target is a line in the first of some columns, with noise."""
    random, rows = np.random.default_rng(seed), np.arange(400)
    x = random.uniform(-1, 1, (600, columns))
    names = [f"x{number}" for number in range(columns)]
    values = dict(zip(names, x.T, strict=True))
    values["y"] = 2 * x[:, 0] + noise * random.normal(size=600)
    table = Table("line", values, "0" * 64)
    schema, _ = fit_schema(table, names, rows, codes=True)
    target = fit_target(table, ["y"], "regression", rows)
    encoded = encode_table(table, schema), encode_target(table, target)
    return Prepared(table, "regression", target, schema, (), PARTS, "given", *encoded)


@pytest.mark.parametrize(
    ("options", "first"),
    [
        ({}, "choosing the encoding and the dropout rate"),
        ({"members": 1, "epochs": 3}, "choosing the encoding"),
        ({"members": 1, "number_encoding": "raw", "epochs": 3}, "training"),
    ],
)
def test_progress_tells_the_phases_and_the_metric(
    options: dict[str, Any], first: str, tmp_path: Path
) -> None:
    seen = list[Epoch]()
    trained(tmp_path / "m", progress=seen.append, options=options)
    phases = list(dict.fromkeys(epoch.phase for epoch in seen))
    assert phases == [first, "final training"]
    assert {epoch.metric for epoch in seen} == {"negative log-likelihood"}


def test_a_classifier_and_several_targets_choose_too(houses: Table, tmp_path: Path) -> None:
    few = replace(SMALL, epochs=3)
    card = train(houses, "worth", tmp_path / "c", drop=["price", "rent", "dear"], options=few)
    assert len(record(card).encodings) == 3
    card = train(houses, ["price", "rent"], tmp_path / "r", drop=["worth", "dear"], options=few)
    assert len(record(card).encodings) == 3


def test_ctrl_c_while_choosing_keeps_networks_of_the_choice(tmp_path: Path) -> None:
    def interrupt(epoch: Epoch) -> None:
        if epoch.number == 5:
            raise KeyboardInterrupt

    card = trained(tmp_path / "m", progress=interrupt)
    assert (record(card).epochs, record(card).refitted) == (5, False)
    assert any("interrupted" in notice for notice in card.training.notices)
    load(tmp_path / "m").predict([[0.1, 0.2, "a"]])
