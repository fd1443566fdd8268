"""Choose encoding, dropout rate, weight decay and steps, and fit the noise, by validation rows."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from model.artifact import TuningRecord
from model.errors import DataError
from model.predictor import Predictor
from model.tasks import ENSEMBLE_RATE, USUAL_RATE
from model.training.calibrate import fit_tuning, log_densities
from model.training.concrete_dropout import learn_rates
from model.training.draft import Draft
from model.training.fit import Epoch, Fit, fit
from model.training.plan import LEARN, Encoding, Plan
from model.training.prepared import Prepared
from model.training.rate_search import best_rate, is_likelier
from model.training.trial import PASSES, SEED, Trial, networks_at, without_inputs

DOUBTFUL_ROWS = 30
"""With so few validation rows, a network that has memorised labels may look better by chance, and
choosing it costs much."""
TRIAL_NETWORKS = 3  # of each kind, whose passes are pooled; with fewer their spread is not known
LITTLE_NOISE = 0.02
"""The largest share of the target's variance that may be left unexplained where more steps are
tried: with more noise, 5,000 steps reach its level, and three times as many take three times as
long."""
MUCH_NOISE = 0.2
"""The least such share where few steps under much dropout are tried, as more memorise noise."""

Progress = Callable[[Epoch], None]
Phases = Callable[[str], Progress]


def selected(data: Prepared, plan: Plan, name: str, progress: Progress) -> Draft:
    """The fit on training rows that validation rows choose, with its noise or temperature.

    If the weights are to learn from the validation rows too, there may be another number of
    networks than the plan has members: enough to choose and to fit the noise by.
    """
    told = phases(data, plan, progress)
    if plan.find_dropout == LEARN:
        rows = data.subset(data.split.train), data.subset(data.split.validation)
        plan = learn_rates(data.untuned(plan.noise), *rows, plan, told("learning dropout rates"))
    if not data.schema.code_columns.any():
        data, plan = data.raw, replace(plan, encoding="raw")
    draft = _chosen(data, plan, name, told)
    strong = plan.weight_decays[1:]
    draft = _with_decay(draft, strong[0], told) if strong else draft
    draft = _longer(draft, told)
    draft = _briefer(draft, data, plan, told)
    if not plan.refit and len(draft.fitted.networks) != plan.members:
        return _of_members(draft, told)
    return draft


def phases(data: Prepared, plan: Plan, progress: Progress) -> Phases:
    """Makes the progress display of a phase, which is told the phase and what the losses are."""
    metric = data.untuned(plan.noise).loss_name
    return lambda phase: lambda epoch: progress(replace(epoch, phase=phase, metric=metric))


def _chosen(
    data: Prepared, plan: Plan, name: str, told: Phases, *, usual: Encoding | None = None
) -> Draft:
    """The fit with the encoding and the dropout rate that are given, or likeliest.

    A `usual` encoding wins in doubt. Networks of each encoding and rate train beside each other.
    After Ctrl-C the choice is made among them as they are.
    """
    kinds: tuple[Encoding, ...] = ("raw", "piecewise")
    if plan.encoding in kinds:
        kinds = (plan.encoding,)
    if plan.encoding != "auto" and not plan.rates:
        return _fitted(data, plan, name, told("training"))
    if kinds == ("raw",):
        data = data.raw
    trial = Trial.of(plan, kinds, TRIAL_NETWORKS)
    task, validation = data.untuned(plan.noise), data.subset(data.split.validation)
    what = " and ".join(
        ["the encoding"] * (plan.encoding == "auto") + ["the dropout rate"] * bool(plan.rates)
    )
    training = data.subset(data.split.train)
    fitted = fit(task, training, validation, trial.plan, told(f"choosing {what}"))
    found = trial.judged(task, fitted.networks, validation)
    encodings = found.by_encoding() if plan.encoding == "auto" else {}
    encoding = _likeliest(encodings, usual) if plan.encoding == "auto" else plan.encoding
    rates = found.by_rate(encoding)
    plan = replace(plan, encoding=encoding)
    if rates:
        rate = best_rate(rates, USUAL_RATE if plan.members == 1 else ENSEMBLE_RATE)
        plan = replace(plan, dropout=(rate,) * len(plan.hidden))
    count = TRIAL_NETWORKS if plan.members > 1 else 1
    near = found.nearest(encoding, plan.dropout[0], count)
    networks = networks_at(near, (plan.input_dropout, *plan.dropout))
    if encoding == "raw" and data.schema.code_columns.any():
        networks, data = without_inputs(networks, data.schema.code_columns), data.raw
    draft = _tuned(data, plan, name, replace(fitted, networks=networks))
    return replace(
        draft,
        encodings={kind: _mean(rows) for kind, rows in encodings.items()},
        searched={f"{rate:g}": _mean(rows) for rate, rows in sorted(rates.items())},
    )


def _likeliest(encodings: Mapping[Encoding, np.ndarray], usual: Encoding | None) -> Encoding:
    """The encoding of the highest mean log density of n validation rows.

    It must be higher than that of the usual one by more than 1 + DOUBTFUL_ROWS / n standard errors.
    """
    best = max(encodings, key=lambda kind: float(encodings[kind].mean()))
    if usual is None:
        return best
    errors = 1 + DOUBTFUL_ROWS / len(encodings[best])
    return best if is_likelier(encodings[best], encodings[usual], errors=errors) else usual


def _fitted(data: Prepared, plan: Plan, name: str, progress: Progress) -> Draft:
    """The fit of the plan's networks; validation rows fit its noise or temperature."""
    if plan.encoding == "raw":
        data = data.raw
    training, validation = data.subset(data.split.train), data.subset(data.split.validation)
    fitted = fit(data.untuned(plan.noise), training, validation, plan, progress)
    return _tuned(data, replace(plan, trial=()), name, fitted)


