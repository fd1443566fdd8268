"""Is this row like the data? A distance to the nearest training row, and how unusual it is.

Far from the data the variance of a ReLU network need not grow: nearness is asked of the inputs.
The space is whitened, so that a direction in which the training rows hardly vary counts as much as
one in which they do. That finds rows whose every feature is in range but whose combination was
never seen, along a line (correlated features) or not (gaps, clusters, categories).

Shapes: B rows, D inputs (encoded and standardised, or the units of a hidden layer), R reference
rows, n calibration rows.
"""

from collections.abc import Iterator, Sequence
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
    """How like the training rows each of B rows is."""

    distance: Sequence[float]
    p_value: Sequence[float]
    unseen: Sequence[bool]  # farther off than nearly all calibration rows


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
        """In float64: what is added to x @ whitening, the whitening, the reference rows, and half
        the squared norms [R] of those.
        """
        whitening, reference = self.whitening.double(), self.reference.double()
        norms = reference.square().sum(1) / 2
        return -self.centre.double() @ whitening, whitening, reference, norms

    @cached_property
    def _unseen(self) -> float:
        """The largest p-value of a row that is called unseen."""
        return max(UNSEEN, 1 / (1 + len(self.scores)))

    @cached_property
    def _sorted(self) -> np.ndarray:
        """The scores in float64."""
        return np.asarray(self.scores.double().numpy())

    def distances(self, x: np.ndarray) -> np.ndarray:
        """Each row's distance [B] to the nearest reference row, in whitened units."""
        blocks = list(self._blocks(x))
        return blocks[0] if len(blocks) == 1 else np.concatenate([np.empty(0), *blocks])

    def p_values(self, distances: np.ndarray) -> np.ndarray:
        """The p-value [B] of each distance, (1 + calibration rows at least as far) / (n + 1).

        For rows like the calibration rows, at most a share p of them has a p-value of p or less; it
        is never below 1 / (n + 1).
        """
        scores = self._sorted
        nearer = scores.searchsorted(distances * (1 - TIE))
        return np.asarray((1 + len(scores) - nearer) / (1 + len(scores)))

    def likeness(self, x: np.ndarray) -> Likeness:
        """Each row's distance and p-value.

        A row is called unseen where its p-value is UNSEEN or less, or, with too few calibration
        rows for so small a number, where it is farther off than all of them.
        """
        distances = self.distances(x)
        p_values = self.p_values(distances)
        unseen = p_values <= self._unseen
        return Likeness(distances.tolist(), p_values.tolist(), unseen.tolist())

    def calibrated(self, calibration: np.ndarray) -> "Similarity":
        """The same, with p-values for rows like these calibration rows [n, D]."""
        _check_rows("calibration", calibration)
        scores = np.sort(self.distances(calibration)).astype(np.float32)
        return replace(self, scores=torch.from_numpy(scores))

    def _blocks(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """The distances of ROWS_AT_ONCE rows after the other.

        With torch's products, which take as many threads as the computing thread has asked for.
        """
        shift, whitening, reference, norms = self._wide
        for start in range(0, len(x), ROWS_AT_ONCE):
            block = torch.from_numpy(x[start : start + ROWS_AT_ONCE]).double()
            z = torch.addmm(shift, block, whitening)
            # Half the squared distance, but |z|^2: the least is that of the nearest row.
            nearest = torch.addmm(norms, z, reference.T, alpha=-1).argmin(1)
            yield torch.linalg.vector_norm(z - reference[nearest], dim=1).numpy()  # all its digits


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
