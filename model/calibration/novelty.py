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
from model.formulas import p_values, unusual

REFERENCE_ROWS = 4096  # at most: a row is compared with all of them
REFERENCE_BYTES = 4 << 20  # at most, of float32: all of those rows up to 256 inputs
SHRINKAGE = 0.01  # of the covariance: a flat direction is stretched tenfold at most
TIE = 1e-6  # relative: a row as far as a calibration row counts as no farther
MOST_INPUTS = 2048  # whose covariance takes seconds to invert, and 16 MB
ROWS_AT_ONCE = 32  # whose products with the reference rows fit a core's cache
ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How like the training rows each of B rows is."""

    distance: np.ndarray  # [B]
    p_value: np.ndarray  # [B]
    unseen: np.ndarray  # [B] bool: farther off than nearly all calibration rows


@dataclass(frozen=True)
class Similarity:
    """What an artifact keeps: float32 tensors, 4 (R D + D^2 + D + n) bytes.

    With 4,096 reference rows and 1,000 calibration rows that is 0.14 MB at D = 8, 1.1 MB at D = 64.
    """

    centre: Tensor  # [D]
    whitening: Tensor  # [D, D]: (x - centre) @ whitening has covariance about 1
    reference: Tensor  # [R, D], whitened
    scores: Tensor  # [n], the calibration rows' distances, ascending

    @cached_property
    def _whitened(self) -> tuple[Tensor, Tensor]:
        """What is added to x @ whitening, and the whitening, in float64."""
        whitening = self.whitening.double()
        return -self.centre.double() @ whitening, whitening

    @cached_property
    def _products(self) -> tuple[Tensor, float, float]:
        """The factor [D + 1, R] of (z, 1) that gives |z - reference|^2 / 2 - |z|^2 / 2, float32.

        And the largest norm of a reference row, and half its square.
        """
        norms = self.reference.double().square().sum(1)
        factor = torch.cat([-self.reference, norms[:, None].float() / 2], dim=1).T.contiguous()
        most = float(norms.max())
        return factor, most**0.5, most / 2

    @cached_property
    def _unseen(self) -> float:
        """The largest p-value of a row that is called unseen."""
        return unusual(self._sorted)

    @cached_property
    def _sorted(self) -> np.ndarray:
        """The scores in float64."""
        return np.asarray(self.scores.double().numpy())

    def distances(self, x: np.ndarray) -> np.ndarray:
        """Each row's distance [B] to the nearest reference row, in whitened units."""
        blocks = list(self._blocks(x))
        return blocks[0] if len(blocks) == 1 else np.concatenate([np.empty(0), *blocks])

    def p_values(self, distances: np.ndarray) -> np.ndarray:
        """The p-value [B] of each distance: the share of calibration rows at least as far off."""
        return p_values(self._sorted, distances, tie=TIE)

    def likeness(self, x: np.ndarray) -> Likeness:
        """Each row's distance and p-value; unseen is a row whose p-value is `unusual`."""
        distances = self.distances(x)
        found = self.p_values(distances)
        return Likeness(distances, found, found <= self._unseen)

    def calibrated(self, calibration: np.ndarray) -> "Similarity":
        """The same, with p-values for rows like these calibration rows [n, D]."""
        _check_rows("calibration", calibration)
        scores = np.sort(self.distances(calibration)).astype(np.float32)
        return replace(self, scores=torch.from_numpy(scores))

    def _blocks(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """The distances of ROWS_AT_ONCE rows after the other.

        With torch's products, which take as many threads as the computing thread has asked for.
        """
        shift, whitening = self._whitened
        for start in range(0, len(x), ROWS_AT_ONCE):
            block = torch.from_numpy(x[start : start + ROWS_AT_ONCE]).double()
            yield self._nearest(torch.addmm(shift, block, whitening))

    def _nearest(self, z: Tensor) -> np.ndarray:
        """The distance [B] of whitened rows z [B, D] to the nearest reference row, to all digits.

        One product in float32 finds that row, or the few that may be it, as far as rounding can
        tell; their distances are computed in float64, from differences.
        """
        factor, longest, half = self._products
        # Divided by |z|, far rows do not overflow; the nearest stays the nearest.
        scale = torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp_(min=1)
        products = torch.mm(torch.cat([z / scale, 1 / scale], dim=1).float(), factor).numpy()
        # The bound of a product's rounding error, twice: the least of them has one, too.
        slack = 2 * ROUNDING * len(factor) * (longest + half / scale.numpy())
        rows, nearest = np.arange(len(z)), products.argmin(1)
        reach = products[rows, nearest] + slack[:, 0]
        whitened, reference = z.numpy(), self.reference.numpy()
        squares = _squares(whitened - reference[nearest])
        products[rows, nearest] = np.inf
        for row in np.flatnonzero(products.min(1) <= reach):  # hardly ever
            others = reference[products[row] <= reach[row]]
            squares[row] = min(squares[row], _squares(whitened[row] - others).min())
        return np.asarray(np.sqrt(squares))


def fit(
    training: np.ndarray,
    calibration: np.ndarray,
    *,
    seed: int,
    rows: int = REFERENCE_ROWS,
) -> Similarity:
    """What to compare new rows with: up to `rows` distinct training rows [N, D], chosen by seed.

    Fewer where they would take more than REFERENCE_BYTES. The p-values hold for rows like the
    calibration rows [n, D], which are none of the training rows. Raises CalibrationError where
    either is empty.
    """
    for name, given in (("training", training), ("calibration", calibration)):
        _check_rows(name, given)
    x = np.asarray(training, dtype=np.float64)
    centre, whitening = x.mean(0).astype(np.float32), _whitening(x).astype(np.float32)
    rows = min(rows, REFERENCE_BYTES // (4 * x.shape[1]))
    distinct = np.unique(x, axis=0)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(distinct))[:rows])
    reference = ((distinct[chosen] - centre) @ whitening.astype(np.float64)).astype(np.float32)
    parts = (centre, whitening, reference, np.empty(0, dtype=np.float32))
    return Similarity(*map(torch.from_numpy, parts)).calibrated(calibration)


def _squares(differences: np.ndarray) -> np.ndarray:
    """The squared norms [B] of differences [B, D]."""
    return np.asarray(np.einsum("ij,ij->i", differences, differences))


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
