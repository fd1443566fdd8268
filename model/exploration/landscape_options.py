"""The options of a landscape."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from model.errors import Detail, InputError
from model.messages import shown
from model.options import SEED_LIMIT, use_builtins

LEAST_POINTS, MOST_POINTS = 5, 201  # along a side
MOST_MASKS, MOST_EXTENT = 1000, 1000.0


@dataclass(frozen=True, slots=True)
class LandscapeOptions:
    """How to draw the loss over a plane of weights.

    `points`: along each side of the plane, an odd number, so that the trained weights are one of
    them. `extent`: how far the plane reaches, as a multiple of the usual reach. `masks`: how many
    thinned networks are averaged. `rows`: the most rows of the table that the loss is measured on;
    of a longer table it is a random subset. `seed`: of the rows, the directions and the masks.
    Raises InputError naming the option.
    """

    points: int = 61
    extent: float = 1.0
    masks: int = 16
    rows: int = 256
    seed: int = 1

    def __post_init__(self) -> None:
        use_builtins(self)
        for name, value, domain, good in self._checks():
            if not good:
                message = f"must be {domain}, not {shown(value)}"
                raise InputError(f"{name}: {message}", [Detail(name, message)])

    def _checks(self) -> Iterator[tuple[str, object, str, bool]]:
        odd = f"an odd number from {LEAST_POINTS} to {MOST_POINTS}"
        sides = range(LEAST_POINTS, MOST_POINTS + 1, 2)
        yield "points", self.points, odd, _whole(self.points) and self.points in sides
        most = f"a number above 0, at most {MOST_EXTENT:g}"
        yield "extent", self.extent, most, _reach(self.extent)
        many = f"a whole number from 1 to {MOST_MASKS}"
        yield "masks", self.masks, many, _whole(self.masks) and 1 <= self.masks <= MOST_MASKS
        yield "rows", self.rows, "a whole number above 0", _whole(self.rows) and self.rows >= 1
        seeds = "a whole number in [0, 2^63)"
        yield "seed", self.seed, seeds, _whole(self.seed) and 0 <= self.seed < SEED_LIMIT


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _reach(value: object) -> bool:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return number and math.isfinite(value) and 0 < value <= MOST_EXTENT  # type: ignore[arg-type, operator]
