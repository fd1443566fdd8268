"""The options of a prediction."""

import math
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np

from model.errors import Detail, InputError
from model.messages import nearest, shown

Estimator = Literal["plain", "reduced"]
MaskScope = Literal["shared", "per_row"]
LabelSetMethod = Literal["lac", "aps", "raps"]
SEED_LIMIT = 1 << 63
BUILTINS = {bool, int, float, str, type(None)}


@dataclass(frozen=True, slots=True)
class PredictOptions:
    """How to predict; requests with equal options may share a batch.

    `passes`, `estimator` and `masks` that are None have the values on the model's card. `passes`:
    the number of passes N >= 2. `seed`: in [0, 2^63), or None for a new random one. `coverage`: in
    (0, 1), of the region around each prediction. `label_set`: how a classifier's region is made,
    see `LabelSet`. `estimator`: `plain` has the sample mean and variance of the passes; `reduced`
    has the same expectations with less Monte-Carlo error. `masks`: `shared` draws one thinned
    network per pass for all rows; `per_row` draws new masks for every row. `tolerance`: above 0; a
    row stops when the relative Monte-Carlo standard error of its std is at most this, or after
    `passes`. `samples`: also return every pass's output. `largest_error`: above 0, the largest RMSE
    or error rate that the accepted rows may have. Raises InputError naming the option.
    """

    passes: int | None = None
    seed: int | None = None
    coverage: float = 0.9
    estimator: Estimator | None = None
    masks: MaskScope | None = None
    tolerance: float | None = None
    samples: bool = False
    label_set: LabelSetMethod = "lac"
    largest_error: float | None = None

    def __post_init__(self) -> None:
        use_builtins(self)
        for field, value, domain, ok in (
            ("passes", self.passes, "a whole number, 2 or more", _passes(self.passes)),
            ("seed", self.seed, "a whole number in [0, 2^63)", _seed(self.seed)),
            ("coverage", self.coverage, "a number in (0, 1)", _between(self.coverage, 1)),
            (
                "estimator",
                self.estimator,
                _choices(Estimator),
                self.estimator in (None, *get_args(Estimator)),
            ),
            ("masks", self.masks, _choices(MaskScope), self.masks in (None, *get_args(MaskScope))),
            ("tolerance", self.tolerance, "a number above 0", _positive(self.tolerance)),
            (
                "label_set",
                self.label_set,
                _choices(LabelSetMethod),
                self.label_set in get_args(LabelSetMethod),
            ),
            (
                "largest_error",
                self.largest_error,
                "a number above 0",
                _positive(self.largest_error),
            ),
            ("samples", self.samples, "true or false", isinstance(self.samples, bool)),
        ):
            if not ok:
                message = f"must be {domain}, not {_worded(value, domain)}"
                raise InputError(f"{field}: {message}", [Detail(field, message)])


@dataclass(frozen=True, slots=True)
class Resolved(PredictOptions):
    """Options with a value for `passes`, `estimator` and `masks`."""

    passes: int = 100
    estimator: Estimator = "reduced"
    masks: MaskScope = "shared"


def use_builtins(options: Any) -> None:
    """Replace the numpy numbers in a frozen dataclass by those of Python, and lists by tuples."""
    for name in options.__dataclass_fields__:
        value = getattr(options, name)
        if type(value) not in BUILTINS:
            object.__setattr__(options, name, builtin(value))


def builtin(value: Any) -> Any:
    """A numpy number as Python's, an array or a list as a tuple; any other object as it is."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple | list | np.ndarray) and np.ndim(value) == 1:
        return tuple(map(builtin, value))
    return value


@lru_cache(256)  # most requests have the options of an earlier request
def resolved(
    options: PredictOptions, *, passes: int, estimator: Estimator, masks: MaskScope
) -> Resolved:
    """The options, with these values for those that are None."""
    own = {"passes": passes, "estimator": estimator, "masks": masks}
    given = {field.name: getattr(options, field.name) for field in fields(options)}
    return Resolved(**given | {name: given[name] or value for name, value in own.items()})


def _passes(value: object) -> bool:
    return value is None or _whole(value, 2)


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= least


def _between(value: object, limit: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < limit


def _seed(value: object) -> bool:
    return value is None or (_whole(value, 0) and value in range(SEED_LIMIT))


def _positive(value: object) -> bool:
    return value is None or _between(value, math.inf)


def _worded(value: object, domain: str) -> str:
    """The value, and which of the choices may be meant, if the domain has choices."""
    choices = domain.removeprefix("one of ").split(", ") if domain.startswith("one of ") else ()
    return shown(value) + nearest(value, choices)


def _choices(kind: object) -> str:
    return "one of " + ", ".join(get_args(kind))
