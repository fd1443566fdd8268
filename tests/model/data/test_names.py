"""Names of columns: any text is one, and an option can name it."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.names import clean, find_columns, option, split_list
from model.errors import DataError

NAMES = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1).map(clean)


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("a", ("a",)),
        ("a,b", ("a", "b")),
        (" a , b ", ("a", "b")),
        ("price, EUR", ("price, EUR",)),
        ('"price, EUR",b', ("price, EUR", "b")),
        ('"say ""yes""",a', ('say "yes"', "a")),
        (["a", "price, EUR"], ("a", "price, EUR")),
        ("fla\u0308che", ("fl\u00e4che",)),
        ("", ()),
        ([], ()),
    ],
)
def test_a_text_names_one_column_or_a_list(asked: str | list[str], found: tuple[str, ...]) -> None:
    known = ["a", "b", "price, EUR", 'say "yes"', "fl\u00e4che"]
    assert find_columns(asked, known, table="t.csv") == found


@pytest.mark.parametrize("asked", ["c", "a,c", ["c"], ","])
def test_a_column_that_is_not_there_is_refused(asked: str | list[str]) -> None:
    with pytest.raises(DataError, match=r"t\.csv"):
        find_columns(asked, ["a", "b"], table="t.csv")


@given(st.lists(NAMES.filter(bool), min_size=1, unique=True))
def test_an_option_names_any_columns_in_a_shell(names: list[str]) -> None:
    flag, _, text = option("--drop", *names).replace("=", " ", 1).partition(" ")
    if len(names) == 1 or "=" not in option("--drop", *names)[:7]:
        _, typed = shlex.split(option("--drop", *names).replace("--drop=", "--drop ", 1))
        assert find_columns(typed, names, table="t") == tuple(names)
    assert flag == "--drop"
    assert text


def test_a_list_has_parts_with_commas_in_quotes() -> None:
    assert split_list('a, "b,c" ,"d ""e"""') == ("a", "b,c", 'd "e"')
