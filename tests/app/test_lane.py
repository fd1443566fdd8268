"""Predictions take a way past the framework's routing: no client may be able to tell."""

from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from app.lane import TRACED, Lane

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
GOOD = {"rows": [HOUSE], "seed": 3}


@pytest.mark.parametrize("path", ["/predict", "/models/regression/predict", "/models/no/predict"])
@pytest.mark.parametrize(
    "body", [GOOD, {"rows": [{"area": "x"}]}, {"rows": 1}, [], {**GOOD, "a": 1}]
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
        ("POST", "/v2/models/a/infer"),
        ("POST", "predict"),
    ],
)
async def test_everything_else_goes_its_way(method: str, path: str) -> None:
    passed = []

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG001
        passed.append(scope["path"])

    async def never(*_: Any) -> Any:
        raise AssertionError

    await Lane(behind, never)({"type": "http", "method": method, "path": path}, never, never)
    assert passed == [path]
