"""The OpenAPI document, and a page that shows it and tries its routes without the internet.

The page has relative URLs for its files and for the document, which work under any path prefix.
"""

import asyncio
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from app.json import to_json
from app.pages.static_file import StaticFile, static_files

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css"]


def router(document: Callable[[], dict[str, Any]]) -> APIRouter:
    """The routes; `document` is the OpenAPI document.

    To make it, every model answers examples, which may take seconds: a thread does that, once.
    """
    routes, making = APIRouter(include_in_schema=False), asyncio.Lock()

    @routes.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        prefix = request.scope.get("root_path", "")
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        async with making:
            found = await asyncio.to_thread(document)
        return Response(to_json(found | servers), media_type="application/json")

    @routes.get("/docs")
    async def docs(request: Request) -> Response:
        return static_files()["docs.html"].answer(request)

    @routes.get("/docs/{asset}")
    async def asset_of_docs(asset: Asset, request: Request) -> Response:
        return _swagger(asset).answer(request)

    return routes


@cache
def _swagger(asset: Asset) -> StaticFile:
    path = Path(str(files("fastapi_offline"))) / "static" / asset
    return StaticFile.of(path.read_bytes(), path.suffix)
