"""The command `evaluate`: a line for every metric, JSON, and one line for a mistake."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from model import PredictOptions, Table, evaluate, load, read_table
from model.commands import main
from model.evaluation.formatting import number
from model.evaluation.measures import MEASURES


@pytest.fixture
def flats(sold: Table, tmp_path: Path) -> Path:
    """Houses that no model has seen, as a CSV file."""
    path = tmp_path / "flats.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(sold.columns)
        writer.writerows(zip(*sold.columns.values(), strict=True))
    return path


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["evaluate", *arguments]) == 0
    return capsys.readouterr().out


def test_the_command_prints_a_line_for_every_metric(
    artifact: Path, flats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    printed = run(capsys, str(artifact), str(flats), "--passes", "20")
    card = load(artifact).card
    assert printed.startswith(f"{card.name} (version {card.version}) on 200 rows of flats.csv\n")
    for outcome in evaluate(load(artifact), read_table(flats), PredictOptions(20, seed=1)).outcomes:
        for name, value in outcome.metrics().items():
            shown = number(value)
            assert any(
                line.split() and MEASURES[name].title in line and shown in line
                for line in printed.splitlines()
            ), name


def test_the_command_answers_machines_in_json(
    regression_artifact: Path, flats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--json", "--passes", "11", "--seed", "7", "--seeds", "2", "--coverage", "0.5"]
    first, second = (run(capsys, str(regression_artifact), str(flats), *options) for _ in range(2))
    assert first == second
    document = json.loads(first)
    assert document["options"] == {
        "passes": 11,
        "seed": 7,
        "seeds": [7, 8],
        "estimator": "reduced",
        "masks": "shared",
        "coverage": 0.5,
        "largest_error": None,
    }
    other = run(capsys, str(regression_artifact), str(flats), "--json")
    assert (
        json.loads(other)["targets"]["price"]["metrics"]
        != (document["targets"]["price"]["metrics"])
    )


def test_classes_and_categories_that_look_like_numbers_are_read_as_at_training(
    houses: Table, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    floor = np.arange(200) % 3
    text = "floor,area,new\n" + "".join(
        f"0{f},{a},{int(a > 100)}\n"
        for f, a in zip(floor, houses.columns["area"].tolist(), strict=True)
    )
    seen, unseen = tmp_path / "seen.csv", tmp_path / "unseen.csv"
    seen.write_text(text)
    unseen.write_text(text + "01,90.5,0\n")
    training = ["--epochs", "2", "--hidden", "4", "--categorical", "floor"]
    folder = str(tmp_path / "out")
    assert main(["train", str(seen), "--target", "new", "--out", folder, *training]) == 0
    assert "31 unseen rows of unseen.csv" in run(capsys, folder, str(unseen))
    assert "30 test rows of seen.csv" in run(capsys, folder, str(seen))


def test_accepted_rows_have_the_error_that_they_have(
    regression_artifact: Path,
    binary_artifact: Path,
    flats: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for folder, name in (
        (regression_artifact, "accepted_rmse"),
        (binary_artifact, "accepted_error_rate"),
    ):
        abstention = load(folder).card.calibration.abstention  # type: ignore[union-attr]
        assert abstention is not None
        named = str(min(level.bound for level in abstention.levels) * 1.001)
        said = run(capsys, str(folder), str(flats), "--json", "--largest-error", named)
        (found,) = json.loads(said)["targets"].values()
        assert 0 < found["metrics"]["accepted"] < 1
        assert found["metrics"][name] >= 0
        every = run(capsys, str(folder), str(flats), "--json", "--largest-error", "1e9")
        (found,) = json.loads(every)["targets"].values()
        assert found["metrics"]["accepted"] == 1
        overall = found["metrics"].get("rmse") or 1 - found["metrics"]["accuracy"]
        assert found["metrics"][name] == pytest.approx(overall)


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["evaluate", *arguments]) == 2
    printed = capsys.readouterr()
    assert (printed.out, printed.err.count("\n")) == ("", 1)
    assert printed.err.startswith("error: ")
    return printed.err


@pytest.mark.parametrize(
    ("column", "cell", "said"),
    [
        ("area", "", ("row 3", "line 4", "'area'", "missing")),
        ("area", "wide", ("row 3", "line 4", "'area'", "'wide'")),
        ("quarter", "west", ("row 3", "line 4", "'quarter'", "'west'", "east, north, south")),
        ("price", "", ("row 3", "line 4", "'price'", "the target is missing")),
        ("area", "1e30", ("row 3", "line 4", "not finite")),
    ],
)
def test_a_bad_cell_is_placed(
    regression_artifact: Path,
    flats: Path,
    capsys: pytest.CaptureFixture[str],
    column: str,
    cell: str,
    said: tuple[str, ...],
) -> None:
    with flats.open(newline="") as file:
        rows = list(csv.DictReader(file))
    rows[2][column] = cell
    with flats.open("w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    line = refused(capsys, str(regression_artifact), str(flats))
    for part in ("flats.csv", *said):
        assert part in line


def test_an_unknown_class_is_placed(
    binary_artifact: Path, flats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flats.write_text(flats.read_text().replace(",yes,", ",perhaps,", 1))
    line = refused(capsys, str(binary_artifact), str(flats))
    for part in ("flats.csv", "row ", "'dear'", "'perhaps'", "no, yes"):
        assert part in line


def test_every_other_mistake_is_one_line(
    regression_artifact: Path,
    flats: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, data = str(regression_artifact), str(flats)
    assert "No such file" in refused(capsys, folder, str(tmp_path / "none.csv"))
    assert "card.json" in refused(capsys, str(tmp_path), data)
    assert "passes" in refused(capsys, folder, data, "--passes", "1")
    assert "coverage" in refused(capsys, folder, data, "--coverage", "1")
    assert "seed" in refused(capsys, folder, data, "--seed", "-1")
    assert "'area'" in refused(capsys, folder, data, "--drop", "area")
    assert "'price'" in refused(capsys, folder, data, "--drop", "price")
    report = str(tmp_path / "nowhere" / "report.html")
    assert report in refused(capsys, folder, data, "--report", report)


def test_a_column_that_the_model_does_not_need_may_hold_anything(
    regression_artifact: Path, flats: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = flats.read_text().splitlines()
    notes = ["note", *map(str, range(199)), "n/k"]
    flats.write_text("".join(f"{line},{note}\n" for line, note in zip(text, notes, strict=True)))
    assert run(capsys, str(regression_artifact), str(flats))
    assert run(capsys, str(regression_artifact), str(flats), "--drop", "note")


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["evaluate", "--help"])
    assert caught.value.code == 0
    assert "examples:\n  python -m model evaluate " in capsys.readouterr().out
