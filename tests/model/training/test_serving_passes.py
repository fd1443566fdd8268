"""A request without options gets those on the card; options of the request come first."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import Card, PredictOptions, Predictor, Resolved, TrainOptions, load, train
from model.artifact.folder import read
from model.artifact.records import ServingRecord
from model.commands.describe import describe
from model.data.table import Table
from model.passes.network import MLP
from model.tasks.task import TASKS
from model.training.calibrate import calibrated, rescaled_variances
from model.training.serving_passes import LARGEST_SHARE, enough_passes
from tests.model.answers import HOUSE

OWN = ServingRecord(passes=7, estimator="plain", masks="per_row")
ROWS = 600


def wave(rows: int, seed: int, *, noise: float) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    x, z = random.uniform(-2, 2, (2, rows))
    return {"x": x, "z": z, "y": np.sin(2 * x) + z + noise * random.normal(size=rows)}


@pytest.fixture(scope="module")
def noiseless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Hardly any noise and hardly any training: the passes dominate."""
    folder = tmp_path_factory.mktemp("wave") / "noiseless"
    options = TrainOptions(
        members=1, number_encoding="raw", hidden=(32, 32), dropout=(0.3,), epochs=60
    )
    train(Table("wave", wave(900, 0, noise=0.0), "0" * 64), "y", folder, options=options)
    return folder


def with_serving(folder: Path, serving: ServingRecord) -> Predictor:
    card, network, similarity, _ = read(folder)
    return Predictor(card.model_copy(update={"serving": serving}), network, similarity)


def test_the_models_own_defaults_are_taken_where_the_options_name_none(artifact: Path) -> None:
    predictor = with_serving(artifact, OWN)
    answer = predictor.predict([HOUSE], PredictOptions(seed=1))
    assert (answer.passes, answer.estimator, answer.masks) == (7, "plain", "per_row")
    assert answer.note is None
    answer = predictor.predict([HOUSE], PredictOptions(seed=1, passes=9, masks="shared"))
    assert (answer.passes, answer.estimator, answer.masks) == (9, "plain", "shared")


def test_resolved_options_name_everything_and_stay_as_they_are(artifact: Path) -> None:
    predictor = with_serving(artifact, OWN)
    found = predictor.resolved(PredictOptions(seed=3, coverage=0.7, tolerance=0.1))
    assert found == Resolved(7, 3, 0.7, "plain", "per_row", 0.1)
    assert predictor.resolved(found) is found
    other = load(artifact)
    assert other.resolved(PredictOptions()).passes == other.card.serving.passes
    assert other.resolved(found) == found


def test_a_card_without_the_entry_is_served_as_before(artifact: Path) -> None:
    card = load(artifact).card
    content = card.model_copy(update={"serving": ServingRecord()}).model_dump(mode="json")
    del content["serving"], content["tuning"]["variance_factors"], content["calibration"]["masks"]
    old = Card.model_validate_json(json.dumps(content))
    assert old.serving == ServingRecord()
    assert old.tuning.variance_factors == ()
    assert old.calibration is not None
    assert old.calibration.masks == "shared"


@pytest.mark.parametrize(
    ("share", "passes", "masks"),
    [
        (0.0, 100, "shared"),
        (LARGEST_SHARE, 100, "shared"),
        (LARGEST_SHARE * 1.5, 200, "shared"),
        (0.16, 1_000, "shared"),
        (0.34, 1_000, "per_row"),
        (1.0, 1_000, "per_row"),
    ],
)
def test_the_larger_the_means_error_the_more_passes_and_at_last_masks_for_every_row(
    share: float, passes: int, masks: str
) -> None:
    before = ServingRecord(passes=500, estimator="plain", plain_because="so")
    found = enough_passes(before, share, passes=100)
    assert (found.passes, found.masks) == (passes, masks)
    assert bool(found.reason) is (passes > 100)
    assert (found.estimator, found.plain_because) == ("plain", "so")


def test_training_says_that_a_model_needs_more_passes_and_calibrates_with_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.training.serving_passes.LARGEST_SHARE", 1e-9)
    options = TrainOptions(members=1, number_encoding="raw", hidden=(8, 8), epochs=5)
    card = train(
        Table("wave", wave(200, 0, noise=0.1), "0" * 64), "y", tmp_path / "a", options=options
    )
    made, own = card.calibration, card.serving
    assert made is not None
    assert (made.passes, made.masks) == (own.passes, "per_row") == (1_000, "per_row")
    assert own.masks == "per_row"
    assert own.reason in card.training.notices
    assert "served with 1000 passes, with masks of its own for every row" in describe(card)
    x = inputs(wave(5, 1, noise=0.0))
    answer = load(tmp_path / "a").predict(x)
    assert (answer.passes, answer.masks) == (1_000, "per_row")
    assert not any(row.warnings for row in answer.rows)
    fewer = load(tmp_path / "a").predict(x, PredictOptions(passes=50))
    assert all("calibrated_with:reduced:1000" in row.warnings for row in fewer.rows)


