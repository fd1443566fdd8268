"""Files become tables of numbers and texts, or an error that names the line at fault."""

import hashlib
import json
import sys
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from model.data.reading import read_table
from model.data.table import Table
from model.errors import DataError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def csv_table(folder: Path, text: str | bytes, *, categorical: tuple[str, ...] = ()) -> Table:
    path = folder / "houses.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return read_table(path, categorical=categorical)


def cells(table: Table) -> dict[str, list[object]]:
    """The columns as lists, None where a value is missing."""
    return {
        name: [None if cell != cell else cell for cell in column.tolist()]
        for name, column in table.columns.items()
    }


def parquet_table(folder: Path, columns: dict[str, object], **options: tuple[str, ...]) -> Table:
    pq.write_table(pa.table(columns), folder / "houses.parquet")
    return read_table(folder / "houses.parquet", **options)


def json_table(folder: Path, text: str, **options: tuple[str, ...]) -> Table:
    (folder / "houses.jsonl").write_text(text, encoding="utf-8")
    return read_table(folder / "houses.jsonl", **options)


def test_a_csv_column_is_numeric_where_all_its_cells_are_numbers(folder: Path) -> None:
    table = csv_table(folder, "a, b ,c\n1,x,+1.5e3\n -2. ,1,.5\n")
    assert cells(table) == {"a": [1.0, -2.0], "b": ["x", "1"], "c": [1500.0, 0.5]}
    assert table.columns["a"].dtype == np.float64
    assert table.name == "houses.csv"


def test_a_table_carries_the_hash_of_its_file(folder: Path) -> None:
    table = csv_table(folder, "a\n1\n")
    assert table.sha256 == hashlib.sha256(b"a\n1\n").hexdigest()


@pytest.mark.parametrize("token", ["", " ", "NA", "N/A", "NaN", "nan", "null", "None", "?", '""'])
def test_a_cell_may_be_missing_in_several_ways(folder: Path, token: str) -> None:
    table = csv_table(folder, f"a,b,c,d\n1,x,{token},1\n{token},{token},{token},2\n")
    del table.columns["d"]
    assert cells(table) == {"a": [1.0, None], "b": ["x", None], "c": [None, None]}
    assert table.columns["b"][1] is None


def test_texts_are_trimmed_and_may_hold_delimiters_quotes_and_line_ends(folder: Path) -> None:
    table = csv_table(folder, 'a,b\n" x, ""y"" ",1\n"two\nlines",2\nZürich,3\n5" pipe,4\n')
    assert cells(table)["a"] == ['x, "y"', "two\nlines", "Zürich", '5" pipe']


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_delimiter_is_told_from_the_header(folder: Path, delimiter: str) -> None:
    text = f'"a,;\t"{delimiter}b{delimiter}c\n1{delimiter}2{delimiter}x\n'
    assert cells(csv_table(folder, text)) == {"a,;": [1.0], "b": [2.0], "c": ["x"]}


@pytest.mark.parametrize("text", ["a,b\r\n1,2\r\n", "\ufeffa,b\n1,2", "\n\na,b\n\n1,2\n\n\n"])
def test_line_ends_byte_order_marks_and_blank_lines_do_not_matter(folder: Path, text: str) -> None:
    assert cells(csv_table(folder, text)) == {"a": [1.0], "b": [2.0]}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_a_number_reads_as_exactly_what_was_written(folder: Path, numbers: list[float]) -> None:
    table = csv_table(folder, "a,b\n" + "".join(f"{number!r},x\n" for number in numbers))
    assert table.columns["a"].tolist() == numbers


@pytest.mark.parametrize("cell", ["12o", "1_000", "0x10", "٣"])
def test_a_few_cells_that_are_no_numbers_are_an_error_and_not_categories(
    folder: Path, cell: str
) -> None:
    text = "a,b\n" + "1,2\n" * 15 + f'1,"{cell}"\n' + "1,2\n" * 5
    with pytest.raises(DataError) as caught:
        csv_table(folder, text)
    where = "houses.csv, row 16 (line 17), column 'b'"
    said = f"{where}: {cell!r} is not a number, and 20 of the column's 21 cells are; correct it, or"
    assert str(caught.value).startswith(f"{said} say that it is missing by --missing-values ")
    assert str(caught.value).endswith("read it as text by --categorical b")


