import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import LimitExceeded
from app.http import Structure
from app.http.structure import counted_outside_strings

BOUNDS = Structure.of(values=50_000, rows=1_000, features=3)
texts = st.text(st.sampled_from(',:[{}]"\\aé\n'), max_size=8)
documents = st.recursive(
    st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def structure_of(document: object) -> tuple[int, int, int]:
    """The commas, colons and opening brackets that the document's JSON has, by its definition."""
    if isinstance(document, dict):
        inner, keys = list(document.values()), len(document)
    elif isinstance(document, list):
        inner, keys = document, 0
    else:
        return 0, 0, 0
    parts = [structure_of(value) for value in inner]
    commas, colons, containers = (sum(column) for column in zip((0, 0, 0), *parts, strict=True))
    return commas + max(len(inner) - 1, 0), colons + keys, containers + 1


@settings(derandomize=True, deadline=None, max_examples=300)
@given(documents, st.booleans())
def test_strings_do_not_count(document: object, ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only).encode()
    assert counted_outside_strings(text) == structure_of(document)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b'{"rows":[],' + b",".join(b'"%d":0' % key for key in range(30_000)) + b"}", "values"),
        (b'{"rows":[":",' + b",".join([b"{}"] * 40_000) + b"]}", "objects and arrays"),
        (b"[" * 100_000 + b"]" * 100_000, "objects and arrays"),
        (b'{"rows":[],' + b",".join(b'"%d":0' % key for key in range(20_000)) + b"}", "keys in 2"),
        (b'{"rows":[[' + b",".join([b"1.5"] * 60_000) + b"]]}", "MCD_MAX_VALUES"),
    ],
)
def test_a_structure_that_no_request_needs_is_refused_before_it_is_parsed(
    text: bytes, what: str
) -> None:
    with pytest.raises(LimitExceeded, match=what) as caught:
        BOUNDS.check(text)
    assert caught.value.details[0].field == "body"


def test_rows_up_to_the_bounds_pass_whatever_their_texts_hold() -> None:
    rows = [{"a": 1.5, "b": 2, "c": "x" * 60}] * 1000
    BOUNDS.check(json.dumps({"rows": rows, "passes": 100}).encode())
    BOUNDS.check(json.dumps({"rows": [list(row.values()) for row in rows]}).encode())
    strange = [{"a": 1.5, "b": 2, "c": ',:[{"\\' * 30}] * 1000
    BOUNDS.check(json.dumps({"rows": strange}).encode())
    tensors = [{"name": n, "shape": [1000, 1], "data": [[1]] * 1000} for n in "abc"]
    BOUNDS.check(json.dumps({"inputs": tensors}).encode())
