"""Predictions take a way past the framework's routing: no client may be able to tell."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.http import Lane
from app.http.reply import TRACED
from tests.app.inference import house_request

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
GOOD = {"rows": [HOUSE], "seed": 3}
TENSORS = house_request(parameters={"seed": 3})
BINARY = house_request(parameters={"seed": 3, "binary_data_output": True})
NATIVE = ("/predict", "/models/regression/predict", "/models/no/predict")
INFER = ("/v2/models/regression/infer", "/v2/models/no/infer", "/v2/models/a/versions/b/infer")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        *((path, body) for path in NATIVE for body in (GOOD, {"rows": [{"area": "x"}]}, {}, [])),
        *((path, body) for path in INFER for body in (TENSORS, BINARY, {"inputs": 1}, GOOD, [])),
    ],
)
async def test_the_lane_and_the_routes_answer_the_same(app: FastAPI, path: str, body: Any) -> None:
    async def traced(scope: Scope, receive: Receive, send: Send) -> None:
        await app({**scope, TRACED: None}, receive, send)

    answers = []
    for each in (app, traced):
        transport = httpx.ASGITransport(each)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            answers.append(await client.post(path, json=body, headers={"x-request-id": "1"}))
    lane, route = answers
    assert lane.status_code == route.status_code
    assert lane.content == route.content
    assert dict(lane.headers) == dict(route.headers)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/predict"),
        ("POST", "/predict/"),
        ("POST", "/models//predict"),
        ("POST", "/models/a/b/predict"),
        ("POST", "/v2/models//infer"),
        ("POST", "/v2/models/a/versions//infer"),
        ("GET", "/v2/models/a/infer"),
        ("POST", "predict"),
    ],
)
async def test_everything_else_goes_its_way(method: str, path: str) -> None:
    passed = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        passed.append(scope["path"])

    async def never(*_: Any) -> Any:
        raise AssertionError

    await Lane(behind, never, never)({"type": "http", "method": method, "path": path}, never, never)
    assert passed == [path]
