"""Texts that are numbers, and texts that say that a value is missing."""

import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

MISSING = frozenset(
    {"", "?", "NA", "N/A", "n/a", "N.A.", "n.a.", "#N/A", "#N/A N/A", "#NA", "<NA>", "<N/A>"}
    | {"NaN", "nan", "NAN", "Nan", "-NaN", "-nan", "NaT", "null", "NULL", "Null", "(null)"}
    | {"None", "\\N", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN"}
    | {"#NULL!", "#DIV/0!", "#VALUE!", "#REF!", "#NUM!", "#NAME?"}
)
"""Cells without a value, in every column."""

MISSING_BESIDE_NUMBERS = frozenset(
    {"-", "--", "---", "\u2013", "\u2014", ".", "..", "...", "*"}
    | {"na", "n.a", "none", "nil", "missing"}
)
"""Cells without a value where the other cells of the column are numbers; lower case stands for
any. In a column of texts they are texts, for + and - may be its categories."""

_DIGITS = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?|[+-]?inf(inity)?", re.I | re.A)
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2009\u202f"), " ")
_SIGNS = {ord("\u2212"): "-", ord("\u2019"): "'"}  # the minus and the apostrophe of typesetters
_TABLE = str.maketrans({**_SPACES, **_SIGNS})


def plain_number(text: str) -> float | None:
    """The number of a text such as "-1.5e3", infinite if it says so; None if it is no number."""
    return float(text) if _DIGITS.fullmatch(text) else None


@dataclass(frozen=True)
class NumberFormat:
    """How texts write numbers: the decimal sign, the sign between thousands, and units.

    A percent or currency sign may stand beside a number, or one of `units`; `number` leaves it out.
    """

    decimal: str = "."
    thousands: str = ""
    units: tuple[str, ...] = ()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        decimal, group = re.escape(self.decimal), re.escape(self.thousands)
        whole = rf"\d{{1,3}}(?:{group}\d{{3}})+|\d+" if self.thousands else r"\d+"
        digits = rf"(?:(?:{whole})(?:{decimal}\d*)?|{decimal}\d+)(?:e[+-]?\d+)?"
        return re.compile(rf"[+-]?(?:{digits}|inf(?:inity)?)", re.I | re.A)

    def number(self, text: str) -> float | None:
        """The number of a text, infinite if it says so; None if the text is no number."""
        return self.read(text)[0]

    def read(self, text: str) -> tuple[float | None, str]:
        """The number of a text and the sign or unit beside it, which may be empty."""
        text = text.translate(_TABLE).strip()
        value = self._value(text)
        if value is not None or not text:
            return value, ""
        return self._beside(text)

    def _value(self, text: str) -> float | None:
        if not self._pattern.fullmatch(text):
            return None
        if self.thousands:
            text = text.replace(self.thousands, "")
        return float(text.replace(self.decimal, "."))

    def _beside(self, text: str) -> tuple[float | None, str]:
        """The number without the unit before or after it."""
        minus, bare = ("-", text[1:].lstrip()) if text[0] == "-" else ("", text)
        for unit in (*self.units, *_signs(bare)):
            if bare.endswith(unit) and bare != unit:
                return self._value(minus + bare.removesuffix(unit).rstrip()), unit
            if bare.startswith(unit) and bare != unit:
                return self._value(minus + bare.removeprefix(unit).lstrip()), unit
        return None, ""


LONGEST_NUMBER = 400  # digits and signs of a number that is written as a text


@dataclass(frozen=True)
class CellRule:
    """How the cells of one column are read: in the file that trains a model, and in requests.

    `sign`: the percent sign, currency sign or unit that all its numbers have, and that a number in
    a request may have. `missing_values`: more texts or numbers that say that a value is missing.
    """

    numbers: NumberFormat = NumberFormat()
    sign: str = ""
    missing_values: tuple[str, ...] = ()

    @cached_property
    def missing(self) -> frozenset[str]:
        """The texts that say that a value is missing, in every column."""
        return MISSING | set(self.missing_values)

    @cached_property
    def missing_numbers(self) -> frozenset[float]:
        """The numbers that say that a value is missing."""
        numbers = map(plain_number, self.missing_values)
        return frozenset(number for number in numbers if number is not None)

    def number(self, text: str) -> float | None:
        """The number of a text, infinite if it says so; None if it is none, or has another sign."""
        value, sign = self.numbers.read(text) if len(text) <= LONGEST_NUMBER else (None, "")
        return value if sign in ("", self.sign) else None


USUAL_CELLS = CellRule()


def _signs(text: str) -> set[str]:
    """The percent, per-mille or currency sign with which a text begins or ends."""
    ends = {text[:1], text[-1:]} - {""}
    return {end for end in ends if end in "%‰" or unicodedata.category(end) == "Sc"}


def formats_of(texts: Iterable[str], units: tuple[str, ...] = ()) -> list[NumberFormat]:
    """The formats, other than the usual one, in which all texts are numbers; simplest first."""
    known = list(texts)
    found = [
        NumberFormat(decimal, thousands, units)
        for thousands, decimal in product(("", ",", ".", " ", "'"), (".", ","))
        if thousands != decimal and (decimal, thousands) != (".", "")
    ]
    return [each for each in found if all(each.number(text) is not None for text in known)]


def unit_of(texts: Iterable[str]) -> str | None:
    """The unit in letters that stands after each number, such as kg; None if they differ."""
    matches = [re.fullmatch(r"[+-]?[\d.,' ]*\d\s*([^\W\d_][^\d\s]{0,7})", text) for text in texts]
    units = {match[1] if match else "" for match in matches}
    unit = units.pop() if len(units) == 1 else ""
    return unit or None


_MONTH = r"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?"
_DATE = (
    r"\d{4}[-/.]\d{1,2}(?:[-/.]\d{1,2})?|\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})"
    rf"|\d{{1,2}}\.?[- ]{_MONTH}[- ,]+\d{{2,4}}|{_MONTH}[ -]\d{{1,2}},? \d{{4}}|{_MONTH}[ -]\d{{4}}"
)
_TIME = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?(?: ?[ap]\.?m\.?)?(?: ?(?:z|utc|[+-]\d{2}:?\d{2}))?"
_MOMENT = re.compile(rf"(?:{_DATE})(?:(?:t| +|, ?){_TIME})?|{_TIME}", re.I | re.A)


def is_moment(text: str) -> bool:
    """Whether a text is a date, a time of day, or both."""
    return bool(_MOMENT.fullmatch(text))
