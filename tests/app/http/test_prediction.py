"""Predictions are routes of the one table, though the framework only matches them."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Message, Scope

from app.errors import Overloaded
from app.http import Asked, PredictionRoute, Reply, predicting
from app.main import create_app
from app.metrics import Metrics
from app.service import Service
from app.settings import Settings
from tests.app.inference import house_request

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
NATIVE = ("/predict", "/models/regression/predict")
INFER = "/v2/models/regression/infer"


async def test_behind_a_proxy_that_strips_its_prefix_or_leaves_it_predictions_answer(
    artifacts: dict[str, Path],
) -> None:
    app = create_app(Settings(models=(artifacts["regression"],), root_path="/mcd"))
    transport = httpx.ASGITransport(app, root_path="/mcd")
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=transport, base_url="http://test") as client,
    ):
        for prefix in ("", "/mcd"):
            for path in NATIVE:
                answer = await client.post(prefix + path, json={"rows": [HOUSE]})
                assert answer.status_code == 200, answer.text
            answer = await client.post(prefix + INFER, json=house_request())
            assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/predict", 405),
        ("HEAD", "/predict", 405),
        ("POST", "/predict/", 404),
        ("POST", "/models//predict", 404),
        ("POST", "/models/a/b/predict", 404),
        ("POST", "/models/a/predict", 404),
        ("POST", "/v2/models//infer", 404),
        ("POST", "/v2/models/a/versions//infer", 404),
        ("POST", "/v2/models/regression/versions/b/infer", 404),
        ("GET", "/v2/models/a/infer", 405),
    ],
)
async def test_what_is_no_prediction_is_refused(
    client: httpx.AsyncClient, method: str, path: str, status: int
) -> None:
    assert (await client.request(method, path)).status_code == status


def test_every_route_of_a_prediction_is_documented(app: FastAPI) -> None:
    routes = [route for route in app.routes if isinstance(route, PredictionRoute)]
    assert len(routes) == 8
    paths = app.openapi()["paths"]
    for route in routes:
        operation = paths[route.path]["post"]
        assert operation["operationId"] == route.name
        assert operation["description"]
        assert {"200", "400", "429", "503", "504"} <= set(operation["responses"])


async def test_where_no_memory_is_left_a_request_is_refused_and_holds_nothing(
    artifacts: dict[str, Path],
) -> None:
    service = Service(Settings(models=(artifacts["regression"],)), Metrics())
    await service.start()

    async def answer(asked: Asked) -> Reply:
        asked.held.take(100)
        raise MemoryError

    async def never(*_: object) -> Message:
        raise AssertionError

    scope: Scope = {"type": "http", "path_params": {}, "query_string": b""}
    with pytest.raises(Overloaded, match="no memory is left"):
        await predicting(service, answer)(scope, never, never)
    assert service.in_flight.total == 0
    await service.stop()
