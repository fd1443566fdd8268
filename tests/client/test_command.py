"""`mcd ask`: files and pipes in and out, and one line for a mistake."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest

from mc_dropout_client import Client
from mc_dropout_client.command import main
from tests.client.conftest import KEY
from tests.journeys.serving import ROOT, ROW, Served

COUNT = 10_000  # more than one part


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, and no key in the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MCD_API_KEY", raising=False)
    return tmp_path


def write_csv(path: Path, rows: list[list[object]], separator: str = ",") -> None:
    with path.open("w", newline="") as stream:
        csv.writer(stream, delimiter=separator).writerows(
            [["id", "quarter", "area", "rooms"], *rows]
        )


def test_a_file_becomes_a_file_of_predictions_under_one_seed(
    small: Served, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows: list[list[object]] = [[f"h{i}", "east", 40 + i / 100, 1 + i % 8] for i in range(COUNT)]
    write_csv(folder / "rows.csv", rows)
    asked = ["ask", small.url, "rows.csv", "--out", "out.csv", "--seed", "4", "--passes", "5"]
    assert main([*asked, "--keep-columns", "id", "--columns", "mean,lower,upper"]) == 0
    assert capsys.readouterr().err == f"{COUNT:,} rows, model regression, seed 4\n"
    with Client(small.url) as client:
        answer = client.predict([row[2:] + row[1:2] for row in rows], seed=4, passes=5)
    with (folder / "out.csv").open(newline="") as stream:
        found = list(csv.DictReader(stream))
    assert [row["id"] for row in found] == [f"h{i}" for i in range(COUNT)]
    assert list(found[0]) == ["id", "mean", "lower", "upper"]
    for row, prediction in zip(found, answer, strict=True):
        assert float(row["mean"]) == pytest.approx(prediction.mean, rel=1e-6)  # type: ignore[arg-type]
    assert [path.name for path in folder.iterdir() if "part" in path.name] == []


def test_pipes_of_json_lines(small: Served) -> None:
    asked = [sys.executable, "-m", "mc_dropout_client", "ask", small.url, "-", "--format", "jsonl"]
    found = subprocess.run(
        [*asked, "--model", "multiclass", "--columns", "label,mean,label_set"],
        input=f"{json.dumps(ROW)}\n\n{json.dumps(ROW)}\n",
        env={"PYTHONPATH": str(ROOT / "client/src")},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = map(json.loads, found.stdout.splitlines())
    assert first == second
    assert list(first) == ["label", "mean.high", "mean.low", "mean.middle", "label_set"]
    assert isinstance(first["label_set"], list)


def test_cells_may_be_separated_by_semicolons(
    small: Served, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_csv(folder / "rows.csv", [["a", "east", 54, 2]], ";")
    assert main(["ask", small.url, "rows.csv", "--keep-columns"]) == 0
    header, row = capsys.readouterr().out.splitlines()
    assert header == "id,quarter,area,rooms,row,mean,std,lower,upper,warnings"
    assert row.startswith("a,east,54,2,1,")


@pytest.mark.parametrize(
    ("text", "options", "code", "words"),
    [
        ("area,rooms,quarter\n54,2,east\n\n60,many,east\n", "", 2, "rows.csv, line 4: feature 'r"),
        ("area,rooms\n54,2\n", "", 2, "line 2: feature 'quarter' is missing"),
        ("area,rooms,quarter\n54,2\n", "", 2, "rows.csv, line 2: 2 cells, but 3 columns"),
        ("area,area\n54,2\n", "", 2, "two columns are named 'area'"),
        ("area,rooms,quarter\n", "", 2, "rows.csv has no rows"),
        ("", "", 2, "rows.csv has no rows"),
        ("area,rooms,quarter\n5,2,east\n", "--passes 1", 2, "passes"),
        ("area,rooms,quarter\n5,2,east\n", "--passes few", 2, "--passes"),
        ("area,rooms,quarter\n5,2,east\n", "--columns price", 2, "--columns: 'price' is none of"),
        ("area,rooms,quarter\n5,2,east\n", "--keep-columns id", 2, "no column 'id'"),
        ("area,rooms,quarter\n5,2,east\n", "--model palace", 2, "palace"),
        ("area,rooms,quarter\n5,2,east\n", "--key-file nothing", 2, "--key-file"),
        ("area,rooms,quarter\n5,2,east\n", "--out no/where.csv", 1, "no/where.csv"),
        ("area,rooms,quarter\n5,2,east\n", "--out a.parquet", 2, "cannot tell the format"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_file(
    small: Served,
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    text: str,
    options: str,
    code: int,
    words: str,
) -> None:
    (folder / "rows.csv").write_text(text)
    asked = ["ask", small.url, "rows.csv", "--out", "out.csv", *options.split()]
    try:
        found = main(asked)
    except SystemExit as end:
        found = int(end.code or 0)
    said = capsys.readouterr().err
    assert found == code, said
    assert words in said
    assert said.count("\n") == 1
    assert [path.name for path in folder.iterdir()] == ["rows.csv"]


def test_no_server_no_key_and_no_file(
    busy: Served, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "rows.jsonl").write_text(json.dumps(ROW))
    assert main(["ask", "http://localhost:9", "rows.jsonl"]) == 1
    assert main(["ask", busy.url, "rows.jsonl"]) == 2
    assert main(["ask", busy.url, "rows.csv"]) == 2
    assert main(["ask", "localhost", "rows.jsonl"]) == 2
    lines = capsys.readouterr().err.splitlines()
    words = ("does not answer", "needs an API key", "no such file", "no address")
    assert all(word in line for word, line in zip(words, lines, strict=True))
    (folder / "key").write_text(f"{KEY} tests\n")
    assert main(["ask", busy.url, "rows.jsonl", "--key-file", "key"]) == 0
    monkeypatch.setenv("MCD_API_KEY", KEY)
    assert main(["ask", busy.url, "rows.jsonl"]) == 0
