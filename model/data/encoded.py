"""Encoded rows, and which of their values were missing and are filled in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from model.data.feature import Feature


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Rows as the network takes them, `x` float32 [B, D].

    `imputed` says which values of the features `names` were filled in, bool [B, features]; None if
    none was.
    """

    x: np.ndarray
    names: tuple[str, ...] = ()
    imputed: np.ndarray | None = None

    @property
    def codes(self) -> list[tuple[str, ...]]:
        """The warnings "imputed:<feature>" of each row; empty if no value was filled in."""
        return [] if self.imputed is None else codes("imputed", self.names, self.imputed)


def filled(
    features: Sequence[Feature], columns: Sequence[Sequence[float] | np.ndarray]
) -> tuple[list[Sequence[float] | np.ndarray], np.ndarray | None]:
    """The columns of numbers and indices without nan where a feature has a fill, and `imputed`."""
    found, imputed = list(columns), np.zeros((len(columns[0]), len(features)), dtype=bool)
    for at, feature in enumerate(features):
        if feature.fill is None:
            continue
        column = np.asarray(columns[at], dtype=np.float64)
        gaps = imputed[:, at] = np.isnan(column)
        if gaps.any():
            found[at] = np.where(gaps, feature.filling, column)
    return found, imputed if imputed.any() else None


def codes(kind: str, names: Sequence[str], marked: np.ndarray) -> list[tuple[str, ...]]:
    """The warnings "<kind>:<name>" of each row, one for each name that is `marked` [B, names]."""
    found: list[tuple[str, ...]] = [()] * len(marked)
    if not np.count_nonzero(marked):  # the usual case, and faster than `any`
        return found
    for row, at in zip(*marked.nonzero(), strict=True):
        found[row] += (f"{kind}:{names[at]}",)
    return found