def test_a_card_in_words_says_that_controls_are_left_out(artifact: Path) -> None:
    card = load(artifact).card
    without = card.model_copy(update={"serving": ServingRecord(controls=False)})
    assert "control variates gain too little and are left out" in describe(without)
    assert "controls" not in describe(card.model_copy(update={"serving": ServingRecord()}))


@pytest.mark.parametrize("masks", ["shared", "per_row"])
def test_the_mask_scope_changes_no_rows_distribution_and_gives_no_warning(
    masks: str, noiseless: Path
) -> None:
    x = wave(5, 1, noise=0.0)
    options = PredictOptions(masks=masks)  # type: ignore[arg-type]
    answer = load(noiseless).predict(inputs(x), options)
    assert answer.masks == masks
    assert not any(row.warnings for row in answer.rows)


def test_the_share_is_the_means_variance_in_the_squared_error(noiseless: Path) -> None:
    """Ten times the passes have a tenth of it; what is known without passes has none."""
    predictor = load(noiseless)
    x = wave(ROWS, 2, noise=0.0)
    shares = []
    for passes in (100, 1_000):
        rows = predictor.predict(
            inputs(x),
            PredictOptions(passes=passes, seed=5, estimator="plain", masks="per_row"),
        ).rows
        task = TASKS[predictor.card.task](predictor.card.target_of_rows, *predictor.card.fitted)
        actual = standardised(predictor.card, x)
        shares.append(task.error_share(rows, actual))
        exact = replace(
            rows, columns={**rows.columns, "mean_error": 0 * rows.columns["mean_error"]}
        )
        assert task.error_share(exact, actual) == 0
    assert shares[0] / shares[1] == pytest.approx(10, rel=0.3)


def test_intervals_hold_under_every_seed_what_they_claim_where_the_passes_dominate(
    noiseless: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores of rows that share masks are not those of a row under a fresh seed.

    The targets are what very many passes say, and a little noise: a hundred leave an error that is
    half as large.
    """
    for name in ("PAYS", "NO_WORSE"):  # the plain one needs more passes
        monkeypatch.setattr(f"model.training.estimator_choice.{name}", 1e9)
    card, network, *_ = read(noiseless)
    x = load(noiseless).encode(inputs(wave(ROWS + 1_000, 3, noise=0.0)))
    many = PredictOptions(passes=4_000, seed=9, estimator="reduced")
    columns = load(noiseless).predict_encoded(x, many).rows.columns
    noise = 0.32 * columns["std"][:, 0] * np.random.default_rng(4).normal(size=len(x))
    price = columns["mean"][:, 0] + noise
    y = (price[:, None] - card.target.means[0]) / card.target.scales[0]
    card = with_regions(card, network, x[:ROWS], y[:ROWS])
    assert 400 <= card.serving.passes <= 900
    predictor, shares, actual = Predictor(card, network), [], price[ROWS:]
    for seed in range(100, 112):
        rows = predictor.predict_encoded(x[ROWS:], PredictOptions(seed=seed)).rows
        lower, upper = (rows.columns["interval"].columns[end][:, 0] for end in ENDS)
        shares.append(float(np.mean((lower <= actual) & (actual <= upper))))
    std = math.sqrt(0.09 * (1 / (ROWS + 2) + 1 / 1_000))  # of the draw of the rows
    assert np.mean(shares) == pytest.approx(0.9, abs=3.5 * std)
    assert max(abs(share - np.mean(shares)) for share in shares) < 0.03


ENDS = ("lower", "upper")


def with_regions(card: Card, network: MLP, x: np.ndarray, y: np.ndarray) -> Card:
    found = calibrated(card, network, Table("t", {}, "1" * 64), x, y)
    return card.model_copy(update={"serving": found.serving, "calibration": found.calibration})


def inputs(columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.stack([columns["x"], columns["z"]], axis=1)


def standardised(card: Card, columns: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray((columns["y"][:, None] - card.target.means[0]) / card.target.scales[0])


def test_a_factor_from_the_calibration_rows_moves_no_interval_and_no_row_of_the_order(
    noiseless: Path,
) -> None:
    card, network, *_ = read(noiseless)
    columns = wave(ROWS, 3, noise=0.3)
    x, y = load(noiseless).encode(inputs(columns)), standardised(card, columns)
    tuning = rescaled_variances(card, network, x, y)
    fitted = card.model_copy(update={"tuning": tuning})
    assert fitted.tuning.noise_scales[0] != pytest.approx(card.tuning.noise_scales[0], rel=0.01)
    bounds, totals = [], []
    for each in (card, fitted):
        made = with_regions(each, network, x, y)
        found = Predictor(made, network).predict_encoded(x, PredictOptions(seed=7)).rows.columns
        bounds.append([found["interval"].columns[end] for end in ENDS])
        totals.append(np.array(found["total_variance"]))
    np.testing.assert_allclose(bounds[1], bounds[0], rtol=1e-9)
    ratio = fitted.tuning.noise_scales[0] / card.tuning.noise_scales[0]
    np.testing.assert_allclose(totals[1], totals[0] * ratio, rtol=1e-9)
