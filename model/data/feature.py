"""Features: how the cells of a row are checked and encoded, one feature at a time."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import cast

import numpy as np

from model.data.names import clean
from model.data.numbers import (
    LONGEST_NUMBER,
    MISSING_BESIDE_NUMBERS,
    USUAL_CELLS,
    CellRule,
    plain_number,
)
from model.messages import listed, nearest, readable, shown

EXAMPLE_DIGITS = 6
LARGEST_WHOLE = 1 << 53  # a larger float is written as a float
FLOAT32_MAX = float(np.finfo(np.float32).max)


@dataclass(frozen=True, slots=True)
class NumericFeature:
    """A feature of numbers, encoded as (value - mean) / scale, and as its code if it has edges.

    The scale is the standard deviation, or more where that keeps training values near 0 (see
    `fit_schema`). `low` and `high` are the training range, infinite if it is unknown. `fill`
    replaces a missing value; if it is None, a missing value is an error. `rule` is how the training
    file was read. `edges` are those of the bins of the piecewise-linear code, ascending; see
    `model.data.codes`.
    """

    name: str
    mean: float
    scale: float
    low: float
    high: float
    fill: float | None = None
    rule: CellRule = USUAL_CELLS
    edges: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """The number of encoded columns: the standardised number's, and one for each bin."""
        return len(self.edges) or 1

    @property
    def range(self) -> tuple[float, float] | None:
        """The training range; None if it is unknown."""
        return (self.low, self.high) if math.isfinite(self.low) else None

    def example(self, x: np.ndarray) -> float:
        """The middle value of the encoded columns x [n, width]; of none, about the training mean.

        A mean of whole numbers is rounded to one; that they are whole shows in their range.
        """
        value = self.mean
        if len(x):
            value += float(np.sort(x[:, 0])[(len(x) - 1) // 2]) * self.scale
        elif self.range and all(map(float.is_integer, self.range)):
            value = round(value)
        value = round(value, EXAMPLE_DIGITS - 1 - math.floor(math.log10(self.scale)))  # 0, not 5e-9
        value = min(max(float(f"{value:.{EXAMPLE_DIGITS}g}"), self.low), self.high)
        return int(value) if value.is_integer() and abs(value) < LARGEST_WHOLE else value

    def column(self, cells: list[object]) -> Sequence[float]:
        """The cells as numbers; raises TypeError for another type, or a mark of a missing value."""
        if not set(map(type, cells)) <= {int, float}:
            raise TypeError
        if self.rule.missing_numbers and not self.rule.missing_numbers.isdisjoint(
            cast("list[float]", cells)
        ):
            raise TypeError
        return cast("list[float]", cells)

    def plain(self, cell: object) -> float | None:
        """A cell without fault as a built-in type; None if it is missing."""
        return None if self._is_missing(cell) else float(cast("float", self._number(cell)))

    def encoded(self, cell: object) -> float:
        """A cell without fault as a number; nan if its value is missing."""
        return math.nan if self._is_missing(cell) else float(cast("float", self._number(cell)))

    @property
    def filling(self) -> float:
        """The number of a missing value, if the feature has a fill."""
        return cast("float", self.fill)

    def fault(self, cell: object) -> str | None:
        """The fault of the cell, worded to follow "feature 'x' "; None if it has none."""
        if self.fill is not None and self._is_missing(cell):
            return None
        if cell is None or cell is np.ma.masked:
            return "is null; the model needs a number"
        number = self._number(cell)
        if not _is_number(number):
            return f"is {shown(cell)}, which is not a number"
        if number in self.rule.missing_numbers:
            return f"is {shown(cell)}, which stands for a missing value; the model needs a number"
        try:
            value = float(cast("float", number))
        except OverflowError:
            value = math.inf
        if not math.isfinite(value) and not isinstance(cell, int | np.integer):
            return f"is {value}; it must be finite"
        z = (value - self.mean) / self.scale
        if abs(z) <= FLOAT32_MAX:
            return None
        if self.range is None:
            return f"is {shown(cell)}, which is too large beside the scale, {readable(self.scale)}"
        training = f"{readable(self.low)} to {readable(self.high)}"
        return f"is {shown(cell)}, which lies too far from the training range, {training}"

    def _number(self, cell: object) -> object:
        """The number of a text, None if it is none; any other cell as it is."""
        return self.rule.number(cell) if isinstance(cell, str) else cell

    def _is_missing(self, cell: object) -> bool:
        if isinstance(cell, str) and clean(cell).lower() in MISSING_BESIDE_NUMBERS:
            return True
        number = self._number(cell)
        marked = _is_number(number) and number in self.rule.missing_numbers
        return marked or _is_missing(cell, self.rule)


@dataclass(frozen=True, slots=True)
class CategoricalFeature:
    """A feature of texts, encoded as a column of 0 and 1 for each category."""

    name: str
    categories: tuple[str, ...]
    fill: str | None = None
    rule: CellRule = USUAL_CELLS

    @property
    def width(self) -> int:
        """The number of encoded columns."""
        return len(self.categories)

    def example(self, x: np.ndarray) -> str:
        """The commonest category of the encoded columns x [n, categories]; of none, the first."""
        return self.categories[int(x.sum(0).argmax())]

    def column(self, cells: list[object]) -> Sequence[float]:
        """The cells as indices of categories; raises KeyError for any other cell."""
        if set(map(type, cells)) <= {str}:
            texts = _known(self.categories).texts
            return [texts[cell] for cell in cast("list[str]", cells)]
        found = [category_index(self.categories, cell) for cell in cells]
        if None in found:
            raise KeyError
        return cast("list[int]", found)

    def plain(self, cell: object) -> str | None:
        """The category that a cell without fault means; None if it is missing."""
        index = category_index(self.categories, cell)
        return None if index is None else self.categories[index]

    def encoded(self, cell: object) -> float:
        """A cell without fault as the index of its category; nan if its value is missing."""
        index = category_index(self.categories, cell)
        return math.nan if index is None else index

    @property
    def filling(self) -> float:
        """The index of a missing value's category, if the feature has a fill."""
        return self.categories.index(cast("str", self.fill))

    def fault(self, cell: object) -> str | None:
        """The fault of the cell, worded to follow "feature 'x' "; None if it has none."""
        if category_index(self.categories, cell) is not None:
            return None
        if self.fill is not None and _is_missing(cell, self.rule):
            return None
        if cell is None or cell is np.ma.masked:
            wrong = "is null"
        elif not isinstance(cell, str | bool | np.bool_) and not _is_number(cell):
            wrong = f"is {shown(cell)}, which is not a text"
        else:
            like = nearest(cell, self.categories, least=0.8)
            wrong = f"has the unknown category {shown(cell)}{like}"
        return f"{wrong}; known: {listed(self.categories)}"


@dataclass(frozen=True, slots=True)
class _Categories:
    """Categories or classes by what stands for them: a text, true or false, or a number."""

    texts: Mapping[str, int]
    truths: Mapping[bool, int]
    numbers: Mapping[float, int]


@lru_cache(1024)
def _known(categories: tuple[str, ...]) -> _Categories:
    texts = {clean(text): at for at, text in enumerate(categories)}
    texts |= {text: at for at, text in enumerate(categories)}
    truths: dict[bool, list[int]] = {}
    numbers: dict[float, list[int]] = {}
    for at, text in enumerate(categories):
        if text.lower() in ("true", "false"):
            truths.setdefault(text.lower() == "true", []).append(at)
        number = _number_in(text)
        if number is not None:
            numbers.setdefault(number, []).append(at)
    return _Categories(
        texts,
        {truth: found[0] for truth, found in truths.items() if len(found) == 1},
        {number: found[0] for number, found in numbers.items() if len(found) == 1},
    )


def category_index(categories: tuple[str, ...], cell: object) -> int | None:
    """The position of the category that a cell means; None if there is none.

    1 means "1" or "1.0", and true means "true" or "True", if only one of them is a category.
    """
    known = _known(categories)
    if isinstance(cell, bool | np.bool_):
        return known.truths.get(bool(cell))
    if isinstance(cell, str):
        found = known.texts.get(cell, known.texts.get(clean(cell)))
        if found is None and cell.strip().lower() in ("true", "false"):
            found = known.truths.get(cell.strip().lower() == "true")
        number = _number_in(cell)
        if found is None and number is not None and not re.match(r"\s*0\d", cell):
            found = known.numbers.get(number)  # unless it is a code: 01 is not 1
        return found
    if not _is_number(cell):
        return None
    try:
        number = float(cast("float", cell))
    except OverflowError:
        return None
    exact = label(int(cast("int", cell)) if isinstance(cell, int | np.integer) else number)
    return known.texts.get(exact, known.numbers.get(number))


def _is_missing(cell: object, rule: CellRule) -> bool:
    """Whether a cell says that its value is missing: null, NaN, masked, or a text such as NA."""
    if isinstance(cell, str):
        return clean(cell) in rule.missing
    if _is_number(cell) and rule.missing_values and cell == cell:
        return label(cast("float", cell)) in rule.missing
    return cell is None or cell is np.ma.masked or (_is_number(cell) and cell != cell)


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float | np.integer | np.floating) and not isinstance(cell, bool)


def _number_in(text: str) -> float | None:
    """The number that a text is; None if it is none."""
    return plain_number(text.strip()) if len(text) <= LONGEST_NUMBER else None


Feature = NumericFeature | CategoricalFeature


def label(value: str | float) -> str:
    """A value as the text of a category or class; a whole number has no decimal point."""
    if isinstance(value, str):
        return value
    return str(int(value)) if value == value // 1 else repr(value)
