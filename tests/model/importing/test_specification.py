"""A specification says little; what is wrong with it is told by field and value."""

import json
from pathlib import Path
from typing import Any

import pytest

from model import InputError
from model.importing.specification import read_spec

LEAST: dict[str, Any] = {
    "features": ["age"],
    "target": {"name": "price"},
    "layers": [{"linear": "0"}, {"activation": "relu"}, {"linear": "2"}],
}


def written(folder: Path, text: str) -> Path:
    (folder / "net.json").write_text(text)
    return folder / "net.json"


def test_a_feature_may_be_a_name_and_a_target_needs_no_list(tmp_path: Path) -> None:
    found = read_spec(written(tmp_path, json.dumps(LEAST)))
    (feature,), (target,) = found.spec.features, found.spec.target
    assert found.name == "net.json"
    assert feature.kind == "numeric"
    assert (feature.mean, feature.scale, feature.range) == (0, 1, None)
    assert (target.name, target.mean, target.scale, target.classes) == ("price", 0, 1, ())
    assert [layer.kind for layer in found.spec.layers] == ["linear", "activation", "linear"]


def test_a_specification_may_have_every_field(tmp_path: Path) -> None:
    features = [
        {"name": "age", "mean": 40, "scale": 12.5, "range": [18, 90], "fill": 41},
        {"name": "quarter", "categories": ["north", "east"], "fill": "east"},
    ]
    target = [
        {"name": "price", "unit": "kEUR", "mean": 300, "scale": 80, "noise_std": 20},
        {"name": "rent", "mean": 9.5, "scale": 2, "noise_std": 1},
    ]
    layers = [*LEAST["layers"], {"dropout": 0}, {"batch_norm": "4", "eps": 1e-3}]
    document = LEAST | {"features": features, "target": target, "layers": layers, "name": "flats"}
    spec = read_spec(written(tmp_path, json.dumps(document))).spec
    age, quarter = spec.features
    assert age.kind == "numeric"
    assert (age.range, age.scale, age.fill) == ((18, 90), 12.5, 41)
    assert quarter.kind == "categorical"
    assert (quarter.categories, quarter.fill) == (("north", "east"), "east")
    assert [entry.noise_std for entry in spec.target] == [20, 1]
    assert [(layer.kind, layer.eps) for layer in spec.layers[-2:]] == [
        ("dropout", None),
        ("batch_norm", 1e-3),
    ]


@pytest.mark.parametrize(
    ("change", "field", "said"),
    [
        ({"layers": ()}, "layers", "at least 1 item"),
        ({"layers": [{"conv": "0"}]}, "layers.0.conv", "no such field"),
        ({"layers": [{}]}, "layers.0", "exactly one of linear, batch_norm"),
        ({"layers": [{"linear": "0", "dropout": 0.1}]}, "layers.0", "exactly one of linear"),
        ({"layers": [{"linear": "0", "eps": 0.1}]}, "layers.0", "eps belongs to batch_norm"),
        ({"layers": [{"dropout": 1}]}, "layers.0.dropout", "less than 1, not 1"),
        ({"layers": [{"dropout": True}]}, "layers.0.dropout", "not true"),
        ({"layers": [{"batch_norm": "1", "eps": 0}]}, "layers.0.eps", "greater than 0, not 0"),
        ({"layers": "linear"}, "layers", "not 'linear'"),
        ({"features": []}, "features", "at least 1 item"),
        ({"features": [3]}, "features.0", "not 3"),
        ({"features": [{"name": "a", "scale": 0}]}, "features.0.scale", "greater than 0, not 0"),
        ({"features": [{"name": "a", "range": [2, 1]}]}, "features.0", "range must not end below"),
        ({"features": [{"name": "a", "edges": [0, 0, 1]}]}, "features.0", "each above the one"),
        (
            {"features": [{"name": "a", "edges": [0, 1e-60, 1]}]},
            "features.0",
            "(bin 0, 0 to 1e-60)",
        ),
        (
            {"features": [{"name": "a", "edges": [0, 1, 1e300]}]},
            "features.0",
            "(bin 1, 1 to 1e+300)",
        ),
        ({"features": [{"name": "a", "categories": ["x", "x"]}]}, "features.0", "are the same"),
        (
            {"features": [{"name": "a", "categories": ["x"], "mean": 1}]},
            "features.0.mean",
            "no such",
        ),
        ({"target": {"name": "y", "scale": -1}}, "target.0.scale", "not -1"),
        ({"target": {"name": "y", "classes": ["a", "b"], "mean": 3}}, "target.0", "has no mean"),
        ({"target": {"name": "y", "classes": ["a"]}}, "target.0", "there is one class"),
        (
            {"target": [{"name": "y", "noise_std": 1}, {"name": "z"}]},
            "specification",
            "all targets",
        ),
        ({"target": {"name": "y", "noise_std": 1}, "noise": "heteroscedastic"}, "", "none with"),
        ({"noise": "laplace"}, "noise", "'homoscedastic' or 'heteroscedastic', not 'laplace'"),
        ({"temperature": 2}, "specification", "no classes"),
        ({"name": "a b"}, "name", "not 'a b'"),
        ({"weights": "net.pt"}, "weights", "no such field"),
        ({"target": None}, "target", "not null"),
    ],
)
def test_what_is_wrong_is_told_by_field_and_value(
    change: dict[str, Any], field: str, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        read_spec(written(tmp_path, json.dumps(LEAST | change)))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'net.json'}: {field}")
    assert said in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not JSON"),
        ('{"name": NaN}', "NaN is no number"),
        ('{"features": [{"name": "a", "mean": 1e999}]}', "features.0.mean"),
        ('{"name": "a", "name": "b"}', "key 'name' comes twice"),
        ("[" * 100_000, "is not JSON"),
        ("\x00\xff", "is not JSON"),
        ("[]", "specification"),
        ("{}", "features: Field required"),
    ],
)
def test_a_file_of_anything_else_is_refused_in_a_line(text: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"net\.json") as caught:
        read_spec(written(tmp_path, text))
    assert said in str(caught.value)
    assert len(str(caught.value)) < 1000


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.json cannot be read: No such file"):
        read_spec(tmp_path / "none.json")
