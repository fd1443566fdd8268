"""A model of several members: trained or imported, saved, loaded, and what its answers say."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model import (
    InputError,
    LandscapeOptions,
    ModelError,
    PredictOptions,
    Table,
    TrainOptions,
    calibrate,
    explain,
    import_model,
    landscape,
    load,
    sweep,
    train,
)
from model.artifact import read
from model.commands import main
from tests.model.answers import HOUSES, close
from tests.model.importing.networks import PRICE, brought, network, rows
from tests.model.importing.networks import table as fresh

OPTIONS = TrainOptions(
    number_encoding="raw", members=3, hidden=(16, 8), dropout=(0.1, 0.1), epochs=40
)


@pytest.fixture(scope="module")
def folders(houses: Table, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Models of three members, by target."""
    folder, targets = tmp_path_factory.mktemp("members"), {"price": ["price"], "worth": ["worth"]}
    targets["both"] = ["price", "rent"]
    for name, chosen in targets.items():
        drop = sorted({"price", "rent", "dear", "worth"} - set(chosen))
        train(houses, chosen, folder / name, drop=drop, options=OPTIONS)
    return {name: folder / name for name in targets}


@pytest.mark.parametrize("name", ["price", "both", "worth"])
def test_the_variance_between_members_is_a_part_of_the_variance(
    folders: dict[str, Path], name: str
) -> None:
    predictor = load(folders[name])
    assert predictor.card.architecture.members == 3
    found = predictor.predict(HOUSES, PredictOptions(passes=300, seed=1)).rows.columns
    part, whole = found["member_variance"], found["variance"]
    assert (part >= 0).all()
    assert (part > 0).any()
    assert (part <= whole * (1 + 1e-9)).all()
    assert (found["member_variance_error"] > 0).all()


@pytest.mark.parametrize("name", ["price", "both"])
def test_the_part_between_members_has_its_factor_in_the_total_variance_and_the_density(
    folders: dict[str, Path], name: str
) -> None:
    predictor = load(folders[name])
    tuning, target = predictor.card.tuning, predictor.card.target_of_rows
    rows = predictor.predict(HOUSES, PredictOptions(passes=300, seed=1)).rows.columns
    part, whole, noise = (rows[f"{kind}variance"] for kind in ("member_", "", "noise_"))
    within, between = np.array(tuning.variance_factors), np.array(tuning.member_factors)
    expected = within * (whole - part) + between * part + noise
    assert rows["total_variance"] == pytest.approx(expected, rel=1e-6)
    assert not np.allclose(within, between, rtol=0.1)
    x, options = predictor.encode(HOUSES), PredictOptions(passes=300, seed=1, estimator="plain")
    plain = predictor.predict(HOUSES, options).rows.columns
    angle, step = np.linspace(-14, 14, 4_001, retstep=True)
    z = np.sinh(angle)  # as far as Student's tails matter
    for at in range(2):
        actual = np.repeat(z[:, None], len(target.names), axis=1)
        many = np.repeat(x[at : at + 1], len(z), axis=0)
        density = np.exp(predictor.predict_with_density(many, actual, options)[1])
        weight = density * np.cosh(angle[:, None]) * step * target.stds  # in the target's unit
        assert weight.sum(0) == pytest.approx(np.ones(len(target.names)), rel=1e-3)
        centre = (weight * actual).sum(0)
        found = (weight * np.square(actual - centre)).sum(0) * np.square(target.stds)
        assert found == pytest.approx(plain["total_variance"][at], rel=0.02)


def test_the_factor_says_how_much_larger_errors_are_than_the_members_disagreement(
    tmp_path: Path,
) -> None:
    nets = imported(tmp_path, 3)

    def factor(times: float) -> float:
        """Of rows whose targets are off by so many stds between the members."""

        def price(x: torch.Tensor, random: np.random.Generator) -> dict[str, Any]:
            said = np.stack([net(x)[:, 0].detach().numpy() for net in nets])
            off = times * said.std(0) * random.normal(size=len(x))
            return {"price": 80 * (said.mean(0) + off) + 300}

        card = calibrate(tmp_path / "net", fresh(3, price), out=tmp_path / f"{times}")
        (found,) = card.tuning.member_factors
        return found

    few, some, many = factor(0.3), factor(1), factor(3)
    assert few < some < many
    assert few < 1 < many


def test_a_single_network_tells_no_variance_between_members(regression_artifact: Path) -> None:
    predictor = load(regression_artifact)
    assert predictor.card.tuning.member_factors == ()
    assert "member_variance" not in predictor.predict(HOUSES).rows.columns
    assert "members" not in predictor.card.model_dump(exclude_defaults=True)["architecture"]


