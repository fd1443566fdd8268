"""Rows that a model was trained on neither calibrate nor judge it, in whatever file they come."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import model
from model import CalibrationError, DataError, Table, TrainOptions, calibrate, evaluate, load, train
from model.artifact.folder import read, save
from model.commands import main

FAST = TrainOptions(members=1, number_encoding="raw", hidden=(8,), epochs=3)
ROWS = 300


def noise(seed: int, rows: int = ROWS, name: str = "noise") -> Table:
    """Columns of noise, a coin and an amount: nobody can do better than chance."""
    random = np.random.default_rng(seed)
    columns = {f"x{at}": random.normal(size=rows) for at in range(8)}
    columns["coin"] = random.choice(np.array(["u", "v"], dtype=object), rows)
    columns["amount"] = random.normal(size=rows)
    return Table(name, columns, f"{seed:064}")


def some(table: Table, index: np.ndarray) -> Table:
    columns = {name: column[index] for name, column in table.columns.items()}
    return replace(table, name="again", columns=columns, sha256="9" * 64)


def joined(*tables: Table) -> Table:
    columns = {
        name: np.concatenate([table.columns[name] for table in tables])
        for name in tables[0].columns
    }
    return replace(tables[0], name="both", columns=columns, sha256="8" * 64)


@pytest.fixture(scope="module", params=["coin", "amount"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A classifier or a regression, trained on `noise(0)`."""
    other = {"coin": "amount", "amount": "coin"}[request.param]
    path = tmp_path_factory.mktemp("noise") / request.param
    train(noise(0), request.param, path, drop=[other], options=FAST)
    return path


@pytest.mark.parametrize("seed", range(3))
def test_the_rows_of_training_in_another_order_do_not_calibrate(
    folder: Path, tmp_path: Path, seed: int
) -> None:
    again = some(noise(0), np.random.default_rng(seed).permutation(ROWS))
    with pytest.raises(DataError, match=r"2[15]\d of 300 rows of again are rows that .* trained"):
        calibrate(folder, again, out=tmp_path / "a")
    found = evaluate(load(folder), again)
    assert (found.part, found.rows, found.left_out) == ("unseen", 45, 255)
    assert "left out 255 of 300 rows" in found.notes[0]
    test = evaluate(load(folder), noise(0))
    assert (test.part, test.rows, test.left_out) == ("test", 45, 255)
    (ours,), (theirs,) = (each.outcomes for each in (found, test))
    assert sorted(ours.actual) == sorted(theirs.actual)


def test_rows_of_training_among_fresh_rows_are_left_out_and_counted(
    folder: Path, tmp_path: Path
) -> None:
    test = evaluate(load(folder), noise(0)).row_numbers - 1
    trained = np.setdiff1d(np.arange(ROWS), test)[:40]
    both = joined(noise(1), some(noise(0), trained))
    found = evaluate(load(folder), both)
    assert (found.rows, found.left_out) == (ROWS, 40)
    assert (found.row_numbers == np.arange(1, ROWS + 1)).all()
    card = calibrate(folder, both, out=tmp_path / "a")
    assert card.calibration
    fitted = 340 - card.calibration.rows
    assert 0 < fitted <= 40  # calibration rows of a classifier may calibrate again
    assert card.calibration.notices == (
        f"left out {fitted} of 340 rows of both: the model was trained on them",
    )
    alone = calibrate(folder, some(both, np.r_[: both.row_count - 40]), out=tmp_path / "b")
    assert alone.calibration
    if fitted == 40:
        assert alone.calibration.scores == card.calibration.scores


def test_the_rows_of_the_last_calibration_do_not_judge_it(folder: Path, tmp_path: Path) -> None:
    calibrate(folder, noise(1), out=tmp_path / "a")
    predictor = load(tmp_path / "a")
    with pytest.raises(DataError, match=r"all 300 rows of noise are rows that .* calibrated"):
        evaluate(predictor, noise(1))
    assert evaluate(predictor, noise(2)).left_out == 0
    calibrate(tmp_path / "a", noise(2))
    assert evaluate(load(tmp_path / "a"), noise(1)).left_out == 0
    with pytest.raises(DataError, match="was trained on"):
        calibrate(tmp_path / "a", some(noise(0), np.arange(ROWS)))


