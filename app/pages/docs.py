"""The OpenAPI document, and a page that shows it and tries its routes without the internet.

The page has relative URLs for its files and for the document, which work under any path prefix.
"""

import base64
import hashlib
import re
from collections.abc import Callable
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from fastapi import APIRouter, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html

from app.json import to_json

Asset = Literal["swagger-ui-bundle.js", "swagger-ui.css", "favicon.png"]
_TYPES = {"js": "text/javascript", "css": "text/css", "png": "image/png"}


def router(title: str, document: Callable[[], dict[str, Any]]) -> APIRouter:
    """The routes; `document` is the OpenAPI document."""
    routes = APIRouter(include_in_schema=False)
    assets = Path(str(files("fastapi_offline"))) / "static"

    @routes.get("/openapi.json")
    async def openapi(request: Request) -> Response:
        prefix = request.scope.get("root_path", "")
        servers = {"servers": [{"url": prefix}]} if prefix else {}
        return Response(to_json(document() | servers), media_type="application/json")

    page = get_swagger_ui_html(
        title=title,
        openapi_url="openapi.json",
        swagger_js_url="docs/swagger-ui-bundle.js",
        swagger_css_url="docs/swagger-ui.css",
        swagger_favicon_url="docs/favicon.png",
    )
    page.headers["content-security-policy"] = _policy(bytes(page.body))

    @routes.get("/docs")
    async def docs() -> Response:
        return page

    @routes.get("/docs/{asset}")
    async def asset_of_docs(asset: Asset) -> Response:
        # A FileResponse would answer a malformed Range header without the one error body.
        return Response(_content(assets / asset), media_type=_TYPES[asset.rpartition(".")[2]])

    return routes


@cache
def _content(path: Path) -> bytes:
    return path.read_bytes()


def _policy(page: bytes) -> str:
    """Allow scripts and requests of this server only, and the inline scripts that the page has now.

    Swagger UI sets styles in its elements and has pictures as `data:` URLs.
    """
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script).digest()).decode()}'"
        for script in re.findall(rb"<script>(.*?)</script>", page, re.DOTALL)
    ]
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' {' '.join(hashes)}",
            "style-src 'self' 'unsafe-inline'",
            "img-src 'self' data:",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
        )
    )
