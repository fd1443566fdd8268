"""The options of the commands about a table: read alike by train, evaluate and calibrate."""

import json
from pathlib import Path

import numpy as np
import pytest

from model import Split, Table, TrainOptions, load, train
from model.commands import main

FAST = ["--epochs", "1", "--hidden", "4"]


def lines(count: int, *, seed: int = 0) -> list[str]:
    """Rows as a European spreadsheet writes them: number, area, share, gaps, price."""
    random, found = np.random.default_rng(seed), list[str]()
    for row in range(count):
        area = random.uniform(20, 90)
        heat = "-999" if row % 10 == 3 else f"{random.uniform(1, 5):.1f}".replace(".", ",")
        price = "" if row % 20 == 7 else f"{area * 31:.2f}".replace(".", ",") + " \u20ac"
        found.append(f"{row};{area:.2f};{heat};{price};".replace(".", ","))
    return found


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "t.csv"
    head = "sep=;\nno;fla\u0308che, m\u00b2;heat;price;"
    path.write_text("\n".join([head, *lines(80), ";;;;", ""]), encoding="utf-8-sig")
    return path


READ = ["--decimal", ",", "--missing-values", "-999"]


def trained(file: Path, *options: str) -> int:
    out = str(file.with_name("m"))
    return main(["train", str(file), "--target", "price", "--out", out, "--force", *FAST, *options])


def test_a_spreadsheet_is_trained_on_evaluated_and_calibrated_by_the_same_reading(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert trained(file, *READ, "--missing", "impute") == 0
    folder = file.with_name("m")
    card = load(folder).card
    assert [feature.name for feature in card.features] == ["fl\u00e4che, m\u00b2", "heat"]
    notices = " | ".join(card.training.notices)
    assert "left out 'no': it numbers the rows; --keep no" in notices
    assert "'-999' is read as a missing value (8 cells of 'heat')" in notices
    assert "left out 4 of 80 rows, which have no target" in notices
    assert sum(card.training.rows.values()) == 76
    settings = card.training.settings
    assert {n: v for n, v in settings.items() if n.startswith(("read_", "missing"))} == {
        "missing": "impute",
        "read_decimal": ",",
        "read_missing_values": '"-999"',
    }
    capsys.readouterr()
    assert main(["evaluate", str(folder), str(file), "--seeds", "1"]) == 0
    printed = capsys.readouterr()
    assert f"on {card.training.rows['test']} test rows of t.csv" in printed.out
    assert "note: '-999' is read as a missing value (8 cells of 'heat')" in printed.err
    new = file.with_name("new.csv")
    new.write_text(
        "\n".join(
            [
                "fl\u00e4che, m\u00b2;heat;price;",
                *(line.partition(";")[2] for line in lines(60, seed=1)),
            ]
        )
    )
    assert main(["calibrate", str(folder), str(new)]) == 0
    assert load(folder).card.calibration.rows == 57
    assert main(["evaluate", str(folder), str(new), "--missing", "error"]) == 2
    assert "target is missing; fill it in, or leave such rows out" in capsys.readouterr().err
    assert main(["evaluate", str(folder), str(new), "--decimal", "."]) == 2
    assert "--decimal ," in capsys.readouterr().err


def test_rows_with_a_gap_are_dropped_if_asked(file: Path) -> None:
    assert trained(file, *READ) == 2
    assert trained(file, *READ, "--missing", "drop", "--keep", "no") == 0
    card = load(file.with_name("m")).card
    assert card.features[0].name == "no"
    assert "left out 12 of 80 rows, which have a missing value" in card.training.notices
    assert [feature.fill for feature in card.features] == [None] * 3


def test_names_may_be_listed_or_repeated_and_have_commas(file: Path) -> None:
    many = [
        ["--drop", "no", "--drop", "fl\u00e4che, m\u00b2"],
        ["--drop", '"fl\u00e4che, m\u00b2",no'],
    ]
    for options in many:
        assert trained(file, *READ, "--missing", "drop", *options) == 0
        card = load(file.with_name("m")).card
        assert [feature.name for feature in card.features] == ["heat"]
    assert trained(file, *READ, "--missing", "drop", "--target", "fl\u00e4che, m\u00b2") == 0
    assert load(file.with_name("m")).card.target.names == ("price", "fl\u00e4che, m\u00b2")


def test_one_of_several_targets_may_be_missing(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    a, y, z = random.normal(size=(3, 60))
    y[3], z[[5, 6]] = np.nan, np.nan
    table = Table("t", {"a": a, "y": y, "z": z}, "")
    options = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=1)
    card = train(table, ["y", "z"], tmp_path / "m", missing="drop", options=options)
    assert sum(card.training.rows.values()) == 57
    assert card.training.notices[0] == "left out 3 of 60 rows, which have a missing value"


def test_a_given_split_loses_the_rows_that_are_left_out(tmp_path: Path) -> None:
    a, y = np.random.default_rng(0).normal(size=(2, 60))
    y[[0, 59]] = np.nan
    parts = np.split(np.arange(60), [40, 50])
    split = Split(parts[0], parts[1], np.arange(0), parts[2])
    table = Table("t", {"a": a, "y": y}, "")
    options = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=1)
    card = train(table, "y", tmp_path / "m", missing="drop", options=options, split=split)
    assert card.training.rows == {"train": 39, "validation": 10, "calibration": 0, "test": 9}


def test_an_option_for_reading_that_cannot_be_is_one_line(
    file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for options in (["--decimal", "x"], ["--thousands", "1"], ["--thousands", "."]):
        assert trained(file, *options) == 2
        assert capsys.readouterr().err.startswith(f"error: {options[0]}: must be")


def test_true_and_false_of_one_format_are_those_of_another(tmp_path: Path) -> None:
    rows = [(row % 2 == 0, row * 1.5 % 7, row * 0.7 % 3) for row in range(40)]
    (tmp_path / "t.csv").write_text("a,b,y\n" + "".join(f"{a},{b},{y}\n" for a, b, y in rows))
    (tmp_path / "t.jsonl").write_text(
        "".join(json.dumps({"a": a, "b": b, "y": y}) + "\n" for a, b, y in rows)
    )
    assert trained(tmp_path / "t.csv", "--target", "y") == 2  # price is not there
    out = str(tmp_path / "m")
    assert main(["train", str(tmp_path / "t.csv"), "--target", "y", "--out", out, *FAST]) == 0
    assert load(out).card.features[0].categories == ("False", "True")
    assert main(["evaluate", out, str(tmp_path / "t.jsonl"), "--seeds", "1"]) == 0