@pytest.mark.parametrize("cell", ["inf", "-Infinity", "1e999"])
def test_a_number_that_is_not_finite_is_an_error(folder: Path, cell: str) -> None:
    with pytest.raises(DataError, match=rf"row 2 \(line 3\), column 'a': '{cell}' is not a finite"):
        csv_table(folder, f"a,b\n1,1\n{cell},1\n")


def test_where_many_cells_are_no_numbers_the_column_is_text(folder: Path) -> None:
    table = csv_table(folder, "a\n" + "1\n" * 8 + "x\ny\n")
    assert set(table.columns["a"]) == {"1", "x", "y"}


@pytest.mark.parametrize("cell", ["0,5", "1,000", "1,000.5"])
def test_a_column_of_numbers_with_commas_is_an_error_and_not_categories(
    folder: Path, cell: str
) -> None:
    with pytest.raises(DataError, match=f"row 1 .* column 'b': '{cell}' is not a number"):
        csv_table(folder, "a;b\n" + f"1;{cell}\n2;7,5\n" * 5)


def test_numbers_that_only_look_unusual_are_numbers(folder: Path) -> None:
    table = csv_table(folder, "a\n+1.\n.5E+2\n-0\n1e-999\n")
    assert cells(table) == {"a": [1.0, 50.0, 0.0, 0.0]}


def test_a_column_can_be_made_text(folder: Path) -> None:
    table = csv_table(folder, "a,b\n01,1\n?,2\ninf,3\n", categorical=("a",))
    assert cells(table) == {"a": ["01", None, "inf"], "b": [1.0, 2.0, 3.0]}


def test_a_dropped_column_may_hold_anything(folder: Path) -> None:
    (folder / "a.csv").write_text("a,b\n1,1\n1,inf\n")
    assert list(read_table(folder / "a.csv", drop=["b"]).columns) == ["a"]


@pytest.mark.parametrize("option", ["categorical", "drop"])
def test_a_column_asked_for_must_be_there(folder: Path, option: str) -> None:
    (folder / "a.csv").write_text("a,b\n1,1\n")
    with pytest.raises(DataError, match=r"a\.csv has no column 'c'; its columns are a, b"):
        read_table(folder / "a.csv", **{option: ["c"]})


def test_errors_name_the_line_where_blank_and_quoted_lines_have_shifted_it(folder: Path) -> None:
    text = 'a,b\n\n"two\nlines",1\nx,2\n\nx,inf\n'
    with pytest.raises(DataError, match=r"row 3 \(line 7\), column 'b'"):
        csv_table(folder, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "houses.csv is empty; the first line must name the columns"),
        ("\n\n", "houses.csv is empty"),
        ("a,b\n", "houses.csv has no rows"),
        ("a,b\n1,2\n1,2,3\n", r"houses.csv, row 2 \(line 3\): 3 values, .* header has 2 columns"),
        ('a,b\n"x\ny",2\n\n1\n', r"houses.csv, row 2 \(line 5\): 1 values, .* 2 columns"),
        ("a,b,a\n1,2,3\n", "houses.csv has 2 columns named 'a'"),
        ('"a,b\n1,2\n', "houses.csv is not CSV: unexpected end of data"),
        ("1.5,2\n1.5,3\n", "houses.csv: the first line has only numbers"),
        ('a,b\n1,x\n1,"y\n1,z\n', "houses.csv: a quote that opens after the start of line 2"),
        (b"a,b\n1,\xff\n", "houses.csv, line 2: not UTF-8"),
        ("a,b\n1,ä\n".encode("latin-1"), "houses.csv, line 2: not UTF-8"),
    ],
)
def test_a_file_that_is_no_table_is_refused(folder: Path, text: str | bytes, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        csv_table(folder, text)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_not_a_file_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"none\.csv: No such file"):
        read_table(folder / "none.csv")
    (folder / "folder.csv").mkdir()
    with pytest.raises(DataError, match=r"folder\.csv: Is a directory"):
        read_table(folder / "folder.csv")


@pytest.mark.parametrize("name", ["a.xlsx", "a", "a.pkl"])
def test_a_format_that_is_not_known_is_refused_with_those_that_are(name: str) -> None:
    with pytest.raises(DataError, match=r"known are \.csv, \.tsv, \.parquet, \.jsonl"):
        read_table(name)


