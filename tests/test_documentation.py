"""What README says is so: its blocks run, its tables match the code."""

import contextlib
import csv
import io
import json
import math
import re
import shlex
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import model
from app.errors import error_rows
from app.native.schemas import PredictRequest, PredictResponse
from app.settings import PREFIX, Settings
from model.__main__ import main
from model.tasks.task import TASKS
from tests.server import serving

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RELATIVE = 1e-4  # other processors round otherwise
NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"


def section(title: str) -> str:
    """The text of README's section of that title."""
    return README.split(f"\n## {title}\n")[1].split("\n## ")[0]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.M | re.S)


def commands(text: str, program: str) -> list[list[str]]:
    """The words of every shell command that runs the program."""
    lines = "\n".join(blocks(text, "bash"))
    starts = re.findall(rf"^({re.escape(program)} (?:[^'\n]|'[^']*')*)", lines, re.M)
    return [shlex.split(start.partition(" | ")[0]) for start in starts]


def table(text: str, title: str) -> list[list[str]]:
    """The cells of the table whose first column has that title."""
    rows = text.split(f"\n| {title} |")[1].split("\n\n")[0].split("\n")[2:]
    return [[cell.strip() for cell in row.strip("| ").split(" | ")] for row in rows if row]


def ask(url: str, command: list[str]) -> Any:
    """The answer to a curl command of README's, asked of the server at `url`."""
    address, body = command[2], command[command.index("-d") + 1]
    kind, _, value = command[command.index("-H") + 1].partition(": ")
    path = address.removeprefix("localhost:8000")
    response = httpx.post(url + path, content=body, headers={kind: value}, timeout=60)
    assert response.status_code == 200, response.text
    return response.json()


def similar(found: Any, shown: Any) -> bool:
    """Whether two documents are the same but for rounding."""
    if isinstance(shown, dict):
        return list(found) == list(shown) and all(similar(found[key], shown[key]) for key in shown)
    if isinstance(shown, list):
        return len(found) == len(shown) and all(map(similar, found, shown))
    return bool(found == (pytest.approx(shown, rel=RELATIVE) if type(shown) is float else shown))


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as url:
        yield url


def test_the_first_request_prints_the_answer_that_is_shown(url: str) -> None:
    text = section("One request")
    (command,) = commands(text, "curl")
    (shown,) = blocks(text, "json")
    found = ask(url, command)
    assert similar(found, json.loads(shown)), json.dumps(found, indent=4)


def test_the_python_example_prints_what_is_shown() -> None:
    text = section("One request")
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


def test_a_table_of_ones_own_is_trained_on_and_served_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = section("Train on your own table")
    (sample,) = blocks(text, "csv")
    header, *shown = csv.reader(sample.splitlines())
    rows = [
        [cell if cell.isalpha() else str(float(cell) + number) for cell in row]
        for number in range(20)
        for row in shown
    ]
    (tmp_path / "houses.csv").write_text("\n".join(map(",".join, [header, *rows])))
    monkeypatch.chdir(tmp_path)
    train, *_ = commands(text, "python -m model")
    assert main([*train[3:], "--epochs", "2"]) == 0
    (serve,), (command,) = commands(text, "python -m app"), commands(text, "curl")
    with serving(*serve[3:], folder=tmp_path) as url:
        answer = ask(url, command)
    assert (answer["model"]["name"], answer["task"]) == ("houses", "regression")


def test_a_network_trained_elsewhere_is_brought_in_calibrated_and_served_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = section("Bring your own model")
    (code,), (spec,) = blocks(text, "python"), blocks(text, "json")
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        exec(code, scope := {})
    (tmp_path / "wear.json").write_text(spec)
    for command in commands(text, "python -m model"):
        assert main(command[3:]) == 0
    (serve,), (command,) = commands(text, "python -m app"), commands(text, "curl")
    with serving(*serve[3:], folder=tmp_path) as url:
        answer = ask(url, command)
    ((row,), net) = answer["predictions"], scope["net"].eval()
    assert answer["estimator"] == "reduced"
    assert row["deterministic"] == pytest.approx(net(torch.tensor([[2.5, 1.0]])).item(), rel=1e-5)
    assert row["warnings"] == []
    assert row["interval"]["lower"] < math.sin(2.5) + 0.5 < row["interval"]["upper"]


def test_the_evaluation_prints_what_is_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = section("Measure a model")
    (command,), (shown,) = commands(text, "python -m model"), blocks(text, "text")
    monkeypatch.chdir(ROOT)
    *arguments, page = command[3:]
    assert main([*arguments, str(tmp_path / page)]) == 0
    printed = capsys.readouterr().out
    assert re.sub(NUMBER, "#", printed).split() == re.sub(NUMBER, "#", shown).split()
    found, expected = ([float(n) for n in re.findall(NUMBER, t)] for t in (printed, shown))
    assert found == pytest.approx(expected, rel=1e-3)  # four digits are shown
    assert (tmp_path / page).read_text().startswith("<!doctype html>")


