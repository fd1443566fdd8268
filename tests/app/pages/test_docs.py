import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from re import findall
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from fastapi import FastAPI
from fastapi.openapi.models import OpenAPI
from fastapi.routing import iter_route_contexts

from app.native import schemas as native_schemas
from app.native.schemas import ExplainResponse, PredictResponse, SweepResponse
from app.settings import Settings
from model import Card
from tests.app.conftest import asking

pytestmark = pytest.mark.anyio

PAGES = {"/", "/learn", "/static/{path:path}", "/docs", "/docs/{asset}", "/openapi.json"}
TWINS = {"/v2/"}  # of a path that the document has


@pytest.fixture
async def document(client: httpx.AsyncClient) -> dict[str, Any]:
    found: dict[str, Any] = (await client.get("/openapi.json")).json()
    return found


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for operation in methods.values():
            yield path, operation


@pytest.mark.parametrize("prefix", ["", "/mcd", "/a/b"])
async def test_the_docs_page_loads_all_its_files_under_any_prefix_and_from_this_server(
    app: FastAPI, prefix: str
) -> None:
    transport = httpx.ASGITransport(app, root_path=prefix)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        page = await client.get(f"{prefix}/docs")
        assert page.headers["content-type"].startswith("text/html")
        assert "<title>MC dropout" in page.text
        linked = [
            url for url in findall(r"""(?:href|src)="([^"#]+)""", page.text) if url != "learn"
        ]
        assert {"docs/swagger-ui-bundle.js", "static/logo.svg", "openapi.json"} <= set(linked)
        for url in linked:
            assert not url.startswith(("/", "http"))
            answer = await client.get(urljoin(f"{prefix}/docs", url))
            assert answer.status_code == 200, url
            assert len(answer.content) > 100, url
        assert "http" not in page.text.lower().replace("http interface", "")


async def test_the_docs_page_may_run_scripts_and_styles_of_this_server_only(
    client: httpx.AsyncClient,
) -> None:
    policy = (await client.get("/docs")).headers["content-security-policy"]
    assert "unsafe" not in policy
    assert {"default-src 'none'", "script-src 'self'"} <= set(policy.split("; "))


async def test_behind_a_prefix_the_document_tells_where_the_server_is(app: FastAPI) -> None:
    transport = httpx.ASGITransport(app, root_path="/mcd")
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        behind = (await client.get("/mcd/openapi.json")).json()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        plain = (await client.get("/openapi.json")).json()
    assert behind.pop("servers") == [{"url": "/mcd"}]
    assert behind == plain


async def test_the_document_is_valid_openapi_and_its_references_lead_somewhere(
    document: dict[str, Any],
) -> None:
    assert OpenAPI.model_validate(document).openapi == "3.1.0"
    references = findall(r'"\$ref": "#/([^"]*)"', json.dumps(document))
    assert references
    for reference in set(references):
        place = document
        for step in reference.split("/"):
            place = place[step]
    identifiers = [operation["operationId"] for _, operation in operations(document)]
    assert len(set(identifiers)) == len(identifiers)


async def test_every_route_is_documented_but_the_pages(
    app: FastAPI, document: dict[str, Any]
) -> None:
    paths = {context.path for context in iter_route_contexts(app.routes)}
    assert set(document["paths"]) == paths - PAGES - TWINS


async def test_the_tags_are_in_the_order_of_a_new_users_need(document: dict[str, Any]) -> None:
    tags = [tag["name"] for tag in document["tags"]]
    assert (tags[0], tags[-1]) == ("predictions", "open inference protocol")
    assert all(tag["description"] for tag in document["tags"])
    assert set(tags) == {tag for _, operation in operations(document) for tag in operation["tags"]}


async def test_every_operation_declares_its_errors_in_the_one_shape(
    document: dict[str, Any],
) -> None:
    shape = {"$ref": "#/components/schemas/ErrorBody"}
    for path, operation in operations(document):
        errors = {code for code in operation["responses"] if code != "200"}
        assert "default" in errors, path
        for code in errors:
            response = operation["responses"][code]
            assert response["content"]["application/json"]["schema"] == shape, (path, code)
            assert len(response["description"]) > 20, (path, code)
        if path.endswith("predict"):
            assert errors >= {"400", "413", "415", "422", "503"}
        assert ("404" in errors) is ("{name}" in path)
        assert operation["summary"]
        assert operation["description"]


async def test_every_field_is_described(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]
    ours = [name for name in schemas if hasattr(native_schemas, name) or name.startswith("Error")]
    assert len(ours) == 21
    for name in ours:
        fields = schemas[name]["properties"]
        for field in fields.keys() - (Card.model_fields if name == "ModelCard" else {}):
            described = fields[field]
            assert described.get("description") or "$ref" in described, f"{name}.{field}"


async def test_the_limits_in_the_document_are_those_of_the_settings(
    document: dict[str, Any], settings: Settings
) -> None:
    properties = schema_of_request(document, "/predict")["properties"]
    assert (properties["rows"]["minItems"], properties["rows"]["maxItems"]) == (1, 50)
    assert (properties["passes"]["minimum"], properties["passes"]["maximum"]) == (2, 400)
    assert settings.max_rows == 50


async def test_the_examples_are_real_requests_with_their_real_answers(
    client: httpx.AsyncClient, document: dict[str, Any], artifacts: dict[str, Path]
) -> None:
    for route, schema in (
        ("predict", PredictResponse),
        ("sweep", SweepResponse),
        ("explain", ExplainResponse),
    ):
        paths = ((f"/{route}", ["regression"]), (f"/models/{{name}}/{route}", list(artifacts)))
        for path, names in paths:
            operation = document["paths"][path]["post"]
            requests = operation["requestBody"]["content"]["application/json"]["examples"]
            answers = operation["responses"]["200"]["content"]["application/json"]["examples"]
            assert list(requests) == list(answers) == names
            for name in names:
                response = await client.post(path.format(name=name), json=requests[name]["value"])
                assert response.json() == answers[name]["value"]
                schema.model_validate_json(response.content)


def schema_of_request(document: dict[str, Any], path: str) -> dict[str, Any]:
    body = document["paths"][path]["post"]["requestBody"]
    assert body["required"]
    name = body["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    schema: dict[str, Any] = document["components"]["schemas"][name]
    return schema


async def test_others_are_served_while_the_document_is_made(artifacts: dict[str, Path]) -> None:
    """Every model answers its examples for it."""
    async with asking(Settings(models=tuple(artifacts.values()))) as client:
        asked = [asyncio.create_task(client.get("/openapi.json")) for _ in range(3)]
        served = 0
        while not all(each.done() for each in asked):
            assert (await client.get("/v2/health/live")).status_code == 200
            served += 1
            await asyncio.sleep(0.002)
        documents = {(await each).content for each in asked}
    assert served > 5
    assert len(documents) == 1
