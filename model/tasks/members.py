"""The columns that only an ensemble has."""

from typing import Any

import numpy as np

from model.passes import Estimate


def member_columns(
    estimate: Estimate, at: Any, unit: np.ndarray | float = 1.0
) -> dict[str, np.ndarray]:
    """The variance between members and its error, [B, V]; none for a single network.

    `at` selects the values of the columns among those of the estimate, and `unit` is theirs.
    """
    if estimate.between is None:
        return {}
    parts = (estimate.between.variance, estimate.between.error)
    variance, error = (part[:, at] * np.square(unit) for part in parts)
    return {"member_variance": variance, "member_variance_error": error}