def _tuned(data: Prepared, plan: Plan, name: str, fitted: Fit) -> Draft:
    """The draft of a fit, with the noise or temperature that validation rows fit."""
    draft = Draft(data, plan, name, fitted, TuningRecord(noise=plan.noise))
    if fitted.interrupted:
        draft = draft.noted(f"training was interrupted after epoch {fitted.epochs}")
    rows = data.split.validation
    tuning = fit_tuning(draft.card, fitted.networks, data.x[rows], data.y[rows])
    return replace(draft, tuning=tuning)


def _like(draft: Draft, plan: Plan, progress: Progress) -> Draft:
    """The fit of as many networks as a trial has of each kind, by another plan."""
    count = TRIAL_NETWORKS if plan.members > 1 else 1
    return _fitted(draft.data, replace(plan, trial=plan.alike(count)), draft.name, progress)


def _with_decay(draft: Draft, strong: float, told: Phases) -> Draft:
    """The fit with the strong weight decay at the same dropout, or the draft as given.

    The draft as given wins if its mean log density of the n validation rows is higher by more than
    1 + DOUBTFUL_ROWS / n standard errors.
    """
    if draft.fitted.interrupted:
        return draft
    mild = draft.plan.weight_decays[0]
    plan = replace(draft.plan, weight_decays=(strong,))
    try:
        other = _like(draft, plan, told(f"trying a weight decay of {strong:g}"))
    except DataError as error:  # the learning rate is too high for it
        return draft.noted(f"a weight decay of {strong:g} was tried: {error}")
    if other.fitted.interrupted:
        draft = draft.noted("the choice of a weight decay was interrupted")
        return replace(draft, fitted=replace(draft.fitted, interrupted=True))
    densities = {mild: _densities(draft), strong: _densities(other)}
    errors = 1 + DOUBTFUL_ROWS / len(draft.data.split.validation)
    mild_wins = is_likelier(densities[mild], densities[strong], errors=errors)
    chosen = draft if mild_wins else _choices_of(draft, other)
    return replace(
        chosen,
        plan=replace(chosen.plan, weight_decays=(mild if mild_wins else strong,)),
        decays={f"{decay:g}": _mean(rows) for decay, rows in densities.items()},
    )


