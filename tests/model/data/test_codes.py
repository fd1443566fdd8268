"""The piecewise-linear code of numbers is that of its authors, and goes on beyond the range."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from model.artifact.card import NumericRecord, feature_records
from model.data.codes import BINS, STEEPEST, Codes, quantile_edges
from model.data.feature import CategoricalFeature, NumericFeature
from model.data.preparation import encode_table, fit_schema
from model.data.schema import Schema
from model.data.table import Table

AREA = NumericFeature("area", 100.0, 50.0, 0.0, 300.0, 80.0, edges=(0.0, 50.0, 150.0, 300.0))
QUARTER = CategoricalFeature("quarter", ("east", "north"))
ROOMS = NumericFeature("rooms", 3.0, 2.0, 1.0, 9.0)
HOUSES = Schema((AREA, QUARTER, ROOMS))


def by_the_definition(z: float, edges: list[float]) -> list[float]:
    """The code of Gorishniy et al. 2022, section 3.2, with both ends clipped, less one half."""
    return [min(max((z - low) / (high - low), 0.0), 1.0) - 0.5 for low, high in pairwise(edges)]


@pytest.mark.parametrize("area", [0.0, 20.0, 50.0, 149.0, 150.0, 290.0, 300.0])
def test_within_the_range_the_code_is_that_of_its_authors(area: float) -> None:
    edges = [(edge - AREA.mean) / AREA.scale for edge in AREA.edges]
    (row,) = HOUSES.encode([[area, "north", 5]])
    z = (area - AREA.mean) / AREA.scale
    np.testing.assert_allclose(row, [z, *by_the_definition(z, edges), 0, 1, 1], atol=1e-6)


def test_beyond_the_range_the_outer_columns_go_on_at_their_slope_but_for_narrow_bins() -> None:
    narrow = replace(AREA, edges=(0.0, 50.0, 295.0, 300.0))
    x = Schema((narrow,)).encode([[area] for area in (-100, -50, 0, 300, 350, 400)])
    steps = np.diff(x, axis=0)
    np.testing.assert_allclose(steps[[0, 1]], [[1, 1, 0, 0]] * 2, atol=1e-6)
    np.testing.assert_allclose(steps[[3, 4]], [[1, 0, 0, STEEPEST]] * 2, atol=1e-6)


def test_every_way_to_send_rows_gives_the_same_codes() -> None:
    numbers = Schema((AREA, ROOMS))
    rows = [[20.0, 2.0], [310.0, 4.0], [None, 3.0]]
    expected = numbers.encode(rows)
    filled = [[80.0 if cell is None else cell for cell in row] for row in rows]
    assert np.array_equal(numbers.encode(np.array(filled)), expected)
    assert np.array_equal(numbers.encode([dict(zip(numbers.names, r)) for r in rows]), expected)  # noqa: B905
    assert np.array_equal(numbers.encode({"area": [20, 310, None], "rooms": [2, 4, 3]}), expected)


def test_the_plain_columns_have_the_whole_row() -> None:
    x = HOUSES.encode([[20.0, "north", 2.0], [410.0, "east", 4.0]])
    plain = HOUSES.plain(x)
    assert plain.shape[1] == HOUSES.plain_width == HOUSES.without_codes.width == 4
    assert np.array_equal(HOUSES.whole(plain), x)
    assert np.array_equal(HOUSES.without_codes.encode([[20.0, "north", 2.0]]), plain[:1])
    assert HOUSES.outside(x) == [(), ("outside_training_range:area",)]


def test_an_example_is_a_row_of_the_numbers_themselves() -> None:
    rows = [[20.0, "north", 2.0], [200.0, "north", 4.0], [260.0, "east", 5.0]]
    assert HOUSES.example(HOUSES.encode(rows)) == {"area": 200, "quarter": "north", "rooms": 4}


def test_bins_have_about_equal_numbers_of_rows() -> None:
    values = np.random.default_rng(0).exponential(size=1200)
    edges = quantile_edges(values, values.std())
    assert len(edges) == BINS + 1
    assert (edges[0], edges[-1]) == (values.min(), values.max())
    assert set(np.histogram(values, edges)[0]) <= {99, 100, 101}


@pytest.mark.parametrize(
    ("values", "bins"),
    [
        ([0.0, 1.0] * 50, 0),  # two values: the number says it all
        ([0.0, 1.0, 2.0] * 50, 2),
        ([0.0] * 90 + [1.0, 2.0, 3.0, 4.0, 5.0], 0),  # most rows share a value
        ([5.0] * 50 + [5.0 + 1e-12] * 50 + [6.0], 0),  # within rounding
    ],
)
def test_repeated_values_share_a_bin(values: list[float], bins: int) -> None:
    assert len(quantile_edges(np.array(values), float(np.std(values)))) == (bins + 1 if bins else 0)


def test_a_table_has_codes_if_asked_for_which_a_card_keeps() -> None:
    random = np.random.default_rng(1)
    columns = {"a": random.normal(size=80), "b": np.arange(80) % 2, "y": np.ones(80)}
    columns["a"][:3] = np.nan
    table = Table("t", columns, "0")
    plain, _ = fit_schema(table, ["a", "b"], np.arange(60), missing="impute")
    schema, _ = fit_schema(table, ["a", "b"], np.arange(60), missing="impute", codes=True)
    assert (plain.width, schema.width) == (2, 2 + BINS)
    assert schema.without_codes == plain
    records = feature_records(schema)
    assert Schema(tuple(NumericFeature(**vars_of(r)) for r in records)) == schema  # type: ignore[arg-type]
    assert "edges" not in records[1].model_dump()
    x = encode_table(table, schema)
    assert np.array_equal(schema.plain(x), encode_table(table, plain))


def vars_of(record: NumericRecord) -> dict[str, object]:
    assert record.range
    low, high = record.range
    kept = {name: getattr(record, name) for name in ("name", "mean", "scale", "fill", "edges")}
    return {**kept, "low": low, "high": high}


@pytest.mark.parametrize("edges", [(1.0, 2.0), (1.0, 3.0, 3.0), (3.0, 2.0, 1.0)])
def test_edges_of_no_bins_are_refused(edges: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="edges must be three or more"):
        NumericRecord(name="a", mean=0, scale=1, edges=edges)


def test_no_feature_with_a_code_has_no_columns_of_codes() -> None:
    assert Codes.of([np.empty(0)])(np.ones((2, 1), dtype=np.float32)).shape == (2, 0)
