"""The cells of one column become numbers or texts: one rule for every format.

A column is numeric if each of its cells is a number or says that a value is missing. A column of
which most cells are numbers is an error that names the others, unless it may be a code.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import numpy as np

from model.data.feature import label
from model.data.names import clean
from model.data.numbers import (
    MISSING_BESIDE_NUMBERS,
    CellRule,
    NumberFormat,
    formats_of,
    is_moment,
    plain_number,
    unit_of,
)
from model.data.options import ReadOptions, option
from model.data.table import Table, texts_of
from model.errors import DataError
from model.messages import listed, shown

NUMERIC_SHARE = 0.9  # with this share of numbers, any other cell of a column is a mistake
MANY_NUMBERS = 20  # so many different numbers are amounts, and no codes
FEW_TEXTS = 5  # so many different texts among numbers may each say that a value is missing


@dataclass(frozen=True, slots=True)
class Column:
    """One column while it is read: where it is, how to read it, and what was noticed."""

    table: Table
    name: str
    options: ReadOptions
    notices: list[str]
    marks: Counter[str] = field(default_factory=Counter)
    signs: set[str] = field(default_factory=set)  # the sign that all its numbers have, if any

    @property
    def rule(self) -> CellRule:
        """How cells of this column are read in a request."""
        return self.options.rule(max(self.signs, default=""))

    def texts(self, cells: Sequence[object]) -> np.ndarray:
        """The cells as texts, str objects and None."""
        for row, cell in enumerate(cells):
            if not isinstance(cell, str | int | float | None):
                raise self.fault(row, f"{shown(cell)} is neither a number nor a text")
        found = [None if cell is None else clean(cell) for cell in texts_of(cells)]
        return texts_of(self._without_marks(found, self.rule.missing))

    def numbers_or_texts(self, cells: Sequence[str | None]) -> np.ndarray:
        """The cells as numbers if all of them are, float64 with nan, and otherwise as texts."""
        texts = self.texts(cells).tolist()
        counts = Counter(text for text in texts if text is not None)
        if not counts:
            return np.full(len(texts), np.nan)
        values = {text: self.options.numbers.read(text) for text in counts}
        odd = [text for text, (value, _) in values.items() if value is None]
        beside = [text for text in odd if text.lower() in MISSING_BESIDE_NUMBERS]
        if len(odd) == len(beside) < len(counts):
            texts, odd = self._without_marks(texts, beside), []
        values = {text: read for text, read in values.items() if text not in beside}
        if odd:
            return self._mixed(texts, counts, [text for text in odd if text not in beside] or odd)
        self._check_signs(values)
        dotted = next((text for text in values if self.options.decimal in text), None)
        alike = all(re.fullmatch(self.grouped, text) for text in values)
        if dotted and alike and not self.options.thousands:
            self.note_thousands(dotted)
        numbers = {text: value for text, (value, _) in values.items()}
        found = [np.nan if text is None else numbers[text] for text in texts]
        return self.numbers(np.array(found, dtype=np.float64), texts)

    @property
    def grouped(self) -> str:
        """A pattern of numbers in which the decimal sign may separate thousands: 850, 1.234."""
        return rf"[+-]?(?:0|[1-9]\d{{0,2}}(?:{re.escape(self.options.decimal)}\d{{3}})?)"

    def note_thousands(self, text: str) -> None:
        """Note that the decimal sign may separate thousands, as in this text."""
        sign, value = self.options.decimal, self.options.numbers.number(text)
        way = _way(text, NumberFormat("." if sign == "," else ",", sign))
        said = f"column {self.name!r}: {text!r} is read as {value}"
        self.notices.append(f"{said}; if {sign!r} separates thousands, read the file by {way}")

    def numbers(self, numbers: np.ndarray, written: Sequence[object] | None = None) -> np.ndarray:
        """The numbers, nan where they say that a value is missing; raises DataError for inf."""
        for mark in self.rule.missing_numbers:
            hit = numbers == mark
            if hit.any():
                self.marks[f"{mark:g}"] += int(hit.sum())
                numbers = np.where(hit, np.nan, numbers)
        infinite = np.flatnonzero(np.isinf(numbers))
        if len(infinite):
            row = int(infinite[0])
            said = shown(str(numbers[row]) if written is None else written[row])
            raise self.fault(row, f"{said} is not a finite number; correct it")
        return numbers

    def objects(self, cells: Sequence[object]) -> np.ndarray:
        """The cells of a JSON column, whose first cell with a value decides its type."""
        texts = [clean(cell) if isinstance(cell, str) else cell for cell in cells]
        known = self._without_marks(texts, self.rule.missing)
        kinds = {type(cell) for cell in known} - {type(None)}
        if kinds <= {str}:
            return self.numbers_or_texts(known)
        if kinds == {bool}:
            return texts_of(known)
        read = {cell: self.options.numbers.read(cell) for cell in known if isinstance(cell, str)}
        numbers = [read[cell][0] if isinstance(cell, str) else cell for cell in known]
        self._check_kinds(known, numbers)
        self._check_signs({**read, **{label(c): (c, "") for c in known if _is_number(c)}})
        return self.numbers(np.array([_float(cell) for cell in numbers]), written=None)

    def fault(self, row: int, message: str) -> DataError:
        """An error about one cell of the column."""
        return self.table.fault(row, self.name, message)

    def _without_marks(self, cells: list[Any], marks: Iterable[str]) -> list[Any]:
        """The cells with None for those that say that a value is missing; counts them."""
        known = set(marks)
        found = [None if isinstance(cell, str) and cell in known else cell for cell in cells]
        self.marks.update(
            cell
            for cell, kept in zip(cells, found, strict=True)
            if cell and isinstance(cell, str) and kept is None
        )
        return found

    def _check_kinds(self, cells: list[object], numbers: list[object]) -> None:
        """Raise DataError for a cell whose type is not that of the first cell with a value."""
        first = next(row for row, cell in enumerate(cells) if cell is not None)
        kind = "a number" if _is_number(numbers[first]) else _kind(cells[first])
        for row, (cell, number) in enumerate(zip(cells, numbers, strict=True)):
            if cell is None or (_is_number(number) and kind == "a number"):
                continue
            if not isinstance(cell, str | int | float | bool):
                raise self.fault(row, f"{shown(cell)} is neither a number nor a text")
            if _kind(cell) != kind:
                said = "true" if cell is True else "false" if cell is False else shown(cell)
                advice = f"correct it, or read the column as text by {self._as_text}"
                raise self.fault(row, f"{said} is not {kind}, as the cells above are; {advice}")

    @property
    def _as_text(self) -> str:
        return option(categorical=self.name)

    def _check_signs(self, values: Mapping[str, tuple[float | None, str]]) -> None:
        """Note the sign beside the numbers; raises DataError if they have different ones."""
        signs = {sign for value, sign in values.values() if value is not None}
        sign = max(signs)
        if len(signs) > 1:
            text = next(text for text, (_, found) in values.items() if found != sign)
            said = f"column {self.name!r}: {shown(text)} has no {sign!r}, which other cells have"
            raise DataError(f"{self.table.name}, {said}; write all cells alike")
        if sign:
            self.signs.add(sign)
            text = next(iter(values))
            said = f"column {self.name!r}: {sign!r} is left out of its numbers, so that {text!r}"
            self.notices.append(f"{said} is {values[text][0]:.12g}, here and in requests")
        codes = [text for text in values if re.fullmatch(r"0\d+", text)]
        if codes:
            said = f"column {self.name!r}: {codes[0]!r} is read as {values[codes[0]][0]:g}"
            self.notices.append(f"{said}; if these are codes, read them by {self._as_text}")

    def _mixed(self, texts: list[str | None], counts: Counter[str], odd: list[str]) -> np.ndarray:
        """The cells as texts; raises DataError if they are meant as numbers, dates or times."""
        others = [text for text in counts if self.options.numbers.number(text) is not None]
        present = [text for text in counts if text.lower() not in MISSING_BESIDE_NUMBERS]
        total, ours = sum(counts.values()), sum(counts[text] for text in others)
        if present:
            self._check_moments(texts, odd, share=(total - ours) / total, few=len(counts) <= 50)
            self._check_format(texts, present, odd)
        many = len(others) > MANY_NUMBERS
        few = len(odd) <= FEW_TEXTS or ours >= total / 2
        if others and (ours >= NUMERIC_SHARE * total or (many and few)):
            self._refuse(texts, counts, odd, ours)
        if ours >= total / 2 and others:
            said = f"column {self.name!r} is read as text: {ours / total:.0%} of its cells are"
            self.notices.append(f"{said} numbers, the others are {_counted(counts, odd)}")
        return texts_of(texts)

    def _check_moments(
        self, texts: list[str | None], odd: list[str], *, share: float, few: bool
    ) -> None:
        moments = [text for text in odd if is_moment(text)]
        if len(moments) < NUMERIC_SHARE * len(odd) or share < NUMERIC_SHARE:
            return
        raise self.fault(texts.index(moments[0]), unlearnable(moments[0], self.name, few=few))

    def _check_format(self, texts: list[str | None], present: list[str], odd: list[str]) -> None:
        """Raise DataError if the texts are numbers in another format, naming the option for it."""
        units, row = self.options.numbers.units, texts.index(odd[0])
        said = f"{shown(odd[0])} is not a number"
        formats = formats_of(present, units)
        if formats:
            ways = " or ".join(_way(odd[0], each) for each in _different(odd[0], formats))
            raise self.fault(row, f"{said} as written; read the file by {ways}")
        if all(plain_number(text.replace(",", "")) is not None for text in present):
            raise self.fault(row, f"{said}; its column has commas in several ways, write one")
        unit = unit_of(present) if len(present) > MANY_NUMBERS else None
        if unit:
            advice = f"leave the unit out by {option(units=(unit,))}"
            raise self.fault(row, f"{said}; {advice}")

    def _refuse(
        self, texts: list[str | None], counts: Counter[str], odd: list[str], ours: int
    ) -> NoReturn:
        """Raise DataError about the texts of a column whose other cells are numbers."""
        row, total = texts.index(odd[0]), sum(counts.values())
        what = f"{ours} of the column's {total} cells are"
        one = len(odd) == 1
        ways = ["correct it" if one else f"correct {_counted(counts, odd)}"]
        if len(odd) <= FEW_TEXTS:
            them = "it is missing" if one else "they are missing"
            ways.append(f"say that {them} by {option(missing_values=tuple(odd))}")
        if all(v.is_integer() for v in map(plain_number, counts) if v is not None):
            ways.append(f"if the column has codes, read it as text by {self._as_text}")
        message = f"{shown(odd[0])} is not a number, and {what}; {', or '.join(ways)}"
        raise self.fault(row, message)


def unlearnable(moment: str, name: str, *, few: bool) -> str:
    """What is wrong with a column of dates or times, and the options that help."""
    ways = [f"leave the column out by {option(drop=name)}"]
    if few:
        ways.append(f"read it as text by {option(categorical=name)}")
    ways.append("write it as a number, such as days since a day")
    return f"it has dates or times, such as {moment!r}; {', or '.join(ways)}"


def marks_notice(marks: Mapping[str, Counter[str]]) -> tuple[str, ...]:
    """What was read as missing, by column; empty cells are not listed."""
    by_mark: dict[str, list[str]] = {}
    for name, counter in marks.items():
        for mark in counter:
            by_mark.setdefault(mark, []).append(name)
    return tuple(
        f"{shown(mark)} is read as a missing value"
        f" ({sum(marks[name][mark] for name in names)} cells of {listed(list(map(repr, names)))})"
        for mark, names in by_mark.items()
    )


def _counted(counts: Mapping[str, int], texts: Sequence[str]) -> str:
    """The most frequent texts with their numbers: 'x' (61), 'y' (2) and 3 other texts."""
    most = sorted(texts, key=lambda text: (-counts[text], text))[:FEW_TEXTS]
    said = ", ".join(f"{shown(text)} ({counts[text]})" for text in most)
    return said if len(texts) <= FEW_TEXTS else f"{said} and {len(texts) - FEW_TEXTS} other texts"


def _different(text: str, formats: list[NumberFormat]) -> list[NumberFormat]:
    """The first of the formats for each number that the text then is."""
    return list({each.number(text): each for each in reversed(formats)}.values())[::-1]


def _way(text: str, found: NumberFormat) -> str:
    """The options of a format, and the number that a text then is."""
    ways = {"decimal": found.decimal} if found.decimal != "." else {}
    ways |= {"thousands": found.thousands} if found.thousands else {}
    return f"{option(**ways)} ({text} is then {found.number(text):.12g})"


def _is_number(cell: object) -> bool:
    return isinstance(cell, int | float) and not isinstance(cell, bool)


def _kind(cell: object) -> str:
    names = {bool: "true or false", str: "a text"}
    return names.get(type(cell), "a number")


def _float(cell: object) -> float:
    try:
        return np.nan if cell is None else float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return np.inf
