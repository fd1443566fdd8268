"""What a check answers: figures, whether the promise is kept, and a cell of the table."""

from dataclasses import dataclass, field
from typing import Any

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Finding:
    """`met` says whether the promise is kept on a network, as far as chance lets one tell."""

    met: bool
    cell: str
    figures: Figures = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effort:
    """How much is measured of a network.

    `runs`: requests of 32, 64 and 100 passes; `long_runs` of 1,000. `truth`: passes of each of the
    two long runs. `seeds`: of the coverage. `tolerance_runs`: of each tolerance. `rounds`: of the
    timing.
    """

    runs: int = 200
    long_runs: int = 20
    truth: int = 20_000
    seeds: int = 12
    tolerance_runs: tuple[tuple[float, int], ...] = ((0.02, 12), (0.05, 30))
    rounds: int = 9


WHOLE = Effort()
SMALL = Effort(60, 0, 10_000, 4, ((0.05, 8),), 3)
