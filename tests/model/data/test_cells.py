"""One rule for the cells of a column, whatever the format: numbers, texts, an error or a note."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from model.data.options import ReadOptions
from model.data.reading import read_table
from model.data.table import Table
from model.errors import DataError

FORMATS = ("csv", "parquet", "jsonl")


@pytest.fixture(params=FORMATS)
def suffix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def table(folder: Path, suffix: str, cells: list[str], **options: object) -> Table:
    """A table of the column `a` with these texts, and of a column of numbers."""
    path = folder / f"t.{suffix}"
    if suffix == "csv":
        quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        path.write_text("a,b\n" + "".join(f"{cell},1\n" for cell in quoted), encoding="utf-8")
    elif suffix == "parquet":
        pq.write_table(pa.table({"a": cells, "b": [1.0] * len(cells)}), path)
    else:
        path.write_text("".join(json.dumps({"a": cell, "b": 1}) + "\n" for cell in cells))
    return read_table(path, **options)  # type: ignore[arg-type]


def numbers(count: int) -> list[str]:
    return [f"{number / 10}" for number in range(count)]


def test_numbers_that_are_written_as_texts_are_numbers(tmp_path: Path, suffix: str) -> None:
    found = table(tmp_path, suffix, ["1.5", " 2 ", "-3e2"])
    assert found.columns["a"].tolist() == [1.5, 2.0, -300.0]
    assert found.notices == ()


@pytest.mark.parametrize(
    "mark", ["-", "NULL", "n/a", "#N/A", "<NA>", ".", "NA", "?", "none", "\u2013", "\\N"]
)
def test_what_says_that_a_value_is_missing_beside_numbers(
    tmp_path: Path, suffix: str, mark: str
) -> None:
    found = table(tmp_path, suffix, [*numbers(40), *[mark] * 10])
    assert np.isnan(found.columns["a"]).tolist() == [False] * 40 + [True] * 10
    assert found.notices == (f"{mark!r} is read as a missing value (10 cells of 'a')",)


def test_a_minus_among_texts_is_a_text(tmp_path: Path, suffix: str) -> None:
    found = table(tmp_path, suffix, ["+", "-", "+"])
    assert found.columns["a"].tolist() == ["+", "-", "+"]
    assert found.notices == ()


def test_other_marks_can_be_named(tmp_path: Path, suffix: str) -> None:
    options = ReadOptions(missing_values=("-999", "not, known"))
    cells = ["1.5", "-999", "not, known", "-999.0"]
    found = table(tmp_path, suffix, cells, options=options)
    assert np.isnan(found.columns["a"]).tolist() == [False, True, True, True]
    assert "'-999' is read as a missing value" in "".join(found.notices)


def test_typed_numbers_may_say_that_a_value_is_missing(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1, -999]}), tmp_path / "t.parquet")
    (tmp_path / "t.jsonl").write_text('{"a": 1}\n{"a": -999.0}\n')
    for suffix in ("parquet", "jsonl"):
        options = ReadOptions(missing_values=("-999",))
        found = read_table(tmp_path / f"t.{suffix}", options=options)
        assert np.isnan(found.columns["a"]).tolist() == [False, True]
        assert found.notices == ("'-999' is read as a missing value (1 cells of 'a')",)


@pytest.mark.parametrize("share", [0.6, 0.88, 0.99])
def test_a_column_of_many_numbers_with_other_texts_is_an_error_that_names_them(
    tmp_path: Path, suffix: str, share: float
) -> None:
    others = ["n/k"] * round(500 * (1 - share))
    with pytest.raises(DataError, match=r"'n/k' is not a number, and 500 of .* cells are") as error:
        table(tmp_path, suffix, [*numbers(500), *others])
    assert "row 501" in str(error.value)
    assert "--missing-values n/k" in str(error.value)
    assert "--categorical" not in str(error.value)
    options = ReadOptions(missing_values=("n/k",))
    found = table(tmp_path, suffix, [*numbers(500), *others], options=options)
    assert np.isnan(found.columns["a"]).sum() == len(others)


def test_the_odd_texts_are_named_with_their_number(tmp_path: Path, suffix: str) -> None:
    odd = ["x"] * 9 + ["y"] * 4 + list("cdefg")
    with pytest.raises(DataError, match=r"correct 'x' \(9\), 'y' \(4\), .* and 2 other texts"):
        table(tmp_path, suffix, [*numbers(100), *odd])


def test_codes_may_be_read_as_text_and_the_error_says_how(tmp_path: Path, suffix: str) -> None:
    cells = [*map(str, range(100, 200)), "X1"]
    with pytest.raises(DataError, match="read it as text by --categorical a"):
        table(tmp_path, suffix, cells)
    assert table(tmp_path, suffix, cells, categorical="a").columns["a"].tolist() == cells


def test_a_few_numbers_with_other_texts_are_categories_with_a_note(
    tmp_path: Path, suffix: str
) -> None:
    cells = ["1", "2", "3"] * 4 + ["4 or more"] * 3
    found = table(tmp_path, suffix, cells)
    assert found.columns["a"].tolist() == cells
    said = "80% of its cells are numbers, the others are '4 or more' (3)"
    assert found.notices == (f"column 'a' is read as text: {said}",)


@pytest.mark.parametrize(
    ("cells", "advice"),
    [
        (["0,5", "1,25"], "--decimal , (0,5 is then 0.5)"),
        (["1.234,5", "2,5"], "--decimal , --thousands . (1.234,5 is then 1234.5)"),
        (["1,234.5", "2.5"], "--thousands , (1,234.5 is then 1234.5)"),
        (["1 234,5", "2,5"], "--decimal , --thousands ' '"),
        (["1'234.5", "2.5"], "--thousands ''\"'\"''"),
        (
            ["1,234", "2,345"],
            "--thousands , (1,234 is then 1234) or --decimal , (1,234 is",
        ),
    ],
)
def test_numbers_in_another_format_are_an_error_that_names_the_option(
    tmp_path: Path, suffix: str, cells: list[str], advice: str
) -> None:
    with pytest.raises(DataError, match=r"row 1.*, column 'a'") as error:
        table(tmp_path, suffix, cells)
    assert advice in str(error.value)


def test_the_option_reads_them(tmp_path: Path, suffix: str) -> None:
    options = ReadOptions(decimal=",", thousands=".")
    found = table(tmp_path, suffix, ["1.234,5", "2,5", "-", "7"], options=options)
    assert found.columns["a"].tolist()[:2] == [1234.5, 2.5]
    assert found.columns["b"].tolist() == [1.0] * 4


@pytest.mark.parametrize("sign", ["%", "\u20ac", "$"])
def test_a_percent_or_currency_sign_is_left_out_with_a_note(
    tmp_path: Path, suffix: str, sign: str
) -> None:
    found = table(tmp_path, suffix, [f"4.3{sign}", f"-2 {sign}", "NA"])
    assert found.columns["a"].tolist()[:2] == [4.3, -2.0]
    assert f"{sign!r} is left out of its numbers, so that '4.3{sign}' is 4.3" in found.notices[0]


def test_different_signs_in_one_column_are_an_error(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(DataError, match="'0' has no '%', which other cells have"):
        table(tmp_path, suffix, ["4.3%", "0"])


def test_numbers_with_a_unit_are_an_error_that_names_the_option(
    tmp_path: Path, suffix: str
) -> None:
    cells = [f"{cell} kg" for cell in numbers(50)]
    with pytest.raises(DataError, match=r"'0.0 kg' is not a number; .* --units kg"):
        table(tmp_path, suffix, cells)
    found = table(tmp_path, suffix, cells, options=ReadOptions(units=("kg",)))
    assert found.columns["a"].tolist() == [float(cell) for cell in numbers(50)]


@pytest.mark.parametrize("text", ["2024-01-31", "31.01.2024", "12:30", "2024-01-31T10:00:00Z"])
def test_dates_and_times_are_said_to_be_what_they_are(
    tmp_path: Path, suffix: str, text: str
) -> None:
    with pytest.raises(DataError, match=f"has dates or times, such as '{text}'; .* --drop a"):
        table(tmp_path, suffix, [text, text, "NA"])
    assert table(tmp_path, suffix, [text], categorical="a").columns["a"].tolist() == [text]


def test_numbers_with_a_leading_zero_are_noted_for_they_may_be_codes(
    tmp_path: Path, suffix: str
) -> None:
    found = table(tmp_path, suffix, ["01234", "99999"])
    assert found.columns["a"].tolist() == [1234.0, 99999.0]
    assert "'01234' is read as 1234" in found.notices[0]
    assert "--categorical a" in found.notices[0]


def test_a_text_in_either_unicode_form_is_one_text(tmp_path: Path, suffix: str) -> None:
    found = table(tmp_path, suffix, ["Z\u00fcrich", "Zu\u0308rich "])
    assert found.columns["a"].tolist() == ["Z\u00fcrich"] * 2


def test_a_target_is_read_by_the_same_rule(tmp_path: Path, suffix: str) -> None:
    found = table(tmp_path, suffix, [f"{cell}%" for cell in numbers(100)])
    assert found.columns["a"].dtype == np.float64


@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
@pytest.mark.parametrize(
    ("cells", "noted"),
    [
        (["1.234", "850", "12.500"], True),
        (["1.234", "8.50"], False),
        (["0.123", "1.250"], False),
        (["123", "850"], False),
    ],
)
def test_a_point_that_may_separate_thousands_is_noted(
    tmp_path: Path, suffix: str, cells: list[str], noted: bool
) -> None:
    lines = ["a", *cells] if suffix == "csv" else [f'{{"a": "{cell}"}}' for cell in cells]
    (tmp_path / f"t.{suffix}").write_text("\n".join(lines))
    table = read_table(tmp_path / f"t.{suffix}")
    assert table.columns["a"].tolist() == [float(cell) for cell in cells]
    said = (
        "column 'a': '1.234' is read as 1.234; if '.' separates thousands, read the file by "
        "--decimal , --thousands . (1.234 is then 1234)"
    )
    assert table.notices == ((said,) if noted else ())
