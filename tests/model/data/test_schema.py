"""Rows become the network's input, or an error that says which cell is wrong and what to do."""

import json
from collections import namedtuple
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from model.data.feature import CategoricalFeature, NumericFeature
from model.data.schema import Row, Schema
from model.errors import InputError

ROOMS = NumericFeature("rooms", mean=4.0, scale=2.0, low=1.0, high=9.0)
AREA = NumericFeature("area", mean=100.0, scale=50.0, low=20.0, high=300.0)
QUARTER = CategoricalFeature("quarter", ("east", "north", "south"))
HOUSES = Schema((ROOMS, QUARTER, AREA))
NUMBERS = Schema((ROOMS, AREA))
FILLED = Schema(
    (
        NumericFeature("rooms", mean=4.0, scale=2.0, low=1.0, high=9.0, fill=5.0),
        CategoricalFeature("quarter", ("east", "north", "south"), fill="north"),
    )
)

HOUSE = {"rooms": 6, "quarter": "north", "area": 75.0}
ENCODED_HOUSE = [1.0, 0.0, 1.0, 0.0, -0.5]


def faults(schema: Schema, rows: Sequence[Row]) -> dict[str, str]:
    with pytest.raises(InputError) as caught:
        schema.encode(rows)
    return {detail.field: detail.message for detail in caught.value.details}


def test_a_row_is_standardised_and_one_hot_in_the_schemas_order() -> None:
    x = HOUSES.encode([HOUSE])

    assert x.tolist() == [ENCODED_HOUSE]
    assert x.dtype == np.float32
    assert x.flags.c_contiguous
    assert HOUSES.width == 5
    assert HOUSES.names == ("rooms", "quarter", "area")


def test_an_example_has_the_middle_values_and_the_commonest_category_of_rows() -> None:
    rows = [
        [6, "north", 75.123],
        [7, "east", 60],
        [3, "south", 80],
        [6, "south", 80],
        [8, "east", 90],
    ]
    rows += [[2, "south", 20]]
    example = HOUSES.example(HOUSES.encode(rows))
    assert example == {"rooms": 6, "quarter": "south", "area": 75.123}
    assert type(example["rooms"]) is int
    beyond = HOUSES.example(np.array([[2.6, 0.0, 0.0, 1.0, -2 + 1e-9]]))
    assert beyond == {"rooms": 9, "quarter": "south", "area": 20}


def test_rounding_to_float32_does_not_show_in_an_example() -> None:
    pixel = NumericFeature("pixel", mean=0.3, scale=0.9, low=0.0, high=16.0)
    tiny = NumericFeature("tiny", mean=3e-12, scale=1e-12, low=-np.inf, high=np.inf)
    (row,) = Schema((pixel, tiny)).encode([[0, 1e-12]]).astype(float) + 1e-7
    assert Schema((pixel, tiny)).example(row[None]) == {"pixel": 0, "tiny": 1e-12}


def test_an_example_of_no_rows_has_means_and_whole_numbers_where_the_range_has() -> None:
    sex = NumericFeature("sex", mean=1.45, scale=0.5, low=1.0, high=2.0)
    share = NumericFeature("share", mean=0.123456789, scale=0.5, low=0.1, high=0.9)
    unknown = NumericFeature("unknown", mean=1.45, scale=0.5, low=-np.inf, high=np.inf)
    schema = Schema((sex, share, unknown, QUARTER))
    example = schema.example(np.empty((0, schema.width)))
    assert example == {"sex": 1, "share": 0.123457, "unknown": 1.45, "quarter": "east"}


def test_the_order_of_an_objects_keys_does_not_matter() -> None:
    assert HOUSES.encode([dict(reversed(HOUSE.items()))]).tolist() == [ENCODED_HOUSE]


@pytest.mark.parametrize("row", [[6, "north", 75.0], (6, "north", 75.0)])
def test_an_array_is_taken_in_the_schemas_order(row: Sequence[object]) -> None:
    assert HOUSES.encode([row]).tolist() == [ENCODED_HOUSE]


def test_rows_of_unusual_but_harmless_types_encode_as_the_plain_ones_do() -> None:
    class Lazy(Mapping[str, object]):
        def __getitem__(self, key: str) -> object:
            return HOUSE[key]

        def __iter__(self):  # type: ignore[no-untyped-def]
            return iter(HOUSE)

        def __len__(self) -> int:
            return len(HOUSE)

    scalars = {"rooms": np.int64(6), "quarter": np.str_("north"), "area": np.float32(75)}
    assert HOUSES.encode([Lazy(), scalars]).tolist() == [ENCODED_HOUSE] * 2
    array = np.array([[6, 75], [4, 100]])
    assert NUMBERS.encode(list(array)).tolist() == [[1.0, -0.5], [0.0, 0.0]]


