"""Turn a table into an artifact: split, fit, measure on held-out rows and save."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np

from model.artifact import Artifact, Card, check_destination, checked_name, save
from model.data import (
    Schema,
    Split,
    Table,
    Tabular,
    Target,
    choose_features,
    choose_target,
    encode_table,
    encode_target,
    find_columns,
    fit_schema,
    fit_target,
    option,
    read_table,
    share_rare_classes,
    split_rows,
)
from model.errors import CalibrationError, DataError
from model.formulas import rows_needed
from model.messages import listed
from model.options import PredictOptions
from model.tasks import TASKS, Columns, Prediction, TaskName
from model.training.beside import beside_baselines
from model.training.calibrate import (
    calibrated,
    fit_novelty,
    held_out_predictions,
    refit_temperature,
    rescaled_variances,
    share_log_loss,
    split_tuning_rows,
)
from model.training.draft import Draft
from model.training.fit import Epoch, refit
from model.training.grouping import Grouping
from model.training.plan import TrainOptions
from model.training.prepared import Prepared
from model.training.selection import phases, selected

MOST_CODES = 512  # columns of codes up to which an encoding is chosen unasked
BELOW_ZERO = 0.1  # the least share of intervals that begin below 0 of which a notice is given
CORRECTING_ROWS = 200  # with at least so many calibration rows, a quarter corrects a temperature


def train(
    table: Table | Tabular,
    targets: str | Sequence[str],
    folder: str | Path,
    *,
    name: str | None = None,
    task: str = "auto",
    missing: str = "error",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    log_target: bool | str | Sequence[str] = False,
    options: TrainOptions | None = None,
    split: Split | None = None,
    calibrate_by: str | None = None,
    by_class: bool = False,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Card:
    """The card of a model trained on a table and saved in `folder`, with its held-out metrics.

    The table may have any form that `read_table` takes. The seed, or `split`, divides its rows into
    disjoint training, validation, calibration and test parts. Validation rows choose the dropout
    rate if a rate is searched for, decide when to stop, and fit the noise or the temperature. With
    `options.refit` the weights then learn from them too, and CORRECTING_ROWS calibration rows or
    more give a quarter to a classifier's temperature. Each category of `calibrate_by` has its own
    calibration, or with `by_class` each class, if all have enough rows.

    A missing cell is an error, or with `missing` "impute" it becomes the median or the most
    frequent text; "drop" leaves its row out; both leave out rows without a target. Columns that
    only tell rows apart are left out, unless `keep` has them. With `log_target` the network learns
    the logarithms of all targets, or of those named, which must be above 0; predictions are about
    the targets themselves. Raises DataError for a table or split, InputError for an option, and
    ArtifactError for a folder that cannot be used.
    """
    check_destination(folder := Path(folder).absolute())
    artifact = trained(
        table,
        targets,
        name=checked_name(name or folder.name),
        task=task,
        missing=missing,
        drop=drop,
        keep=keep,
        log_target=log_target,
        options=options,
        split=split,
        calibrate_by=calibrate_by,
        by_class=by_class,
        progress=progress,
    )
    return save(folder, artifact)


def trained(
    table: Table | Tabular,
    targets: str | Sequence[str],
    *,
    name: str,
    task: str = "auto",
    missing: str = "error",
    drop: Sequence[str] = (),
    keep: Sequence[str] = (),
    log_target: bool | str | Sequence[str] = False,
    options: TrainOptions | None = None,
    split: Split | None = None,
    calibrate_by: str | None = None,
    by_class: bool = False,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Artifact:
    """The artifact that `train` saves, without saving it; raises DataError and InputError."""
    options = options or TrainOptions()
    table, drop = _read(table, targets, drop, keep)
    targets = find_columns(targets, list(table.columns), table=table.name)
    columns = _Columns(targets, tuple(drop), tuple(keep), _logs(table, targets, log_target))
    data = _prepare(table, columns, task=task, missing=missing, options=options, split=split)
    plan = options.plan(data.untuned(options.noise), len(data.split.train))
    grouping = Grouping(calibrate_by, by_class).checked(data.schema, data.target)
    draft = _refitted(selected(data, plan, name, progress), progress)
    draft = _measured(_calibrated(draft, grouping))
    seen, kept = data.split.seen(refit=plan.refit), data.split.calibration
    plain = draft.data.schema.plain(draft.data.x)
    similarity = fit_novelty(plain[seen], plain[kept], seed=plan.seed)
    return Artifact(draft.card, draft.networks, similarity, draft.seen)


def _read(
    table: Table | Tabular, targets: str | Sequence[str], drop: Sequence[str], keep: Sequence[str]
) -> tuple[Table, Sequence[str]]:
    """The table, and the columns that are still to drop: none of those that were never read."""
    if isinstance(table, Table):
        return table, drop
    learned = [*keep, *([targets] if isinstance(targets, str) else targets)]
    return read_table(table, drop=drop, keep=learned), ()


@dataclass(frozen=True, slots=True)
class _Columns:
    """The columns that a caller names: the targets, and those to leave out or to learn from.

    `logs` are the targets that are learned by their logarithms.
    """

    targets: tuple[str, ...]
    drop: tuple[str, ...]
    keep: tuple[str, ...]
    logs: tuple[str, ...]


def _logs(
    table: Table, targets: tuple[str, ...], log_target: bool | str | Sequence[str]
) -> tuple[str, ...]:
    """The targets to learn by their logarithms; raises DataError for a name that is no target."""
    if isinstance(log_target, bool):
        return targets if log_target else ()
    logs = find_columns(log_target, list(table.columns), table=table.name)
    other = [name for name in logs if name not in targets]
    if other:
        raise DataError(f"log_target: {listed(other)} is no target; those are {listed(targets)}")
    return tuple(name for name in targets if name in logs)


def _complete(
    table: Table, needed: Sequence[str], split: Split | None, *, why: str
) -> tuple[Table, Split | None]:
    """The table and the split without the rows in which one of the needed columns has no value."""
    kept = table.complete_rows(needed)
    count = table.row_count - len(kept)
    if not count:
        return table, split
    notice = f"left out {count} of {table.row_count} rows, which have {why}"
    table = replace(table.rows(kept), notices=(*table.notices, notice))
    return table, None if split is None else split.among(kept)


def _prepare(
    table: Table,
    columns: _Columns,
    *,
    task: str,
    missing: str,
    options: TrainOptions,
    split: Split | None,
) -> Prepared:
    targets, logs = columns.targets, columns.logs
    features, left = choose_features(table, targets, drop=columns.drop, keep=columns.keep)
    if missing == "drop":
        table, split = _complete(table, [*targets, *features], split, why="a missing value")
    elif missing == "impute":
        table, split = _complete(table, targets, split, why="no target")
    task_name = choose_target(table, targets, task=task, logs=logs)
    chosen = split or _random_split(table, targets, task_name, options.seed)
    chosen.check(table.row_count)
    seen = chosen.seen(refit=options.refit)
    target = fit_target(table, targets, task_name, seen, logs=logs)
    _check_scales(table, target)
    schema, notices = _schema(table, features, seen, missing, options)
    return Prepared(
        table=table,
        task=task_name,
        target=target,
        schema=schema,
        notices=(*table.notices, *left, *notices),
        split=chosen,
        split_by="given" if split else "seed",
        x=encode_table(table, schema),
        y=encode_target(table, target),
        missing=missing,
    )


def _schema(
    table: Table, names: Sequence[str], rows: np.ndarray, missing: str, options: TrainOptions
) -> tuple[Schema, tuple[str, ...]]:
    """The schema, with codes unless they are not wanted, or are too many to choose unasked."""
    coded = options.number_encoding != "raw"
    schema, notices = fit_schema(table, names, rows, missing=missing, codes=coded)
    if options.number_encoding == "auto" and schema.code_columns.sum() > MOST_CODES:
        return schema.without_codes, notices
    return schema, notices


def _random_split(table: Table, targets: Sequence[str], task: TaskName, seed: int) -> Split:
    everything = fit_target(table, targets, task, np.arange(table.row_count))
    if not everything.classes:
        return split_rows(table.row_count, seed)
    strata = encode_target(table, everything)
    return share_rare_classes(split_rows(table.row_count, seed, strata=strata), strata, seed)


def _check_scales(table: Table, target: Target) -> None:
    if target.classes:
        return
    for name, std in zip(target.names, target.stds.tolist(), strict=True):
        if not 1e-100 <= std <= 1e100:
            message = f"the standard deviation {std:g} is too extreme to square; use another unit"
            raise DataError(f"{table.name}, column {name!r}: {message}")


def _refitted(draft: Draft, progress: Callable[[Epoch], None]) -> Draft:
    """The draft with weights fitted on training and validation rows together.

    The noise or temperature stays as validation rows fitted it before. Those rows cannot fit it
    again, because the weights have now learned from them. More rows make the errors smaller, so the
    fitted noise is too large until calibration rows correct it: see `_corrected`.
    """
    if not draft.plan.refit or draft.fitted.interrupted:
        return draft
    data = draft.data
    task = TASKS[data.task](data.target, *draft.card.fitted)
    rows = data.subset(data.split.seen(refit=True))
    told = phases(data, draft.plan, progress)("final training")
    draft = replace(draft, fitted=refit(task, rows, draft.fitted, draft.plan, told))
    if draft.fitted.refitted:
        return draft
    return draft.noted("training again with the validation rows failed or was interrupted")


def _calibrated(draft: Draft, grouping: Grouping) -> Draft:
    """The draft with the scores of the calibration rows; without scores if they are too few.

    `_corrected` may take some of the rows first. If a group has too few rows, all rows are
    calibrated together.
    """
    data, count = draft.data, len(draft.data.split.calibration)
    if count < rows_needed(PredictOptions().coverage):
        return draft.noted(f"{count} calibration rows are too few: regions promise no coverage")
    draft, rows = _corrected(draft, grouping)
    rest = draft.networks, data.table, data.x[rows], data.y[rows]
    try:
        found = calibrated(draft.card, *rest, grouping=grouping)
    except CalibrationError as error:
        if not grouping:
            raise
        draft = draft.noted(f"not calibrated {grouping}, but over all rows: {error}")
        found = calibrated(draft.card, *rest)
    record = found.calibration.model_copy(update={"tuning_rows": count - len(rows)})
    draft = replace(draft, serving=found.serving, calibration=record)
    return draft.noted(found.serving.reason) if found.serving.reason else draft


def _corrected(draft: Draft, grouping: Grouping) -> tuple[Draft, np.ndarray]:
    """The draft with its tuning corrected for refitted weights, and the rows that calibrate.

    A regression corrects with all calibration rows, which then calibrate too. A classifier corrects
    with a quarter of them, which do not calibrate.
    """
    data, rows = draft.data, draft.data.split.calibration
    if not draft.fitted.refitted:
        return draft, rows
    if not data.untuned(draft.tuning.noise).retunes:
        tuning = rescaled_variances(draft.card, draft.networks, data.x[rows], data.y[rows])
        return replace(draft, tuning=tuning, correcting=rows), rows
    if len(rows) < CORRECTING_ROWS:
        return draft, rows
    classes = data.y[rows] if grouping.classes else None
    parts = split_tuning_rows(len(rows), classes=classes)
    first, others = (rows[part] for part in parts)
    tuning = refit_temperature(draft.card, draft.networks, data.x[first], data.y[first])
    return replace(draft, tuning=tuning, correcting=first), others


def _measured(draft: Draft) -> Draft:
    """The draft with its metrics on the test rows, if there are any.

    A notice names classes without a test row. Another says so if the shares of the classes alone
    have a lower log loss than the model, and another which targets' logarithms to learn.
    """
    data, rows = draft.data, draft.data.split.test
    if not len(rows):
        return draft
    card, y = draft.card, data.y[rows]
    predictions = held_out_predictions(card, draft.networks, data.x[rows])
    task = TASKS[data.task](data.target, *card.fitted)
    metrics, recall = task.metrics(predictions, y), task.recall(predictions, y)
    beside = beside_baselines(data, predictions.columns["mean"], refit=draft.plan.refit)
    draft = replace(draft, metrics=metrics, recall=recall, baselines=beside)
    if not data.target.classes:
        return reduce(Draft.noted, _below_zero(data, predictions), draft)
    if unknown := [name for name in data.target.classes if name not in recall]:
        draft = draft.noted(f"no test row is {listed(unknown)}: its recall is not known")
    seen = data.y[data.split.seen(refit=draft.plan.refit)]
    shares = share_log_loss(seen, y, len(data.target.classes))
    if metrics["log_loss"] <= shares:
        return draft
    return draft.noted(
        f"worse than no model: the log loss of the test rows is {metrics['log_loss']:.3f}, and "
        f"{shares:.3f} where each class is given its share of the training rows"
    )


def _below_zero(data: Prepared, predictions: Columns[Prediction]) -> Iterator[str]:
    """A notice for each target that is always above 0, and whose intervals often are not."""
    lower = predictions.columns["interval"].columns["lower"]  # [B, T]
    below, least = (lower < 0).mean(0), data.target.decoded(data.y).min(0)
    for at, name in enumerate(data.target.names):
        if below[at] >= BELOW_ZERO and least[at] > 0:
            yield (
                f"every {name} is above 0, but {below[at]:.0%} of its intervals for test rows "
                f"begin below 0: {option(log_target=name)} learns its logarithm"
            )
