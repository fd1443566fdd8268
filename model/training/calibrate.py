"""Fit noise or temperature, regions and metrics on rows that the weights have not seen.

Shapes: B rows, D inputs, O targets.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch

from model.artifact import (
    Artifact,
    CalibrationRecord,
    Card,
    ServingRecord,
    TuningRecord,
    calibration_record,
    read,
    save,
    table_of_model,
)
from model.calibration import MOST_INPUTS, Calibration, Similarity, novelty
from model.data import Table, Tabular, encode_table, encode_target, spread
from model.errors import CalibrationError
from model.formulas import by_group, rows_needed, sorted_scores
from model.messages import listed
from model.options import PredictOptions
from model.passes import Ensemble
from model.predictor import Predictor
from model.tasks import TASKS, Columns, Prediction
from model.training.estimator_choice import try_estimators
from model.training.grouping import TOGETHER, Grouping, class_rows
from model.training.serving_passes import enough_passes
from model.training.trained_rows import trained_rows

PASSES, SEED = 100, 0  # of the passes that fit on held-out rows; every row has its own masks
TRIAL_SEED = 2  # the first seed of the passes that measure allowances
TEST_SEED = 1  # of the metrics: SEED would hide how coverage differs between seeds
TUNING_ROWS = 10, 2_000  # the least and the most rows that tune, between which a quarter does


def calibrate(
    folder: str | Path,
    table: Table | Tabular,
    *,
    out: str | Path | None = None,
    by: str | None = None,
    by_class: bool = False,
) -> Card:
    """The card of a model calibrated anew on the rows of a table, without training it again.

    The table may have any form that `read_table` takes. The model is saved in its folder, or in
    `out`. The rows must be like those to predict later. Rows that the model was trained on are left
    out, and the card says how many; a table that has mostly such rows is refused. If no rows have
    fitted the noise or the temperature yet, as in an imported model, a quarter of the rows fits it
    and does not calibrate. Training ranges that are not known become the ranges of the rows. With
    `by` each category of that feature has its own calibration, with `by_class` each class. Raises
    DataError, InputError for a `by` that is no categorical feature, ArtifactError, and
    CalibrationError for too few rows.
    """
    card, networks, known, seen = read(folder)
    grouping = Grouping(by, by_class).checked(card.schema_of_rows, card.target_of_rows)
    table = table_of_model(card, table)
    trained = trained_rows(card, seen, table)
    rows = np.flatnonzero(~trained.again)
    _check_enough(card, table, trained.again)
    x = encode_table(table, card.schema_of_rows)
    y = encode_target(table, card.target_of_rows)
    card, first = _with_ranges(card, table), rows[:0]
    if not card.tuning.fitted:
        classes = y[rows] if by_class else None
        first, rows = (rows[part] for part in split_tuning_rows(len(rows), classes=classes))
        tuning = fit_tuning(card, networks, x[first], y[first])
        card = card.model_copy(update={"tuning": tuning})
        networks = with_noise_powers(networks, tuning.noise_powers)
    found = calibrated(card, networks, table, x[rows], y[rows], grouping=grouping)
    notices = (*trained.notices, *found.calibration.notices)
    record = found.calibration.model_copy(update={"tuning_rows": len(first), "notices": notices})
    card = card.model_copy(update={"serving": found.serving, "calibration": record})
    plain = card.schema_of_rows.plain(x[~trained.again])
    similarity = _novelty_anew(known, plain)
    return save(out or folder, Artifact(card, networks, similarity, trained.seen(first, rows)))


def _check_enough(card: Card, table: Table, trained: np.ndarray) -> None:
    """Raise CalibrationError if too few rows calibrate."""
    needed = rows_needed(PredictOptions().coverage) + (0 if card.tuning.fitted else TUNING_ROWS[0])
    rows = int((~trained).sum())
    if rows < needed:
        other = " that the model was not trained on" if trained.any() else ""
        raise CalibrationError(f"{table.name} has {rows} rows{other}; at least {needed} are needed")


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The parts of a card that calibration rows add."""

    serving: ServingRecord
    calibration: CalibrationRecord


def fit_tuning(card: Card, networks: Ensemble, x: np.ndarray, y: np.ndarray) -> TuningRecord:
    """The noise or the temperature that fits rows x [B, D] and their targets y.

    The noise scales are right for the networks that `with_noise_powers` returns.
    """
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    values = Predictor(card, networks).values(x, passes=PASSES, seed=SEED, masks="per_row")
    return TuningRecord(**asdict(task.tuned(values, y, len(networks))))


def refit_temperature(card: Card, networks: Ensemble, x: np.ndarray, y: np.ndarray) -> TuningRecord:
    """The tuning with the temperature corrected by rows x [B, D] and their targets y.

    The networks have learned from the rows that tuned it. The rows x serve nothing else.
    """
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    values = Predictor(card, networks).values(x, passes=PASSES, seed=SEED, masks="per_row")
    return TuningRecord(**asdict(task.retuned(values, y)))


def rescaled_variances(
    card: Card, networks: Ensemble, x: np.ndarray, y: np.ndarray
) -> TuningRecord:
    """The tuning with its variances rescaled by calibration rows x [B, D], after a refit.

    One factor multiplies all variances of a target. It changes neither the order of the rows nor
    their intervals, so the same rows may calibrate too.
    """
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    options = PredictOptions(passes=PASSES, seed=SEED, masks="per_row")
    rows = Predictor(_uncalibrated(card), networks).predict_encoded(x, options).rows
    return TuningRecord(**asdict(task.rescaled(rows, y)))


