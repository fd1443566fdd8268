"""The Dockerfile, read without an engine: what ends up in the images, and what does not."""

import re
import tomllib
from dataclasses import dataclass, field
from fnmatch import fnmatch

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.tools import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
TARGETS = ("service", "train")


@dataclass
class Stage:
    """A stage of the Dockerfile: what it starts from, and its instructions."""

    base: str
    steps: list[tuple[str, str]] = field(default_factory=list)

    def all(self, word: str) -> list[str]:
        return [rest for found, rest in self.steps if found == word]


def stages() -> dict[str, Stage]:
    """The stages by name, in the order of the file."""
    text = re.sub(r"(?m)^\s*#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
    found: dict[str, Stage] = {}
    for line in filter(None, text.splitlines()):
        word, _, rest = line.partition(" ")
        if word == "FROM":
            base, name = re.fullmatch(r"(\S+) AS (\S+)", rest.strip()).groups()  # type: ignore[union-attr]
            found[name] = Stage(base)
        elif found:
            list(found.values())[-1].steps.append((word, " ".join(rest.split())))
    return found


def lineage(name: str) -> list[Stage]:
    """A stage and those that it starts from: all whose layers its image has."""
    known = stages()
    chain = [known[name]]
    while chain[-1].base in known:
        chain.append(known[chain[-1].base])
    return chain


def test_the_image_of_no_target_is_the_service() -> None:
    assert list(stages())[-1] == "service"
    assert set(TARGETS) < stages().keys()


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_what_was_built_and_nothing_that_builds(target: str) -> None:
    chain = lineage(target)
    assert chain[-1].base == "${PYTHON_IMAGE}"
    assert not [step for stage in chain for step in stage.all("RUN")]
    copied = [each for stage in chain for each in stage.all("COPY")]
    assert all(each.startswith("--from=") for each in copied)
    assert [each.rpartition(" ")[2] for each in copied] == ["/opt/venv", "/"]


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_as_a_user_of_no_name_and_says_what_it_is(target: str) -> None:
    chain = lineage(target)
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", chain[0].all("USER")[-1])
    assert [stop for stage in chain for stop in stage.all("STOPSIGNAL")] == ["SIGTERM"]
    [labels] = [label for stage in chain for label in stage.all("LABEL")]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert f"org.opencontainers.image.{name}=" in labels
    assert f'"{PROJECT["license"]}"' in labels
    versions = [each for stage in chain for each in stage.all("ARG") if "VERSION" in each]
    assert versions == [f'VERSION="{PROJECT["version"]}"']


def test_the_image_serves_the_models_in_its_folder() -> None:
    [_, variables] = stages()["runtime"].all("ENV") + stages()["service"].all("ENV")
    assert "MCD_MODELS_DIR=/models" in variables
    assert "/installed/models" in " ".join(stages()["build"].all("RUN"))


def test_every_installation_has_hashes_or_is_of_our_own_wheel() -> None:
    """The build of torch from another index alone has the hash that the builder names."""
    installed = [
        part
        for stage in stages().values()
        for run in stage.all("RUN")
        for part in re.split(r"&&|;", run)
        if re.search(r"pip\b.* install|\$into", part) and "into=" not in part
    ]
    assert len(installed) == 5
    for each in installed:
        assert re.search(r"--require-hashes|--no-index|other\.txt", each), each


def test_the_context_has_what_is_copied_and_no_test() -> None:
    copied = {
        source
        for stage in stages().values()
        for each in stage.all("COPY")
        if not each.startswith("--from")
        for source in each.split()[:-1]
    }
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    let_in = {line[1:] for line in lines if line.startswith("!")}
    assert lines[1] == "*"
    assert copied == let_in
    for source in copied:
        assert (ROOT / source).exists(), source
    assert not [path for path in ("tests", "docs", ".ci", ".git") if fnmatch_any(path, let_in)]


def fnmatch_any(path: str, patterns: set[str]) -> bool:
    return any(fnmatch(path, pattern) for pattern in patterns)


def test_the_training_image_has_what_training_needs() -> None:
    names = {
        canonicalize_name(Requirement(line.partition("\\")[0]).name)
        for name in ("service", "train")
        for line in re.findall(r"(?m)^\w.*==.*$", (ROOT / f"locks/{name}.txt").read_text())
    }
    needed = PROJECT["optional-dependencies"]["train"]
    assert {canonicalize_name(Requirement(each).name) for each in needed} <= names
