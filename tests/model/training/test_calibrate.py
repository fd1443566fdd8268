"""What held-out rows fit is used once; each category is calibrated by itself, where asked."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from model import (
    ArtifactError,
    CalibrationError,
    InputError,
    PredictOptions,
    TrainOptions,
    calibrate,
    load,
    train,
)
from model.artifact.card import Card
from model.artifact.folder import CARD, read
from model.commands import main
from model.data.table import Table
from model.training.calibrate import with_noise_powers

FAST = TrainOptions(
    members=1,
    number_encoding="raw",
    hidden=(24,),
    noise="homoscedastic",
    epochs=30,
    patience=30,
    batch=64,
)
PLACES = ("calm", "wild")


def places(rows: int, seed: int, *, wild: float = 0.5) -> dict[str, np.ndarray]:
    """A line whose noise is ten times larger in one place, and a class that is harder there."""
    random = np.random.default_rng(seed)
    at = (random.random(rows) < wild).astype(int)
    x, noise = random.uniform(-2, 2, rows), random.normal(size=rows)
    y = x + noise * np.where(at == 1, 1.0, 0.1)
    return {
        "x": x,
        "place": np.array(PLACES, dtype=object)[at],
        "y": y,
        "sign": np.where(y > 0, "plus", "minus").astype(object),
    }


def table(columns: dict[str, np.ndarray], name: str = "fresh") -> Table:
    return Table(name, columns, name.ljust(64, "0"))


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A regression and a classifier, trained on rows of both places."""
    folder = tmp_path_factory.mktemp("places")
    data = table(places(1_000, 0), "trained")
    train(data, "y", folder / "y", drop=["sign"], options=FAST)
    train(data, "sign", folder / "sign", drop=["y"], options=FAST)
    return {name: folder / name for name in ("y", "sign")}


def rows_of(columns: dict[str, np.ndarray]) -> list[list[object]]:
    return [list(row) for row in zip(columns["x"].tolist(), columns["place"], strict=True)]


def held(folder: Path, fresh: dict[str, np.ndarray]) -> tuple[dict[str, float], set[str]]:
    """The share of regions that hold the truth, by place, and their methods."""
    inside, methods = [], set()
    for row, y, sign in zip(
        load(folder).predict(rows_of(fresh), PredictOptions(seed=0)).rows,
        fresh["y"],
        fresh["sign"],
        strict=True,
    ):
        region = getattr(row, "interval", None) or row.label_set
        truth = region.lower <= y <= region.upper if hasattr(region, "lower") else None
        inside.append(sign in region.labels if truth is None else truth)
        methods.add(region.method)
    shares = {place: float(np.mean(np.array(inside)[fresh["place"] == place])) for place in PLACES}
    return shares, methods