@pytest.mark.parametrize("folder", model.shipped(), ids=lambda folder: folder.name)
def test_the_command_that_trained_a_shipped_model_is_the_one_shown(folder: Path) -> None:
    out = f"model/artifact/pretrained/{folder.name}"
    (command,) = (
        words
        for words in commands(section("Train on your own table"), "python -m model train")
        if out in words
    )
    card = model.load(folder).card
    words = [word for word in command if word != "--no-refit"]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    defaults = model.TrainOptions()
    config = defaults.config(inputs=1, outputs=1)
    hidden = given.get("--hidden", ",".join(map(str, config.hidden)))
    rates = given.get("--dropout", str(config.dropout[1]))
    assert card.training.data == command[4]
    assert ",".join(card.target.names) == given.pop("--target")
    assert ",".join(map(str, card.architecture.hidden)) == hidden
    if rates != "learn":
        assert card.architecture.dropout == (0.0, *[float(rates)] * len(card.architecture.hidden))
    assert card.training.seed == int(given.get("--seed", 0))
    if card.task == "regression":
        assert card.tuning.noise == given.get("--noise", defaults.noise)
    assert card.training.refitted == ("--no-refit" not in command)
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    count = card.training.rows["train"]
    schedule = asdict(defaults.schedule(task, count))
    if card.training.decays:  # validation rows have chosen one of two
        strong, settings = task.strong_decay(count), card.training.settings
        assert settings["weight_decay"] in (schedule["weight_decay"], strong)
        schedule["weight_decay"] = settings["weight_decay"]
    for name, value in card.training.settings.items():
        default = schedule.get(name, getattr(defaults, name))
        assert str(value) == given.get(f"--{name.replace('_', '-')}", str(default))


def test_every_setting_is_in_the_table_with_its_default() -> None:
    expected = [
        [f"`{PREFIX}{name.upper()}`", str(field.default or "none"), field.description]
        for name, field in Settings.model_fields.items()
    ]
    assert table(section("Settings"), "variable") == expected


def test_every_route_is_in_the_table(url: str) -> None:
    paths = httpx.get(f"{url}/openapi.json", timeout=60).json()["paths"]
    described = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    listed = {row[0].strip("`") for row in table(section("HTTP"), "route")}
    assert listed == described | {"GET /docs", "GET /openapi.json"}


def test_every_field_of_a_request_is_in_the_table_with_its_default() -> None:
    listed = {row[0].strip("`"): row[1] for row in table(section("HTTP"), "field")}
    defaults = {
        name: field.default if type(field.default) is str else json.dumps(field.default)
        for name, field in PredictRequest.model_fields.items()
        if not field.is_required()
    }
    assert listed == {"rows": "required", **defaults}


def test_every_field_of_an_answer_is_explained() -> None:
    explained = {
        name
        for row in table(section("What the numbers mean"), "field")
        for name in re.findall(r"`(\w+)`", row[0])
    }
    predictions = (model.RegressionPrediction, model.ClassificationPrediction)
    answered = {field.name for prediction in predictions for field in fields(prediction)}
    assert explained == answered | set(PredictResponse.model_fields)


def test_every_error_code_is_in_the_table_under_its_status() -> None:
    rows = table(section("HTTP"), "status")
    listed = {(int(row[0]), code) for row in rows for code in re.findall(r"`([a-z_]+)`", row[1])}
    assert listed == {(row.status, row.code) for row in error_rows()}


def test_the_tree_shows_every_module() -> None:
    (tree,) = (block for block in blocks(README, "text") if "__main__.py" in block)
    lines = tree.split("\n")
    middle = lines[0].index("model/")
    for package, part in (("app", slice(middle)), ("model", slice(middle, None))):
        shown = [re.match(r" +(\w+\.py) ", line[part]) for line in lines]
        there = {path.name for path in (ROOT / package).rglob("*.py")} - {"__init__.py"}
        assert {name[1] for name in shown if name} - {"__init__.py"} == there


def test_every_file_that_is_linked_is_there() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    assert links
    assert not [link for link in links if not (ROOT / link).exists()]


def test_ci_runs_exactly_the_commands_for_developers() -> None:
    (shown,) = blocks(section("Develop"), "bash")
    assert (ROOT / ".ci/run").read_text().partition("set -x\n")[2] == shown
    install, test = blocks(section("Two commands"), "bash")[1].strip().split(" && ")
    assert shown.split("\n")[:2] == [install, test]


def test_the_changelog_has_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()
