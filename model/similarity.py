"""Is this row like the data? A distance to the nearest training row, and how unusual it is.

Far from the data the variance of a ReLU network need not grow: nearness is asked of the inputs.
The space is whitened, so that a direction in which the training rows hardly vary counts as much as
one in which they do. That finds rows whose every feature is in range but whose combination was
never seen, along a line (correlated features) or not (gaps, clusters, categories).

Shapes: B rows, D inputs (encoded and standardised, or the units of a hidden layer), R reference
rows, n calibration rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from model.errors import CalibrationError

REFERENCE_ROWS = 512  # twice as many find little more, and take twice the room and the time
SHRINKAGE = 0.01  # of the covariance: a flat direction is stretched tenfold at most
TIE = 1e-6  # relative: a row as far as a calibration row counts as no farther
ROWS_AT_ONCE = 1024  # bounds the memory; no answer depends on it


@dataclass(frozen=True, slots=True)
class Similarity:
    """What an artifact keeps: float32 arrays, 4 (R D + D^2 + D + n) bytes.

    With 512 reference rows and 1,000 calibration rows that is 21 kB at D = 8, 0.15 MB at D = 64.
    """

    centre: np.ndarray  # [D]
    whitening: np.ndarray  # [D, D]: (x - centre) @ whitening has covariance about 1
    reference: np.ndarray  # [R, D], whitened
    scores: np.ndarray  # [n], the calibration rows' distances, ascending


def fit(
    training: np.ndarray,
    calibration: np.ndarray,
    *,
    seed: int,
    rows: int = REFERENCE_ROWS,
) -> Similarity:
    """What to compare new rows with: up to `rows` of the training rows [N, D], chosen by seed.

    The p-values hold for rows like the calibration rows [n, D], which are none of the training
    rows. Raises CalibrationError where either is empty.
    """
    for name, given in (("training", training), ("calibration", calibration)):
        if not len(given):
            raise CalibrationError(f"a distance score needs {name} rows; there are none")
    x = np.asarray(training, dtype=np.float64)
    centre = x.mean(0).astype(np.float32)
    whitening = _whitening(x).astype(np.float32)
    chosen = np.random.default_rng(seed).permutation(len(x))[:rows]
    reference = ((x[np.sort(chosen)] - centre) @ whitening.astype(np.float64)).astype(np.float32)
    scores = np.empty(0, dtype=np.float32)
    unscored = Similarity(centre, whitening, reference, scores)
    scores = np.sort(distances(unscored, calibration)).astype(np.float32)
    return Similarity(centre, whitening, reference, scores)


def distances(similarity: Similarity, x: np.ndarray) -> np.ndarray:
    """Each row's distance [B] to the nearest reference row, in whitened units."""
    return np.concatenate([np.empty(0), *_blocks(similarity, x)])


def p_values(similarity: Similarity, x: np.ndarray) -> np.ndarray:
    """Each row's p-value [B], (1 + calibration rows at least as far) / (n + 1).

    For rows like the calibration rows, at most a share p of them has a p-value of p or less; it is
    never below 1 / (n + 1).
    """
    nearer = distances(similarity, x) * (1 - TIE)
    scores = similarity.scores.astype(np.float64)
    farther = len(scores) - np.searchsorted(scores, nearer, side="left")
    return np.asarray((1 + farther) / (1 + len(scores)), dtype=np.float64)


def _whitening(x: np.ndarray) -> np.ndarray:
    """The inverse root [D, D] of the covariance of x [N, D], shrunk towards a multiple of 1.

    By SHRINKAGE at least, and more where there are few rows for D directions (OAS: Chen et al.
    2010); inputs that never vary leave it at 1.
    """
    width = x.shape[1]
    covariance = np.atleast_2d(np.cov(x, rowvar=False, ddof=0))
    average = np.trace(covariance) / width
    if average == 0:
        return np.eye(width)
    spread = np.square(covariance).mean()
    few = (spread + average**2) / ((len(x) + 1) * (spread - average**2 / width) or np.inf)
    share = min(1.0, max(SHRINKAGE, few))
    values, vectors = np.linalg.eigh((1 - share) * covariance + share * average * np.eye(width))
    return np.asarray(vectors / np.sqrt(values) @ vectors.T)


def _blocks(similarity: Similarity, x: np.ndarray) -> Iterator[np.ndarray]:
    """The distances of ROWS_AT_ONCE rows after the other."""
    whitening = similarity.whitening.astype(np.float64)
    reference = similarity.reference.astype(np.float64)
    half = np.square(reference).sum(1) / 2  # [R]
    for start in range(0, len(x), ROWS_AT_ONCE):
        z = (x[start : start + ROWS_AT_ONCE].astype(np.float64) - similarity.centre) @ whitening
        nearest = np.argmin(half - z @ reference.T, axis=1)  # half the squared distance, but |z|^2
        yield np.sqrt(np.square(z - reference[nearest]).sum(1))  # again, with all its digits