def test_each_group_of_a_regression_holds_what_all_together_did_not(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    data, fresh = table(places(1_000, 1)), places(4_000, 2)
    calibrate(folders["y"], data, out=tmp_path / "together")
    card = calibrate(folders["y"], data, out=tmp_path / "apart", by="place")
    assert card.calibration is not None
    shares, methods = held(tmp_path / "together", fresh)
    assert methods == {"conformal"}
    assert shares["calm"] > 0.97
    assert shares["wild"] < 0.87
    shares, methods = held(tmp_path / "apart", fresh)
    assert methods == {"conformal:place"}
    sizes = {place: len(scores) for place, scores in card.calibration.groups["y"].items()}
    assert sum(sizes.values()) == card.calibration.rows == 1_000
    for place, n in sizes.items():
        std = math.sqrt(0.09 * (1 / (n + 2) + 1 / np.sum(fresh["place"] == place)))
        assert shares[place] == pytest.approx(0.9, abs=3.5 * std)


def test_each_group_of_a_classifier_holds_what_all_together_did_not(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    data, fresh = table(places(1_000, 1)), places(4_000, 2)
    calibrate(folders["sign"], data, out=tmp_path / "together")
    calibrate(folders["sign"], data, out=tmp_path / "apart", by="place")
    before, methods = held(tmp_path / "together", fresh)
    assert methods == {"lac"}
    shares, methods = held(tmp_path / "apart", fresh)
    assert methods == {"lac:place"}
    assert before["wild"] < 0.87 < shares["wild"]
    assert min(shares.values()) > 0.9 - 3.5 * math.sqrt(0.09 * (1 / 450 + 1 / 1_900))


def test_a_coverage_that_one_group_cannot_promise_names_it_and_the_number_needed(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    calibrate(folders["y"], table(places(600, 1, wild=0.05)), out=tmp_path / "apart", by="place")
    predictor, options = load(tmp_path / "apart"), PredictOptions(coverage=0.99)
    predictor.predict([[0.0, "calm"]], options)
    with pytest.raises(CalibrationError, match=r"place: group 'wild': .* needs 99 .* there are \d"):
        predictor.predict([[0.0, "calm"], [0.0, "wild"]], options)


def test_a_group_with_too_few_rows_is_refused_when_calibrating(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    with pytest.raises(CalibrationError, match=r"place 'wild': there are \d .* at least 9 are"):
        calibrate(folders["y"], table(places(100, 1, wild=0.03)), out=tmp_path / "a", by="place")
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize("name", ["x", "y", "district"])
def test_groups_are_those_of_a_categorical_feature(
    name: str, folders: dict[str, Path], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    said = f"by: {name!r} is no categorical feature; those are place"
    data = table(places(100, 1))
    with pytest.raises(InputError, match=said):
        calibrate(folders["y"], data, out=tmp_path / "a", by=name)
    with pytest.raises(InputError, match=said):
        train(data, "y", tmp_path / "a", drop=["sign"], options=FAST, calibrate_by=name)
    lines = "\n".join(f"{x},{p},{y}" for x, p, y, _ in zip(*data.columns.values(), strict=True))
    (tmp_path / "rows.csv").write_text(f"x,place,y\n{lines}\n")
    paths = [str(folders["y"]), str(tmp_path / "rows.csv"), "--out", str(tmp_path / "out")]
    assert main(["calibrate", *paths, "--by", name]) == 2
    assert capsys.readouterr().err == f"error: --{said}\n"
    assert main(["calibrate", *paths, "--by", "place"]) == 0
    assert "each place by itself" in capsys.readouterr().out


def test_training_calibrates_by_groups_or_over_all_rows_and_notes_it(tmp_path: Path) -> None:
    few, many = table(places(300, 3, wild=0.1)), table(places(600, 3))
    options = TrainOptions(members=1, number_encoding="raw", hidden=(4,), epochs=1)
    card = train(many, "y", tmp_path / "a", drop=["sign"], options=options, calibrate_by="place")
    assert card.calibration is not None
    assert card.calibration.by == "place"
    card = train(few, "y", tmp_path / "b", drop=["sign"], options=options, calibrate_by="place")
    assert card.calibration is not None
    assert card.calibration.by is None
    assert any("not calibrated by place" in notice for notice in card.training.notices)


def test_a_card_whose_groups_are_no_categories_of_a_feature_is_refused(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    calibrate(folders["y"], table(places(300, 1)), out=tmp_path / "a", by="place")
    for place, other in (('"by":"place"', '"by":"x"'), ('"groups":{"y":', '"groups":{"z":')):
        content = Card.model_validate_json((tmp_path / "a" / CARD).read_text()).model_dump_json()
        assert place in content
        with pytest.raises(ValidationError, match="groups"):
            Card.model_validate_json(content.replace(place, other))


def test_groups_that_do_not_add_up_are_refused(folders: dict[str, Path], tmp_path: Path) -> None:
    calibrate(folders["y"], table(places(300, 1)), out=tmp_path / "a", by="place")
    content = (tmp_path / "a" / CARD).read_text()
    card = Card.model_validate_json(content)
    assert card.calibration is not None
    calm = card.calibration.groups["y"]["calm"]
    for scores in (calm[:-1], calm[::-1]):
        groups = {"y": {**card.calibration.groups["y"], "calm": scores}}
        entry = card.calibration.model_copy(update={"groups": groups})
        bad = card.model_copy(update={"calibration": entry})
        (tmp_path / "a" / CARD).write_text(bad.model_dump_json())
        with pytest.raises(ArtifactError, match="'y' must"):
            read(tmp_path / "a")


def test_noise_powers_multiply_the_log_variances_and_leave_the_means(
    two_target_artifact: Path,
) -> None:
    card, networks, *_ = read(two_target_artifact)
    (network,) = networks
    assert len(card.tuning.noise_powers) == 2
    x = torch.randn(9, network.config.inputs, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        before = network(x)
        (changed,) = with_noise_powers(networks, (0.5, 2.0))
        after = changed(x)
        assert after[:, :2].tolist() == before[:, :2].tolist()
        assert after[:, 2:] == pytest.approx(before[:, 2:] * torch.tensor([0.5, 2.0]), rel=1e-4)
        assert torch.equal(network(x), before)
