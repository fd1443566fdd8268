"""Which rows to label next: the greedy choice is that of the definition, whatever the file."""

import csv
import itertools
import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from model import DataError, InputError, PredictOptions, ScoreOptions, load, rank, rank_file, wrap
from model.commands import main
from model.scoring.shortlist import greedy
from tests.model.scoring.files import house_rows, write

ROWS = house_rows(1200)


def test_the_greedy_gains_are_those_of_the_log_determinant() -> None:
    joint = np.random.default_rng(1).normal(size=(30, 2, 12))
    order, gains = greedy(joint, 6)

    def told(rows: list[int]) -> float:
        covariances = [joint[rows, t] @ joint[rows, t].T for t in range(2)]
        return sum(0.5 * np.linalg.slogdet(np.eye(len(rows)) + k)[1] for k in covariances)

    for step, gain in enumerate(gains):
        before = told(order[:step]) if step else 0.0
        best = max(told([*order[:step], at]) for at in range(30) if at not in order[:step])
        assert gain == pytest.approx(told(order[: step + 1]) - before)
        assert gain == pytest.approx(best - before)
    assert sum(gains) >= (1 - 1 / np.e) * max(
        told(list(two)) for two in itertools.combinations(range(30), 2)
    )


def test_many_rows_take_no_more_memory_than_their_passes() -> None:
    joint = np.random.default_rng(1).normal(size=(2000, 1, 10))
    before = joint.copy()
    tracemalloc.start()
    greedy(joint, 1000)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 * joint.nbytes
    assert (joint == before).all()


def test_of_two_equal_rows_one_is_enough() -> None:
    """The second tells less than a less uncertain row of another kind."""
    joint = np.zeros((3, 1, 2))
    joint[0, 0], joint[1, 0], joint[2, 0] = [3, 0], [3, 0], [0, 2]
    assert greedy(joint, 2)[0] == [0, 2]


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_file_is_ranked_as_its_rows_in_memory_are(
    artifact: Path, tmp_path: Path, suffix: str
) -> None:
    predictor = load(artifact)
    names = [feature.name for feature in predictor.card.features]
    rows = [{name: row.get(name, 14.0) for name in names} for row in ROWS]
    found = rank_file(artifact, write(tmp_path / f"in{suffix}", rows), take=5, passes=30)
    expected = rank(predictor, rows, take=5, passes=30)
    assert [each.rank for each in found] == [1, 2, 3, 4, 5]
    assert [each.row for each in found] == [each.row for each in expected]
    assert [each.score for each in found] == pytest.approx([e.score for e in expected], rel=1e-4)
    if suffix == ".csv":
        assert [each.line for each in found] == [each.row + 1 for each in found]


def test_a_classifier_takes_the_rows_of_the_largest_mutual_information(
    multiclass_artifact: Path,
) -> None:
    predictor = load(multiclass_artifact)
    names = [feature.name for feature in predictor.card.features]
    rows = [{name: row.get(name, 14.0) for name in names} for row in ROWS[:300]]
    options = PredictOptions(passes=50, seed=2, estimator="plain", masks="shared")
    information = predictor.predict(rows, options).rows.columns["mutual_information"]
    found = rank(predictor, rows, take=4, passes=50, seed=2)
    assert [each.row - 1 for each in found] == np.argsort(-information)[:4].tolist()
    assert found[0].score == pytest.approx(information.max())


def test_the_command_writes_rows_lines_scores_and_columns_kept(
    regression_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, out = str(write(tmp_path / "in.csv", ROWS[:200])), tmp_path / "out.jsonl"
    usual = ["rank", str(regression_artifact), source, "--take", "3", "--passes", "20"]
    assert main([*usual, "--keep-columns", "id"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert list(rows[0]) == ["rank", "row", "line", "score", "input.id"]
    assert rows[0]["input.id"] == ROWS[int(rows[0]["row"]) - 1]["id"]
    assert main([*usual, "--out", str(out)]) == 0
    written = [json.loads(line) for line in out.read_text().splitlines()]
    assert [str(row["row"]) for row in written] == [row["row"] for row in rows]


def test_the_command_keeps_a_column_whose_name_has_a_comma(
    regression_artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = str(write(tmp_path / "in.csv", [row | {"rent, EUR": row["id"]} for row in ROWS[:20]]))
    usual = ["rank", str(regression_artifact), source, "--take", "1", "--passes", "20"]
    assert main([*usual, "--keep-columns", "rent, EUR", "--keep-columns", "id"]) == 0
    (row,) = csv.DictReader(capsys.readouterr().out.splitlines())
    assert row["input.rent, EUR"] == row["input.id"]


def test_a_model_whose_passes_are_all_the_same_ranks_nothing() -> None:
    """Every score would be 0, and the first rows of the file would be named."""
    plain = wrap(nn.Sequential(nn.Linear(1, 4), nn.ReLU(), nn.Linear(4, 1)), ["a"], "y")
    with pytest.raises(InputError, match="model: it has neither dropout nor several members"):
        rank(plain, [[1.0], [2.0]], take=1)


def test_a_bad_row_is_placed_or_skipped(regression_artifact: Path, tmp_path: Path) -> None:
    rows = [*ROWS[:9], ROWS[9] | {"quarter": "west"}]
    source = write(tmp_path / "in.csv", rows)
    with pytest.raises(DataError, match=r"row 10 \(line 11\): .*west.*skip leaves such rows out"):
        rank_file(regression_artifact, source, take=3, passes=10)
    skip = ScoreOptions(on_error="skip")
    found = rank_file(regression_artifact, source, take=20, passes=10, options=skip)
    assert sorted(each.row for each in found) == list(range(1, 10))
    with pytest.raises(InputError, match="take: must be a whole number"):
        rank(load(regression_artifact), ROWS[:2], take=0)