def log_densities(card: Card, networks: Ensemble, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Log density [B] of the targets y of rows x [B, D], or log probability of the classes."""
    values = Predictor(card, networks).values(x, passes=PASSES, seed=SEED, masks="per_row")
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    return np.asarray(task.log_density(values, y, len(networks)).sum(-1))


def with_noise_powers(networks: Ensemble, powers: Sequence[float]) -> Ensemble:
    """A copy of networks from training, with the noise powers multiplied into their last layers."""
    networks = deepcopy(networks)
    for network in networks:
        head = network.linears()[-1]
        factors = torch.tensor([1.0] * (head.out_features - len(powers)) + list(powers))
        with torch.no_grad():
            head.weight.mul_(factors[:, None])
            head.bias.mul_(factors)
    return networks


def calibrated(
    card: Card,
    networks: Ensemble,
    table: Table,
    x: np.ndarray,
    y: np.ndarray,
    *,
    grouping: Grouping = TOGETHER,
) -> Calibrated:
    """How to serve a model, and the scores of encoded rows x [B, D] and their targets y.

    Each row is scored under its own masks, as a new row under a new seed is, with the estimator and
    the passes that the model is then served with. `enough_passes` may raise the passes. There are
    scores of each group of the `grouping` too. Raises CalibrationError naming a group with too few
    rows for a region of the default coverage.
    """
    groups = grouping.of_rows(card, x, y)
    task = TASKS[card.task](card.target_of_rows, *card.fitted)
    trial = try_estimators(_uncalibrated(card), networks, x, seed=TRIAL_SEED)
    card = card.model_copy(update={"serving": trial.serving})
    predictor = Predictor(_uncalibrated(card), networks)
    made = predictor.predict_encoded(x, PredictOptions(passes=PASSES, seed=SEED, masks="per_row"))
    serving = enough_passes(trial.serving, task.error_share(made.rows, y), passes=PASSES)
    if serving.passes != PASSES:
        options = PredictOptions(passes=serving.passes, seed=SEED, masks="per_row")
        made = predictor.predict_encoded(x, options)
    rows = made.rows
    scores = task.scores(rows, y)
    calibration = Calibration(
        serving.passes,
        made.estimator,
        {name: sorted_scores(column) for name, column in scores.items()},
        task.abstention(rows, y),
        grouping.feature,
        grouping.classes,
        {name: by_group(column, groups) for name, column in scores.items()} if grouping else {},
        {
            kind: {name: sorted_scores(column) for name, column in parts.items()}
            for kind, parts in task.comparisons(rows, y).items()
        },
        trial.allowances,
        sorted_scores(task.spreads(rows)),
    )
    record = calibration_record(calibration, table)
    return Calibrated(serving, record.model_copy(update=class_rows(card, y)))


def _uncalibrated(card: Card) -> Card:
    return card.model_copy(update={"calibration": None})


def fit_novelty(training: np.ndarray, calibration: np.ndarray, *, seed: int) -> Similarity | None:
    """The distance to training rows [R, N], with p-values from calibration rows [n, N].

    Both have the plain columns. None without calibration rows, or with more than MOST_INPUTS of
    those columns.
    """
    if not len(calibration) or training.shape[1] > MOST_INPUTS:
        return None
    return novelty.fit(training, calibration, seed=seed)


def split_tuning_rows(
    rows: int, *, classes: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of the rows that tune, and of the other rows, which calibrate; both random.

    With `classes` [rows], both have about the same share of each class, and at least one row of
    each class calibrates.
    """
    random = np.random.default_rng(SEED)
    order = random.permutation(rows) if classes is None else spread(classes, random)[::-1]
    least, most = TUNING_ROWS
    first = min(max(rows // 4, least), most)
    return np.sort(order[:first]), np.sort(order[first:])


def _with_ranges(card: Card, table: Table) -> Card:
    """The card with the ranges of the table's rows for features without a training range."""
    unknown = [f for f in card.features if f.kind == "numeric" and f.range is None]
    if not unknown:
        return card
    ranges = {f.name: _range(table.column(f.name)) for f in unknown}
    features = tuple(
        f.model_copy(update={"range": ranges[f.name]}) if f.name in ranges else f
        for f in card.features
    )
    notice = f"the ranges of {listed(list(ranges))} are those of {table.name}"
    notices = (*card.training.notices, notice)
    record = card.training.model_copy(update={"notices": notices})
    return card.model_copy(update={"features": features, "training": record})


def _range(column: np.ndarray) -> tuple[float, float] | None:
    """The smallest and the largest number of a column; None if the column has none."""
    present = column[~np.isnan(column)]
    return (float(present.min()), float(present.max())) if len(present) else None


def held_out_predictions(card: Card, networks: Ensemble, x: np.ndarray) -> Columns[Prediction]:
    """The predictions for rows x [B, D] that serve nothing else.

    The model predicts as it is served, under another seed than calibration's.
    """
    return Predictor(card, networks).predict_encoded(x, PredictOptions(seed=TEST_SEED)).rows


def share_log_loss(seen: np.ndarray, actual: np.ndarray, classes: int) -> float:
    """Log loss in nats of classes [B] whose probability is their share of the classes `seen`."""
    counts = 1 + np.bincount(seen, minlength=classes)  # no class has probability 0
    return float(-np.log(counts / counts.sum())[actual].mean())


def _novelty_anew(known: Similarity | None, x: np.ndarray) -> Similarity | None:
    """The distance with p-values from rows x [B, N].

    If the model has no reference rows, half of x becomes them, and the other half calibrates.
    """
    if known is not None:
        return known.calibrated(x)
    order, half = np.random.default_rng(SEED).permutation(len(x)), len(x) // 2
    return fit_novelty(x[order[:half]], x[order[half:]], seed=SEED) if half else None