@given(st.lists(st.tuples(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6)), min_size=1, max_size=20))
def test_encoding_many_rows_is_encoding_each(rows: list[tuple[float, float]]) -> None:
    together = NUMBERS.encode(rows)
    alone = [NUMBERS.encode([row])[0] for row in rows]
    assert np.array_equal(together, np.stack(alone))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", ">f8", "i1", "u8", "O"])
def test_an_array_of_rows_is_encoded_as_its_rows_are(kind: str) -> None:
    rows = np.array([[6, 75], [4, 100], [1, 2]]).astype(kind)
    for array in (rows, rows[::2], np.asfortranarray(rows)):
        x = NUMBERS.encode(array)
        assert x.tolist() == NUMBERS.encode(array.tolist()).tolist()
        assert x.dtype == np.float32
        assert x.flags.c_contiguous


@pytest.mark.parametrize(
    ("rows", "field"),
    [
        ([[6.0, np.nan]], "rows.0.area"),
        ([[6.0, 75.0], [1e300, 1.0]], "rows.1.rooms"),
        ([[6.0, 75.0, 1.0]], "rows.0"),
        ([6.0, 75.0], "rows.0"),
        ([[[6.0, 75.0]]], "rows.0"),
        (np.empty((0, 2)), "rows"),
        ([[True, False]], "rows.0.rooms"),
        ([[6.0, 75j]], "rows.0.rooms"),
    ],
)
def test_a_fault_in_an_array_is_told_by_row_and_feature(rows: object, field: str) -> None:
    said = faults(NUMBERS, np.array(rows))  # type: ignore[arg-type]
    assert next(iter(said)) == field
    assert "np." not in said[field]


def test_an_array_of_numbers_is_no_row_of_categories() -> None:
    assert "quarter" in faults(HOUSES, np.array([[6.0, 1.0, 75.0]]))["rows.0.quarter"]  # type: ignore[arg-type]


def test_null_is_filled_where_the_schema_says_so() -> None:
    rows = [{"rooms": None, "quarter": None}, {"rooms": 4, "quarter": "south"}]
    assert FILLED.encode(rows).tolist() == [[0.5, 0, 1, 0], [0, 0, 0, 1]]


def test_null_is_filled_in_a_row_of_unusual_types_too() -> None:
    assert FILLED.encode([[np.float64(4), None]]).tolist() == [[0, 0, 1, 0]]


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (None, "feature 'area' is null; the model needs a number"),
        ("75 m", "feature 'area' is '75 m', which is not a number"),
        ("1e999", "feature 'area' is inf; it must be finite"),
        ("1" * 401, "which is not a number"),
        ("NA", "feature 'area' is 'NA', which is not a number"),
        (True, "feature 'area' is true, which is not a number"),
        ([75], "feature 'area' is [75], which is not a number"),
        (float("nan"), "feature 'area' is nan; it must be finite"),
        (float("-inf"), "feature 'area' is -inf; it must be finite"),
        (1e308, "feature 'area' is 1e+308, which lies too far from the training range, 20 to 300"),
        (10**400, "which lies too far from the training range, 20 to 300"),
        pytest.param(10**5000, "feature 'area' is a huge integer, which lies", id="5001 digits"),
    ],
)
def test_a_numeric_cell_that_is_no_usable_number_is_refused(cell: object, message: str) -> None:
    found = faults(HOUSES, [HOUSE, HOUSE | {"area": cell}])
    assert list(found) == ["rows.1.area"]
    assert message in found["rows.1.area"]


@pytest.mark.parametrize("cell", ["west", "", "North", None, 3, True, ["north"], {}])
def test_a_category_that_is_not_known_is_refused_with_those_that_are(cell: object) -> None:
    found = faults(HOUSES, [HOUSE | {"quarter": cell}])
    assert list(found) == ["rows.0.quarter"]
    assert found["rows.0.quarter"].endswith("; known: east, north, south")


def test_a_missing_feature_is_named_with_those_that_the_model_expects() -> None:
    found = faults(HOUSES, [{"area": 75.0, "quarter": "north"}])
    expected = "feature 'rooms' is missing; the model expects rooms, quarter, area"
    assert found == {"rows.0.rooms": expected}