def test_parquet_brings_its_own_types(folder: Path) -> None:
    table = parquet_table(
        folder,
        {
            "int": pa.array([1, None], pa.int8()),
            "float": pa.array([1.5, float("nan")], pa.float32()),
            "decimal": [Decimal("1.25"), None],
            "bool": [True, None],
            "text": ["1", None],
            "coded": pa.array(["x", None]).dictionary_encode(),
            "nothing": pa.nulls(2),
        },
    )
    assert cells(table) == {
        "int": [1.0, None],
        "float": [1.5, None],
        "decimal": [1.25, None],
        "bool": ["true", None],
        "text": [1.0, None],
        "coded": ["x", None],
        "nothing": [None, None],
    }


def test_parquet_numbers_can_be_made_text(folder: Path) -> None:
    table = parquet_table(folder, {"a": [1.0, 2.5, None]}, categorical=("a",))
    assert cells(table) == {"a": ["1", "2.5", None]}


def test_a_parquet_type_that_is_neither_number_nor_text_is_refused(folder: Path) -> None:
    column = pa.array([0], pa.timestamp("ms"))
    with pytest.raises(
        DataError, match=r"column 'when': it has dates or times, .*1970.* --drop when"
    ):
        parquet_table(folder, {"when": column})
    assert cells(parquet_table(folder, {"when": column, "a": [1]}, drop=("when",))) == {"a": [1.0]}


def test_an_infinite_parquet_number_is_an_error(folder: Path) -> None:
    with pytest.raises(DataError, match=r"houses\.parquet, row 2, column 'a': 'inf' is not a fini"):
        parquet_table(folder, {"a": [1.0, float("inf")]})


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"x" * 100 + b"PAR1"])
def test_a_damaged_parquet_file_is_refused(folder: Path, data: bytes) -> None:
    (folder / "a.parquet").write_bytes(data)
    with pytest.raises(DataError, match=r"a\.parquet is not Parquet: "):
        read_table(folder / "a.parquet")


def test_json_lines_bring_their_own_types(folder: Path) -> None:
    table = json_table(
        folder, '{"a": 1, "b": "1", "c": true}\n\n{"b": null, "a": 2.5, "d": 3}\n{"d": null}'
    )
    assert cells(table) == {
        "a": [1.0, 2.5, None],
        "b": [1.0, None, None],
        "c": ["true", None, None],
        "d": [None, 3.0, None],
    }


def test_json_numbers_can_be_made_text(folder: Path) -> None:
    text = '{"a": 1}\n{"a": "x"}\n{"a": 1.0}\n{"a": false}\n'
    assert cells(json_table(folder, text, categorical=("a",))) == {"a": ["1", "x", "1", "false"]}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"a": "x"}', r"row 2 \(line 3\), column 'a': 'x' is not a number, as .* --categorical a"),
        ('{"a": true}', r"row 2 \(line 3\), column 'a': true is not a number"),
        ('{"a": [1]}', r"row 2 \(line 3\), column 'a': \[1\] is neither a number nor a text"),
        ('{"a": 1e999}', r"row 2 \(line 3\), column 'a': 'inf' is not a finite number"),
        (json.dumps({"a": 10**400}), r"row 2 \(line 3\), column 'a': 'inf' is not a finite number"),
        ('{"a": NaN}', r"houses\.jsonl, line 3: not JSON: NaN is not a JSON number"),
        ("[1]", r"houses\.jsonl, line 3: \[1\] is not an object"),
        ('{"a": 1', r"houses\.jsonl, line 3: not JSON"),
        ("[" * 100_000, r"houses\.jsonl, line 3: not JSON"),
    ],
)
def test_a_json_line_that_is_no_row_is_refused(folder: Path, line: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        json_table(folder, '{"a": 1}\n\n' + line)


def test_an_empty_json_lines_file_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match=r"houses\.jsonl has no rows"):
        json_table(folder, "\n")


def test_an_example_is_read_by_its_name() -> None:
    table = read_table("example:wine", categorical=["proline"], drop=["ash"])
    assert table.name == "example:wine"
    assert "ash" not in table.columns
    assert table.columns["proline"][0] == "1065"


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_without_pyarrow_the_error_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    path = folder / f"a{suffix}"
    path.write_text("a\n1\n")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DataError, match=r'pip install "mc-dropout-service\[train\]"'):
        read_table(path)