@pytest.mark.parametrize("name", ["price", "both", "worth"])
def test_the_deterministic_value_is_the_average_of_the_members(
    folders: dict[str, Path], name: str
) -> None:
    predictor = load(folders[name])
    x = torch.from_numpy(predictor.encode(HOUSES))
    outputs = torch.stack([module(x) for module in predictor.modules()]).detach()  # [M, B, O]
    target, tuning = predictor.card.target, predictor.card.tuning
    if name == "worth":
        expected = (outputs / tuning.temperature).softmax(-1).mean(0)
    else:
        count = len(target.names)
        scale, mean = torch.tensor(target.scales), torch.tensor(target.means)
        expected = outputs[..., :count].mean(0) * scale + mean
    found = predictor.predict(HOUSES, PredictOptions(passes=6)).rows.columns["deterministic"]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize("name", ["price", "worth"])
def test_the_same_seed_gives_the_same_numbers_for_a_row_alone(
    folders: dict[str, Path], name: str
) -> None:
    predictor = load(folders[name])
    options = PredictOptions(seed=7, tolerance=0.05, passes=2_000)
    together, again = (predictor.predict(HOUSES, options).rows for _ in range(2))
    assert together == again
    for at, row in enumerate(HOUSES):
        assert close(predictor.predict([row], options).rows[0], together[at])


@pytest.mark.parametrize("estimator", ["plain", "reduced"])
def test_fewer_passes_than_two_for_each_member_are_refused(
    folders: dict[str, Path], estimator: Any
) -> None:
    predictor = load(folders["price"])
    said = "passes: a model of 3 members needs 6 at least, not 5"
    with pytest.raises(InputError, match=said):
        predictor.predict(HOUSES, PredictOptions(passes=5, estimator=estimator))
    found = predictor.predict(HOUSES, PredictOptions(passes=6, estimator=estimator)).rows
    assert found.not_finite() is None


def test_samples_are_those_of_the_members_in_turn(folders: dict[str, Path]) -> None:
    """With dropout off in the modules, sample k is near the value of member k mod 3."""
    predictor = load(folders["price"])
    options = PredictOptions(passes=300, seed=3, samples=True, estimator="plain")
    (samples,) = predictor.predict(HOUSES[:1], options).rows.columns["samples"]
    assert samples.shape == (300, 1)
    (found,) = predictor.predict(HOUSES[:1], options).rows
    means = [samples[member::3].mean() for member in range(3)]
    assert found.mean == pytest.approx(np.mean(means), rel=1e-6)
    within = np.mean([samples[member::3].var(ddof=1) for member in range(3)])
    between = np.var(means) - (1 - 1 / 3) * within / 100
    assert found.variance == pytest.approx(within + between, rel=1e-5)


def test_a_module_of_several_members_is_asked_for_by_modules(folders: dict[str, Path]) -> None:
    predictor = load(folders["price"])
    assert len(predictor.modules()) == 3
    with pytest.raises(InputError, match=r"3 members; use modules\(\)"):
        predictor.module()


def test_the_weights_of_each_member_are_in_the_artifact(folders: dict[str, Path]) -> None:
    networks = read(folders["price"]).networks
    first, second, _ = networks
    assert not torch.equal(first.linears()[0].weight, second.linears()[0].weight)
    assert not any(part.requires_grad for part in networks.parameters())


def test_show_says_how_many_members_there_are(
    folders: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["show", str(folders["price"])]) == 0
    shown = capsys.readouterr().out
    assert "network    3 members of 16-8 relu" in shown
    (total,) = [line for line in shown.split("\n") if line.startswith("  total ")]
    factors = (
        r"[\d.]+ x variance within members \+ [\d.]+ x member variance \+ [\d.]+ x the network"
    )
    assert re.search(factors, total)


@pytest.mark.parametrize("members", [0, -1, 65])
def test_a_number_of_members_out_of_its_domain_is_refused(members: int) -> None:
    with pytest.raises(InputError, match=f"members: from 1 to 64, not {members}"):
        TrainOptions(number_encoding="raw", members=members)


