"""The code blocks and commands of README and docs do what they show."""

import contextlib
import csv
import io
import json
import math
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import model
from mc_dropout_client.command import main as ask_by_command
from model.commands import main
from model.tasks.task import TASKS
from tests.documentation import (
    NUMBER,
    README,
    RELATIVE,
    ROOT,
    ask,
    blocks,
    commands,
    page,
    section,
    similar,
)
from tests.server import serving


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as url:
        yield url


def test_the_first_request_prints_the_answer_that_is_shown(url: str) -> None:
    text = section(README, "One request")
    (command,) = commands(text, "curl")
    (shown,) = blocks(text, "json")
    found = ask(url, command)
    assert similar(found, json.loads(shown)), json.dumps(found, indent=4)


def test_the_python_example_prints_what_is_shown() -> None:
    text = section(page("answer"), "An example in Python")
    (code,), (shown,) = blocks(text, "python"), blocks(text, "text")
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(code, {})
    assert re.sub(NUMBER, "#", printed.getvalue()) == re.sub(NUMBER, "#", shown)
    found, expected = (
        [float(number) for number in re.findall(NUMBER, text)]
        for text in (printed.getvalue(), shown)
    )
    assert found == pytest.approx(expected, rel=RELATIVE)


def test_the_blocks_about_the_client_print_what_is_shown(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page("client").replace("http://localhost:8000", url)
    for code in blocks(text, "python"):
        exec(code, {})
    printed = capsys.readouterr().out
    first, second = blocks(text, "text")
    assert printed.startswith(first)
    assert printed.endswith(second)
    (command,) = commands(text, "mcd")
    example = httpx.get(f"{url}/models/diabetes", timeout=60).json()["example"]
    monkeypatch.chdir(tmp_path)
    Path("rows.csv").write_text(f"{','.join(example)}\n{','.join(map(str, example.values()))}\n")
    assert ask_by_command(command[1:]) == 0
    (row,) = csv.DictReader(Path("answers.csv").read_text().splitlines())
    assert float(row["lower"]) < float(row["mean"]) < float(row["upper"])


def test_the_estimators_print_what_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    (code,), (shown,) = blocks(page("scikit-learn"), "python"), blocks(page("scikit-learn"), "text")
    exec(code, {})
    assert capsys.readouterr().out == shown


def test_a_table_of_ones_own_is_trained_on_served_evaluated_and_calibrated_anew_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = section(README, "Train on your own table")
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/houses.csv", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    (train,) = commands(text, "python -m model")
    assert main([*train[3:], "--epochs", "2"]) == 0
    (start,), (command,) = commands(text, "python -m app"), commands(text, "curl")
    with serving(*start[3:], folder=tmp_path) as url:
        answer = ask(url, command)
    assert (answer["model"]["name"], answer["task"]) == ("houses", "regression")
    assert answer["predictions"][0]["warnings"] == []
    (evaluate,) = commands(section(README, "Evaluate"), "python -m model")
    assert main(evaluate[3:]) == 0
    assert (tmp_path / evaluate[-1]).read_text().startswith("<!doctype html>")
    (calibrate,) = commands(page("training"), "python -m model calibrate")
    header, *rows = csv.reader((ROOT / "docs/houses.csv").read_text().splitlines())
    dearer = [[*row[:-1], str(1.1 * float(row[-1]))] for row in rows[:40]]
    (tmp_path / calibrate[-1]).write_text("\n".join(map(",".join, [header, *dearer])))
    assert main(calibrate[3:]) == 0


def test_a_network_trained_elsewhere_is_brought_in_calibrated_and_served_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page("importing")
    (train, wrap), (spec,) = blocks(text, "python"), blocks(text, "json")
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        exec(train, scope := {})
    exec(wrap, scope)
    (tmp_path / "wear.json").write_text(spec)
    shown = commands(text, "python -m model")
    assert " ".join(shown[0]) in section(README, "Import")
    for command in shown:
        assert main(command[3:]) == 0
    (start,), (command,) = commands(text, "python -m app"), commands(text, "curl")
    with serving(*start[3:], folder=tmp_path) as url:
        answer = ask(url, command)
    ((row,), net) = answer["predictions"], scope["net"].eval()
    assert answer["estimator"] == "reduced"
    assert row["deterministic"] == pytest.approx(net(torch.tensor([[2.5, 1.0]])).item(), rel=1e-5)
    assert row["warnings"] == []
    assert row["interval"]["lower"] < math.sin(2.5) + 0.5 < row["interval"]["upper"]
    (same,) = model.load("wrapped").predict([[2.5, 1.0]], model.PredictOptions(seed=0)).rows
    assert (same.deterministic, same.interval.lower) == pytest.approx(
        (row["deterministic"], row["interval"]["lower"]), rel=1e-4
    )


def test_an_exported_network_is_asked_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page("exporting")
    for command in commands(text, "python -m model"):
        *arguments, folder, flag, file = command[3:]
        assert main([*arguments, str(ROOT / folder), flag, str(tmp_path / file)]) == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    (code,), (shown,) = (blocks(section(text, "ONNX"), kind) for kind in ("python", "text"))
    exec(code, {})
    assert capsys.readouterr().out == shown
    predictor = model.load(ROOT / "model/artifact/pretrained/diabetes")
    (row,) = predictor.predict([predictor.example()], model.PredictOptions(seed=0)).rows
    assert f"mean {row.mean:.0f}," in shown
    net = torch.load("diabetes.pt", weights_only=False)
    assert isinstance(net, torch.nn.Sequential)


@pytest.mark.filterwarnings("ignore:.*type hint is inferred:UserWarning")  # at MLflow's import
@pytest.mark.filterwarnings("ignore:Operation with range:DeprecationWarning")  # its use of pandas
def test_a_logged_model_is_asked_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = section(page("exporting"), "MLflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "runs").as_uri())
    monkeypatch.chdir(ROOT)
    (code,), (shown,) = blocks(text, "python"), blocks(text, "text")
    exec(code, {})
    assert capsys.readouterr().out == shown


def test_the_evaluation_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = page("evaluating")
    (command,), (shown,) = commands(text, "python -m model"), blocks(text, "text")
    monkeypatch.chdir(ROOT)
    *arguments, report = command[3:]
    assert main([*arguments, str(tmp_path / report)]) == 0
    printed = capsys.readouterr().out
    assert re.sub(NUMBER, "#", printed).split() == re.sub(NUMBER, "#", shown).split()
    found, expected = ([float(n) for n in re.findall(NUMBER, t)] for t in (printed, shown))
    assert found == pytest.approx(expected, rel=1e-3)  # four digits are shown
    assert (tmp_path / report).read_text().startswith("<!doctype html>")


def test_the_landscape_is_drawn_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without storing it: the shipped model has it."""
    (command,) = commands(page("landscape"), "python -m model")
    monkeypatch.chdir(ROOT)
    *arguments, drawn = command[3:]
    assert main([*arguments, str(tmp_path / drawn), "--no-store"]) == 0
    assert (tmp_path / drawn).read_text().startswith("<!doctype html>")
    printed = capsys.readouterr().out
    (code,) = blocks(page("landscape"), "python")
    exec(code, {})
    assert capsys.readouterr().out.strip() in printed


@pytest.mark.parametrize("folder", model.shipped(), ids=lambda folder: folder.name)
def test_the_command_that_trained_a_shipped_model_is_the_one_shown(folder: Path) -> None:
    out = f"model/artifact/pretrained/{folder.name}"
    (command,) = (
        words
        for words in commands(section(page("training"), "The artifact"), "python -m model train")
        if out in words
    )
    card = model.load(folder).card
    words = [word for word in command if word not in ("--no-refit", "--force")]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    defaults = model.TrainOptions(members=1, number_encoding="raw")
    assert (given["--members"], given["--number-encoding"]) == ("1", "raw")
    plan = defaults.plan(task, card.training.rows["train"])
    hidden = given.get("--hidden", ",".join(map(str, plan.hidden)))
    rates = given.get("--dropout", str(plan.dropout[0]))
    assert card.training.data == command[4]
    assert ",".join(card.target.names) == given.pop("--target")
    assert ",".join(map(str, card.architecture.hidden)) == hidden
    if rates != "learn":
        assert card.architecture.dropout == (0.0, *[float(rates)] * len(card.architecture.hidden))
    assert card.training.seed == int(given.get("--seed", 0))
    if card.task == "regression":
        assert card.tuning.noise == given.get("--noise", defaults.noise)
    assert card.training.refitted == ("--no-refit" not in command)
    settings = dict(card.training.settings)
    assert settings.pop("number_encoding", "raw") == given["--number-encoding"]
    assert settings.pop("weight_decay") in plan.weight_decays  # of two, validation rows have chosen
    for name, value in settings.items():
        default = getattr(plan, name)
        assert str(value) == given.get(f"--{name.replace('_', '-')}", str(default))


def test_the_blocks_about_frames_print_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "docs").mkdir()
    shutil.copy(ROOT / "docs/houses.csv", tmp_path / "docs")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for code, shown in zip(
        blocks(page("frames"), "python"), blocks(page("frames"), "text"), strict=True
    ):
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(code, names)
        assert printed.getvalue() == shown
