"""Rows to ask for, and answers to compare."""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

import pytest

from model import Columns, Predictor

HOUSE = {"area": 100.0, "rooms": 4, "quarter": "north"}
HOUSES = [
    HOUSE,
    {"area": 60.0, "rooms": 2, "quarter": "east"},
    {"area": 140.0, "rooms": 8, "quarter": "south"},
]


def numbers(answer: object) -> Iterator[float]:
    """Every float anywhere in an answer."""
    if isinstance(answer, float):
        yield answer
    elif isinstance(answer, dict):
        for value in answer.values():
            yield from numbers(value)
    elif isinstance(answer, tuple | Columns):
        for value in answer:
            yield from numbers(value)
    elif is_dataclass(answer):
        for field in fields(answer):
            yield from numbers(getattr(answer, field.name))


def close(one: object, other: object) -> bool:
    """Whether two answers agree to 1e-5 relative, as the contract asks."""
    return list(numbers(one)) == pytest.approx(list(numbers(other)), rel=1e-5, abs=1e-9)


def without_allowances(predictor: Predictor) -> Predictor:
    """The same, with the error bars that the passes by themselves give."""
    assert predictor.card.calibration is not None
    entry = predictor.card.calibration.model_copy(update={"allowances": {}})
    card = predictor.card.model_copy(update={"calibration": entry})
    return Predictor(card, predictor._networks, predictor._similarity)
