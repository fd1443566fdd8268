"""One method on one split of one set: what it learns, what it says of the test rows, and how well.

Of the rows of a split, those of training and validation are for every method to learn from and to
choose by, and those of calibration to set the scale of its uncertainty and its intervals.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time
from typing import Any

import numpy as np

from model import PredictOptions, TrainOptions, load, train
from model.data.preparation import encode_table, encode_target
from model.formulas.scores import log_loss
from tests.benchmarks.tabular.measures import (
    COVERAGE,
    Figures,
    Regression,
    calibrated,
    classification_figures,
    completed,
    law_loss,
    powered,
    regression_figures,
    temperature,
)
from tests.benchmarks.tabular.peers import PEERS, Learned, Peer
from tests.benchmarks.tabular.sets import Case

TEST_SEED = 100  # any but the calibration's
TODAY = "one network"  # the name of the base line among OURS
OURS: dict[str, Mapping[str, Any]] = {  # options of `train` that differ from its defaults
    "ours": {},
    TODAY: {"members": 1, "number_encoding": "raw"},
}
METHODS = (*OURS, *PEERS)
FAILURES = (ValueError, np.linalg.LinAlgError)  # of a method that diverges


def measured(case: Case, method: str, options: Mapping[str, Any]) -> Figures:
    """All figures of a method that does such a task, with the processor seconds.

    `options` of `train` are of ours, and go before those of OURS.
    """
    if method in OURS:
        return _ours(case, {**OURS[method], **options})
    return _peer(case, PEERS[method])


def reason(case: Case, method: str) -> str | None:
    """Why a method is left out for a case; None if it is not."""
    if method in OURS:
        return None
    if not PEERS[method].installed:
        return f"{PEERS[method].needs} is not installed"
    inputs = case.x.shape[1]
    if PEERS[method].learns(classes=case.classes, inputs=inputs) is None:
        return f"not for {case.classes or 'no'} classes and {inputs} inputs"
    return None


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    """The result, and the processor seconds that it took."""
    start = process_time()
    return work(), process_time() - start


def _seconds(training: float, prediction: float, rows: int) -> Figures:
    return {"train_seconds": training, "predict_ms": 1000 * prediction / rows}


def _ours(case: Case, options: Mapping[str, Any]) -> Figures:
    """The figures of a model that `train` makes of the same split, with these options."""
    with TemporaryDirectory() as folder:
        out, asked = Path(folder) / "net", TrainOptions(**{"seed": case.number, **options})
        given: Any = {"task": case.task, "missing": "impute", "options": asked, "split": case.split}
        _, training = _timed(lambda: train(case.table, case.target, out, **given))
        predictor = load(out)
    at, request = case.split.test, PredictOptions(seed=TEST_SEED, coverage=COVERAGE)
    x = encode_table(case.table, predictor.card.schema_of_rows)[at]
    y = encode_target(case.table, predictor.card.target_of_rows)[at]
    rows, prediction = _timed(lambda: predictor.predict_encoded(x, request).rows)
    seconds = _seconds(training, prediction, len(x))
    if case.classes:
        return classification_figures(rows.columns["mean"], case.y[at]) | seconds
    density = predictor.predict_with_density(x, y, request)[1]
    interval = rows.columns["interval"]
    said = Regression(
        mean=rows.columns["mean"][:, 0],
        std=np.sqrt(rows.columns["total_variance"][:, 0]),
        lower=interval.columns["lower"][:, 0],
        upper=interval.columns["upper"][:, 0],
        log_density=density[:, 0],
    )
    return regression_figures(said, case.y[at]) | seconds


def _peer(case: Case, peer: Peer) -> Figures:
    """The figures of another method, calibrated by the calibration rows."""
    start = process_time()
    learned = _learned(case, peer)
    kept, test = case.rows("calibration"), case.rows("test")
    law = learned.predict(kept.x)
    if case.classes:
        power = temperature(law, kept.y)
        training = process_time() - start
        p, prediction = _timed(lambda: powered(learned.predict(test.x), power))
        return classification_figures(p, test.y) | _seconds(training, prediction, len(test))
    training = process_time() - start
    new, prediction = _timed(lambda: learned.predict(test.x))
    said = completed(calibrated(law, new, kept.y), new, test.y)
    return regression_figures(said, test.y) | _seconds(training, prediction, len(test))


def _learned(case: Case, peer: Peer) -> Learned:
    """The method with the options best for the validation rows, learned again with those rows."""
    learn = peer.learns(classes=case.classes, inputs=case.x.shape[1])
    assert learn is not None, "`reason` says so before"
    rows, held = case.rows("train"), case.rows("validation")
    loss = log_loss if case.classes else law_loss
    best, least = dict[str, Any](), np.inf
    for options in peer.tries(case.classes):
        learned = learn(rows, held, options)
        found = loss(learned.predict(held.x), held.y)
        if found < least or not best:
            best, least = {**options, **learned.found}, found
    return learn(case.rows("seen"), None, best)