def test_too_few_fresh_rows_beside_those_of_training_are_an_error(
    folder: Path, tmp_path: Path
) -> None:
    test = evaluate(load(folder), noise(0)).row_numbers - 1
    trained = np.setdiff1d(np.arange(ROWS), test)
    fitted = [row for row in trained.tolist() if _fitted(folder, some(noise(0), np.array([row])))][
        :5
    ]
    few = joined(noise(1, rows=8), some(noise(0), np.array(fitted)))
    with pytest.raises(CalibrationError, match=r"has 8 rows that the model was not trained on"):
        calibrate(folder, few, out=tmp_path / "a")


def _fitted(folder: Path, row: Table) -> bool:
    """Whether the model was trained on the one row of a table."""
    try:
        calibrate(folder, row, out=folder.parent / "never")
    except DataError:
        return True
    except CalibrationError:
        return False
    raise AssertionError


def test_an_old_artifact_recognises_the_file_alone_and_says_so(
    folder: Path, tmp_path: Path
) -> None:
    old = read(folder)._replace(seen=None)
    save(tmp_path / "old", old)
    predictor = load(tmp_path / "old")
    assert predictor.card.seen is None
    found = evaluate(predictor, noise(0))
    assert (found.part, found.rows) == ("test", 45)
    assert (found.row_numbers == evaluate(load(folder), noise(0)).row_numbers).all()
    with pytest.raises(DataError, match="was trained on noise"):
        calibrate(tmp_path / "old", noise(0))
    again = some(noise(0), np.arange(ROWS))
    assert any("no hashes" in note for note in evaluate(predictor, again).notes)
    card = calibrate(tmp_path / "old", again)
    assert card.calibration
    assert card.calibration.rows == ROWS
    assert any("no hashes" in note for note in card.calibration.notices)
    assert card.seen is None


def test_a_blank_line_more_does_not_make_a_file_of_training_a_new_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, path = noise(3), tmp_path / "t.csv"
    names = [name for name in data.columns if name != "amount"]
    lines = zip(*(data.columns[name].tolist() for name in names), strict=True)
    path.write_text("\n".join(",".join(map(str, line)) for line in [names, *lines]) + "\n")
    folder = str(tmp_path / "m")
    options = ["--target", "coin", "--out", folder, "--epochs", "2", "--hidden", "4"]
    assert main(["train", str(path), *options]) == 0
    again = tmp_path / "again.csv"
    again.write_text(path.read_text() + "\n")
    capsys.readouterr()
    assert main(["calibrate", folder, str(again), "--out", str(tmp_path / "m2")]) == 2
    assert "210 of 300 rows of again.csv are rows that m was trained" in capsys.readouterr().err
    assert not (tmp_path / "m2").exists()
    assert main(["evaluate", folder, str(again)]) == 0
    said = capsys.readouterr().out
    assert "on 45 unseen rows of again.csv" in said
    assert "note: left out 255 of 300 rows" in said


@pytest.mark.parametrize("shipped", model.shipped(), ids=lambda path: path.name)
def test_a_shipped_model_knows_its_rows_in_any_order(shipped: Path, tmp_path: Path) -> None:
    predictor = load(shipped)
    table = model.read_table(predictor.card.training.data)
    rows, kept = table.row_count, predictor.card.training.rows["test"]
    shuffled = some(table, np.random.default_rng(1).permutation(rows))
    found = evaluate(predictor, shuffled, seeds=1)
    assert (found.rows, found.left_out) == (kept, rows - kept)
    with pytest.raises(DataError, match=f"of {rows} rows of again are rows that .* was trained on"):
        calibrate(shipped, shuffled, out=tmp_path / "m")
