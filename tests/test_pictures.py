"""The pictures of README and docs, and the figures of /learn, are what their command makes."""

import json
import math
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from docs import pictures
from docs.screenshots import LESSONS, SHOTS, take

ROOT = Path(__file__).parents[1]
IMAGES = ROOT / "docs/img"
README = (ROOT / "README.md").read_text()
LEARN = (ROOT / "docs/learn.md").read_text()
RELATIVE = 1e-3  # other processors round otherwise


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the command makes without a browser."""
    folder = tmp_path_factory.mktemp("pictures")
    pictures.draw(folder, folder)
    return folder


@pytest.fixture(scope="module")
def figures() -> Any:
    """The stored figures of /learn."""
    return json.loads((pictures.FIGURES / "learn.json").read_text())


@pytest.mark.parametrize("name", ["band.svg", "report.svg"])
def test_a_drawing_is_what_the_command_draws(drawn: Path, name: str) -> None:
    """But for numbers: other processors train another network."""
    tags = [node.tag for node in ElementTree.parse(drawn / name).iter()]
    assert tags == [node.tag for node in ElementTree.parse(IMAGES / name).iter()]
    assert f'src="docs/img/{name}"' in README


def test_the_band_widens_beyond_the_training_rows(drawn: Path) -> None:
    described = ElementTree.parse(drawn / "band.svg").findtext("{*}desc")
    among, beyond = map(float, re.findall(r"\d\.\d+", str(described)))
    assert beyond > 1.3 * among


def test_the_stored_figures_are_what_the_command_computes(drawn: Path, figures: Any) -> None:
    assert near(json.loads((drawn / "learn.json").read_text()), figures)


def near(found: Any, stored: Any) -> bool:
    """Whether two documents are the same but for rounding."""
    if isinstance(stored, dict):
        return list(found) == list(stored) and all(near(found[key], stored[key]) for key in stored)
    if isinstance(stored, list):
        return len(found) == len(stored) and all(map(near, found, stored))
    return bool(
        found == (pytest.approx(stored, RELATIVE, 1e-6) if type(stored) is float else stored)
    )


def test_the_figures_show_what_their_sentences_say(figures: Any) -> None:
    unit, noise, gradient = (figures[name] for name in ("expectation", "noise", "gradient"))
    error = unit["activation"] * math.sqrt(unit["rate"] / (1 - unit["rate"]) / unit["masks"][-1])
    assert abs(unit["scaled"][-1] - unit["activation"]) < 4 * error
    assert abs(unit["unscaled"][-1] - unit["activation"]) > 4 * error
    ends = [np.std(np.array(noise[kind])[:, -1]) for kind in ("dropout", "gaussian")]
    assert ends[0] > 1.5 * ends[1]
    pairs = list(zip(gradient["dropped"], gradient["lengths"], strict=True))
    assert all(length == 0 for dropped, length in pairs if dropped)
    assert sum(length > 0 for dropped, length in pairs if not dropped) > 0.8 * len(pairs)
    passes, agreement, layer = (figures[name] for name in ("passes", "agreement", "layer"))
    assert len(set(passes["on"])) > 0.9 * len(passes["on"])
    shares = agreement["agreement"]
    assert shares[0] == shares[-1] == 1
    assert min(shares) < 0.7
    turn = [a != b for a, b in zip(agreement["labels"], agreement["labels"][1:], strict=False)]
    assert abs(shares.index(min(shares)) - turn.index(True)) <= 1
    assert len(set(layer["dropped"])) == 1
    assert len({tuple(line) for line in layer["passes"]}) == len(layer["passes"])


def test_every_picture_of_a_page_is_there_and_shown() -> None:
    shown = README + LEARN
    for shot in SHOTS:
        assert (IMAGES / shot.file).read_bytes().startswith(b"\x89PNG")
        assert f"img/{shot.file}" in shown
    assert [f"learn-{name}.png" for name in LESSONS] == re.findall(r"learn-\w+\.png", LEARN)


def test_the_command_takes_the_picture_of_a_page(tmp_path: Path) -> None:
    (shot,) = (shot for shot in SHOTS if "gradient" in shot.file)
    take(tmp_path, [shot])
    widths = [
        int.from_bytes((folder / shot.file).read_bytes()[16:20], "big")
        for folder in (tmp_path, IMAGES)
    ]
    assert widths[0] == widths[1] > 800
    assert (tmp_path / shot.file).stat().st_size > 10_000
