"""Names of columns: any text is one."""

import pytest

from model.data.names import find_columns, split_list
from model.errors import DataError


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


def test_a_list_has_parts_with_commas_in_quotes() -> None:
    assert split_list('a, "b,c" ,"d ""e"""') == ("a", "b,c", 'd "e"')
