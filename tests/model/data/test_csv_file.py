"""CSV files as people export them are read, or refused with the option that reads them."""

from pathlib import Path

import pytest

from model.data.options import ReadOptions
from model.data.reading import read_table
from model.data.table import Table
from model.errors import DataError


def read(folder: Path, text: str, **options: str) -> Table:
    (folder / "t.csv").write_bytes(text.encode())
    return read_table(folder / "t.csv", options=ReadOptions(**options))  # type: ignore[arg-type]


def columns(table: Table) -> dict[str, list[object]]:
    return {name: cells.tolist() for name, cells in table.columns.items()}


A_AND_B = {"a": [1.0, 3.0], "b": [2.0, 4.0]}


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\na;b\n1;2\n3;4\n",
        "SEP=|\r\na|b\r\n1|2\r\n3|4\r\n",
        '\ufeff"sep=;"\r\na;b\r\n1;2\r\n3;4\r\n',
        "a,b,\n1,2,\n3,4,\n",
        "a,b\n1,2,\n3,4,\n",
        "a,b,\n1,2\n3,4\n",
        "a,b\n1,2\n,\n3,4\n , \n,\n",
        "a;b\n1;2\n3;4\n;\n",
        "a|b\n1|2\n3|4\n",
        "a,b\n1,2\na,b\n3,4\n",
        "# exported\n\n# by hand, in a hurry\na,b\n1,2\n3,4\n",
        "a,b\r\n1,2\r\n3,4",
    ],
)
def test_what_programs_add_is_left_out(tmp_path: Path, text: str) -> None:
    table = read(tmp_path, text)
    assert columns(table) == A_AND_B
    assert table.index == ()


@pytest.mark.parametrize(
    ("text", "notice"),
    [
        ("a,b\n1,2\n,\n3,4\n,\n", "left out 2 empty rows"),
        ("a,b\n1,2\na,b\n3,4\n", "left out 1 rows that repeat the names"),
        ("#x\na,b\n1,2\n3,4\n", "left out 1 comment lines above the names of the columns"),
    ],
)
def test_what_is_left_out_is_said(tmp_path: Path, text: str, notice: str) -> None:
    assert read(tmp_path, text).notices == (notice,)


def test_a_row_of_texts_that_are_empty_but_for_one_is_kept(tmp_path: Path) -> None:
    assert read(tmp_path, "a,b\n1,2\n,4\n").row_count == 2


def test_lines_are_those_of_the_file_whatever_is_left_out(tmp_path: Path) -> None:
    table = read(tmp_path, "sep=;\n# no\n\na;b\n1;2\n;\n\n3;4\n")
    assert table.lines is not None
    assert table.lines.tolist() == [5, 8]


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (",a,b\n0,1,2\n1,3,4\n", "Unnamed: 0"),
        ("a,b\nx,1,2\ny,3,4\n", "Unnamed: 0"),  # as R writes the names of rows
        ("a,b,\n1,2,7\n3,4,9\n", "Unnamed: 2"),
        ("Unnamed: 0,a,b\n0,1,2\n1,3,4\n", "Unnamed: 0"),
        ("Unnamed: 0.1,a,b\n0,1,2\n1,3,4\n", "Unnamed: 0.1"),
    ],
)
def test_a_column_without_a_name_is_left_out_with_a_note(
    tmp_path: Path, text: str, name: str
) -> None:
    table = read(tmp_path, text)
    assert columns(table) == A_AND_B
    assert table.index == (name,)
    assert table.notices == (
        f"left out '{name}', the number or name of a row; --keep '{name}' learns from it",
    )
    with pytest.raises(DataError, match="it was left out as an index"):
        table.column(name)
    kept = read_table(tmp_path / "t.csv", keep=[name])
    assert set(kept.columns) == {"a", "b", name}
    assert kept.notices == ()


def test_decimal_commas_do_not_hide_the_delimiter(tmp_path: Path) -> None:
    text = "length, m;width, m;y\n1,5;2,5;3\n2,5;3,5;4\n"
    assert columns(read(tmp_path, text, decimal=",")) == {
        "length, m": [1.5, 2.5],
        "width, m": [2.5, 3.5],
        "y": [3.0, 4.0],
    }


@pytest.mark.parametrize(
    "text",
    [
        "5.1,3.5,setosa\n4.9,3.0,setosa\n",
        "1,2\n3,4\n",
        "63,1,145\n67,1,160\n",
        "a,7\nb,8\n",
        "low,low,2\nlow,high,3\n",
        "vhigh,small,good\nlow,small,good\n",
    ],
)
def test_a_first_line_that_may_be_a_row_is_refused_with_the_option(
    tmp_path: Path, text: str
) -> None:
    with pytest.raises(DataError, match="--header no"):
        read(tmp_path, text)
    table = read(tmp_path, text, header="no")
    assert table.row_count == 2
    assert list(table.columns)[:2] == ["column_1", "column_2"]
    assert table.lines is not None
    assert table.lines.tolist() == [1, 2]


@pytest.mark.parametrize(
    "header", ["0,1,2", "2019,2020,y", "1,2,3,4,5", "0,1,2,label", "a,b2,3x", "2019-2020,y"]
)
def test_numbers_that_run_on_may_be_names(tmp_path: Path, header: str) -> None:
    names = header.split(",")
    rows = "".join(f"{at}" + f",{at}" * (len(names) - 1) + "\n" for at in (7, 8))
    assert list(read(tmp_path, f"{header}\n{rows}").columns) == names


def test_a_first_line_may_be_said_to_have_the_names(tmp_path: Path) -> None:
    table = read(tmp_path, "2019,y\n7,8\n", header="yes")
    assert columns(table) == {"2019": [7.0], "y": [8.0]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("#a,b\n1,2\n", "--comment '#'"),
        ("a,b\n1,2\n# a note\n3,4\n", r"row 2 \(line 3\): 1 values, .*--comment '#'"),
    ],
)
def test_a_comment_that_may_be_more_is_refused_with_the_option(
    tmp_path: Path, text: str, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        read(tmp_path, text)


@pytest.mark.parametrize("mark", ["#", "//", "%"])
def test_comments_are_left_out_if_asked(tmp_path: Path, mark: str) -> None:
    table = read(tmp_path, f"{mark} x\na,b\n1,2\n{mark} y, z\n3,4\n", comment=mark)
    assert columns(table) == A_AND_B
    assert table.notices == ("left out 2 comment lines",)
    assert table.lines is not None
    assert table.lines.tolist() == [3, 5]


@pytest.mark.parametrize(
    "name", ["price, EUR", 'a "b"', "fl\u00e4che m\u00b2", "fla\u0308che", "a\nb"]
)
def test_a_column_may_have_any_name(tmp_path: Path, name: str) -> None:
    quoted = name.replace('"', '""')
    (tmp_path / "t.csv").write_text(f'"{quoted}",b\n1,2\n', encoding="utf-8")
    for form in (name, f" {name} ", name.replace("\u00e4", "a\u0308")):
        assert list(read_table(tmp_path / "t.csv", drop=[form]).columns) == ["b"]
        assert read_table(tmp_path / "t.csv", categorical=[form]).columns[
            next(iter(read_table(tmp_path / "t.csv").columns))
        ].tolist() == ["1"]