@pytest.mark.parametrize("name", ["price", "worth"])
def test_the_choice_of_the_member_is_a_source_of_the_variance_beside_the_layers(
    folders: dict[str, Path], name: str
) -> None:
    predictor = load(folders[name])
    found = explain(predictor, HOUSES[0], passes=9_000, seed=1)
    assert [layer.layer for layer in found.layers] == ["member", "hidden 1", "hidden 2"]
    options = PredictOptions(passes=30_000, seed=2, estimator="plain")
    (row,) = predictor.predict(HOUSES[:1], options).rows
    parts = row.member_variance, row.variance, row.member_variance_error
    between, whole, error = (part[found.of] if isinstance(part, dict) else part for part in parts)
    alone = found.layers[0].alone
    assert abs(alone.value - between) < 4 * np.hypot(alone.error, error)
    assert sum(layer.variance.value for layer in found.layers) == pytest.approx(
        found.variance.value
    )
    assert abs(found.variance.value - whole) < 4 * found.variance.error + 0.05 * whole


@pytest.mark.parametrize("lines", [1, 3, 50])
def test_the_lines_of_a_sweep_are_passes_of_the_members_in_turn(
    folders: dict[str, Path], lines: int
) -> None:
    predictor, options = load(folders["price"]), PredictOptions(passes=60, seed=5)
    found = sweep(predictor, HOUSES[0], "area", points=4, lines=lines, options=options)
    drawn = replace(options, samples=True, estimator="plain")
    rows = [{**HOUSES[0], "area": area} for area in found.axis.values]
    samples = predictor.predict(rows, drawn).rows.columns["samples"]
    expected = np.stack([row[:lines, 0] for row in samples], axis=1)
    np.testing.assert_allclose(np.array(found.lines), expected, rtol=1e-5)


def test_a_landscape_is_that_of_the_first_member_and_says_so(
    folders: dict[str, Path], houses: Table
) -> None:
    found = landscape(load(folders["price"]), houses, LandscapeOptions(points=5, masks=2, rows=20))
    assert "member 1 of 3" in found.loss


def imported(folder: Path, count: int) -> list[torch.nn.Module]:
    """The networks of an imported ensemble, folder / "net"."""
    nets = [network(1) for _ in range(count)]
    for number, net in enumerate(nets):
        for part in net.parameters():
            part.data = part.data * (1 + 0.1 * number)
        torch.save(net.state_dict(), folder / f"net{number}.pt")
    brought(folder, nets[0], PRICE)
    files = [folder / f"net{number}.pt" for number in range(count)]
    import_model(folder / "net.json", files, folder / "net")
    return nets


def test_several_state_dicts_become_the_members_of_one_model(tmp_path: Path) -> None:
    nets = imported(tmp_path, 4)
    predictor = load(tmp_path / "net")
    assert predictor.card.architecture.members == 4
    assert [name for name, _ in predictor.card.training.further] == [  # type: ignore[union-attr]
        "net1.pt",
        "net2.pt",
        "net3.pt",
    ]
    cells, x = rows(20, 1)
    outputs = np.array([net(x)[:, 0].detach().numpy() * 80 + 300 for net in nets])
    found = predictor.predict(cells, PredictOptions(passes=4_000, seed=0)).rows.columns
    np.testing.assert_allclose(found["deterministic"][:, 0], outputs.mean(0), rtol=1e-4)


def test_an_imported_ensemble_is_calibrated_like_any_model(tmp_path: Path) -> None:
    nets = imported(tmp_path, 2)

    def price(x: torch.Tensor, random: np.random.Generator) -> dict[str, Any]:
        mean = np.mean([net(x)[:, 0].detach().numpy() for net in nets], 0)
        return {"price": mean * 80 + 300 + 10 * random.normal(size=len(x))}

    calibrate(tmp_path / "net", fresh(3, price))
    cells, x = rows(300, 5)
    actual = price(x, np.random.default_rng(9))["price"]
    interval = (
        load(tmp_path / "net").predict(cells, PredictOptions(seed=2)).rows.columns["interval"]
    )
    inside = (interval.columns["lower"][:, 0] <= actual) & (
        actual <= interval.columns["upper"][:, 0]
    )
    assert 0.84 < inside.mean() < 0.96


def test_members_of_other_widths_are_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    imported(tmp_path, 2)
    state = torch.load(tmp_path / "net1.pt")
    wide = {name: part.repeat_interleave(2, 0) for name, part in state.items()}
    torch.save(wide, tmp_path / "net1.pt")
    files = [tmp_path / "net0.pt", tmp_path / "net1.pt"]
    with pytest.raises(ModelError, match=r"net1\.pt"):
        import_model(tmp_path / "net.json", files, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_the_command_takes_one_file_for_each_member(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    imported(tmp_path, 2)
    weights = [f"--weights={tmp_path / name}" for name in ("net0.pt", "net1.pt")]
    out = str(tmp_path / "out")
    assert main(["import", f"--architecture={tmp_path / 'net.json'}", *weights, "--out", out]) == 0
    assert "2 members" in capsys.readouterr().out
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card["architecture"]["members"] == 2
