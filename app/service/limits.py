"""The limits of one request: each has its own unit and its own setting."""

from collections.abc import Iterable
from typing import NamedTuple

from app.errors import LimitExceeded
from app.settings import Settings
from model import Card, Detail, Resolved


class Demand(NamedTuple):
    """What a request asks for: so many of a unit, which a setting limits and a field chooses."""

    setting: str
    unit: str
    amount: int
    field: str


def of_prediction(rows: int, card: Card, options: Resolved, *, field: str = "rows") -> list[Demand]:
    """What a prediction of so many rows asks for; `field` chooses the rows."""
    row_passes, values = rows * options.passes, values_of(card)
    kind = "classes" if card.target.classes else "targets"
    asked = [
        Demand("rows", "rows", rows, field),
        Demand("passes", "passes", options.passes, "passes"),
        Demand("row_passes", "rows x passes", row_passes, "passes"),
        Demand("values", "rows x features", rows * len(card.features), field),
        Demand("values", f"rows x {kind}", rows * values, field),
    ]
    if options.samples:
        unit = f"samples (rows x passes{f' x {kind}' if values > 1 else ''})"
        asked.append(Demand("samples", unit, row_passes * values, "samples"))
    return asked


def check_limits(settings: Settings, asked: Iterable[Demand]) -> None:
    """Raise LimitExceeded naming the first setting that allows less, and the field."""
    for setting, unit, amount, field in asked:
        limit = getattr(settings, f"max_{setting}")
        if amount > limit:
            message = f"{amount} {unit} are more than {limit} (MCD_MAX_{setting.upper()})"
            raise LimitExceeded(message, [Detail(field, message)])


def values_of(card: Card) -> int:
    """The values of a prediction: one for each target, or one for each class."""
    return len(card.target.classes or card.target.names)
