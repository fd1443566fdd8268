"""Compare the predictions for a table with its actual targets."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from model.artifact import Card, TrainingRecord, table_of_model
from model.data import (
    NO_HASHES,
    Repeats,
    Table,
    Tabular,
    Target,
    encode_table,
    encode_target,
    kept,
    repeats,
    row_hashes,
    split_rows,
)
from model.errors import DataError, InputError
from model.evaluation.beside import Beside, Judged, beside
from model.evaluation.outcomes import ClassificationOutcome, Outcome, RegressionOutcome
from model.formulas import quantile, scores
from model.messages import listed
from model.options import SEED_LIMIT, PredictOptions, Resolved
from model.predictor import Predictor
from model.tasks import Columns, Prediction

DEFAULTS = PredictOptions(seed=1)
"""The seed is fixed, so that figures are reproducible. It is not 0, the seed of the calibration:
with that seed intervals may have their coverage even if they do not have it with other seeds."""
SEEDS = 5  # the number of seeds under which coverage is measured
OUTSIDE = "outside_training_range:"  # the prefix of such warnings

Part = Literal["test", "unseen", "all"]
"""Of the table that trained the model, its test rows; of another, the rows that the model has not
learned from, or all rows."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The result of `evaluate`: one outcome per target, and the options that reproduce it."""

    card: Card
    data: str
    data_sha256: str
    part: Part
    rows: int
    left_out: int  # rows that the model was trained or calibrated on
    row_numbers: np.ndarray  # [rows], where each row is in the table, from 1
    options: Resolved
    seeds: tuple[int, ...]  # for the coverage; all other figures use the first
    outcomes: tuple[Outcome, ...]
    baselines: tuple[Beside, ...]  # of each outcome
    notes: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The evaluation without its single rows, ready for JSON."""
        options = self.options
        return {
            "model": {"name": self.card.name, "version": self.card.version, "task": self.card.task},
            "data": {
                "name": self.data,
                "sha256": self.data_sha256,
                "part": self.part,
                "rows": self.rows,
                "left_out": self.left_out,
            },
            "options": {
                "passes": options.passes,
                "seed": options.seed,
                "seeds": list(self.seeds),
                "estimator": options.estimator,
                "masks": options.masks,
                "coverage": options.coverage,
                "largest_error": options.largest_error,
            },
            "notes": list(self.notes),
            "targets": {
                outcome.target: {
                    "unit": outcome.unit,
                    "metrics": outcome.metrics(),
                    "deterministic": outcome.deterministic_metrics(),
                    "baselines": {name: asdict(each) for name, each in beside.items()},
                    "classes": _by_class(outcome),
                    "curves": outcome.curves(),
                }
                for outcome, beside in zip(self.outcomes, self.baselines, strict=True)
            },
        }


def evaluate(
    predictor: Predictor,
    table: Table | Tabular,
    options: PredictOptions = DEFAULTS,
    *,
    seeds: int = SEEDS,
) -> Evaluation:
    """The predictions for a table that has the target, compared with the actual targets.

    The table may have any form that `read_table` takes. Rows that the model was trained or
    calibrated on are left out, in whatever order and file they come; of the table that trained the
    model, the test rows are left. The coverage of regions is measured under `seeds` seeds: the
    errors of rows in one request are correlated, and one seed does not show how much. Raises
    DataError naming file, row and column, or if no row is left.
    """
    options = predictor.resolved(options)
    card, target = predictor.card, predictor.card.target_of_rows
    table = table_of_model(card, table)
    x, y = encode_table(table, card.schema_of_rows), encode_target(table, target)
    found = _seen_rows(predictor, table, y)
    part, index = _part(card, table, found), np.flatnonzero(~found.again)
    try:
        predictions, densities = predictor.predict_with_density(x[index], y[index], options)
    except InputError as error:
        raise _placed(error, table, index) from error
    asked = tuple((predictions.seed + more) % SEED_LIMIT for more in range(seeds))
    others = [
        predictor.predict_encoded(x[index], replace(options, seed=seed)).rows for seed in asked[1:]
    ]
    shares = [_held(rows, y[index], target) for rows in (predictions.rows, *others)]
    outcomes = tuple(
        replace(_compared(outcome, card, options.coverage), held=tuple(s[at] for s in shares if s))
        for at, outcome in enumerate(_outcomes(predictions.rows, y[index], target, densities))
    )
    return Evaluation(
        card=card,
        data=table.name,
        data_sha256=table.sha256,
        part=part,
        rows=len(index),
        left_out=found.count,
        row_numbers=index + 1,
        options=replace(options, seed=predictions.seed),
        seeds=asked,
        outcomes=outcomes,
        baselines=beside(predictor, table, Judged(x, y, index), found, outcomes),
        notes=(*_row_notes(predictor, table, found, part), *_notes(card, outcomes[0])),
    )


def _by_class(outcome: Outcome) -> dict[str, Any]:
    """The figures of each class for JSON; empty for a regression."""
    if not isinstance(outcome, ClassificationOutcome):
        return {}
    each = (asdict(figures) for figures in outcome.by_class())
    return {figures.pop("name"): figures for figures in each}


def _held(rows: Columns[Prediction], actual: np.ndarray, target: Target) -> list[float]:
    """The share of rows whose region holds the truth, for each target; empty without regions."""
    if target.classes:
        sets = _label_sets(rows)
        return [] if sets is None else [scores.set_coverage(sets, actual)]
    truth, region = target.decoded(actual), rows.columns["interval"]
    lower, upper = (region.columns[end] for end in ("lower", "upper"))  # [B, T]
    return [
        scores.interval_coverage(lower[:, at], upper[:, at], truth[:, at])
        for at in range(len(target.names))
    ]


def _seen_rows(predictor: Predictor, table: Table, y: np.ndarray) -> Repeats:
    """The rows that the model was trained or calibrated on; raises DataError if all rows are."""
    card, seen = predictor.card, predictor.seen
    if seen is None:
        return _seen_by_file(card, table, y)
    made = card.calibration
    known = {card.training.data_sha256, made.data_sha256 if made else ""} - {""}
    hashes = row_hashes(table, card.schema_of_rows, card.target_of_rows)
    found = repeats(hashes, seen.all, same_table=table.sha256 in known)
    if found.again.all():
        raise DataError(
            f"all {table.row_count} rows of {table.name} are rows that {card.name} was trained or "
            "calibrated on; evaluate it on other rows"
        )
    return found


def _seen_by_file(card: Card, table: Table, y: np.ndarray) -> Repeats:
    """The same for an artifact without hashes: all but the test rows of the file of training."""
    record, again = card.training, np.zeros(table.row_count, dtype=bool)
    same = table.sha256 == record.data_sha256
    if same and isinstance(record, TrainingRecord) and record.split == "seed":
        strata = y if card.target.classes else None
        test = split_rows(table.row_count, record.seed, strata=strata).test
        if len(test) == record.rows.get("test"):
            again = ~np.isin(np.arange(table.row_count), test)
    return Repeats(again)


def _part(card: Card, table: Table, found: Repeats) -> Part:
    if not found.count:
        return "all"
    return "test" if table.sha256 == card.training.data_sha256 else "unseen"


def _placed(error: InputError, table: Table, index: np.ndarray) -> DataError:
    """The error of a row that overflowed, with its row and line in the table."""
    detail = error.details[0]
    row = int(index[int(detail.field.removeprefix("rows."))])
    line = "" if table.lines is None else f" (line {table.lines[row]})"
    return DataError(f"{table.name}, row {row + 1}{line}: {detail.message}")


def _outcomes(
    rows: Columns[Prediction], actual: np.ndarray, target: Target, densities: np.ndarray
) -> tuple[Outcome, ...]:
    """One outcome per target, from the predictions and the encoded actual targets."""
    if target.classes:
        return (_classification(rows, actual, target),)
    truth = target.decoded(actual)
    return tuple(
        _regression(rows, truth[:, at], target, at, float(densities[:, at].mean()))
        for at in range(len(target.names))
    )


def _outside(rows: Columns[Prediction]) -> np.ndarray:
    """Whether each row has a feature outside its training range, bool [B]."""
    warnings = rows.columns["warnings"]
    return np.array([any(code.startswith(OUTSIDE) for code in codes) for codes in warnings])


def _classification(
    rows: Columns[Prediction], actual: np.ndarray, target: Target
) -> ClassificationOutcome:
    columns = rows.columns
    return ClassificationOutcome(
        target=target.names[0],
        unit=None,
        classes=target.classes,
        actual=actual,
        probabilities=columns["mean"],
        deterministic=columns["deterministic"],
        predictive_entropy=columns["predictive_entropy"],
        mutual_information=columns["mutual_information"],
        label_sets=_label_sets(rows),
        outside=_outside(rows),
        accept=columns.get("accept"),
    )


def _label_sets(rows: Columns[Prediction]) -> np.ndarray | None:
    """The classes in each row's label set, bool [B, K]; None if there are no label sets."""
    sets = rows.columns.get("label_set")
    if sets is None:
        return None
    labels = sets.columns["labels"]  # [B, K], -1 is no class
    found = np.zeros((len(labels), labels.shape[1] + 1), dtype=bool)
    np.put_along_axis(found, labels, True, axis=-1)
    return found[:, :-1]


