"""A file of rows becomes a file of predictions: those that a request with the rows gives."""

import os
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model import (
    DataError,
    InputError,
    PredictOptions,
    ReadOptions,
    ScoreOptions,
    Table,
    TrainOptions,
    load,
    read_table,
    score_file,
    train,
)
from tests.model.scoring.files import house_rows, read, write

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
OPTIONS = PredictOptions(passes=10, seed=3)
ROWS = house_rows(1300)


def without_id(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: cell for name, cell in row.items() if name != "id"} for row in rows]


@pytest.mark.parametrize(("given", "wanted"), list(product(SUFFIXES, SUFFIXES)))
def test_any_format_becomes_any_other(
    regression_artifact: Path, tmp_path: Path, given: str, wanted: str
) -> None:
    source, out = write(tmp_path / f"in{given}", ROWS[:600]), tmp_path / f"out{wanted}"
    score = score_file(regression_artifact, source, out, OPTIONS, ScoreOptions(keep=("id",)))
    expected = load(regression_artifact).predict(without_id(ROWS[:600]), OPTIONS).rows
    found = read(out)
    assert (score.rows, score.refused, score.seed) == (600, 0, 3)
    assert list(found[0]) == ["id", "row", "mean", "std", "lower", "upper", "warnings"]
    for number, (row, house, answer) in enumerate(zip(found, ROWS, expected, strict=False), 1):
        assert (row["id"], int(row["row"])) == (house["id"], number)
        numbers = [float(row[name]) for name in ("mean", "std", "lower", "upper")]
        region = answer.interval
        assert numbers == pytest.approx(
            [answer.mean, answer.std, region.lower, region.upper], rel=1e-5
        )
        texts = wanted in (".csv", ".tsv")
        assert row["warnings"] == (";".join(answer.warnings) if texts else list(answer.warnings))


@pytest.mark.parametrize("masks", ["shared", "per_row"])
@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_neither_blocks_nor_bad_rows_nor_processes_change_a_byte(
    regression_artifact: Path, tmp_path: Path, masks: Any, suffix: str
) -> None:
    rows = house_rows(2600)
    rows[700] |= {"quarter": "west"}
    source = write(tmp_path / "in.csv", rows)
    predict = PredictOptions(passes=5, seed=1, masks=masks, estimator="plain")
    found = set()
    for block, workers in ((512, 1), (1024, 2), (4096, 1)):
        out = tmp_path / f"out-{block}{suffix}"
        options = ScoreOptions(block_rows=block, workers=workers, on_error="skip")
        score = score_file(regression_artifact, source, out, predict, options)
        assert (score.rows, score.refused) == (2600, 1)
        found.add(out.read_bytes())
    assert len(found) == 1


def test_the_masks_of_a_row_follow_from_its_position_in_the_file(
    regression_artifact: Path, tmp_path: Path
) -> None:
    predict = PredictOptions(passes=5, seed=1, masks="per_row", estimator="plain")
    source, out = write(tmp_path / "in.csv", ROWS), tmp_path / "out.jsonl"
    score_file(regression_artifact, source, out, predict)
    whole = load(regression_artifact).predict(without_id(ROWS), predict).rows
    assert [row["mean"] for row in read(out)] == pytest.approx([r.mean for r in whole], rel=1e-5)
    rows = [*ROWS[:700], ROWS[700] | {"area": "wide"}, *ROWS[701:]]
    skipped = tmp_path / "skipped.jsonl"
    write(source, rows)
    score_file(regression_artifact, source, skipped, predict, ScoreOptions(on_error="skip"))
    expected = [row["mean"] for row in read(out) if row["row"] != 701]
    assert [row["mean"] for row in read(skipped)] == pytest.approx(expected, rel=1e-6)


def test_a_classifier_has_label_probabilities_entropies_and_label_set(
    multiclass_artifact: Path, tmp_path: Path
) -> None:
    source = write(tmp_path / "in.csv", ROWS[:5])
    for suffix in (".jsonl", ".csv"):
        score_file(multiclass_artifact, source, tmp_path / f"out{suffix}", OPTIONS)
    answers = load(multiclass_artifact).predict(without_id(ROWS[:5]), OPTIONS).rows
    for row, flat, answer in zip(
        read(tmp_path / "out.jsonl"), read(tmp_path / "out.csv"), answers, strict=True
    ):
        assert row["label"] == flat["label"] == answer.label
        assert [row[f"mean.{name}"] for name in answer.mean] == pytest.approx(
            list(answer.mean.values())
        )
        assert row["mutual_information"] == pytest.approx(answer.mutual_information)
        assert row["label_set"] == list(answer.label_set.labels)
        assert flat["label_set"] == ";".join(answer.label_set.labels)


