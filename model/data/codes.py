"""The piecewise-linear code of numbers (Gorishniy, Rubachev and Babenko 2022).

The quantiles e_0 < ... < e_K of the training rows divide a feature into K bins. The code of a
standardised number z has a column for each bin,

    code_k = min(max((z - e_k) / (e_{k+1} - e_k), 0), 1) - 1/2,

which rises from -1/2 to 1/2 within the bin. A linear layer on the code is a function of the feature
with its own slope in each bin, so a network can follow a steep step without large weights.

Between e_0 and e_K that is the published code, but for the 1/2. It is the same for all numbers
beyond: a network would see no difference between the largest training value and any larger one. So
the code of the first bin goes on falling below e_0, and the code of the last bin rising above e_K,
at the slope that it has within the bin, but at most STEEPEST per standard deviation: the outer bin
of a feature may be very narrow. docs/training.md has the measurements.

Shapes: B rows, F numeric features, C columns of codes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

BINS = 12
STEEPEST = 4.0
LEAST_BIN = 1e-6  # in scales; float32 can hardly tell numbers apart that are nearer


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """The bins of all features, as arrays [C], float32 but for `sources`."""

    sources: np.ndarray  # the position of the feature
    starts: np.ndarray
    widths: np.ndarray
    first: np.ndarray  # the slope below the bin: 0, unless it is the first of its feature
    last: np.ndarray  # the slope above the bin: 0, unless it is the last

    @classmethod
    def of(cls, edges: Sequence[np.ndarray]) -> "Codes":
        """The bins between the standardised edges of each feature; one without edges has none."""
        parts = [(at, each) for at, each in enumerate(edges) if len(each)]
        counts = np.array([len(each) - 1 for _, each in parts], dtype=np.intp)
        starts = np.concatenate([np.empty(0), *(each[:-1] for _, each in parts)])
        widths = np.concatenate([np.empty(0), *(np.diff(each) for _, each in parts)])
        slopes, ends = np.minimum(1 / widths, STEEPEST), counts.cumsum()
        first, last = np.zeros((2, len(widths)))
        first[ends - counts], last[ends - 1] = slopes[ends - counts], slopes[ends - 1]
        sources = np.repeat([at for at, _ in parts], counts).astype(np.intp)
        return cls(sources, *(part.astype(np.float32) for part in (starts, widths, first, last)))

    def __call__(self, z: np.ndarray) -> np.ndarray:
        """The codes [B, C] of standardised numbers [B, F], float32."""
        past = z[:, self.sources] - self.starts
        with np.errstate(over="ignore", invalid="ignore"):  # callers find what is not finite
            within = np.clip(past / self.widths, 0, 1) - np.float32(0.5)
            below, above = np.minimum(past, 0), np.maximum(past - self.widths, 0)
            return np.asarray(within + below * self.first + above * self.last)


def quantile_edges(values: np.ndarray, scale: float) -> tuple[float, ...]:
    """The edges of up to BINS bins with about the same number of the values [n] each.

    There are fewer where values repeat, because no bin is empty. A feature with two values, or one
    whose values are all within rounding, needs no code: it has none.
    """
    found = np.unique(np.quantile(values, np.linspace(0, 1, BINS + 1), method="inverted_cdf"))
    apart = np.append(True, np.diff(found) > LEAST_BIN * scale)
    edges = found[apart]
    return tuple(edges.tolist()) if len(edges) > 2 else ()
