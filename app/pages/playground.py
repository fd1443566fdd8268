"""The playground at `/`, which shows what a model says about a row; `/learn`; and their files.

The pages have relative URLs only, and work under any path prefix. The playground keeps its state
behind the `#` of its URL, which browsers do not send.
"""

from fastapi import APIRouter, HTTPException, Request, Response

from app.pages.static_file import static_files

PAGE, LESSONS = "index.html", "learn.html"


def playground() -> APIRouter:
    """The routes."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    async def page(request: Request) -> Response:
        return static_files()[PAGE].answer(request)

    @routes.get("/learn")
    async def learn(request: Request) -> Response:
        return static_files()[LESSONS].answer(request)

    @routes.get("/static/{path:path}")
    async def static(path: str, request: Request) -> Response:
        file = static_files().get(path)
        if file is None:
            raise HTTPException(404)
        return file.answer(request)

    return routes