def test_columns_are_chosen_by_field_or_by_name(two_target_artifact: Path, tmp_path: Path) -> None:
    source, out = write(tmp_path / "in.csv", ROWS[:3]), tmp_path / "out.jsonl"
    for columns, names in (
        (("mean",), ["mean.price", "mean.rent"]),
        (("upper.rent", "row", "std"), ["upper.rent", "row", "std.price", "std.rent"]),
    ):
        score_file(two_target_artifact, source, out, OPTIONS, ScoreOptions(columns=columns))
        assert list(read(out)[0]) == names
    score_file(two_target_artifact, source, out, OPTIONS, ScoreOptions(columns=("all",)))
    assert {"coverage", "method", "total_variance.rent", "passes"} <= set(read(out)[0])
    with pytest.raises(InputError, match=r"columns: 'meen' is not one of .*did you mean 'mean'"):
        score_file(two_target_artifact, source, out, OPTIONS, ScoreOptions(columns=("meen",)))


def test_the_largest_error_says_which_rows_to_accept(
    regression_artifact: Path, tmp_path: Path
) -> None:
    source, out = write(tmp_path / "in.csv", ROWS[:3]), tmp_path / "out.csv"
    predict = PredictOptions(passes=10, seed=3, largest_error=1e6)
    score_file(regression_artifact, source, out, predict)
    assert [row["accept"] for row in read(out)] == ["true"] * 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_kept_columns_stay_as_they_are(
    regression_artifact: Path, tmp_path: Path, suffix: str
) -> None:
    rows = [row | {"mean": "a mean; of mine", "größe ": "-0,50"} for row in ROWS[:3]]
    source, out = write(tmp_path / f"in{suffix}", rows), tmp_path / f"out{suffix}"
    score_file(regression_artifact, source, out, OPTIONS, ScoreOptions(keep=True))
    for row, given in zip(read(out), rows, strict=True):
        assert row["input.mean"] == given["mean"]
        assert row["größe"] == given["größe "]
        assert float(row["mean"]) > 0
        same = str if suffix in (".csv", ".tsv") else lambda cell: cell
        assert row["area"] == same(given["area"])


def test_types_of_parquet_are_kept_and_read(regression_artifact: Path, tmp_path: Path) -> None:
    table = pa.table(
        {
            "area": pa.array([90, 110], pa.int32()),
            "rooms": pa.array([2.0, 3.0], pa.float32()),
            "quarter": pa.array(["east", "north"]).dictionary_encode(),
            "day": pa.array([1, None], pa.date32()),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    for suffix in (".parquet", ".csv", ".jsonl"):
        out = tmp_path / f"out{suffix}"
        score_file(
            regression_artifact, tmp_path / "in.parquet", out, OPTIONS, ScoreOptions(keep=True)
        )
    kept = pq.read_table(tmp_path / "out.parquet").select(table.column_names)
    assert list(map(str, kept.schema.types)) == ["int32", "float", "string", "date32[day]"]
    assert kept.to_pylist() == table.to_pylist()
    assert [row["day"] for row in read(tmp_path / "out.csv")] == ["1970-01-02", ""]
    assert [row["day"] for row in read(tmp_path / "out.jsonl")] == ["1970-01-02", None]


def test_cells_are_read_as_those_of_the_training_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    lines = ["Größe;Anteil;Preis"]
    for _ in range(60):
        size = random.normal(100, 20)
        lines.append(f"{size:.1f};{random.integers(1, 90)}%;{3 * size:.2f}".replace(".", ","))
    source = tmp_path / "flats.csv"
    source.write_text("\n".join(lines))

    reading = ReadOptions(decimal=",", missing_values=("-999",))
    table = read_table(source, options=reading)
    tiny = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=2, dropout=(0.2,))
    train(table, "Preis", tmp_path / "flats", missing="impute", options=tiny)
    source.write_text("Anteil;GRÖSSE;Gro\u0308ße\n12%;x;101,5\n;x;99,0\n12;x;-999\n")
    score_file(tmp_path / "flats", source, tmp_path / "out.jsonl", OPTIONS)
    rows = [
        {"Größe": 101.5, "Anteil": 12},
        {"Größe": 99.0, "Anteil": None},
        {"Größe": None, "Anteil": 12},
    ]
    expected = load(tmp_path / "flats").predict(rows, OPTIONS).rows
    found = [row["mean"] for row in read(tmp_path / "out.jsonl")]
    assert found == pytest.approx([row.mean for row in expected], rel=1e-6)
    source.write_text("Anteil\tGröße\n12%\t101.5\n")
    score_file(tmp_path / "flats", source, tmp_path / "out.jsonl", OPTIONS, reading=ReadOptions())
    assert read(tmp_path / "out.jsonl")[0]["mean"] == pytest.approx(expected[0].mean, rel=1e-6)


def test_a_column_that_is_filled_in_may_be_absent(tmp_path: Path, houses: Table) -> None:
    tiny = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=2, dropout=(0.2,))
    others = ["rent", "dear", "worth"]
    train(houses, "price", tmp_path / "m", drop=others, missing="impute", options=tiny)
    source = tmp_path / "in.csv"
    source.write_text("area,quarter\n90,east\n")
    score = score_file(tmp_path / "m", source, tmp_path / "out.csv", OPTIONS)
    assert score.notices[0].startswith("there is no column 'rooms'; its values are filled in")