def _regression(
    rows: Columns[Prediction],
    actual: np.ndarray,
    target: Target,
    at: int,
    log_likelihood: float,
) -> RegressionOutcome:
    """The outcome of target number `at`, with its values `actual` [B]."""
    columns, interval = rows.columns, rows.columns["interval"].columns
    return RegressionOutcome(
        target=target.names[at],
        unit=target.units[at],
        actual=actual,
        mean=columns["mean"][:, at],
        std=np.sqrt(columns["total_variance"][:, at]),
        epistemic_std=columns["std"][:, at],
        lower=interval["lower"][:, at],
        upper=interval["upper"][:, at],
        coverage=float(interval["coverage"][0]),
        method=interval["method"][0],
        log_likelihood=log_likelihood,
        deterministic=columns["deterministic"][:, at],
        outside=_outside(rows),
        accept=columns.get("accept"),
        by_log=target.names[at] in target.logs,
    )


def _compared(outcome: Outcome, card: Card, coverage: float) -> Outcome:
    """A regression's outcome with intervals of other kinds, if the card has their scores."""
    _, calibration = card.fitted
    if calibration is None or not isinstance(outcome, RegressionOutcome):
        return outcome
    std = float(card.target_of_rows.stds[card.target.names.index(outcome.target)])
    reaches = {
        kind: quantile(parts[outcome.target], coverage)
        for kind, parts in calibration.comparisons.items()
    }
    off = reaches.get("deterministic")
    return replace(
        outcome,
        epistemic_reach=reaches.get("epistemic"),
        deterministic_reach=None if off is None else off * std,
    )


def _row_notes(predictor: Predictor, table: Table, found: Repeats, part: Part) -> Iterator[str]:
    """Which rows were left out, or should have been."""
    training, rows = predictor.card.training, table.row_count
    if part == "unseen":
        yield f"left out {found.count} of {rows} rows: the model was trained or calibrated on them"
    if found.natural:
        yield kept(found.natural, rows)
    if part == "all" and table.sha256 == training.data_sha256:
        yield "the model was trained on these rows, so the figures are too good"
    elif predictor.seen is None and isinstance(training, TrainingRecord):
        yield NO_HASHES


def _notes(card: Card, outcome: Outcome) -> Iterator[str]:
    """Other reasons why the figures may mislead."""
    if isinstance(outcome, RegressionOutcome) and not card.tuning.noise_scales:
        yield (
            "the model does not know the noise in the target: the std is that across the passes "
            "alone, and intervals made of it hold less than they claim"
        )
    if isinstance(outcome, ClassificationOutcome):
        missing = [each.name for each in outcome.by_class() if not each.rows]
        if missing:
            yield f"no row is {listed(missing)}: the recall is not known"
    beyond = int(outcome.outside.sum())
    if beyond:
        yield f"{beyond} of {len(outcome.outside)} rows have a feature outside its training range"
