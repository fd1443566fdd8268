"""Which texts are numbers, in the formats that people write them in."""

import math
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.numbers import NumberFormat, formats_of, is_moment, plain_number, unit_of

FORMATS = [
    NumberFormat(decimal, thousands)
    for decimal in ".,"
    for thousands in ("", ",", ".", " ", "'")
    if decimal != thousands
]
AMOUNTS = st.decimals(-(10**12), 10**12, allow_nan=False, allow_infinity=False, places=3)


def written(amount: Decimal, form: NumberFormat) -> str:
    """The amount as the format writes it."""
    text = f"{amount:,.3f}" if form.thousands else f"{amount:.3f}"
    return text.translate({ord(","): form.thousands, ord("."): form.decimal})


@given(st.floats(allow_nan=False))
def test_a_number_that_python_writes_reads_as_exactly_what_it_was(number: float) -> None:
    assert plain_number(repr(number)) == number
    assert NumberFormat().number(repr(number)) == number


@given(st.sampled_from(FORMATS), AMOUNTS)
def test_a_number_reads_as_what_its_format_wrote(form: NumberFormat, amount: Decimal) -> None:
    assert form.number(written(amount, form)) == float(amount)


@given(st.sampled_from(FORMATS), AMOUNTS, st.sampled_from("%€$£¥‰"))
def test_a_sign_beside_a_number_changes_nothing(
    form: NumberFormat, amount: Decimal, sign: str
) -> None:
    text = written(abs(amount), form)
    minus = "-" if amount < 0 else ""
    for beside in (f"{text}{sign}", f"{text} {sign}", f"{sign}{text}", f"{sign} {text}"):
        assert form.read(minus + beside) == (float(amount), sign)


@given(st.lists(AMOUNTS, min_size=1), st.sampled_from(FORMATS))
def test_a_format_that_reads_all_texts_is_found(amounts: list[Decimal], form: NumberFormat) -> None:
    found = formats_of(written(amount, form) for amount in amounts)
    assert form == NumberFormat() or form in found


@given(st.text())
def test_no_text_is_a_number_but_what_its_digits_say(text: str) -> None:
    for form in FORMATS:
        value, sign = form.read(text)
        assert value is None or any(digit in text for digit in "0123456789") or math.isinf(value)
        assert sign in text
    value = plain_number(text)
    assert value is None or value == float(text)


@given(st.text("0123456789.,' -+e%", max_size=8), st.sampled_from(FORMATS))
def test_a_number_has_one_reading_in_a_format(text: str, form: NumberFormat) -> None:
    value, sign = form.read(text)
    if value is not None:
        bare = text.replace(sign, "", 1).replace(form.thousands or "_", "").strip()
        assert float(bare.replace(form.decimal, ".").replace(" ", "")) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("\u22125", -5.0),
        ("-5 %", -5.0),
        ("-$5", -5.0),
        ("$-5", -5.0),
        ("1 000", None),
        ("1,5", None),
        ("12o", None),
        ("1_000", None),
        ("0x10", None),
        ("\u0663", None),
        ("nan", None),
        ("5 kg", None),
        ("%", None),
        ("", None),
        ("Q1", None),
    ],
)
def test_texts_that_are_nearly_numbers(text: str, value: float | None) -> None:
    assert NumberFormat().number(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1\u202f234,5", 1234.5),
        ("1\u00a0234", 1234.0),
        ("12 34", None),
        ("1 2345", None),
        ("1234 567", None),
        ("1234567", 1234567.0),
    ],
)
def test_thousands_are_groups_of_three_digits(text: str, value: float | None) -> None:
    assert NumberFormat(",", " ").number(text) == value


def test_units_are_left_out_if_they_are_named() -> None:
    form = NumberFormat(units=("kg", "EUR"))
    assert form.read("12.5 kg") == (12.5, "kg")
    assert form.read("EUR 12") == (12.0, "EUR")
    assert form.number("12 g") is None
    assert unit_of(["1.5 kg", "20kg", "-3 kg"]) == "kg"
    assert unit_of(["1.5 kg", "20 g"]) is None
    assert unit_of(["1.5", "20 g"]) is None


@pytest.mark.parametrize(
    "text",
    [
        "2024-01-31",
        "2024-01-31T12:30:00Z",
        "2024-01-31 12:30:00.123+02:00",
        "31.1.2024",
        "1/31/24 3:05 PM",
        "31 Jan 2024",
        "January 31, 2024",
        "2024-01",
        "12:30",
        "8:05:09",
    ],
)
def test_dates_and_times_are_told(text: str) -> None:
    assert is_moment(text)
    assert NumberFormat().number(text) is None


@pytest.mark.parametrize("text", ["north", "1.2", "10.0.0.1", "3-4", "1-2-3-4", "A-12", "12", ""])
def test_other_texts_are_no_dates(text: str) -> None:
    assert not is_moment(text)
