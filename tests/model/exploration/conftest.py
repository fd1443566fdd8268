"""The tiny models, loaded, and a row for them."""

from pathlib import Path
from typing import Any

import pytest

import model


@pytest.fixture(scope="session")
def predictors(artifacts: dict[str, Path]) -> dict[str, model.Predictor]:
    return {name: model.load(folder) for name, folder in artifacts.items()}


@pytest.fixture(scope="session")
def regression(predictors: dict[str, model.Predictor]) -> model.Predictor:
    """Predicts `price` from area, rooms and quarter."""
    return predictors["regression"]


@pytest.fixture
def house() -> dict[str, Any]:
    return {"area": 54.0, "rooms": 2.0, "quarter": "east"}
