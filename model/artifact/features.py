"""The entries of features on a card."""

from dataclasses import asdict
from itertools import pairwise
from math import inf
from typing import Annotated, Any, Literal, Self, cast

from pydantic import Field, model_validator

from model.artifact.records import Record
from model.data import (
    USUAL_CELLS,
    CategoricalFeature,
    CellRule,
    Feature,
    NumberFormat,
    NumericFeature,
)

LEAST_WIDTH, LARGEST_WIDTH = 1e-30, 1e30  # of a bin, in scales: the code divides float32 by it
MOST_EDGES = 1025  # of a feature: far more bins than `model.data.codes` makes


class ReadingRecord(Record):
    """How the training file wrote the cells of a feature, and how requests may; see `CellRule`."""

    decimal: Literal[".", ","] = "."
    thousands: Annotated[str, Field(max_length=1)] = ""
    units: tuple[str, ...] = ()
    sign: str = ""
    missing_values: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: CellRule) -> Self | None:
        """The entry of a rule; None for the usual one."""
        if rule == USUAL_CELLS:
            return None
        form = asdict(rule.numbers)
        return cls(**form, sign=rule.sign, missing_values=rule.missing_values)

    @property
    def rule(self) -> CellRule:
        """The rule."""
        form = NumberFormat(self.decimal, self.thousands, self.units)
        return CellRule(form, self.sign, self.missing_values)


class _OfFeature(Record):
    """What the entry of each feature has; without `reading`, texts are read as usual."""

    name: str
    reading: ReadingRecord | None = Field(default=None, exclude_if=lambda reading: reading is None)

    @property
    def rule(self) -> CellRule:
        """How the cells of the feature are read."""
        return self.reading.rule if self.reading else USUAL_CELLS


class NumericRecord(_OfFeature):
    """A numeric feature; `range` is that of the training rows, in the feature's own unit.

    `range` may be None if the model was trained elsewhere. `edges` are those of the bins of the
    feature's piecewise-linear code, in the same unit; without a code there are none.
    """

    kind: Literal["numeric"] = "numeric"
    range: tuple[float, float] | None = None
    mean: float
    scale: Annotated[float, Field(gt=0)]
    fill: float | None = None
    edges: Annotated[tuple[float, ...], Field(max_length=MOST_EDGES)] = Field(
        default=(), exclude_if=lambda edges: not edges
    )

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.range and self.range[0] > self.range[1]:
            raise ValueError("range must not end below its start")
        if len(self.edges) in (1, 2) or not all(a < b for a, b in pairwise(self.edges)):
            raise ValueError("edges must be three or more numbers, each above the one before")
        for at, (low, high) in enumerate(pairwise(self.edges)):
            if not LEAST_WIDTH <= (high - low) / self.scale <= LARGEST_WIDTH:
                place = f"(bin {at}, {low:g} to {high:g})"
                raise ValueError(f"edges must be apart by what float32 holds, in scales {place}")
        return self


class CategoricalRecord(_OfFeature):
    """A categorical feature, one-hot encoded in the order of `categories`."""

    kind: Literal["categorical"] = "categorical"
    categories: Annotated[tuple[str, ...], Field(min_length=1)]
    fill: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(set(self.categories)) < len(self.categories):
            raise ValueError("two categories are the same")
        if self.fill is not None and self.fill not in self.categories:
            raise ValueError("fill is not one of the categories")
        return self


def feature_record(feature: Feature) -> NumericRecord | CategoricalRecord:
    """The entry of a feature."""
    reading = ReadingRecord.of(feature.rule)
    own: dict[str, Any] = {"name": feature.name, "fill": feature.fill, "reading": reading}
    if isinstance(feature, CategoricalFeature):
        return CategoricalRecord(**own, categories=feature.categories)
    own |= {"range": feature.range, "edges": feature.edges}
    return NumericRecord(**own, mean=feature.mean, scale=feature.scale)


def feature_of(entry: NumericRecord | CategoricalRecord) -> Feature:
    """The feature of an entry."""
    fill, rule = entry.fill, entry.rule
    if isinstance(entry, CategoricalRecord):
        return CategoricalFeature(entry.name, entry.categories, cast("str | None", fill), rule)
    low, high = entry.range or (-inf, inf)
    number = cast("float | None", fill)
    return NumericFeature(entry.name, entry.mean, entry.scale, low, high, number, rule, entry.edges)
