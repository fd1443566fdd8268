"""From a table to an artifact: split, fit, measure on held-out rows, save."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from model.artifact import (
    Architecture,
    Artifact,
    Card,
    TrainingRecord,
    TuningEntry,
    check_destination,
    checked_name,
    feature_entries,
    save,
    target_entry,
)
from model.data import (
    Split,
    Table,
    Target,
    choose_target,
    encode_table,
    encode_target,
    fit_schema,
    fit_target,
    split_rows,
)
from model.errors import CalibrationError, DataError
from model.formulas import rows_needed
from model.options import PredictOptions
from model.passes import MLP
from model.tasks import TASKS, TaskName
from model.training.calibrate import (
    calibrated,
    compared,
    log_densities,
    measured,
    parted,
    rescaled,
    retuned,
    shares_loss,
    tempered,
    tuned,
)
from model.training.concrete_dropout import learn_rates
from model.training.fit import LEARN, SEARCH, Epoch, Fit, TrainOptions, fit, refit
from model.training.prepared import Prepared
from model.training.rate_search import best_rate, is_likelier, next_rate

MANY_ROWS = 200  # of calibration: a quarter of them may correct the tuning
FEW_ROWS = 30  # of validation: they mistake labels learned by heart for better ones, and it is dear
Settings = dict[str, bool | int | float | str]


def train(
    table: Table,
    targets: str | Sequence[str],
    folder: str | Path,
    *,
    name: str | None = None,
    task: str = "auto",
    missing: str = "error",
    drop: Sequence[str] = (),
    options: TrainOptions | None = None,
    split: Split | None = None,
    calibrate_by: str | None = None,
    progress: Callable[[Epoch], None] = lambda _: None,
) -> Card:
    """The card of a model trained on a table and saved in `folder`, with its held-out metrics.

    Rows are split by the seed, or as `split` says, into disjoint training, validation, calibration
    and test parts. Validation rows choose the dropout rate where it is searched for, say when to
    stop and how large the noise is, or the temperature; then, with `options.refit`, the weights
    learn from them too. Of many calibration rows a quarter corrects a classifier's temperature for
    that. The others and the test rows serve their one purpose. With `calibrate_by` the
    regions of each category of that feature are calibrated by themselves, where all have rows
    enough. Raises DataError for a table or a split that cannot be used, InputError for an option
    out of its domain, ArtifactError for a folder that holds something else.
    """
    options = options or TrainOptions()
    folder = Path(folder).absolute()
    name = checked_name(name or folder.name)
    check_destination(folder)
    targets = [targets] if isinstance(targets, str) else targets
    data = _prepare(
        table, targets, task=task, missing=missing, drop=drop, options=options, split=split
    )
    options = options.completed(data.untuned(options.noise), len(data.split.train))
    if calibrate_by is not None:
        data.schema.categorical(calibrate_by)  # raises InputError for what is no such feature
    find = _searched if options.dropout == SEARCH else _fitted
    fitted, card, options = _decayed(data, *find(data, options, name, progress), options, progress)
    fitted, card = _refitted(data, fitted, card, options, progress)
    network = tempered(card, fitted.network)
    card, rows = _calibrated(data, network, card, calibrate_by), data.split.test
    metrics = measured(card, network, data.x[rows], data.y[rows]) if len(rows) else {}
    seen, kept = data.split.seen(refit=options.refit), data.split.calibration
    similarity = compared(data.x[seen], data.x[kept], seed=options.seed)
    card = _judged(data, card.model_copy(update={"metrics": metrics}), seen)
    return save(folder, Artifact(card, network, similarity))


def _prepare(
    table: Table,
    targets: Sequence[str],
    *,
    task: str,
    missing: str,
    drop: Sequence[str],
    options: TrainOptions,
    split: Split | None,
) -> Prepared:
    task_name = choose_target(table, targets, task=task)
    chosen = split or _random_split(table, targets, task_name, options.seed)
    chosen.check(table.rows)
    seen = chosen.seen(refit=options.refit)
    target = fit_target(table, targets, task_name, seen)
    _check_scales(table, target)
    for name in drop:
        table.column(name)  # raises DataError for a name that is not there
    features = [name for name in table.columns if name not in {*targets, *drop}]
    schema, notices = fit_schema(table, features, seen, missing=missing)
    return Prepared(
        table=table,
        task=task_name,
        target=target,
        schema=schema,
        notices=notices,
        split=chosen,
        split_by="given" if split else "seed",
        x=encode_table(table, schema),
        y=encode_target(table, target),
    )


def _random_split(table: Table, targets: Sequence[str], task: TaskName, seed: int) -> Split:
    everything = fit_target(table, targets, task, np.arange(table.rows))
    strata = encode_target(table, everything) if everything.classes else None
    return split_rows(table.rows, seed, strata=strata)


def _searched(
    data: Prepared, options: TrainOptions, name: str, progress: Callable[[Epoch], None]
) -> tuple[Fit, Card]:
    """The fit at the dropout rate under which validation rows are likeliest, and its card.

    Ctrl-C keeps the best of the rates that have been tried; at the first one what there is of it.
    """
    found, tried, stopped = dict[float, tuple[Fit, Card]](), dict[float, np.ndarray](), False
    while not stopped and (rate := next_rate(tried)) is not None:
        fitted, card = _fitted(data, options, name, _told(progress, rate=rate), rate)
        stopped = fitted.interrupted
        if not (stopped and found):
            found[rate] = fitted, card
            tried[rate] = _validated(data, fitted, card)
    fitted, card = found[best_rate(tried)]
    if stopped and not fitted.interrupted:
        card = _noted(card, "the search for a dropout rate was interrupted")
    searched = {f"{rate:g}": round(float(rows.mean()), 4) for rate, rows in sorted(tried.items())}
    card = _recorded(card, searched=searched)
    return replace(fitted, interrupted=stopped), card


def _told(progress: Callable[[Epoch], None], **tried: float) -> Callable[[Epoch], None]:
    """The progress with what is tried in every epoch."""
    return lambda epoch: progress(replace(epoch, **tried))  # type: ignore[arg-type]


def _fitted(
    data: Prepared,
    options: TrainOptions,
    name: str,
    progress: Callable[[Epoch], None],
    rate: float | None = None,
) -> tuple[Fit, Card]:
    """The fit on training rows, and its card with what validation rows say of the noise.

    At the dropout rate that is given, or else as the options say.
    """
    at_rate = options if rate is None else replace(options, dropout=(rate,))
    fitted = _fit(data, at_rate, progress)
    card, rows = _card(data, fitted, options, name), data.split.validation
    return fitted, tuned(card, fitted.network, data.x[rows], data.y[rows])


def _fit(data: Prepared, options: TrainOptions, progress: Callable[[Epoch], None]) -> Fit:
    task = data.untuned(options.noise)
    training, validation = data.rows(data.split.train), data.rows(data.split.validation)
    config = options.config(inputs=data.schema.width, outputs=task.outputs)
    if options.dropout == LEARN:
        config = learn_rates(task, training, validation, config, options, progress)
    return fit(task, training, validation, config, options, progress)


def _decayed(
    data: Prepared,
    fitted: Fit,
    card: Card,
    options: TrainOptions,
    progress: Callable[[Epoch], None],
) -> tuple[Fit, Card, TrainOptions]:
    """The fit with the task's strong weight decay, where it has one and the options name none.

    Or the one that was given, where it makes n validation rows likelier, by more than
    1 + FEW_ROWS / n standard errors; and the options that say which. Both have the same dropout.
    """
    task = data.untuned(options.noise)
    count = len(data.split.train)
    strong = task.strong_decay(count) if options.weight_decay is None else None
    if strong is None or fitted.interrupted:
        return fitted, card, options
    rates = fitted.network.config.dropout[1:]
    at = replace(options, dropout=rates, weight_decay=strong)
    try:
        other, tried = _fitted(data, at, card.name, _told(progress, decay=strong))
    except DataError as error:  # the learning rate is too high for it
        return fitted, _noted(card, f"a weight decay of {strong:g} was tried: {error}"), options
    if other.interrupted:
        card = _noted(card, "the choice of a weight decay was interrupted")
        return replace(fitted, interrupted=True), card, options
    mild = options.schedule(task, count).weight_decay
    settings = {**_settings(data, options), "weight_decay": strong}
    found = {mild: (fitted, card), strong: (other, _retold(card, other, tried.tuning, settings))}
    densities = {decay: _validated(data, *parts) for decay, parts in found.items()}
    errors = 1 + FEW_ROWS / len(data.split.validation)
    surely = is_likelier(densities[mild], densities[strong], errors=errors)
    fitted, card = found[chosen := mild if surely else strong]
    said = {f"{decay:g}": round(float(rows.mean()), 4) for decay, rows in densities.items()}
    return fitted, _recorded(card, decays=said), replace(options, weight_decay=chosen)


def _retold(card: Card, fitted: Fit, tuning: TuningEntry, settings: Settings) -> Card:
    """The card of another fit, with these settings, of which this one says all else."""
    epochs = {"epochs": fitted.epochs, "best_epoch": fitted.best_epoch}
    return _recorded(card.model_copy(update={"tuning": tuning}), settings=settings, **epochs)


def _validated(data: Prepared, fitted: Fit, card: Card) -> np.ndarray:
    """The log density, or log probability, of each validation row [B]."""
    rows, network = data.split.validation, tempered(card, fitted.network)
    return log_densities(card, network, data.x[rows], data.y[rows])


def _refitted(
    data: Prepared,
    fitted: Fit,
    card: Card,
    options: TrainOptions,
    progress: Callable[[Epoch], None],
) -> tuple[Fit, Card]:
    """The fit on training and validation rows together, and the card that says so.

    What validation rows fitted stays as the first fit left it: they can say nothing of weights that
    have learned from them. More rows make the errors smaller, so what was fitted to them is too
    large, until calibration rows correct it: see `_corrected`.
    """
    if not options.refit or fitted.interrupted:
        return fitted, card
    task = TASKS[data.task](data.target, *card.fitted)
    schedule = options.schedule(task, len(data.split.train))
    rows = data.rows(data.split.seen(refit=True))
    fitted = refit(task, rows, fitted, options, schedule, progress)
    if not fitted.refitted:
        card = _noted(card, "training again with the validation rows failed or was interrupted")
    return fitted, _recorded(card, refitted=fitted.refitted)


def _check_scales(table: Table, target: Target) -> None:
    for name, scale in zip(target.names, target.scales, strict=False):
        if not 1e-100 <= scale <= 1e100:
            message = f"its standard deviation, {scale:g}, has no square; use another unit"
            raise DataError(f"{table.name}, column {name!r}: {message}")


def _card(data: Prepared, fitted: Fit, options: TrainOptions, name: str) -> Card:
    config = fitted.network.config
    stopped = f"training was interrupted after epoch {fitted.epochs}"
    notices = (stopped,) if fitted.interrupted else ()
    return Card(
        name=name,
        task=data.task,
        features=feature_entries(data.schema),
        target=target_entry(data.target),
        architecture=Architecture(
            hidden=config.hidden,
            activation=config.activation,
            dropout=config.dropout,
            input_noise=config.input_noise,
        ),
        weights_sha256="",
        tuning=TuningEntry(noise=options.noise),
        training=TrainingRecord(
            data=data.table.name,
            data_sha256=data.table.sha256,
            seed=options.seed,
            settings=_settings(data, options),
            rows={field.name: len(getattr(data.split, field.name)) for field in fields(Split)},
            split=data.split_by,
            epochs=fitted.epochs,
            best_epoch=fitted.best_epoch,
            notices=(*data.notices, *notices),
            versions={package: version(package) for package in ("torch", "numpy")},
        ),
        metrics={},
    )


def _settings(data: Prepared, options: TrainOptions) -> Settings:
    """What the architecture and the seed do not already say."""
    task, rows = data.untuned(options.noise), len(data.split.train)
    schedule = asdict(options.schedule(task, rows))
    if schedule["patience"] is None:
        del schedule["patience"]
    others = {name: getattr(options, name) for name in ("batch", "learning_rate", "refit")}
    found = {"dropout": options.dropout} if isinstance(options.dropout, str) else {}
    return {**schedule, **others, **found}


def _calibrated(data: Prepared, network: MLP, card: Card, by: str | None) -> Card:
    """The card with the scores of the calibration rows; without any where they are too few.

    Where there are many and the weights have learned from the validation rows, a quarter of them
    corrects the tuning first. Where a group of them is too few, all are calibrated together.
    """
    rows = data.split.calibration
    if len(rows) < rows_needed(PredictOptions().coverage):
        return _noted(
            card, f"{len(rows)} calibration rows are too few: regions promise no coverage"
        )
    card, rows = _corrected(data, network, card)
    x, y = data.x[rows], data.y[rows]
    try:
        card = calibrated(card, network, data.table, x, y, by=by)
    except CalibrationError as error:
        if by is None:
            raise
        card = _noted(card, f"not calibrated by {by}, but over all rows: {error}")
        card = calibrated(card, network, data.table, x, y)
    count = len(data.split.calibration) - len(rows)
    entry = card.calibration and card.calibration.model_copy(update={"tuning_rows": count})
    card = card.model_copy(update={"calibration": entry})
    return _noted(card, card.serving.reason) if card.serving.reason else card


def _corrected(data: Prepared, network: MLP, card: Card) -> tuple[Card, np.ndarray]:
    """The card with its tuning corrected for refitted weights, and the rows that calibrate.

    By a part of the calibration rows, or by all where that does not harm their scores.
    """
    rows = data.split.calibration
    if not (isinstance(card.training, TrainingRecord) and card.training.refitted):
        return card, rows
    if not data.untuned(card.tuning.noise).retunes:
        return rescaled(card, network, data.x[rows], data.y[rows]), rows
    if len(rows) < MANY_ROWS:
        return card, rows
    first, others = (rows[part] for part in parted(len(rows)))
    return retuned(card, network, data.x[first], data.y[first]), others


def _judged(data: Prepared, card: Card, seen: np.ndarray) -> Card:
    """The card, with a notice where the test rows are likelier by the classes' shares alone."""
    classes, rows = len(data.target.classes), data.split.test
    shares = shares_loss(data.y[seen], data.y[rows], classes) if classes and len(rows) else np.inf
    loss = card.metrics.get("log_loss", -np.inf)
    if loss <= shares:
        return card
    said = (
        f"the log loss of the test rows is {loss:.3f}, and {shares:.3f} where each class is given"
    )
    return _noted(card, f"worse than no model: {said} its share of the training rows")


def _noted(card: Card, notice: str) -> Card:
    return _recorded(card, notices=(*card.training.notices, notice))


def _recorded(card: Card, **update: Any) -> Card:
    """The card with these parts of its record of training changed."""
    return card.model_copy(update={"training": card.training.model_copy(update=update)})
