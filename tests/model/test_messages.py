"""What messages quote is short, printable and in the language of the reader."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import ModelError, PredictOptions, TrainOptions, load, read_table, shipped, train
from model.messages import listed, nearest, readable, shown


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (True, "true"),
        (np.False_, "false"),
        (None, "null"),
        (0.1, "0.1"),
        (np.float64(0.1), "0.1"),
        (np.int64(3), "3"),
        ("a\nb\u202e", r"'a\nb\u202e'"),
        ("x" * 5000, f"'{'x' * 80}...'"),
        (10**60 + 1, "1" + "0" * 59 + "1"),
        pytest.param(10**5000, "a huge integer", id="5001 digits"),
        ([1, "a", None], "an array"),
        ([1, "a", True], "[1, 'a', true]"),
        (list(range(10**5)), "an array"),
        (np.zeros((2, 2)), "an array"),
        ({"a": 1}, "an object"),
        (object(), "a value of type object"),
    ],
)
def test_a_value_is_quoted_short_and_as_json_writes_it(value: Any, said: str) -> None:
    assert shown(value) == said


def test_names_are_listed_up_to_a_bound() -> None:
    assert listed(["a", "b"]) == "a, b"
    many = listed([f"{number:0300}" for number in range(1000)])
    assert many.endswith(", ... (1000 in all)")
    assert len(many) < 2000


def test_the_nearest_name_is_asked_for_if_one_is_near() -> None:
    assert nearest("aera", ["rooms", "area"]) == " (did you mean 'area'?)"
    assert nearest("AREA", ["rooms", "area"]) == " (did you mean 'area'?)"
    assert nearest("colour", ["rooms", "area"]) == ""
    assert nearest(3, ["3"]) == nearest("a" * 10**6, ["a" * 10**6]) == ""


@pytest.mark.parametrize(
    ("value", "said"), [(44_030.0, "44,030"), (0.43751, "0.4375"), (-2.5e-7, "-2.5e-07")]
)
def test_a_number_that_people_read_has_no_exponent_without_need(value: float, said: str) -> None:
    assert readable(value) == said


def refused(call: Any, *arguments: Any, **named: Any) -> str:
    with pytest.raises(ModelError) as caught:
        call(*arguments, **named)
    return str(caught.value)


def test_every_kind_of_name_has_its_question(tmp_path: Path) -> None:
    """Columns, features, categories, options, activations, examples."""
    path = tmp_path / "flats.csv"
    path.write_text("area,quarter,price\n" + "30,north,90\n50,east,140\n" * 20)
    table = read_table(path)
    model = load(shipped()[0])
    row = {feature.name: 1.0 for feature in model.card.features}
    row["Bni"] = row.pop("bmi")
    for said, message in {
        "price": refused(train, table, "prize", tmp_path / "m"),
        "area": refused(read_table, path, drop=["Area"]),
        "reduced": refused(PredictOptions, estimator="reducd"),
        "lac": refused(PredictOptions, label_set="LAC"),
        "leaky_relu": refused(TrainOptions, activation="leakyrelu"),
        "diabetes": refused(read_table, "example:diabetis"),
        "regression": refused(train, table, "price", tmp_path / "m", task="regresion"),
        "impute": refused(train, table, "price", tmp_path / "m", missing="input"),
    }.items():
        assert f"(did you mean '{said}'?)" in message
    message = refused(model.predict, [row])
    assert message.startswith("rows.0: unknown feature 'Bni' (did you mean 'bmi'?); the model")
    assert message.endswith("(and 1 more)")
