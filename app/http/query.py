"""Refuse query parameters: no route takes any, and one that is ignored may have been meant."""

from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import unquote_plus

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Scope

from app.errors import MAX_DETAILS, InvalidRequest
from model import Detail

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def refuse_query(scope: Scope) -> None:
    """Raise InvalidRequest if the request has a query, as for an unknown field of its body."""
    parts = [part for part in scope["query_string"].split(b"&", MAX_DETAILS) if part]
    if not parts:
        return
    place = "; options belong in the body" if scope["method"] == "POST" else ""
    message = f"is no query parameter: this path takes none{place}"
    names = [unquote_plus(part.partition(b"=")[0].decode("latin-1")) for part in parts]
    details = [Detail(name, message) for name in names[:MAX_DETAILS]]
    raise InvalidRequest(f"{names[0][:80]!r} {message}", details)


class QuerylessRoute(APIRoute):
    """The framework's route, which refuses a query."""

    def get_route_handler(self) -> Handler:
        """The handler of requests."""
        handler = super().get_route_handler()

        async def checked(request: Request) -> Response:
            refuse_query(request.scope)
            return await handler(request)

        return checked
