"""The distance of a row to the nearest training row, and how unusual that distance is.

The variance of a ReLU network need not grow far from the data, so the distance is measured between
inputs. Inputs are whitened: a direction in which the training rows hardly vary counts as much as
one in which they vary much. That finds a row with every feature in range whose combination of
features is new, whether the training rows lie on a line (correlated features) or not (gaps,
clusters, categories).

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
SHRINKAGE = 0.01  # of the covariance: whitening stretches no direction more than tenfold
TIE = 1e-6  # relative difference below which two distances are equal
MOST_INPUTS = 2048  # the covariance of more takes many seconds to invert, and over 16 MB
COMPARED_AT_ONCE = 1 << 17  # rows x reference rows: the products fit in the cache of a core
FEW_VALUES = 1 << 18
"""Rows x values of a matrix in a product of numpy: it takes less than the calls of torch, and
numpy's OpenBLAS uses one thread for as many."""
NEIGHBOURS = 15  # whose middle is an example of a row: like them, but none of them
ROUNDING = float(np.finfo(np.float32).eps)


@dataclass(frozen=True, slots=True)
class Likeness:
    """How far each of B rows is from the training rows."""

    distance: np.ndarray  # [B]
    p_value: np.ndarray  # [B]
    unseen: np.ndarray  # [B] bool: farther off than nearly all calibration rows


