"""A network that was trained elsewhere predicts what it predicted there, and says what it knows."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model import (
    ArtifactError,
    DataError,
    InputError,
    PredictOptions,
    calibrate,
    import_model,
    load,
    read_table,
)
from model.commands import main
from model.data.table import Table
from tests.model.importing.networks import (
    DEAR,
    LAYERS,
    PRICE,
    QUARTERS,
    brought,
    network,
    noisy,
    rows,
    table,
)


def test_rows_are_encoded_and_outputs_scaled_as_the_specification_says(tmp_path: Path) -> None:
    net = network(2)
    brought(tmp_path, net, [PRICE, {"name": "rent", "mean": 10.0, "scale": 2.0}])
    cells, x = rows(50, 1)
    found = load(tmp_path / "net").predict(cells, PredictOptions(seed=0)).rows
    expected = net(x).numpy() * [80, 2] + [300, 10]
    given = [[row.deterministic["price"], row.deterministic["rent"]] for row in found]
    np.testing.assert_allclose(given, expected, rtol=1e-5)


def test_outputs_that_are_logarithms_become_values_and_noise_its_log_normal_law(
    tmp_path: Path,
) -> None:
    net, (cells, x) = network(1), rows(50, 1)
    target = {"name": "price", "log": True, "mean": 5.7, "scale": 0.3}
    output = np.exp(5.7 + 0.3 * net(x)[:, 0].double().numpy())
    example = [{"row": cells[0], "output": float(output[0])}]
    brought(tmp_path, net, target, examples=example)
    found = load(tmp_path / "net").predict(cells, PredictOptions(seed=0))
    assert [row.deterministic for row in found.rows] == pytest.approx(output, rel=1e-5)
    brought(tmp_path, net, target | {"noise_std": 0.2}, examples=example)
    noisy = load(tmp_path / "net").predict(cells, PredictOptions(seed=0)).rows
    assert [row.deterministic for row in noisy] == pytest.approx(output * np.exp(0.02), rel=1e-5)
    for with_noise, row in zip(noisy, found.rows, strict=True):
        square = row.mean**2 + row.variance * 99 / 100  # the mean square of 100 passes
        expected = (np.exp(0.04) - 1) * np.exp(0.04) * square
        assert with_noise.noise_variance == pytest.approx(expected, rel=1e-6)
    with pytest.raises(InputError, match="a target with classes has no log"):
        brought(tmp_path, net, DEAR | {"log": True})
    with pytest.raises(InputError, match="a scale differs"):
        brought(tmp_path, net, {**target, "log": False}, examples=example)


@pytest.mark.parametrize("end", [None, "sigmoid"])
def test_one_logit_is_the_probability_of_the_second_class(end: str | None, tmp_path: Path) -> None:
    net = network(1)
    layers = [*LAYERS, {"activation": end}] if end else LAYERS
    card = brought(tmp_path, net, DEAR, layers=layers)
    assert card.task == "binary"
    cells, x = rows(50, 1)
    found = load(tmp_path / "net").predict(cells).rows
    expected = net(x)[:, 0].sigmoid().numpy()
    np.testing.assert_allclose([row.deterministic["yes"] for row in found], expected, rtol=1e-5)


@pytest.mark.parametrize("end", [None, "softmax", "log_softmax"])
def test_a_softmax_at_the_end_is_the_one_that_is_there_anyway(
    end: str | None, tmp_path: Path
) -> None:
    net, classes = network(3), ["low", "middle", "high"]
    layers = [*LAYERS, {"activation": end}] if end else LAYERS
    card = brought(tmp_path, net, {"name": "worth", "classes": classes}, layers=layers)
    assert card.task == "multiclass"
    cells, x = rows(50, 1)
    found = load(tmp_path / "net").predict(cells).rows
    given = [list(row.deterministic.values()) for row in found]
    np.testing.assert_allclose(given, net(x).softmax(-1), rtol=1e-5)
    assert list(found[0].deterministic) == classes


def test_log_variances_after_the_means_are_the_noise_of_every_row(tmp_path: Path) -> None:
    net = network(2)
    brought(tmp_path, net, PRICE, noise="heteroscedastic", layers=[*LAYERS[:2], LAYERS[3]])
    cells, x = rows(50, 1)
    found = load(tmp_path / "net").predict(cells).rows
    expected = net(x)[:, 1].double().exp().numpy() * 80**2
    np.testing.assert_allclose([row.noise_variance for row in found], expected, rtol=1e-5)


def test_moments_agree_with_those_of_the_naive_loop(tmp_path: Path) -> None:
    net, loops = network(1), 4_000
    brought(tmp_path, net, PRICE)
    cells, x = rows(8, 1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        passes = torch.stack([net.train()(x)[:, 0] for _ in range(loops)]).double() * 80 + 300
    options = PredictOptions(passes=loops, seed=0, estimator="plain")
    for row, naive in zip(
        load(tmp_path / "net").predict(cells, options).rows, passes.T, strict=True
    ):
        error = math.hypot(row.mean_error, float(naive.std()) / math.sqrt(loops))
        assert abs(row.mean - float(naive.mean())) < 4 * error
        assert row.variance == pytest.approx(float(naive.var()), abs=4 * 1.5 * row.variance_error)


def test_what_is_not_known_is_said_and_nothing_is_warned_of_without_knowing(
    tmp_path: Path,
) -> None:
    card = brought(tmp_path, network(1), PRICE)
    assert not card.tuning.fitted
    assert card.metrics == {}
    (row,) = load(tmp_path / "net").predict([[100.0, 1e4, "east"]]).rows
    assert row.warnings == ("no_training_range", "no_calibration")
    assert row.noise_variance == 0
    (row,) = load(tmp_path / "net").predict([[201.0, 4.0, "east"]]).rows
    assert "outside_training_range:area" in row.warnings


@pytest.mark.parametrize(
    ("outputs", "target", "others", "said"),
    [
        (2, PRICE, {}, "target: the network has 2 outputs; 1 x 1 are needed (homoscedastic"),
        (1, PRICE, {"noise": "heteroscedastic"}, "1 outputs; 1 x 2 are needed (heteroscedastic"),
        (3, DEAR, {}, "target: the network has 3 outputs for 2 classes"),
        (1, PRICE, {"end": "softmax"}, "layers: 'softmax' at the end needs classes"),
        (2, DEAR, {"end": "sigmoid"}, "the network has 2 outputs for"),
        (1, DEAR, {"end": "softmax"}, "the network has 1 outputs for 2 classes"),
        (1, PRICE, {"end": "relu"}, "layers: the outputs must be those of a linear layer"),
        (1, PRICE, {"layers": [*LAYERS, {"dropout": 0.1}]}, "layers: a dropout of the outputs"),
        (1, PRICE, {"layers": LAYERS[:2]}, "layers: at least one hidden layer"),
        (1, PRICE, {"features": ["area"]}, "net.pt: '0.weight' has shape [16, 4], not [any, 1]"),
        (1, PRICE, {"features": ["a", "a", "b", "c"]}, "two features have the same name"),
        (1, PRICE, {"layers": LAYERS[:3]}, "layers: at least one hidden layer"),
    ],
)
def test_what_does_not_fit_together_is_refused(
    outputs: int, target: Any, others: dict[str, Any], said: str, tmp_path: Path
) -> None:
    end = others.pop("end", None)
    if end:
        others["layers"] = [*LAYERS, {"activation": end}]
    with pytest.raises((InputError, ArtifactError)) as caught:
        brought(tmp_path, network(outputs), target, **others)
    assert said in str(caught.value)
    assert not (tmp_path / "net").exists()


def examples(net: nn.Module, count: int = 2) -> list[dict[str, Any]]:
    """Rows, as arrays and as objects, and the price that the module itself gives."""
    cells, x = rows(count, 3)
    prices = (net(x)[:, 0].double() * 80 + 300).tolist()
    names = ("area", "rooms", "quarter")
    given = [row if at % 2 else dict(zip(names, row, strict=True)) for at, row in enumerate(cells)]
    return [{"row": row, "output": price} for row, price in zip(given, prices, strict=True)]


def test_examples_that_come_out_as_they_should_are_accepted(tmp_path: Path) -> None:
    net = network(1)
    brought(tmp_path, net, PRICE, examples=examples(net))
    yes = net(rows(1, 3)[1]).sigmoid().item()
    output = {"no": 1 - yes, "yes": yes}
    said = {"row": rows(1, 3)[0][0], "output": output}
    brought(tmp_path, net, DEAR, examples=[said], temperature=2.0)


def test_what_weights_do_not_tell_is_found_out_by_an_example(tmp_path: Path) -> None:
    """Another slope, another order of the categories, another scale: each a silent mistake."""
    net = network(1)
    steep = nn.Sequential(net[0], nn.LeakyReLU(0.2), net[2], net[3])
    layers = [LAYERS[0], {"activation": "leaky_relu"}, *LAYERS[2:]]
    turned = [{"name": "area", "mean": 100.0, "scale": 30.0}, {"name": "rooms", "mean": 4.5}]
    for module, others in (
        (steep, {"layers": layers}),
        (net, {"features": [*turned, {"name": "quarter", "categories": QUARTERS}]}),
        (net, {"features": [*turned, {"name": "quarter", "categories": QUARTERS[::-1]}]}),
    ):
        with pytest.raises(InputError, match=r"examples.0.output: the network gives \d"):
            brought(tmp_path, net, PRICE, examples=examples(module), **others)
    assert not (tmp_path / "net").exists()


@pytest.mark.parametrize(
    ("example", "said"),
    [
        ({"row": [1.0, 2.0], "output": 1}, "examples.0.row: the row has 2 values"),
        ({"row": [1.0, 2.0, "west"], "output": 1}, "examples.0.row: feature 'quarter' has the"),
        ({"row": [1.0, 2.0, "east"], "output": {"a": 1}}, "not {'a': 1.0}"),
        ({"row": [1.0, 2.0, "east"]}, "examples.0.output: Field required"),
        ({"row": 3, "output": 1}, "examples.0.row"),
    ],
)
def test_an_example_that_is_none_is_refused(
    example: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        brought(tmp_path, network(1), PRICE, examples=[example])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_network_with_norms_is_saved_and_served_with_the_reduced_estimator(
    tmp_path: Path,
) -> None:
    net = nn.Sequential(
        nn.Linear(4, 16), nn.LayerNorm(16), nn.ReLU(), nn.BatchNorm1d(16), nn.Dropout(0.2),
        nn.Linear(16, 1),
    )  # fmt: skip
    layers = [
        {"linear": "0"},
        {"layer_norm": "1"},
        {"activation": "relu"},
        {"batch_norm": "3"},
        {"dropout": 0.2},
        {"linear": "5"},
    ]
    card = brought(tmp_path, net.eval(), PRICE, layers=layers, examples=examples(net))
    assert (card.architecture.before[0].kind, card.architecture.after[0].kind) == (
        "layer",
        "affine",
    )
    calibrate(tmp_path / "net", table(1, noisy(25.0)))
    predictor = load(tmp_path / "net")
    answer = predictor.predict(rows(3, 1)[0])
    assert (answer.estimator, answer.note) == ("reduced", None)
    assert {row.warnings for row in answer.rows} == {()}
    plain = predictor.predict(rows(3, 1)[0], PredictOptions(estimator="plain", passes=4_000))
    for exact, sampled in zip(answer.rows, plain.rows, strict=True):
        assert exact.mean_error == 0  # one hidden layer: integrated
        assert exact.mean == pytest.approx(sampled.mean, abs=4 * sampled.mean_error)
        assert exact.variance == pytest.approx(sampled.variance, abs=4 * sampled.variance_error)
    content = json.loads((tmp_path / "net" / "card.json").read_text())
    for change in ([None, None], [{"kind": "batch"}], []):
        content["architecture"]["before"] = change
        (tmp_path / "net" / "card.json").write_text(json.dumps(content))
        with pytest.raises(ArtifactError):
            load(tmp_path / "net")


def test_a_folder_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net" / "thesis.tex").touch()
    with pytest.raises(ArtifactError, match="is not a model"):
        brought(tmp_path, network(1), PRICE)


def test_the_command_line_imports_shows_and_refuses_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    brought(tmp_path, network(1), PRICE)
    files = ["--architecture", f"{tmp_path}/net.json", "--weights", f"{tmp_path}/net.pt"]
    assert main(["import", *files, "--out", f"{tmp_path}/out", "--name", "flats"]) == 0
    printed = capsys.readouterr().out
    assert "flats (version " in printed
    assert "imported   from net.pt, described by net.json" in printed
    assert f"python -m model calibrate {tmp_path}/out DATA" in printed
    (tmp_path / "net.pt").write_bytes(b"not weights")
    assert main(["import", *files, "--out", f"{tmp_path}/out", "--force"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert load(tmp_path / "out").card.name == "flats"


def test_rows_that_an_imported_network_cannot_take_are_refused(tmp_path: Path) -> None:
    brought(tmp_path, network(1), PRICE)
    predictor = load(tmp_path / "net")
    with pytest.raises(InputError, match=r"too large beside the scale, 2\.3"):
        predictor.predict([[100.0, 1e300, "east"]])
    with pytest.raises(InputError, match="'west'; known: north, east"):
        predictor.predict([[100.0, 4.0, "west"]])
    (tmp_path / "rows.csv").write_text("area,rooms,quarter,price\n90,3,west,100\n" * 1)
    with pytest.raises(DataError, match="west"):
        calibrate(tmp_path / "net", _thirty(tmp_path / "rows.csv"))


def _thirty(path: Path) -> Table:
    header, line = path.read_text().splitlines()
    path.write_text("\n".join([header, *[line] * 30]) + "\n")
    return read_table(path)


def test_what_belongs_to_no_layer_is_ignored_by_the_file_the_command_or_the_caller(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net, target = network(1), {"name": "price"}
    more = {"loss_fn.weight": torch.ones(3), "train_acc.tp": torch.tensor(3)}
    brought(tmp_path, net, target, ignore=["loss_fn.*"])
    torch.save({"model": {**net.state_dict(), **more}}, tmp_path / "net.pt")
    arguments = ["import", "--architecture", str(tmp_path / "net.json"), "--weights"]
    arguments += [str(tmp_path / "net.pt"), "--force", "--out", str(tmp_path / "net")]
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert "takes 'train_acc.tp'; if the outputs do not" in said
    assert said.endswith("ignore them: --ignore 'train_acc.*'\n")
    assert main([*arguments, "--ignore", "train_acc.*", "--ignore", "val_acc.*"]) == 0
    said = "left out of the weights: loss_fn.weight, train_acc.tp"
    assert f"note       {said}" in capsys.readouterr().out
    files = (tmp_path / "net.json", tmp_path / "net.pt", tmp_path / "net")
    card = import_model(*files, ignore=["train_*"])
    assert card.training.notices == (said,)
    cells, x = rows(1, 0)
    (row,) = load(tmp_path / "net").predict(cells, PredictOptions(passes=2)).rows
    assert abs(row.deterministic - net(x).item()) < 1e-5
