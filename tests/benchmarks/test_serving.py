"""The yardstick of the service benchmark answers what the service answers."""

import asyncio
from pathlib import Path

import httpx

from app.settings import Settings
from tests.app.conftest import asking
from tests.benchmarks.constant import app as constant

ASKED = {"rows": [{"area": 54.0, "rooms": 2.0, "quarter": "east"}], "passes": 30}


def test_the_constant_has_the_fields_of_a_prediction(regression_artifact: Path) -> None:
    ours, theirs = asyncio.run(answers(regression_artifact))
    assert (ours.status_code, theirs.status_code) == (200, 200), theirs.text
    assert theirs.json().keys() == ours.json().keys()
    (row,), (constants,) = (each.json()["predictions"] for each in (ours, theirs))
    assert constants.keys() == row.keys()


async def answers(artifact: Path) -> list[httpx.Response]:
    """Of the service, and of the constant route."""
    transport = httpx.ASGITransport(constant, raise_app_exceptions=False)
    async with (
        asking(Settings(models=(artifact,))) as service,
        httpx.AsyncClient(transport=transport, base_url="http://test") as yardstick,
    ):
        return [await client.post("/predict", json=ASKED) for client in (service, yardstick)]
