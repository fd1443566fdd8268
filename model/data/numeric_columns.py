"""The numeric features of a schema as arrays: how blocks of numbers are read and encoded.

Shapes: B rows, F numeric features, D encoded columns, C columns of codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from model.data.codes import Codes
from model.data.encoded import Encoded
from model.data.feature import Feature, NumericFeature

RANGE_SLACK = 1e-6  # in scales: rounding to float32 must not put a training row outside the range


@dataclass(frozen=True, slots=True, eq=False)
class NumericColumns:
    """The numeric features as arrays [F] float64, computed once for all rows.

    `low` and `high` are the ends of the encoded training range, moved outwards by `RANGE_SLACK`.
    `fill` is nan where a missing value is an error, and None if it is an error in all features.
    """

    features: tuple[NumericFeature, ...]
    names: tuple[str, ...]
    positions: tuple[int, ...]  # the encoded column of each number
    mean: np.ndarray
    scale: np.ndarray
    low: np.ndarray
    high: np.ndarray
    fill: np.ndarray | None
    marks: tuple[tuple[int, float], ...]  # feature and number that says that a value is missing
    codes: Codes
    code_columns: np.ndarray  # [C] the encoded column of each column of the codes

    @classmethod
    def of(cls, features: Sequence[Feature]) -> "NumericColumns":
        """The numeric ones among the features of a schema."""
        starts = accumulate((feature.width for feature in features), initial=0)
        placed = [
            (feature, at)
            for feature, at in zip(features, starts, strict=False)
            if isinstance(feature, NumericFeature)
        ]
        rows = [(each.low, each.high, each.mean, each.scale) for each, _ in placed]
        low, high, mean, scale = np.array(rows, dtype=np.float64).reshape(-1, 4).T
        low, high = (low - mean) / scale, (high - mean) / scale
        fill = np.array([np.nan if each.fill is None else each.fill for each, _ in placed])
        coded = [at + 1 + bin_ for each, at in placed for bin_ in range(each.width - 1)]
        return cls(
            tuple(feature for feature, _ in placed),
            tuple(feature.name for feature, _ in placed),
            tuple(at for _, at in placed),
            mean=mean,
            scale=scale,
            low=low - RANGE_SLACK * (1 + abs(low)),
            high=high + RANGE_SLACK * (1 + abs(high)),
            fill=None if np.isnan(fill).all() else fill,
            marks=tuple(
                (at, mark)
                for at, (feature, _) in enumerate(placed)
                for mark in sorted(feature.rule.missing_numbers)
            ),
            codes=Codes.of([(np.array(e.edges) - e.mean) / e.scale for e, _ in placed]),
            code_columns=np.array(coded, dtype=np.intp),
        )

    def read(self, block: np.ndarray) -> Encoded:
        """The numbers of a request [B, F] encoded, missing ones filled in, if all are numeric.

        Raises ValueError for one that says that a value is missing, if it is not to be filled in.
        """
        if self.fill is None:
            if any((block[:, at] == mark).any() for at, mark in self.marks):
                raise ValueError
            return Encoded(self._encoded(block))
        gaps = np.isnan(block)
        for at, mark in self.marks:
            gaps[:, at] |= block[:, at] == mark
        if not gaps.any():
            return Encoded(self._encoded(block))
        if np.isnan(self.fill[gaps.any(0)]).any():
            raise ValueError
        return Encoded(self._encoded(np.where(gaps, self.fill, block)), self.names, gaps)

    def _encoded(self, block: np.ndarray) -> np.ndarray:
        """The numbers [B, F] encoded [B, F + C], float32."""
        z = self.standardised(block)
        if not len(self.code_columns):
            return z
        x = np.empty((len(z), z.shape[1] + len(self.code_columns)), dtype=np.float32)
        self.put(z, x)
        return x

    def standardised(self, block: np.ndarray) -> np.ndarray:
        """The numbers [B, F] standardised, float32; inf where one overflows."""
        with np.errstate(over="ignore", invalid="ignore"):
            return np.asarray((block - self.mean) / self.scale, dtype=np.float32)

    def put(self, z: np.ndarray, x: np.ndarray) -> None:
        """Write the standardised numbers z [B, F] and their codes into encoded rows x [B, D]."""
        x[:, self.positions] = z
        if len(self.code_columns):
            x[:, self.code_columns] = self.codes(z)
