"""What is written of rows is what they hold."""

from dataclasses import asdict
from pathlib import Path

import orjson
import pytest

import model
from app.json import to_json
from tests.model.answers import HOUSES


@pytest.mark.parametrize("name", ["regression", "two_targets", "binary", "multiclass"])
@pytest.mark.parametrize("samples", [False, True])
def test_rows_are_written_field_by_field_without_those_not_given(
    artifacts: dict[str, Path], name: str, samples: bool
) -> None:
    options = model.PredictOptions(passes=5, samples=samples)
    rows = model.load(artifacts[name]).predict(HOUSES, options).rows
    expected = [
        {field: value for field, value in asdict(row).items() if value is not None} for row in rows
    ]
    found = orjson.loads(to_json(rows.records()))
    assert found == orjson.loads(orjson.dumps(expected))
    assert list(found[0]) == list(expected[0])