def test_log_targets_and_members_are_predicted_as_requests_are(
    houses: Table, tmp_path: Path
) -> None:
    tiny = TrainOptions(number_encoding="raw", hidden=(8,), epochs=3, dropout=(0.2,), members=2)
    others = ["rent", "dear", "worth"]
    train(houses, "price", tmp_path / "m", drop=others, log_target=True, options=tiny)
    source, out = write(tmp_path / "in.csv", ROWS[:700]), tmp_path / "out.jsonl"
    score_file(tmp_path / "m", source, out, OPTIONS, ScoreOptions(columns=("all",)))
    expected = load(tmp_path / "m").predict(without_id(ROWS[:700]), OPTIONS).rows
    for row, answer in zip(read(out), expected, strict=True):
        assert row["lower"] == pytest.approx(answer.interval.lower, rel=1e-5)
        assert row["lower"] > 0
        assert row["member_variance"] == pytest.approx(answer.member_variance, rel=1e-4)


@pytest.mark.parametrize("suffix", [".csv", ".jsonl"])
def test_bad_rows_are_left_out_and_listed_with_line_and_reason(
    regression_artifact: Path, tmp_path: Path, suffix: str
) -> None:
    source = tmp_path / "in.csv"
    lines = ["area,rooms,quarter", "90,2,east", "", "wide,2,east", "90,2", ',,"w\nest"']
    lines += ["90,2,north", '"9"0,2,east', "1e300,2,east", ",,", "90,3,south"]
    source.write_text("\n".join(lines))
    rejects = tmp_path / f"refused{suffix}"
    options = ScoreOptions(on_error="skip", rejects=rejects)
    score = score_file(regression_artifact, source, tmp_path / "out.csv", OPTIONS, options)
    assert (score.rows, score.refused) == (8, 5)
    assert [row["row"] for row in read(tmp_path / "out.csv")] == ["1", "5", "8"]
    found = read(rejects)
    assert [(int(row["row"]), int(row["line"])) for row in found] == [
        (2, 4),
        (3, 5),
        (4, 6),
        (6, 9),
        (7, 10),
    ]
    for row, said in zip(
        found,
        (
            "feature 'area' is 'wide', which is not a number",
            "2 values, but the header has 3 columns",
            "feature 'area' is ''",
            "not CSV: ",
            "too far from the training range",
        ),
        strict=True,
    ):
        assert said in row["message"]


def test_the_first_bad_row_stops_the_command_by_name(
    regression_artifact: Path, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text('{"area": 90, "rooms": 2, "quarter": "east"}\n\n{"area": 9, "rooms": null}\n')
    with pytest.raises(DataError, match=r"in\.jsonl, row 2 \(line 3\): feature 'rooms' is null"):
        score_file(regression_artifact, source, tmp_path / "out.csv", OPTIONS)
    assert not (tmp_path / "out.csv").exists()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("in.csv", "area,room,quarter\n1,2,east\n", "no column 'rooms' .did you mean 'room'"),
        ("in.csv", "area,rooms,quarter\n", "has no rows"),
        ("in.csv", "", "is empty"),
        ("in.csv", "area,area,rooms\n1,1,2\n", "2 columns named 'area'"),
        ("in.csv", "area,rooms,quarter\n1,2,\xe9ast\n", "not UTF-8 text; name its encoding"),
        ("in.jsonl", "\n\n", "has no rows"),
        ("in.parquet", "no", "is not Parquet"),
        ("in.xlsx", "", "cannot tell the format from '.xlsx'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_by_name(
    regression_artifact: Path, tmp_path: Path, name: str, content: str, said: str
) -> None:
    (tmp_path / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(DataError, match=said):
        score_file(regression_artifact, tmp_path / name, tmp_path / "out.csv", OPTIONS)
    assert not (tmp_path / "out.csv").exists()


def test_options_out_of_their_domain_are_refused(tmp_path: Path) -> None:
    for options in ({"workers": 0}, {"block_rows": 100}, {"rejects": tmp_path / "r.csv"}):
        with pytest.raises(InputError, match=f"^{next(iter(options))}: must be "):
            ScoreOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("named", [False, True])
def test_the_engine_ray_refuses_a_pipe(
    regression_artifact: Path, tmp_path: Path, named: bool
) -> None:
    pipe, out = tmp_path / "pipe.csv", tmp_path / "out.csv"
    os.mkfifo(pipe)
    options = ScoreOptions(format="csv", engine="ray")
    with pytest.raises(InputError, match="engine: Ray reads a file, not a pipe"):
        score_file(regression_artifact, pipe if named else "-", out, OPTIONS, options)
    assert list(tmp_path.iterdir()) == [pipe]


@pytest.mark.skipif(bool(find_spec("ray")), reason="Ray is installed")
def test_without_ray_its_engine_says_how_to_install_it(
    regression_artifact: Path, tmp_path: Path
) -> None:
    source, out = write(tmp_path / "in.csv", ROWS[:3]), tmp_path / "out.csv"
    with pytest.raises(DataError, match=r'pip install "mc-dropout-service\[ray\]"'):
        score_file(regression_artifact, source, out, OPTIONS, ScoreOptions(engine="ray"))
    assert list(tmp_path.iterdir()) == [source]
