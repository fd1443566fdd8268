"""Is this row like the data? A distance to the nearest training row, and how unusual it is.

Far from the data the variance of a ReLU network need not grow: nearness is asked of the inputs.
The space is whitened, so that a direction in which the training rows hardly vary counts as much as
one in which they do. That finds rows whose every feature is in range but whose combination was
never seen, along a line (correlated features) or not (gaps, clusters, categories).

Shapes: B rows, D inputs (encoded and standardised, or the units of a hidden layer), R reference
rows, n calibration rows.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from model.errors import CalibrationError

REFERENCE_ROWS = 512  # twice as many find little more, and take twice the room and the time
SHRINKAGE = 0.01  # of the covariance: a flat direction is stretched tenfold at most
UNSEEN = 0.01  # the share of rows like the data that are called unlike it, at most
TIE = 1e-6  # relative: a row as far as a calibration row counts as no farther
MOST_INPUTS = 2048  # whose covariance takes seconds to invert, and 16 MB
ROWS_AT_ONCE = 1024  # bounds the memory; no answer depends on it


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the training rows one row is; None where nothing is kept to compare it with."""

    distance: float | None
    p_value: float | None
    unseen: bool  # farther off than nearly all calibration rows


UNKNOWN = Likeness(None, None, unseen=False)


@dataclass(frozen=True)
class Similarity:
    """What an artifact keeps: float32 tensors, 4 (R D + D^2 + D + n) bytes.

    With 512 reference rows and 1,000 calibration rows that is 21 kB at D = 8, 0.15 MB at D = 64.
    """

    centre: Tensor  # [D]
    whitening: Tensor  # [D, D]: (x - centre) @ whitening has covariance about 1
    reference: Tensor  # [R, D], whitened
    scores: Tensor  # [n], the calibration rows' distances, ascending

    @cached_property
    def _wide(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """All but the scores in float64, and half the squared norms [R] of the reference rows."""
        reference = self.reference.double()
        norms = reference.square().sum(1) / 2
        return self.centre.double(), self.whitening.double(), reference, norms

    @cached_property
    def _sorted(self) -> np.ndarray:
        """The scores in float64."""
        return np.asarray(self.scores.double().numpy())

    def distances(self, x: np.ndarray) -> np.ndarray:
        """Each row's distance [B] to the nearest reference row, in whitened units."""
        return np.concatenate([np.empty(0), *self._blocks(x)])

    def p_values(self, distances: np.ndarray) -> np.ndarray:
        """The p-value [B] of each distance, (1 + calibration rows at least as far) / (n + 1).

        For rows like the calibration rows, at most a share p of them has a p-value of p or less; it
        is never below 1 / (n + 1).
        """
        scores = self._sorted
        farther = len(scores) - np.searchsorted(scores, distances * (1 - TIE), side="left")
        return np.asarray((1 + farther) / (1 + len(scores)), dtype=np.float64)

    def likeness(self, x: np.ndarray) -> list[Likeness]:
        """Each row's distance and p-value.

        A row is called unseen where its p-value is UNSEEN or less, or, with too few calibration
        rows for so small a number, where it is farther off than all of them.
        """
        distances = self.distances(x)
        p_values = self.p_values(distances)
        unseen = p_values <= max(UNSEEN, 1 / (1 + len(self.scores)))
        columns = (distances.tolist(), p_values.tolist(), unseen.tolist())
        return [Likeness(d, p, unseen=u) for d, p, u in zip(*columns, strict=True)]

    def calibrated(self, calibration: np.ndarray) -> "Similarity":
        """The same, with p-values for rows like these calibration rows [n, D]."""
        _check_rows("calibration", calibration)
        scores = np.sort(self.distances(calibration)).astype(np.float32)
        return replace(self, scores=torch.from_numpy(scores))

    def _blocks(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """The distances of ROWS_AT_ONCE rows after the other.

        With torch's products, which take as many threads as the computing thread has asked for.
        """
        centre, whitening, reference, norms = self._wide
        for start in range(0, len(x), ROWS_AT_ONCE):
            block = torch.from_numpy(np.asarray(x[start : start + ROWS_AT_ONCE], dtype=np.float64))
            z = (block - centre) @ whitening
            nearest = (norms - z @ reference.T).argmin(1)  # half the squared distance, but |z|^2
            # Again, with all its digits.
            yield (z - reference[nearest]).square().sum(1).sqrt().numpy()


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
        _check_rows(name, given)
    x = np.asarray(training, dtype=np.float64)
    centre, whitening = x.mean(0).astype(np.float32), _whitening(x).astype(np.float32)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(x))[:rows])
    reference = ((x[chosen] - centre) @ whitening.astype(np.float64)).astype(np.float32)
    parts = (centre, whitening, reference, np.empty(0, dtype=np.float32))
    return Similarity(*map(torch.from_numpy, parts)).calibrated(calibration)


def _check_rows(name: str, given: np.ndarray) -> None:
    if not len(given):
        raise CalibrationError(f"a distance score needs {name} rows; there are none")


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