def test_a_missing_feature_is_a_null_where_the_schema_fills_it_in() -> None:
    assert FILLED.encode([{"rooms": 4}, {}]).tolist() == [[0, 0, 1, 0], [0.5, 0, 1, 0]]
    assert list(faults(FILLED, [{"rooms": 4, "quater": "east"}])) == ["rows.0.quater"]


@pytest.mark.parametrize(
    "gap", [None, float("nan"), np.float32("nan"), np.ma.masked, "", " NA ", "NULL"]
)
def test_whatever_says_that_a_value_is_missing_is_filled(gap: object) -> None:
    filled = FILLED.encode([[None, "east"], [4, None]]).tolist()
    assert FILLED.encode([[gap, "east"], [4, gap]]).tolist() == filled
    assert "rows.0.rooms" in faults(HOUSES, [HOUSE | {"rooms": gap}])


@pytest.mark.parametrize("cell", ["75", " 75.0 ", "7.5e1", np.str_("75")])
def test_a_number_that_is_written_as_a_text_is_a_number(cell: str) -> None:
    assert HOUSES.encode([HOUSE | {"area": cell}]).tolist() == [ENCODED_HOUSE]


@pytest.mark.parametrize(
    ("categories", "cell", "meant"),
    [
        (("false", "true"), True, 1),
        (("False", "True"), False, 0),
        (("FALSE", "TRUE"), np.bool_(True), 1),
        (("False", "True"), "true", 1),
        (("1", "2"), 2, 1),
        (("1", "2"), 2.0, 1),
        (("1.0", "2.0"), 2, 1),
        (("1", "2"), np.int64(2), 1),
        (("1", "2"), "2.0", 1),
        (("1", "01"), "01", 1),
        (("1", "01"), 1, 0),
        (("Z\u00fcrich", "Bern"), "Zu\u0308rich", 0),
        (("Zu\u0308rich", "Bern"), "Z\u00fcrich", 0),
        (("north", "south"), " north ", 0),
    ],
)
def test_a_category_may_be_written_as_any_file_writes_it(
    categories: tuple[str, ...], cell: object, meant: int
) -> None:
    schema = Schema((CategoricalFeature("a", categories),))
    assert schema.encode([[cell]])[0].tolist() == [at == meant for at in range(len(categories))]
    assert schema.encode([{"a": cell}]).argmax() == meant


@pytest.mark.parametrize(
    ("categories", "cell"),
    [
        (("1", "2"), True),
        (("1", "2"), "01"),
        (("1", "2"), 3),
        (("true", "True"), True),
        (("yes", "no"), True),
        (("1.0", "1.00"), 1),
        (("1", "2"), float("inf")),
        (("1", "2"), 10**400),
    ],
)
def test_a_cell_that_may_mean_no_category_or_two_is_refused(
    categories: tuple[str, ...], cell: object
) -> None:
    schema = Schema((CategoricalFeature("a", categories),))
    assert "known: " + ", ".join(categories) in faults(schema, [[cell]])["rows.0.a"]


def test_names_in_another_unicode_form_or_with_spaces_are_the_schemas() -> None:
    schema = Schema((NumericFeature("fl\u00e4che", 0, 1, 0, 1), NumericFeature("b", 0, 1, 0, 1)))
    assert schema.encode([{"fla\u0308che": 1, " b": 2}]).tolist() == [[1, 2]]
    both = {"fl\u00e4che": 1, "fla\u0308che": 3, "b": 2}
    assert list(faults(schema, [both]))


def test_rows_with_names_are_taken_by_name_and_not_by_place() -> None:
    named = namedtuple("named", ["area", "rooms"])
    kinds = [("area", "f8"), ("rooms", "f8")]
    rows = np.array([(75.0, 6.0)], dtype=kinds)
    for sent in ([named(75.0, 6)], rows, list(rows), np.ma.array(rows)):
        assert NUMBERS.encode(sent).tolist() == [[1.0, -0.5]]
    assert "rows.0.Index" in faults(NUMBERS, [namedtuple("other", ["Index", "area"])(0, 1.0)])


def test_a_masked_value_is_missing() -> None:
    rows = np.ma.array([[6.0, 75.0]], mask=[[False, True]])
    for sent in (rows, list(rows)):
        assert list(faults(NUMBERS, sent)) == ["rows.0.area"]
    assert NUMBERS.encode(np.ma.array([[6.0, 75.0]])).tolist() == [[1.0, -0.5]]
    filled = Schema((FILLED.features[0],))
    assert filled.encode(np.ma.array([[9.0], [4.0]], mask=[[True], [False]])).tolist() == [
        [0.5],
        [0],
    ]


