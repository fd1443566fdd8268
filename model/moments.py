"""Mean and variance over passes, streaming, with their Monte-Carlo standard errors.

Shapes: P passes, B rows, V values of one pass.
"""

from collections.abc import Iterable

import torch
from torch import Tensor

from model.uncertainty import Estimate


class Moments:
    """Count, mean and central power sums to the fourth of [B, V] values, in float64.

    Chunks are merged by the pairwise formulas of Pebay (2008), so no pass is kept and no large
    number is subtracted from another.
    """

    def __init__(self) -> None:
        self.count = 0
        self._mean = self._m2 = self._m3 = self._m4 = torch.zeros((), dtype=torch.float64)

    def add(self, values: Tensor) -> None:
        """Take in a chunk [p, B, V]."""
        count = len(values)
        values = values.to(torch.float64)
        mean = values.mean(0)  # [B, V]
        centred = values - mean
        squares = centred.square()
        m2 = squares.sum(0)
        m3 = (squares * centred).sum(0)
        m4 = squares.square().sum(0)
        if not self.count:
            self.count, self._mean, self._m2, self._m3, self._m4 = count, mean, m2, m3, m4
            return
        self._merge(count, mean, m2, m3, m4)

    def _merge(self, count: int, mean: Tensor, m2: Tensor, m3: Tensor, m4: Tensor) -> None:
        a, b = self.count, count
        n = a + b
        step = (mean - self._mean) / n
        product = a * b * n * step.square()  # = delta^2 a b / n
        self._m4 = (
            self._m4
            + m4
            + product * (a * a - a * b + b * b) * step.square()
            + 6 * step.square() * (a * a * m2 + b * b * self._m2)
            + 4 * step * (a * m3 - b * self._m3)
        )
        self._m3 = self._m3 + m3 + product * (a - b) * step + 3 * step * (a * m2 - b * self._m2)
        self._m2 = self._m2 + m2 + product
        self._mean = self._mean + b * step
        self.count = n

    def estimate(self) -> Estimate:
        """The plain estimator: sample mean and variance (ddof 1), and their standard errors.

        Var(s^2) = (mu4 - sigma^4 (N-3)/(N-1)) / N needs no assumption on the distribution.
        """
        n = self.count
        variance = self._m2 / (n - 1)
        fourth = self._m4 / n
        spread = (fourth - variance.square() * ((n - 3) / (n - 1))).clamp_min(0)
        return Estimate(
            mean=self._mean,
            variance=variance,
            mean_error=(variance / n).sqrt(),
            variance_error=(spread / n).sqrt(),
        )


def plain(chunks: Iterable[Tensor]) -> Estimate:
    """The plain estimate of all passes in chunks [p, B, V]."""
    moments = Moments()
    for values in chunks:
        moments.add(values)
    return moments.estimate()
