"""What README and docs say is so: their tables match the code, their links lead somewhere."""

import json
import re
import tomllib
from collections.abc import Iterator
from dataclasses import fields

import httpx
import pytest

import model
from app.__main__ import main as serve
from app.native.schemas import PredictRequest, PredictResponse
from app.settings import Settings
from docs import tables
from model.commands import main
from model.commands.command_line import COMMANDS
from tests.documentation import (
    PAGES,
    README,
    ROOT,
    anchor,
    blocks,
    page,
    section,
    table,
)
from tests.server import serving

MOST_LINES = 180  # of README


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with serving() as url:
        yield url


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= MOST_LINES


def test_the_seven_fields_that_readme_explains_are_in_the_answer_that_it_shows() -> None:
    rows = table(section(README, "How to read the answer"), "field")
    (shown,) = blocks(section(README, "One request"), "json")
    (prediction,) = json.loads(shown)["predictions"]
    assert {row[0].strip("`") for row in rows} <= set(prediction)
    assert len(rows) == 7


def test_the_page_on_training_shows_the_blocks_of_readme_and_the_head_of_the_table() -> None:
    of_readme = section(README, "Train on your own table")
    assert set(blocks(of_readme, "bash")) <= set(blocks(page("training"), "bash"))
    shown, _ = blocks(section(page("training"), "A table"), "text")
    assert (ROOT / "docs/houses.csv").read_text().startswith(shown)


def test_every_option_that_is_named_is_one_of_our_commands(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+)(?: |$)", capsys.readouterr().out, re.MULTILINE)
    assert len(commands) == len(COMMANDS)
    calls = [(main, [command, "--help"]) for command in commands]
    for program, arguments in [*calls, (serve, ["--help"])]:
        with pytest.raises(SystemExit):
            program(arguments)
    known = set(re.findall(r"--[\w-]+", capsys.readouterr().out))
    names = (
        "answer",
        "training",
        "importing",
        "exporting",
        "evaluating",
        "labelling",
        "landscape",
        "scoring",
        "settings",
    )
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


def test_a_checkout_is_installed_in_place() -> None:
    """Python imports the package of the folder it runs in, where only `-e` puts the kernel."""
    for name, text in PAGES.items():
        assert not re.findall(r"pip install '?\.(?!/)", text), name
    assert "pip install -e . && python -m app" in README


def test_the_changelog_has_the_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert f"\n## [{version}] - " in (ROOT / "CHANGELOG.md").read_text()
    assert version == model.__version__
