"""The card is checked as a whole, and its version is a hash of all that it says."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from model.artifact.card import Card, feature_records, target_record
from model.artifact.folder import CARD, read

Change = Callable[[Any], object]


def content(folder: Path) -> Any:
    return json.loads((folder / CARD).read_text())


def faults(folder: Path, change: Change) -> str:
    """What validation says of an edited card."""
    edited = content(folder)
    change(edited)
    with pytest.raises(ValidationError) as caught:
        Card.model_validate_json(json.dumps(edited))
    return str(caught.value)


def test_a_card_survives_its_json(artifact: Path) -> None:
    card = read(artifact)[0]
    assert Card.model_validate_json(card.model_dump_json()) == card


def test_the_outside_sees_all_of_a_card_but_the_calibration_scores(artifact: Path) -> None:
    card = read(artifact)[0]
    shown = json.loads(json.dumps(card.public(), allow_nan=False))
    assert card.calibration is not None
    assert "scores" not in shown["calibration"]
    whole = json.loads(card.model_dump_json())
    for bulk in ("scores", "groups", "comparisons", "spreads"):
        shown["calibration"][bulk] = whole["calibration"][bulk]
    assert shown == whole


def test_a_card_tells_how_rows_and_outputs_are_encoded(artifact: Path) -> None:
    card, network, *_ = read(artifact)
    assert network.config == card.config
    assert feature_records(card.schema_of_rows) == card.features
    assert target_record(card.target_of_rows) == card.target
    assert card.schema_of_rows.width == 5  # area, rooms, and the three quarters


def test_the_card_says_what_the_features_were(regression_artifact: Path) -> None:
    area, rooms, quarter = content(regression_artifact)["features"]
    assert area["kind"] == rooms["kind"] == "numeric"
    assert area["range"][0] < area["mean"] < area["range"][1]
    assert rooms["range"] == [1.0, 8.0]
    assert quarter == {
        "name": "quarter",
        "kind": "categorical",
        "categories": ["east", "north", "south"],
        "fill": None,
    }


@pytest.mark.parametrize(
    "change",
    [
        lambda card: card.update(name="other"),
        lambda card: card["metrics"].update(rmse=1.0),
        lambda card: card["features"][0].update(mean=card["features"][0]["mean"] + 1e-9),
        lambda card: card["features"].reverse(),
        lambda card: card["training"].update(seed=1),
        lambda card: card.update(weights_sha256="0" * 64),
    ],
)
def test_the_version_changes_with_anything_on_the_card(
    regression_artifact: Path, change: Change
) -> None:
    edited = content(regression_artifact)
    before = Card.model_validate_json(json.dumps(edited)).content_hash()
    assert before == edited["version"]
    change(edited)
    assert Card.model_validate_json(json.dumps(edited)).content_hash() != before


def test_the_version_depends_neither_on_itself_nor_on_how_the_json_is_laid_out(
    regression_artifact: Path,
) -> None:
    edited = content(regression_artifact)
    shuffled = dict(reversed(edited.items())) | {"version": "anything"}
    assert Card.model_validate_json(json.dumps(shuffled)).content_hash() == edited["version"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: card["metrics"].update(rmse=float("nan")), "finite"),
        (lambda card: card["training"]["settings"].update(rate=float("inf")), "settings"),
        (lambda card: card["features"][0].update(mean=float("-inf")), "finite"),
        (lambda card: card["features"][0].update(scale=0.0), "scale"),
        (lambda card: card["features"][0].update(range=[2.0, 1.0]), "range"),
        (lambda card: card["features"][0].update(range=[2.0]), "range"),
        (lambda card: card["features"][0].update(kind="ordinal"), "kind"),
        (lambda card: card["features"][0].update(mean="1"), "mean"),
        (lambda card: card["features"][1].update(name="area"), "same name"),
        (lambda card: card["features"][2].update(categories=[]), "categories"),
        (lambda card: card["features"][2].update(categories=["a", "a"]), "the same"),
        (lambda card: card["features"][2].update(fill="west"), "fill"),
        (lambda card: card.update(features=[]), "features"),
        (lambda card: card["target"].update(scales=[]), "a scale per target"),
        (lambda card: card["target"].update(scales=[-1.0]), "scales"),
        (lambda card: card["target"].update(scales=[1e200]), "scales"),
        (lambda card: card["target"].update(classes=["a", "b"]), "no classes"),
        (lambda card: card["target"].update(units=[None, None]), "units"),
        (lambda card: card.update(task="binary"), "two classes"),
        (lambda card: card.update(task="ranking"), "task"),
        (lambda card: card["architecture"].update(dropout=[0.1, 0.1]), "dropout"),
        (lambda card: card["architecture"].update(dropout=[0.1, 0.1, 1.0]), "dropout"),
        (lambda card: card["architecture"].update(hidden=[0, 16]), "hidden"),
        (lambda card: card["architecture"].update(hidden=[1 << 21, 16]), "hidden"),
        (lambda card: card["architecture"].update(hidden=[16.0, 16]), "hidden"),
        (lambda card: card["architecture"].update(activation="exec"), "activation"),
        (lambda card: card["architecture"].update(input_noise=-1.0), "input_noise"),
        (lambda card: card.update(name="../../etc/passwd"), "name"),
        (lambda card: card.update(name=""), "name"),
        (lambda card: card.update(name="n" * 101), "name"),
        (lambda card: card.update(format=2), "format"),
        (lambda card: card.update(comment="hello"), "comment"),
        (lambda card: card["target"].update(comment="hello"), "comment"),
        (lambda card: card.pop("training"), "training"),
    ],
)
def test_a_card_that_contradicts_itself_is_refused_by_field(
    regression_artifact: Path, change: Change, said: str
) -> None:
    assert said in faults(regression_artifact, change)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda card: card["target"].update(classes=["no"]), "two classes"),
        (lambda card: card["target"].update(classes=["no", "no"]), "the same"),
        (lambda card: card["target"].update(classes=["a", "b", "c"]), "two classes"),
        (lambda card: card["target"].update(names=["a", "b"], units=[]), "one target"),
        (lambda card: card.update(task="regression"), "no classes"),
    ],
)
def test_a_classifiers_card_that_contradicts_itself_is_refused(
    binary_artifact: Path, change: Change, said: str
) -> None:
    assert said in faults(binary_artifact, change)


def test_the_public_card_is_all_json(artifact: Path) -> None:
    public = read(artifact)[0].public()
    assert public == json.loads(json.dumps(public, allow_nan=False))
    assert {"name", "version", "task", "features", "target", "metrics"} <= public.keys()


def test_a_card_keeps_its_version_when_the_format_grows_by_a_field(artifact: Path) -> None:
    written = content(artifact)
    assert written["architecture"].pop("input_noise") == 0  # as if it was not known yet
    assert written["training"].pop("split") == "seed"
    assert Card.model_validate_json(json.dumps(written)).content_hash() == written["version"]