@dataclass(frozen=True)
class Similarity:
    """The tensors that an artifact keeps for distances: float32, 4 (R D + D^2 + D + n) bytes.

    With 4,096 reference rows and 1,000 calibration rows that is 0.14 MB at D = 8, 1.1 MB at D = 64.
    """

    centre: Tensor  # [D]
    whitening: Tensor  # [D, D]: (x - centre) @ whitening has covariance about 1
    reference: Tensor  # [R, D], whitened
    scores: Tensor  # [n], the calibration rows' distances, ascending

    @cached_property
    def _whitened(self) -> tuple[Tensor, Tensor]:
        """The shift after x @ whitening, and the whitening, in float64."""
        whitening = self.whitening.double()
        return -self.centre.double() @ whitening, whitening

    @cached_property
    def _products(self) -> tuple[Tensor, float, float]:
        """A factor [D + 1, R] in float32, the largest norm of a reference row, and half its square.

        (z, 1) @ factor = |z - reference|^2 / 2 - |z|^2 / 2.
        """
        norms = self.reference.double().square().sum(1)
        factor = torch.cat([-self.reference, norms[:, None].float() / 2], dim=1).T.contiguous()
        most = float(norms.max())
        return factor, most**0.5, most / 2

    @cached_property
    def _values(self) -> int:
        """The values of the larger matrix that a row is multiplied by."""
        return max(self.reference.numel(), self.whitening.numel())

    @cached_property
    def _unseen(self) -> float:
        """The largest p-value at which a row is called unseen."""
        return unusual(self._sorted)

    @cached_property
    def _sorted(self) -> np.ndarray:
        """The scores in float64."""
        return np.asarray(self.scores.double().numpy())

    @cached_property
    def rows(self) -> np.ndarray:
        """The reference rows as inputs [R, D], float32, to the rounding of their whitening."""
        whitening = self.whitening.double().numpy()
        inputs = np.linalg.solve(whitening, self.reference.double().numpy().T).T
        return np.asarray(inputs + self.centre.double().numpy(), dtype=np.float32)

    @cached_property
    def typical(self) -> np.ndarray:
        """Up to NEIGHBOURS training rows [n, D]: the most central one, and those nearest to it."""
        reference = self.reference.double().numpy()
        central = reference[_squares(reference).argmin()]
        near = reference[_squares(reference - central).argsort(kind="stable")[:NEIGHBOURS]]
        x = np.linalg.solve(self._whitened[1].numpy().T, near.T).T
        return np.asarray(x + self.centre.double().numpy())

    @cached_property
    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Centre [D], whitening [D, D], reference rows [R, D], their columns [D, R], and half their
        squared norms [R]; float64, except for the rows."""
        reference = self.reference.double().numpy()
        columns, halves = np.ascontiguousarray(reference.T), _squares(reference) / 2
        centre, whitening = self.centre.double().numpy(), self.whitening.double().numpy()
        return centre, whitening, self.reference.numpy(), columns, halves

    def distances(self, x: np.ndarray) -> np.ndarray:
        """Each row's distance [B] to the nearest reference row, in whitened units."""
        if len(x) * self._values <= FEW_VALUES:
            return self._few_distances(x)
        blocks = list(self._blocks(x))
        return blocks[0] if len(blocks) == 1 else np.concatenate([np.empty(0), *blocks])

    def p_values(self, distances: np.ndarray) -> np.ndarray:
        """The p-value [B] of each distance: the share of calibration rows at least as far off."""
        return p_values(self._sorted, distances, tie=TIE)

    def likeness(self, distances: np.ndarray) -> Likeness:
        """The p-value of each distance [B], and whether it is unseen: its p-value is `unusual`."""
        found = self.p_values(distances)
        return Likeness(distances, found, found <= self._unseen)

    def calibrated(self, calibration: np.ndarray) -> "Similarity":
        """A copy whose p-values come from these calibration rows [n, D]."""
        _check_rows("calibration", calibration)
        scores = np.sort(self.distances(calibration)).astype(np.float32)
        return replace(self, scores=torch.from_numpy(scores))

    def _few_distances(self, x: np.ndarray) -> np.ndarray:
        """The distances [B] of a few rows x [B, D], without a call of torch.

        The least |reference|^2 / 2 - z . reference tells which row is nearest; in float64, rounding
        mistakes a row only for one as near. The distance to it comes from differences.
        """
        centre, whitening, reference, columns, halves = self.arrays
        z = (x - centre).dot(whitening)
        nearest = (halves - z.dot(columns)).argmin(1)
        return np.asarray(np.sqrt(_squares(z - reference.take(nearest, 0))))

    def _blocks(self, x: np.ndarray) -> Iterator[np.ndarray]:
        """The distances, some rows at a time.

        torch computes the products, with the number of threads that the computing thread has set.
        """
        shift, whitening = self._whitened
        at_once = max(1, COMPARED_AT_ONCE // len(self.reference))
        for start in range(0, len(x), at_once):
            block = torch.from_numpy(x[start : start + at_once]).double()
            yield self._nearest(torch.addmm(shift, block, whitening))

    def _nearest(self, z: Tensor) -> np.ndarray:
        """The distance [B] of whitened rows z [B, D] to the nearest reference row, in float64.

        One product in float32 finds the rows that may be nearest, given its rounding error. Their
        distances are computed in float64 from differences.
        """
        factor, longest, half = self._products
        # Division by |z| keeps far rows from overflowing and does not change which row is nearest.
        scale = torch.linalg.vector_norm(z, dim=1, keepdim=True).clamp_(min=1)
        products = torch.mm(torch.cat([z / scale, 1 / scale], dim=1).float(), factor).numpy()
        # Twice the bound of one rounding error: both products that are compared have one.
        slack = 2 * ROUNDING * len(factor) * (longest + half / scale.numpy())
        rows, nearest = np.arange(len(z)), products.argmin(1)
        reach = products[rows, nearest] + slack[:, 0]
        whitened, reference = z.numpy(), self.reference.numpy()
        squares = _squares(whitened - reference[nearest])
        products[rows, nearest] = np.inf
        for row in np.flatnonzero(products.min(1) <= reach):  # rare
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
    """Up to `rows` distinct training rows [N, D] to compare new rows with, chosen by the seed.

    They take at most REFERENCE_BYTES. The p-values come from the calibration rows [n, D], which
    must not be training rows. Raises CalibrationError if either is empty.
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
    return np.asarray(np.vecdot(differences, differences))


def _check_rows(name: str, given: np.ndarray) -> None:
    if not len(given):
        raise CalibrationError(f"a distance score needs {name} rows; there are none")


def _whitening(x: np.ndarray) -> np.ndarray:
    """The inverse root [D, D] of the covariance of x [N, D], shrunk towards a multiple of 1.

    The shrinkage is at least SHRINKAGE, and more if there are few rows for D directions (OAS: Chen
    et al. 2010). If no input varies, the result is the identity.
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