def test_an_unknown_feature_is_named_with_those_that_the_model_expects() -> None:
    found = faults(HOUSES, [HOUSE | {"aera": 75.0}])
    expected = (
        "unknown feature 'aera' (did you mean 'area'?); the model expects rooms, quarter, area"
    )
    assert found == {"rows.0.aera": expected}


@pytest.mark.parametrize("row", [[], [6, "north"], [6, "north", 75.0, 1]])
def test_an_array_of_the_wrong_length_is_refused(row: list[object]) -> None:
    expected = f"the row has {len(row)} values; the model expects 3: rooms, quarter, area"
    assert faults(HOUSES, [row]) == {"rows.0": expected}


@pytest.mark.parametrize("row", ["abc", 3, None, True])
def test_a_row_that_is_neither_object_nor_array_is_refused(row: object) -> None:
    found = faults(HOUSES, [HOUSE, row])  # type: ignore[list-item]
    assert "rows.1" in found


def test_objects_and_arrays_do_not_mix() -> None:
    found = faults(HOUSES, [[6, "north", 75.0], HOUSE])
    assert list(found) == ["rows.1"]
    assert "all objects or all arrays" in found["rows.1"]


def test_no_rows_are_refused() -> None:
    assert list(faults(HOUSES, [])) == ["rows"]


def test_every_fault_of_every_row_is_reported() -> None:
    rows = [{"rooms": "x", "quarter": "west", "area": 1}, HOUSE, {"rooms": 1, "quarter": "east"}]
    assert set(faults(HOUSES, rows)) == {"rows.0.rooms", "rows.0.quarter", "rows.2.area"}


def test_of_many_faults_twenty_are_reported() -> None:
    assert len(faults(NUMBERS, [["x", "y"]] * 500)) == 20


def test_the_errors_sentence_places_the_first_fault_and_counts_the_others() -> None:
    with pytest.raises(InputError, match=r"^rows\.1: feature 'rooms' is 'x'.* \(and 1 more\)$"):
        NUMBERS.encode([[1, 2], ["x", "y"]])


@pytest.mark.parametrize(
    "text", ["\ud800", "\x00\n", "x" * 100_000, "é"], ids=["surrogate", "control", "long", "accent"]
)
def test_what_the_sender_wrote_comes_back_short_and_encodable(text: str) -> None:
    found = faults(HOUSES, [HOUSE | {"quarter": text, text: 1}])
    assert len(found) == 2
    assert len(json.dumps(found, ensure_ascii=False).encode()) < 600


def test_of_many_names_a_message_lists_twenty() -> None:
    many = Schema(tuple(NumericFeature(f"pixel_{at}", 0, 1, 0, 1) for at in range(64)))
    message = faults(many, [[0]])["rows.0"]
    assert message.endswith("pixel_18, pixel_19, ... (64 in all)")


def test_values_beyond_the_training_range_are_told_by_row_and_feature() -> None:
    x = HOUSES.encode(
        [HOUSE, HOUSE | {"rooms": 9.01}, HOUSE | {"rooms": 0, "area": 301}, HOUSE | {"area": 19}]
    )
    assert HOUSES.outside(x) == [
        (),
        ("outside_training_range:rooms",),
        ("outside_training_range:rooms", "outside_training_range:area"),
        ("outside_training_range:area",),
    ]


@given(st.floats(-1e9, 1e9), st.floats(1e-3, 1e6), st.floats(0.1, 50))
def test_the_ends_of_the_training_range_are_inside(low: float, span: float, ratio: float) -> None:
    high = low + span
    feature = NumericFeature("a", mean=low + span / 3, scale=span / ratio, low=low, high=high)
    schema = Schema((feature,))
    assert schema.outside(schema.encode([[low], [high]])) == [(), ()]


def test_a_schema_without_numbers_has_no_training_range() -> None:
    schema = Schema((QUARTER,))
    assert schema.outside(schema.encode([["north"], ["east"]])) == [(), ()]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
HOUSE_LIKE = st.fixed_dictionaries({"rooms": JUNK, "quarter": JUNK, "area": JUNK}) | st.lists(
    JUNK, min_size=3, max_size=3
)


@given(st.lists(HOUSE_LIKE | JUNK, max_size=4))
def test_whatever_is_sent_is_encoded_finite_or_refused_by_row(rows: list[Row]) -> None:
    try:
        x = HOUSES.encode(rows)
    except InputError:
        found = faults(HOUSES, rows)
        assert found
        assert all(field.split(".")[0] == "rows" for field in found)
        assert json.dumps(found, ensure_ascii=False).encode()
    else:
        assert x.shape == (len(rows), 5)
        assert np.isfinite(x).all()
