"""The OpenAPI document and a page to read and try it, without the internet.

The page names its files, and the document, by relative URLs: they work under any path prefix.
"""

from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

import orjson
from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import FileResponse

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]


def router(title: str, document: Callable[[], dict[str, Any]]) -> APIRouter:
    """The routes; `document` is the OpenAPI document."""
    routes = APIRouter(include_in_schema=False)
    assets = Path(str(files("fastapi_offline"))) / "static"

    @routes.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        prefix = request.scope.get("root_path", "")
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        return Response(orjson.dumps(document() | servers), media_type="application/json")

    @routes.get("/docs")
    async def docs() -> Response:
        return get_swagger_ui_html(
            title=title,
            openapi_url="openapi.json",
            swagger_js_url="docs/swagger-ui-bundle.js",
            swagger_css_url="docs/swagger-ui.css",
            swagger_favicon_url="docs/favicon.png",
        )

    @routes.get("/docs/{asset}")
    async def asset_of_docs(asset: Asset) -> Response:
        return FileResponse(assets / asset)

    return routes
