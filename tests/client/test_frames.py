"""Frames in, frames out: by the names of the columns, in any order."""

from typing import Any

import pytest

from mc_dropout_client import Client, RefusedRequest, flat_columns
from tests.journeys.serving import Served

COLUMNS: dict[str, list[Any]] = {
    "id": [7, 8, 9],
    "quarter": ["east", "north", "south"],
    "rooms": [2, 3, 4],
    "area": [54.0, 80.0, 120.0],
}
ROWS = [[54.0, 2, "east"], [80.0, 3, "north"], [120.0, 4, "south"]]


@pytest.fixture
def client(small: Served) -> Any:
    with Client(small.url) as client:
        yield client


def expected(client: Client, model: str) -> dict[str, list[Any]]:
    """The columns that rows by position give."""
    return flat_columns(client.predict(ROWS, model=model, seed=1))


@pytest.mark.parametrize("model", ["regression", "two_targets", "multiclass"])
def test_a_frame_of_pandas_gives_one_with_its_index(client: Client, model: str) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS, index=["a", "b", "c"])
    found = client.predict(frame, model=model, seed=1)
    assert list(found.index) == ["a", "b", "c"]
    assert found.attrs["seed"] == 1
    assert found.to_dict("list") == expected(client, model)


def test_a_frame_of_polars_gives_one_of_polars(client: Client) -> None:
    polars = pytest.importorskip("polars")
    found = client.predict(polars.DataFrame(COLUMNS), model="regression", seed=1)
    assert isinstance(found, polars.DataFrame)
    assert found.to_dict(as_series=False) == expected(client, "regression")


def test_flat_columns_are_those_of_the_offline_command(client: Client) -> None:
    both = expected(client, "two_targets")
    assert {"mean.price", "mean.rent", "lower.price", "upper.rent", "warnings"} <= set(both)
    classes = expected(client, "multiclass")
    assert {"label", "mean.low", "label_set", "mutual_information"} <= set(classes)
    assert all(len(column) == 3 for column in [*both.values(), *classes.values()])


def test_a_frame_without_a_feature_or_with_a_strange_cell_is_refused(client: Client) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(COLUMNS)
    with pytest.raises(RefusedRequest, match="'rooms' is missing"):
        client.predict(frame.drop(columns="rooms"))
    with pytest.raises(RefusedRequest, match="several columns"):
        client.predict(pandas.concat([frame, frame], axis=1))
    frame["rooms"] = [2, pandas.NA, 4]
    with pytest.raises(RefusedRequest, match=r"rows\.1"):
        client.predict(frame)
    frame["rooms"] = pandas.Timestamp("2026-01-01")
    with pytest.raises(RefusedRequest, match=r"rows\.0\.rooms: is a pandas.*Timestamp"):
        client.predict(frame)
