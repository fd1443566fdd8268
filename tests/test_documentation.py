"""What README and docs say is so: their blocks run, their tables match the code."""

import contextlib
import csv
import io
import json
import math
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

import model
from app.__main__ import main as serve
from app.native.schemas import PredictRequest, PredictResponse
from app.settings import Settings
from docs import tables
from mc_dropout_client.command import main as ask_by_command
from model.commands import main
from model.tasks.task import TASKS
from tests.server import serving

ROOT = Path(__file__).parents[1]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
}
README = PAGES["README.md"]
MOST_LINES = 180  # of README
COMMANDS = "train", "import", "calibrate", "evaluate", "predict", "landscape", "show"
RELATIVE = 1e-4  # other processors round otherwise
NUMBER = r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?"


def page(name: str) -> str:
    """The text of a page of docs."""
    return PAGES[f"docs/{name}.md"]


def section(text: str, title: str) -> str:
    """The text of the section of that title."""
    return text.split(f"\n## {title}\n")[1].split("\n## ")[0]


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


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub and the site make it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def ask(url: str, command: list[str]) -> Any:
    """The answer to a curl command of a page, asked of the server at `url`."""
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


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_the_first_request_prints_the_answer_that_is_shown(url: str) -> None:
    text = section(README, "One request")
    (command,) = commands(text, "curl")
    (shown,) = blocks(text, "json")
    found = ask(url, command)
    assert similar(found, json.loads(shown)), json.dumps(found, indent=4)


def test_the_seven_fields_that_readme_explains_are_in_the_answer_that_it_shows() -> None:
    rows = table(section(README, "How to read the answer"), "field")
    (shown,) = blocks(section(README, "One request"), "json")
    (prediction,) = json.loads(shown)["predictions"]
    assert {row[0].strip("`") for row in rows} <= set(prediction)
    assert len(rows) == 7


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


def test_the_page_on_training_shows_the_blocks_of_readme_and_the_head_of_the_table() -> None:
    of_readme = section(README, "Train on your own table")
    assert set(blocks(of_readme, "bash")) <= set(blocks(page("training"), "bash"))
    shown, _ = blocks(section(page("training"), "A table"), "text")
    assert (ROOT / "docs/houses.csv").read_text().startswith(shown)


def test_a_network_trained_elsewhere_is_brought_in_calibrated_and_served_as_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = page("importing")
    (code,), (spec,) = blocks(text, "python"), blocks(text, "json")
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        exec(code, scope := {})
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


