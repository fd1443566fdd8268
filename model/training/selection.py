"""Choose the dropout rate and the weight decay, and fit the noise, by validation rows."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from model.artifact import TuningRecord
from model.errors import DataError
from model.training.calibrate import fit_tuning, log_densities
from model.training.concrete_dropout import learn_rates
from model.training.draft import Draft
from model.training.fit import Epoch, fit
from model.training.plan import LEARN, SEARCH, Plan
from model.training.prepared import Prepared
from model.training.rate_search import best_rate, is_likelier, next_rate

DOUBTFUL_ROWS = 30
"""With so few validation rows, a network that has memorised labels may look better by chance, and
choosing it costs much."""

Progress = Callable[[Epoch], None]


def selected(data: Prepared, plan: Plan, name: str, progress: Progress) -> Draft:
    """The fit on training rows that validation rows choose, with its noise or temperature."""
    draft = _with_rates(data, plan, name, progress)
    strong = plan.weight_decays[1:]
    return _with_decay(draft, strong[0], progress) if strong else draft


def _with_rates(data: Prepared, plan: Plan, name: str, progress: Progress) -> Draft:
    """The fit with dropout rates that are given, learned or searched for."""
    if plan.find_dropout == SEARCH:
        return _searched(data, plan, name, progress)
    if plan.find_dropout == LEARN:
        task = data.untuned(plan.noise)
        training, validation = data.subset(data.split.train), data.subset(data.split.validation)
        plan = learn_rates(task, training, validation, plan, progress)
    return _fitted(data, plan, name, progress)


def _searched(data: Prepared, plan: Plan, name: str, progress: Progress) -> Draft:
    """The fit at the dropout rate that `best_rate` finds on validation rows.

    After Ctrl-C the best of the rates tried is kept; during the first rate, the epochs so far.
    """
    found, tried, stopped = dict[float, Draft](), dict[float, np.ndarray](), False
    while not stopped and (rate := next_rate(tried)) is not None:
        at_rate = replace(plan, dropout=(rate,) * len(plan.hidden))
        draft = _fitted(data, at_rate, name, _progress_with(progress, rate=rate))
        stopped = draft.fitted.interrupted
        if not (stopped and found):
            found[rate], tried[rate] = draft, _densities(draft)
    draft = found[best_rate(tried)]
    if stopped and not draft.fitted.interrupted:
        draft = draft.noted("the search for a dropout rate was interrupted")
    return replace(
        draft,
        fitted=replace(draft.fitted, interrupted=stopped),
        searched={f"{rate:g}": _mean(rows) for rate, rows in sorted(tried.items())},
    )


def _fitted(data: Prepared, plan: Plan, name: str, progress: Progress) -> Draft:
    """The fit with the plan's dropout rates; validation rows fit its noise or temperature."""
    training, validation = data.subset(data.split.train), data.subset(data.split.validation)
    fitted = fit(data.untuned(plan.noise), training, validation, plan, progress)
    draft = Draft(data, plan, name, fitted, TuningRecord(noise=plan.noise))
    if fitted.interrupted:
        draft = draft.noted(f"training was interrupted after epoch {fitted.epochs}")
    rows = data.split.validation
    tuning = fit_tuning(draft.card, fitted.networks, data.x[rows], data.y[rows])
    return replace(draft, tuning=tuning)


def _with_decay(draft: Draft, strong: float, progress: Progress) -> Draft:
    """The fit with the strong weight decay at the same dropout, or the draft as given.

    The draft as given wins if its mean log density of the n validation rows is higher by more than
    1 + DOUBTFUL_ROWS / n standard errors.
    """
    if draft.fitted.interrupted:
        return draft
    mild = draft.plan.weight_decays[0]
    plan = replace(draft.plan, weight_decays=(strong,))
    try:
        other = _fitted(draft.data, plan, draft.name, _progress_with(progress, decay=strong))
    except DataError as error:  # the learning rate is too high for it
        return draft.noted(f"a weight decay of {strong:g} was tried: {error}")
    if other.fitted.interrupted:
        draft = draft.noted("the choice of a weight decay was interrupted")
        return replace(draft, fitted=replace(draft.fitted, interrupted=True))
    densities = {mild: _densities(draft), strong: _densities(other)}
    errors = 1 + DOUBTFUL_ROWS / len(draft.data.split.validation)
    mild_wins = is_likelier(densities[mild], densities[strong], errors=errors)
    chosen = draft if mild_wins else other
    return replace(
        chosen,
        plan=replace(chosen.plan, weight_decays=(mild if mild_wins else strong,)),
        notices=draft.notices,
        searched=draft.searched,
        decays={f"{decay:g}": _mean(rows) for decay, rows in densities.items()},
    )


def _progress_with(progress: Progress, **tried: Any) -> Progress:
    """The progress display, told in every epoch which rate or decay is tried."""
    return lambda epoch: progress(replace(epoch, **tried))


def _densities(draft: Draft) -> np.ndarray:
    """The log density, or log probability, of each validation row [B]."""
    data, rows = draft.data, draft.data.split.validation
    return log_densities(draft.card, draft.networks, data.x[rows], data.y[rows])


def _mean(rows: np.ndarray) -> float:
    return round(float(rows.mean()), 4)
