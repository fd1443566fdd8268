"""The playground: a page at `/` that shows what a model says about a row, and its files.

The page has relative URLs only, and works under any path prefix. It keeps its state behind the `#`
of its URL, which browsers do not send.
"""

from fastapi import APIRouter, HTTPException, Request, Response

from app.pages.static_file import static_files

PAGE = "index.html"


def playground() -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def page(request: Request) -> Response:
        return static_files()[PAGE].answer(request)

    @routes.get("/static/{path:path}")
    async def static(path: str, request: Request) -> Response:
        file = static_files().get(path)
        if file is None:
            raise HTTPException(404)
        return file.answer(request)

    return routes