def test_every_option_that_is_named_is_one_of_our_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = [(main, [command, "--help"]) for command in COMMANDS]
    for program, arguments in [*calls, (serve, ["--help"])]:
        with pytest.raises(SystemExit):
            program(arguments)
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    names = ("answer", "training", "importing", "evaluating", "landscape", "scoring", "settings")
    pages = map(page, names)
    named = {flag for text in pages for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", text)}
    assert named
    assert named <= known


def test_every_benchmark_that_is_named_is_there() -> None:
    found = 0
    for text in PAGES.values():
        for module, path in re.findall(r"python (?:-m ((?:tests|docs)\.[\w.]+)|(\S+\.py)\b)", text):
            place = ROOT / (path or module.rstrip(".").replace(".", "/"))
            assert place.is_dir() or place.with_suffix(".py").exists(), place
            found += 1
    assert found > 15


@pytest.mark.parametrize("folder", model.shipped(), ids=lambda folder: folder.name)
def test_the_command_that_trained_a_shipped_model_is_the_one_shown(folder: Path) -> None:
    out = f"model/artifact/pretrained/{folder.name}"
    (command,) = (
        words
        for words in commands(section(page("training"), "The artifact"), "python -m model train")
        if out in words
    )
    card = model.load(folder).card
    words = [word for word in command if word != "--no-refit"]
    given = dict(zip(words[5::2], words[6::2], strict=True))
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    defaults = model.TrainOptions()
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
    assert settings.pop("weight_decay") in plan.weight_decays  # of two, validation rows have chosen
    for name, value in settings.items():
        default = getattr(plan, name)
        assert str(value) == given.get(f"--{name.replace('_', '-')}", str(default))


@pytest.mark.parametrize("name", tables.TABLES)
def test_the_tables_that_the_code_defines_are_as_the_code_has_them(name: str) -> None:
    text = (ROOT / "docs" / name).read_text()
    assert tables.filled(text, tables.TABLES[name]) == text, "run python -m docs.tables"


def test_every_route_is_in_the_table(url: str) -> None:
    paths = httpx.get(f"{url}/openapi.json", timeout=60).json()["paths"]
    described = {f"{method.upper()} {path}" for path in paths for method in paths[path]}
    listed = {row[0].strip("`") for row in table(page("http"), "route")}
    assert listed == described | {"GET /", "GET /learn", "GET /docs", "GET /openapi.json"}


def test_every_field_of_a_request_is_in_the_table_with_its_default() -> None:
    listed = {row[0].strip("`"): row[1] for row in table(page("http"), "field")}
    defaults = {
        name: field.default if type(field.default) is str else json.dumps(field.default)
        for name, field in PredictRequest.model_fields.items()
        if not field.is_required()
    }
    assert listed == {"rows": "required", **defaults}


def test_every_field_of_an_answer_is_explained() -> None:
    text = section(page("answer"), "The fields")
    explained = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", text, re.M))))
    kinds = (model.RegressionPrediction, model.ClassificationPrediction)
    answered = {field.name for kind in kinds for field in fields(kind)}
    regions = {field.name for kind in (model.Interval, model.LabelSet) for field in fields(kind)}
    assert explained == answered | regions | set(PredictResponse.model_fields)


def test_every_metric_is_in_the_table_with_its_labels(url: str) -> None:
    httpx.post(f"{url}/predict", json={"rows": [[50, 1, 25, 90, 150, 90, 40, 4, 4.8, 90]]})
    httpx.post(f"{url}/predict", content=b" " * (Settings().max_body_bytes + 1), timeout=60)
    text = httpx.get(f"{url}/metrics").text
    kept = {name: set[str]() for name in re.findall(r"^# TYPE (mcd_\w+) ", text, re.M)}
    names = {name for name in kept if not name.endswith("_created")}
    for name, labels in re.findall(r"^(mcd_\w+?)(?:_bucket|_sum|_count)?\{(.*)\} ", text, re.M):
        kept.setdefault(name, set()).update(set(re.findall(r'(\w+)="', labels)) - {"le"})
    listed = {
        name: set(filter(None, labels.strip("{}").split(",")))
        for name, labels in (
            re.fullmatch(r"`(\w+)(\{.*\})?`", row[0]).groups("")  # type: ignore[union-attr]
            for row in table(page("operations"), "metric")
        )
    }
    assert listed == {name: kept[name] for name in names}


def test_the_tree_shows_every_folder() -> None:
    (tree,) = blocks(section(README, "Architecture"), "text")
    shown, above = set[str](), list[str]()
    for indent, name in re.findall(r"^( *)(\w+)/ ", tree, re.M):
        above = [*above[: len(indent) // 2], name]
        shown.add("/".join(above))
    code = [path for package in ("app", "model") for path in (ROOT / package).rglob("*.py")]
    assert shown == {str(path.parent.relative_to(ROOT)) for path in code}


def test_every_link_leads_somewhere() -> None:
    count = 0
    for name, text in PAGES.items():
        links = re.findall(r"\]\((?!https?:)([^)\s]+)\)|<img src=\"([^\"]+)\"", text)
        for path, _, fragment in ((a or b).partition("#") for a, b in links):
            place = (ROOT / name).parent / path if path else ROOT / name
            assert place.exists(), f"{name}: {path}"
            if fragment:
                headings = re.findall(r"^#+ (.*)$", place.read_text(), re.M)
                assert fragment in map(anchor, headings), f"{name}: {path}#{fragment}"
            count += 1
    assert count > 40


def test_the_index_lists_every_page_once() -> None:
    listed = re.findall(r"^- \[.*\]\((\S+\.md)\): ", page("index"), re.M)
    there = {name.removeprefix("docs/") for name in PAGES} - {"README.md", "index.md"}
    assert sorted(listed) == sorted(there)


def test_ci_runs_exactly_the_commands_for_developers() -> None:
    (shown,) = blocks(section(README, "Develop"), "bash")
    assert (ROOT / ".ci/run").read_text().partition("set -x\n")[2] == shown
    _, test = blocks(section(README, "Two commands"), "bash")[1].strip().split(" && ")
    assert test in shown.split("\n")


def test_the_changelog_has_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()


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
