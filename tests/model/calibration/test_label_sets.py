"""The rank penalty of RAPS makes the label sets of fresh rows smaller."""

import math

import numpy as np
import pytest

from model.calibration.label_sets import tuned_classes
from model.formulas.conformal import label_sets, quantile, raps, sorted_scores, true_scores


def many_classes(random: np.random.Generator, rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits [1, B, 100] that are too sure of some rows and too doubtful of others, and labels."""
    logits = 2 * random.normal(size=(rows, 100))
    p = np.exp(2 * logits)
    labels = (p.cumsum(-1) > p.sum(-1, keepdims=True) * random.random((rows, 1))).argmax(-1)
    return (logits * random.uniform(0.3, 2.5, (rows, 1)))[None], labels


def test_the_penalty_makes_label_sets_of_fresh_rows_smaller_and_they_still_cover() -> None:
    random = np.random.default_rng(3)
    tuning = tuned_classes(*many_classes(random, 500))
    (held,), held_labels = many_classes(random, 500)
    (fresh,), labels = many_classes(random, 2_000)
    sizes = []
    for penalty in (0.0, tuning.rank_penalty):
        scores = []
        for logits in (held, fresh):
            odds = np.exp(logits / tuning.temperature)
            p = odds / odds.sum(-1, keepdims=True)
            scores.append(raps(p, penalty=penalty, free=tuning.free_ranks))
        reach = quantile(sorted_scores(true_scores(scores[0], held_labels)), 0.9)
        sets = label_sets(scores[1], reach)
        held_by = sets[np.arange(2_000), labels].mean()
        assert held_by == pytest.approx(0.9, abs=3.3 * math.sqrt(0.09 * (1 / 500 + 1 / 2_000)))
        sizes.append(sets.sum(-1).mean())
    assert sizes[1] < sizes[0] / 2


def test_too_few_rows_choose_no_penalty() -> None:
    logits, labels = many_classes(np.random.default_rng(3), 8)
    assert tuned_classes(logits, labels).rank_penalty == 0
