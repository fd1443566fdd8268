import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import DuplicateKey, NotFinite, NotJson
from app.http import Structure
from app.http import parse as parse_within

ROOM = Structure.of(values=10**6, rows=10**6, features=10**6)


def parse(body: bytes) -> Any:
    return parse_within(body, ROOM)


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(-1e9, 1e9)
names = st.text(st.characters(codec="utf-8"), max_size=6) | st.sampled_from(["a:b", '":', "{", ""])
values = st.recursive(
    scalars | names,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=4),
    max_leaves=12,
)
rows = st.lists(st.dictionaries(names, scalars | names, max_size=4) | values, max_size=4)
documents = st.builds(
    lambda rest, rows: {**rest, "rows": rows}, st.dictionaries(names, values), rows
)


@settings(derandomize=True, deadline=None)
@given(documents | values)
def test_a_document_without_duplicates_is_what_it_says(document: Any) -> None:
    for ascii_only in (False, True):
        assert parse(json.dumps(document, ensure_ascii=ascii_only).encode()) == document


@settings(derandomize=True, deadline=None)
@given(documents, names, scalars, st.sampled_from(["top", "row", "deep"]))
def test_a_key_named_twice_is_found_wherever_it_is(
    document: dict[str, Any], key: str, value: Any, place: str
) -> None:
    name, cell = json.dumps(key), json.dumps(value)
    twice = f"{{{name}: {cell}, {name}: {cell}}}"
    body = {
        "top": f'{{"rows": {json.dumps(document["rows"])}, {twice[1:]}',
        "row": f'{{"rows": [{json.dumps(document)}, {twice}]}}',
        "deep": f'{{"rows": [[1, {twice}]], "x": {json.dumps(document)}}}',
    }[place]
    with pytest.raises(DuplicateKey) as caught:
        parse(body.encode())
    assert caught.value.details[0].field == key


def test_a_key_that_an_escape_spells_the_same_is_the_same_key() -> None:
    with pytest.raises(DuplicateKey):
        parse(b'{"rows": [{"a": 1, "\\u0061": 2}]}')


def test_an_object_within_a_thousand_others_is_read_and_its_duplicate_found() -> None:
    deep = b'{"a":' * 1000 + b"%s" + b"}" * 1000
    assert len(parse(deep % b'{"b": 1}')) == 1
    with pytest.raises((DuplicateKey, NotJson)):  # the library that names the key has no more depth
        parse(deep % b'{"b": 1, "b": 2}')


def test_a_duplicate_is_not_hidden_by_a_colon_fewer_than_keys() -> None:
    """Counting colons must not be fooled by keys of objects where no rows belong."""
    assert parse(b'{"rows": [], "x": {"a": {"b": 1}}}') == {"rows": [], "x": {"a": {"b": 1}}}
    with pytest.raises(DuplicateKey):
        parse(b'{"rows": 3, "x": {"b": 1, "b": 2}}')


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        (b'{"rows": [[NaN]]}', "NaN"),
        (b'{"rows": [[Infinity]]}', "Infinity"),
        (b'{"rows": [[-Infinity]]}', "-Infinity"),
        (b'{"rows": [[1e999]]}', "1e999"),
        (b'{"rows": [[-1E+999 ]]}', "-1E"),
        (b'{"caf\xc3\xa9": "\xf0\x9f\x8c\xa7", "rows": [[nan]]}', "nan"),
        (b'{"rows": [[1' + b"0" * 400 + b"]]}", "1000"),
        (b"NaN", "NaN"),
    ],
)
def test_a_number_that_is_not_finite_is_named(body: bytes, shown: str) -> None:
    with pytest.raises(NotFinite, match="not a finite number") as caught:
        parse(body)
    assert shown in str(caught.value)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"-",
        b"rows",
        b"{'rows': 1}",
        b'{"rows": [1,]}',
        b'{"rows": [1]',
        b'{"rows": [1]} {}',
        b'{"rows": [01]}',
        b'{"rows": ["\t"]}',
        b'{"rows": ["\\ud800"]}',
        b'{"rows": ["\xe9"]}',
        b'\xef\xbb\xbf{"rows": []}',
        '{"rows": []}'.encode("utf-16"),
        bytes(range(256)),
        b"[" * 100_000,
        b"[" * 2000 + b"]" * 2000,
        b'{"a":' * 100_000,
        b'{"a":' * 2001 + b"1" + b"}" * 2001,
    ],
)
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(NotJson):
        parse(body)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=40) | st.text('{}[]",:0123456789.eE+-nulltrfasNI\\ ').map(str.encode))
def test_any_bytes_are_a_finite_document_or_a_body_error(body: bytes) -> None:
    try:
        document = parse(body)
    except (DuplicateKey, NotFinite, NotJson):
        return
    assert json.loads(json.dumps(document, allow_nan=False)) == document
