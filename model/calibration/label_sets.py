"""The temperature of a classifier, and the RAPS label sets that are smallest under it.

Shapes: P passes, B rows, K classes.
"""

import numpy as np

from model.calibration.temperature import fit_temperature
from model.calibration.tuning import Tuning
from model.formulas import label_sets, quantile, raps, rows_needed, sorted_scores, true_scores

SET_COVERAGE = 0.9  # coverage at which RAPS makes label sets smallest


PENALTIES = (0.0, 0.001, 0.01, 0.1, 0.2, 0.5)


def tuned_classes(logits: np.ndarray, labels: np.ndarray) -> Tuning:
    """The temperature that `fit_temperature` finds, and the two numbers of RAPS under it.

    Takes logits [P, B, K] and class indices [B] of the same held-out rows.
    """
    temperature = fit_temperature(logits, labels)
    penalty, free = _smallest_sets(_averaged(logits / temperature), labels)
    return Tuning(temperature=temperature, rank_penalty=penalty, free_ranks=free)


def _averaged(logits: np.ndarray) -> np.ndarray:
    """The mean over the passes, [B, K], of the softmax of logits [P, B, K]."""
    odds = np.exp(logits - logits.max(-1, keepdims=True))
    return np.asarray((odds / odds.sum(-1, keepdims=True)).mean(0))


def _smallest_sets(probabilities: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
    """The rank penalty and the free ranks of the smallest label sets (Angelopoulos et al. 2021).

    The number of free ranks is the SET_COVERAGE quantile of the ranks of the true classes. The
    penalty is the first of PENALTIES with the least mean size of sets on the same rows. If the rows
    are too few for SET_COVERAGE, there is no penalty.
    """
    if len(labels) < rows_needed(SET_COVERAGE):
        return 0.0, 1
    place = np.argsort(np.argsort(-probabilities, axis=-1, kind="stable"), axis=-1) + 1  # [B, K]
    free = int(quantile(sorted_scores(true_scores(place, labels)), SET_COVERAGE))

    def size(penalty: float) -> float:
        scores = raps(probabilities, penalty=penalty, free=free)
        reach = quantile(sorted_scores(true_scores(scores, labels)), SET_COVERAGE)
        return float(label_sets(scores, reach).sum(-1).mean())

    return min(PENALTIES, key=size), free