def _longer(draft: Draft, told: Phases) -> Draft:
    """The fit with more epochs, if the target has hardly any noise and it is likelier then."""
    plan = draft.plan
    if not plan.longer or draft.fitted.interrupted or _unexplained(draft) > LITTLE_NOISE:
        return draft
    more = replace(plan, epochs=plan.longer)
    other = _like(draft, more, told(f"trying {more.epochs} epochs"))
    if other.fitted.interrupted:
        draft = draft.noted("the choice of the number of epochs was interrupted")
        return replace(draft, fitted=replace(draft.fitted, interrupted=True))
    few, many = _densities(draft), _densities(other)
    chosen = _choices_of(draft, other) if is_likelier(many, few) else draft
    lengths = {f"{plan.epochs}": _mean(few), f"{more.epochs}": _mean(many)}
    return replace(chosen, lengths=lengths)


def _briefer(draft: Draft, data: Prepared, plan: Plan, told: Phases) -> Draft:
    """The fit of the plan's brief training, if the target has much noise, or the draft as given.

    The draft as given wins if its mean log density of the n validation rows is higher by more than
    DOUBTFUL_ROWS / n standard errors. The brief training chooses an encoding of its own: numbers as
    they are in doubt, as noise in few rows is memorised the more easily with codes.
    """
    if not plan.brief or draft.fitted.interrupted or _unexplained(draft) < MUCH_NOISE:
        return draft
    brief = replace(plan.brief, encoding=plan.encoding)
    try:
        phase = f"trying {brief.epochs} epochs"
        other = _chosen(data, brief, draft.name, lambda _: told(phase), usual="raw")
    except DataError as error:
        return draft.noted(f"{brief.epochs} epochs were tried: {error}")
    if other.fitted.interrupted:
        draft = draft.noted("the choice of the number of epochs was interrupted")
        return replace(draft, fitted=replace(draft.fitted, interrupted=True))
    many, few = _densities(draft), _densities(other)
    found = {f"{draft.plan.epochs}": _mean(many), f"{brief.epochs}": _mean(few)}
    if is_likelier(many, few, errors=DOUBTFUL_ROWS / len(draft.data.split.validation)):
        return replace(draft, lengths=found)
    return replace(_choices_of(draft, other), encodings=other.encodings, lengths=found)


def _unexplained(draft: Draft) -> float:
    """The mean squared error on validation rows of a standardised target; the largest of all."""
    data, rows = draft.data, draft.data.split.validation
    predictor = Predictor(draft.card, draft.networks)
    values = predictor.values(data.x[rows], passes=PASSES, seed=SEED, masks="per_row")
    error = values.mean(0)[:, : len(data.target.names)] - data.y[rows]
    return float(np.square(error).mean(0).max())


def _of_members(draft: Draft, told: Phases) -> Draft:
    """The fit of the plan's members on the training rows, with all that was chosen."""
    if draft.fitted.interrupted:
        return draft
    made = _fitted(draft.data, draft.plan, draft.name, told("training"))
    return _choices_of(draft, made)


def _choices_of(draft: Draft, other: Draft) -> Draft:
    """The other draft, with what was chosen on the way to this one."""
    return replace(
        other,
        notices=(*draft.notices, *other.notices),
        encodings=draft.encodings,
        searched=draft.searched,
        decays=draft.decays,
        lengths=draft.lengths,
    )


def _densities(draft: Draft) -> np.ndarray:
    """The log density, or log probability, of each validation row [B]."""
    data, rows = draft.data, draft.data.split.validation
    return log_densities(draft.card, draft.networks, data.x[rows], data.y[rows])


def _mean(rows: np.ndarray) -> float:
    return round(float(rows.mean()), 4)
