"""Each class is calibrated by itself: label sets hold a rare class as often as they claim."""

import math
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from model import (
    CalibrationError,
    InputError,
    PredictOptions,
    Table,
    TrainOptions,
    calibrate,
    evaluate,
    load,
    report_page,
    report_text,
    train,
)
from model.artifact.card import Card
from model.commands import main
from model.commands.describe import describe

FAST = TrainOptions(members=1, number_encoding="raw", hidden=(16,), epochs=10, weight_decay=0.3)
METHODS = ("lac", "aps", "raps")


def parts(rows: int, seed: int, share: float = 0.05) -> Table:
    """Parts, a share of which is bad, and lies two standard deviations aside."""
    random = np.random.default_rng(seed)
    bad = random.random(rows) < share
    a, b = random.normal(size=rows) + 2 * bad, random.normal(size=rows) + 2 * bad
    state = np.where(bad, "bad", "good").astype(object)
    return Table(f"parts-{seed}", {"a": a, "b": b, "state": state, "size": a}, f"{seed:064}")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parts") / "parts"
    train(parts(800, 1), "state", path, drop=["size"], options=FAST)
    return path


def held(folder: Path, table: Table, **options: object) -> dict[str, float]:
    """The share of the rows of each class whose label set holds it."""
    rows = [list(row) for row in zip(table.columns["a"], table.columns["b"], strict=True)]
    found = load(folder).predict(np.array(rows), PredictOptions(seed=5, **options)).rows  # type: ignore[arg-type]
    pairs = list(zip(found, table.columns["state"].tolist(), strict=True))
    return {
        name: float(np.mean([name in row.label_set.labels for row, of in pairs if of == name]))  # type: ignore[union-attr]
        for name in ("bad", "good")
    }


def test_label_sets_hold_each_class_as_often_as_they_claim(folder: Path, tmp_path: Path) -> None:
    """Over 20 draws of the calibration rows, of which about 30 are bad."""
    shares = {(method, name): list[float]() for method in METHODS for name in ("bad", "good")}
    for seed in range(20):
        calibrate(folder, parts(600, 100 + seed), out=tmp_path / "m", by_class=True)
        for method in METHODS:
            fresh = parts(1_000, 200 + seed, share=0.5)
            for name, share in held(tmp_path / "m", fresh, label_set=method).items():
                shares[method, name].append(share)
    for (method, name), found in shares.items():
        std = math.sqrt(0.09 * (1 / ((30 if name == "bad" else 570) + 2) + 1 / 500) / 20)
        assert np.mean(found) > 0.9 - 3.5 * std, (method, name)
    calibrate(folder, parts(600, 100), out=tmp_path / "together")
    assert held(tmp_path / "together", parts(1_000, 300, share=0.5))["bad"] < 0.8


def test_the_choice_survives_in_the_artifact_and_in_every_answer(
    folder: Path, tmp_path: Path
) -> None:
    card = calibrate(folder, parts(600, 2), out=tmp_path / "m", by_class=True)
    assert load(tmp_path / "m").card == card
    assert card.calibration
    assert card.calibration.by_class
    assert card.calibration.by is None
    assert set(card.calibration.groups["lac"]) == {"bad", "good"}
    assert sum(card.calibration.class_rows.values()) == 600
    assert "each class by itself" in describe(card)
    for method in METHODS:
        options = PredictOptions(seed=1, label_set=method)  # type: ignore[arg-type]
        (row,) = load(tmp_path / "m").predict([[0.0, 0.0]], options).rows
        assert row.label_set.method == f"{method}-by-class"  # type: ignore[union-attr]


def test_a_coverage_that_one_class_cannot_promise_names_it_and_the_number_needed(
    folder: Path, tmp_path: Path
) -> None:
    card = calibrate(folder, parts(600, 2), out=tmp_path / "m", by_class=True)
    assert card.calibration
    there = card.calibration.class_rows["bad"]
    said = rf"by class: group 'bad': .* 0\.99 needs 99 calibration rows; there are {there}"
    with pytest.raises(CalibrationError, match=said):
        load(tmp_path / "m").predict([[0.0, 0.0]], PredictOptions(coverage=0.99))


def test_a_class_with_too_few_rows_is_refused_when_calibrating_and_noted_when_training(
    folder: Path, tmp_path: Path
) -> None:
    with pytest.raises(CalibrationError, match=r"class 'bad': there are \d .* at least 9 are"):
        calibrate(folder, parts(100, 2), out=tmp_path / "m", by_class=True)
    assert not (tmp_path / "m").exists()
    few = parts(400, 3, share=0.02)
    card = train(few, "state", tmp_path / "m", drop=["size"], options=FAST, by_class=True)
    assert card.calibration
    assert not card.calibration.by_class
    assert any("not calibrated by class, but over all" in note for note in card.training.notices)
    assert any("fewer than 9 calibration rows: bad (" in n for n in card.calibration.notices)


