"""A model's card in words."""

from model import Card, Comparison, comparison_in_words
from model.artifact import CalibrationRecord, ImportRecord, TrainingRecord
from model.commands.columns import features_in_words, targets_in_words
from model.messages import readable

MOST_CLASSES = 20  # with a line of their own


def describe(card: Card) -> str:
    """The card in words, for a terminal."""
    shape = card.architecture
    names = ", ".join(card.target.names)
    notices = (*card.training.notices, *(card.calibration.notices if card.calibration else ()))
    lines = [
        f"{card.name} (version {card.version}): {card.task} of {names}",
        *features_in_words(card),
        *targets_in_words(card),
        f"  network    {_members(shape.members)}{'-'.join(map(str, shape.hidden))} "
        f"{shape.activation}, dropout {', '.join(f'{rate:g}' for rate in shape.dropout)} "
        "(input first)"
        + (f", input noise {shape.input_noise:g}" if shape.input_noise else "")
        + (", norms before or after the activations" if shape.before or shape.after else ""),
        *_origin(card),
        *_total_variance(card),
        *_served(card),
    ]
    if card.calibration:
        made = card.calibration
        tuned = f", tuned on {made.tuning_rows} other rows" if made.tuning_rows else ""
        own_part = "class" if made.by_class else made.by
        each = f", each {own_part} by itself" if own_part else ""
        own = ", own masks for every row" if made.masks == "per_row" else ""
        lines.append(f"  calibrated on {made.rows} rows of {made.data}{tuned}{each}{own}")
        lines += _certified(made)
    lines += [f"  note       {notice}" for notice in notices]
    return "\n".join(lines)


def _members(count: int) -> str:
    return f"{count} members of " if count > 1 else ""


def _origin(card: Card) -> list[str]:
    """The origin of the weights, and the metrics if they were trained here."""
    record = card.training
    if isinstance(record, ImportRecord) and not record.specification:
        return [f"  wrapped    from a module of class {record.weights}"]
    if isinstance(record, ImportRecord):
        return [f"  imported   from {record.weights}, described by {record.specification}"]
    return [
        f"  trained    on {record.data}, seed {record.seed}, best epoch {record.best_epoch} of "
        f"{record.epochs}" + (", then refit with the validation rows" if record.refitted else ""),
        "  rows       " + ", ".join(f"{part} {count}" for part, count in record.rows.items()),
        *_searched(record),
        "  held out   "
        + ", ".join(f"{name} {readable(value)}" for name, value in card.metrics.items()),
        *_beside(card, record),
        *_by_class(card, record),
    ]


def _beside(card: Card, record: TrainingRecord) -> list[str]:
    """What baselines reach on the same rows, and a verdict; old cards have none."""
    lines = [
        f"  baseline   {name}: "
        + ", ".join(f"{key} {readable(value)}" for key, value in each.metrics.items())
        for name, each in card.baselines.items()
    ]
    found = {name: Comparison(**each.model_dump()) for name, each in card.baselines.items()}
    said = comparison_in_words(card.metrics, found, record.rows["test"])
    return [*lines, f"  verdict    {said}"] if said else lines


def _by_class(card: Card, record: TrainingRecord) -> list[str]:
    """The rows of each class by part, and its recall; of many classes, the rarest."""
    parts = record.class_rows
    totals = {
        name: sum(rows[name] for rows in parts.values()) for name in card.target.classes if parts
    }
    names = sorted(totals, key=lambda name: totals[name])[:MOST_CLASSES]
    lines = []
    for name in (each for each in totals if each in names):
        rows = ", ".join(f"{part} {of_part[name]}" for part, of_part in parts.items())
        recall = f"recall {card.recall[name]:.4g}" if name in card.recall else "recall not known"
        lines.append(f"  class      {name}: {rows}; {recall}")
    rest = len(totals) - len(names)
    return [*lines, f"  class      and {rest} with more rows"] if rest else lines


def _served(card: Card) -> list[str]:
    """The passes, estimator and masks that the model is served with, if they are not the usual."""
    own = card.serving
    without = "" if own.controls else "the control variates gain too little and are left out"
    why = [reason for reason in (own.reason, own.plain_because, without) if reason]
    said = f"  serves     {own.passes} passes, {own.estimator}, {own.masks} masks"
    return [f"{said}: {'; '.join(why)}"] if why else []


def _total_variance(card: Card) -> list[str]:
    """The formula of a regression's total variance, for each target."""
    tuning, names = card.tuning, card.target.names
    if card.task != "regression" or not tuning.noise_scales:
        return []
    learned = tuning.noise == "heteroscedastic"
    noise = "the network's noise variance" if learned else "the target's variance"
    factors = tuning.variance_factors or (1.0,) * len(names)
    apart = [f"{readable(factor, 3)} x member variance + " for factor in tuning.member_factors]
    each = [
        (f"{name}: " if len(names) > 1 else "")
        + f"{readable(factor, 3)} x variance{' within members' * bool(apart)} + {between}"
        + ("the variance of log-normal noise, " if name in card.target.logs else "")
        + f"{readable(scale, 3)} x {noise}"
        for name, factor, between, scale in zip(
            names, factors, apart or [""] * len(names), tuning.noise_scales, strict=True
        )
    ]
    return [f"  total      {'; '.join(each)}"]


def _searched(record: TrainingRecord) -> list[str]:
    """The rates and weight decays that were tried, with the validation rows' log-likelihood."""
    kinds = {"dropout": record.searched, "weight decay": record.decays}
    kinds = {"encoding": record.encodings, **kinds, "epochs": record.lengths}
    found = []
    for kind, values in kinds.items():
        tried = ", ".join(f"{kind} {number}: {readable(value)}" for number, value in values.items())
        found += [f"  searched   {tried} (mean log-likelihood of validation rows)"] if tried else []
    return found


def _certified(calibration: CalibrationRecord) -> list[str]:
    """The certified bound on the risk at each share of accepted rows."""
    found = calibration.abstention
    if found is None:
        return []
    risk = "RMSE" if found.risk == "rmse" else "error rate"
    levels = ", ".join(
        f"{readable(level.bound)} for {level.accepted:.0%}" for level in found.levels
    )
    return [f"  certified  {risk} at {found.confidence:.0%} confidence, by accepted rows: {levels}"]
