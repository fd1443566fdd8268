"""Baselines beside an evaluated model: fitted on its training rows, judged on the same rows."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from model.artifact import Card, TrainingRecord
from model.data import Repeats, Table, Target, repeats, row_hashes
from model.evaluation.outcomes import ClassificationOutcome, Outcome
from model.predictor import Predictor
from model.tasks import Comparison, baselines, compared

Beside = Mapping[str, Comparison]


@dataclass(frozen=True, slots=True)
class Judged:
    """The rows of a table, encoded: all of them, and the positions of those that are judged."""

    x: np.ndarray  # [rows, D]
    y: np.ndarray
    index: np.ndarray


def beside(
    predictor: Predictor, table: Table, rows: Judged, found: Repeats, outcomes: Sequence[Outcome]
) -> tuple[Beside, ...]:
    """The baselines of each outcome.

    They are fitted on as many rows as fitted the weights, of those rows of the table that the model
    has learned from. Without these rows, the card's mean or shares of classes are all there is.
    """
    target, index = predictor.card.target_of_rows, rows.index
    learned = _learned(predictor, table) if found.count else np.arange(0)
    x = predictor.card.schema_of_rows.plain(rows.x)  # without the codes of numbers
    if len(index) < 2:
        return ({},) * len(outcomes)
    if len(learned):
        fitted = baselines(target, x[learned], rows.y[learned], x[index])
    else:
        fitted = dict(_known(predictor.card, len(index)))
    return tuple(
        {name: _compared(target, at, each, outcome, rows.y[index]) for name, each in fitted.items()}
        for at, outcome in enumerate(outcomes)
    )


def _compared(
    target: Target, at: int, baseline: np.ndarray, outcome: Outcome, actual: np.ndarray
) -> Comparison:
    """A baseline beside the network, for target number `at`."""
    if isinstance(outcome, ClassificationOutcome):
        return compared(target, baseline, outcome.probabilities, actual)
    one = slice(at, at + 1)
    logs = tuple(name for name in target.names[one] if name in target.logs)
    single = Target(
        target.names[one], (), target.means[one], target.scales[one], target.units[one], logs
    )
    return compared(single, baseline[:, one], outcome.mean[:, None], actual[:, one])


def _learned(predictor: Predictor, table: Table) -> np.ndarray:
    """The positions of as many rows as fitted the weights, if the table has so many of them."""
    card, seen = predictor.card, predictor.seen
    record = card.training
    if seen is None or not isinstance(record, TrainingRecord):
        return np.arange(0)
    hashes = row_hashes(table, card.schema_of_rows, card.target_of_rows)
    (known,) = np.nonzero(repeats(hashes, seen.fitted, same_table=True).again)
    count = record.rows["train"] + (record.rows["validation"] if record.refitted else 0)
    if len(known) < count:
        return np.arange(0)
    return np.sort(np.random.default_rng(0).choice(known, count, replace=False))


def _known(card: Card, rows: int) -> Iterator[tuple[str, np.ndarray]]:
    """The mean of the training rows, or the share of each class, if the card says it."""
    target, record = card.target_of_rows, card.training
    counts = getattr(record, "class_rows", {}).get("train", {})
    if target.classes and counts:
        shares = 1 + np.array([counts[name] for name in target.classes])
        yield "base rates", np.tile(shares / shares.sum(), (rows, 1))
    elif not target.classes and not target.logs and isinstance(record, TrainingRecord):
        yield "mean", np.tile(target.means, (rows, 1))
