"""Query parameters, which no route takes."""

import httpx
import pytest
from fastapi import FastAPI

from app.errors import ErrorBody
from tests.app.inference import house_request

pytestmark = pytest.mark.anyio

HOUSE = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
NATIVE = ("/predict", "/models/regression/predict")
INFER = "/v2/models/regression/infer"


def refused(response: httpx.Response, status: int) -> ErrorBody:
    error = ErrorBody.model_validate_json(response.content)
    assert (response.status_code, error.code) == (status, "invalid_request")
    return error


async def test_an_option_in_the_query_is_refused_as_an_unknown_field_is(
    client: httpx.AsyncClient,
) -> None:
    for path in NATIVE:
        asked = f"{path}?passes=10&seed=3&f%C3%B6o"
        error = refused(await client.post(asked, json={"rows": [HOUSE]}), 422)
        assert [detail.field for detail in error.details] == ["passes", "seed", "föo"]
        assert "'passes' is no query parameter" in error.error
        assert "body" in error.error
    error = refused(await client.post(f"{INFER}?timeout=5", json=house_request()), 400)
    assert [detail.field for detail in error.details] == ["timeout"]


@pytest.mark.parametrize("query", ["%FF=%FE", "=", "a" * 60_000, "&a=1" * 15_000, "%00%0a"])
async def test_any_query_gets_a_short_answer(client: httpx.AsyncClient, query: str) -> None:
    response = await client.post(f"/predict?{query}", json={"rows": [HOUSE]})
    refused(response, 422)
    assert len(response.content) < 20_000


async def test_an_empty_query_is_none(client: httpx.AsyncClient) -> None:
    for query in ("?", "?&"):
        answer = await client.post(f"/predict{query}", json={"rows": [HOUSE]})
        assert answer.status_code == 200


async def test_every_route_of_both_protocols_refuses_a_query(
    app: FastAPI, client: httpx.AsyncClient
) -> None:
    """But for those that machines and browsers call, which may have their own reasons for one."""
    (version, *_) = (await client.get("/v2/models/regression")).json()["versions"]
    names = {"name": "regression", "version": version}
    for path, methods in app.openapi()["paths"].items():
        asked = f"{path.format(**names)}?a=1"
        for method in methods:
            response = await client.request(method, asked, json={} if method == "post" else None)
            if "/health/" in path or path == "/metrics":
                assert response.status_code == 200
            else:
                refused(response, 400 if path.startswith("/v2") else 422)
    for path in ("/docs", "/openapi.json"):
        assert (await client.get(f"{path}?a=1")).status_code == 200