def test_training_calibrates_each_class_by_itself_with_tuning_rows_of_each(tmp_path: Path) -> None:
    """A quarter of 300 calibration rows corrects the temperature: of the 15 bad ones, too."""
    many = parts(2_000, 4)
    card = train(many, "state", tmp_path / "m", drop=["size"], options=FAST, by_class=True)
    assert card.calibration
    assert card.calibration.by_class
    bad = card.training.class_rows["calibration"]["bad"]  # type: ignore[union-attr]
    assert card.calibration.tuning_rows == 75
    assert card.calibration.class_rows["bad"] == pytest.approx(0.75 * bad, abs=1)


def test_by_class_is_for_classifiers_and_not_beside_a_feature(folder: Path, tmp_path: Path) -> None:
    data = parts(400, 5)
    with pytest.raises(InputError, match="by_class: a regression has no classes"):
        train(data, "size", tmp_path / "m", drop=["state"], options=FAST, by_class=True)
    with pytest.raises(InputError, match="by_class: choose one of them"):
        calibrate(folder, data, out=tmp_path / "m", by="a", by_class=True)


def test_a_card_without_a_group_of_each_class_is_refused(folder: Path, tmp_path: Path) -> None:
    card = calibrate(folder, parts(600, 2), out=tmp_path / "m", by_class=True)
    for change in ({"by_class": False}, {"by": "a"}):
        content = card.model_dump(mode="json")
        content["calibration"] |= change
        with pytest.raises(ValidationError, match="groups"):
            Card.model_validate(content, strict=False)
    content = card.model_dump(mode="json")
    groups = content["calibration"]["groups"]
    for scores in groups.values():
        scores["ugly"] = scores.pop("bad")
    with pytest.raises(ValidationError, match="a group of each class"):
        Card.model_validate(content, strict=False)


def test_a_rare_class_is_in_sight_on_the_card_in_the_text_and_on_the_page(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    random, bad = np.random.default_rng(7), np.arange(500) % 100 == 0
    a, state = random.normal(size=500) + 2 * bad, np.where(bad, "bad", "good").astype(object)
    table = Table("rare", {"a": a, "state": state}, "1" * 64)
    card = train(table, "state", tmp_path / "m", options=FAST)
    rows = {part: counts["bad"] for part, counts in card.training.class_rows.items()}  # type: ignore[union-attr]
    assert sum(rows.values()) == 5
    assert min(rows[part] for part in ("train", "calibration", "test")) >= 1
    assert set(card.recall) == {"bad", "good"}
    assert main(["show", str(tmp_path / "m")]) == 0
    shown = capsys.readouterr().out
    assert f"bad: train {rows['train']}, " in shown
    assert f"; recall {card.recall['bad']:.4g}\n" in shown
    assert "fewer than 9 calibration rows: bad (" in shown
    found = evaluate(load(tmp_path / "m"), table)
    (outcome,) = found.outcomes
    figures = found.document()["targets"]["state"]["classes"]
    assert figures["bad"]["rows"] == rows["test"]
    assert figures["bad"]["recall"] == card.recall["bad"]
    assert sum(each["rows"] for each in figures.values()) == len(outcome.actual)
    text, page = report_text(found), report_page(found)
    assert "label set coverage" in text
    assert "\n  bad  " in text
    assert '<th scope="row">bad</th>' in page


def test_a_class_without_a_row_is_named(folder: Path) -> None:
    good = parts(300, 8, share=0.0)
    found = evaluate(load(folder), good)
    assert "no row is bad: the recall is not known" in found.notes
    assert found.document()["targets"]["state"]["classes"]["bad"] == {
        "rows": 0,
        "recall": None,
        "set_coverage": None,
    }


def test_the_commands_take_by_class(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def written(name: str, table: Table) -> str:
        lines = zip(*(table.columns[key].tolist() for key in ("a", "b", "state")), strict=True)
        text = "\n".join(",".join(map(str, line)) for line in [("a", "b", "state"), *lines])
        (tmp_path / name).write_text(text)
        return str(tmp_path / name)

    folder, options = str(tmp_path / "m"), ["--epochs", "2", "--hidden", "4", "--by-class"]
    first = written("first.csv", parts(1_000, 9, share=0.2))
    assert main(["train", first, "--target", "state", "--out", folder, *options]) == 0
    assert "each class by itself" in capsys.readouterr().out
    second = written("second.csv", parts(300, 10, share=0.2))
    assert main(["calibrate", folder, second, "--by-class"]) == 0
    assert "each class by itself" in capsys.readouterr().out
    assert main(["calibrate", folder, second]) == 0
    assert "by itself" not in capsys.readouterr().out
