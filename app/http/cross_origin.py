"""Middleware for pages of other origins: what a browser asks before it sends their requests."""

from collections.abc import Callable, Sequence

from fastapi.middleware.cors import CORSMiddleware
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.errors import CrossOriginRefused
from app.http.access import REQUEST_ID
from app.http.deadline import TIMEOUT

METHODS = ("GET", "POST")
SENT = ("authorization", "content-type", "x-api-key", REQUEST_ID, TIMEOUT)
SHOWN = (REQUEST_ID, "retry-after")


class CrossOrigin(CORSMiddleware):
    """The framework's middleware, but its answers to preflight requests are ordinary answers.

    A preflight request has no API key. `complete` adds what every answer has, and makes answers
    from errors.
    """

    def __init__(
        self, app: ASGIApp, origins: Sequence[str], complete: Callable[[ASGIApp], ASGIApp]
    ) -> None:
        super().__init__(
            app,
            allow_origins=origins,
            allow_methods=METHODS,
            allow_headers=SENT,
            expose_headers=SHOWN,
        )
        self._preflight = complete(self._answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a preflight request; pass any other on, and add headers to its answer."""
        if scope["type"] == "http" and _is_preflight(scope):
            await self._preflight(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        response = self.preflight_response(headers)
        if response.status_code >= 400:
            raise CrossOriginRefused(self._reason(headers))
        await response(scope, receive, send)

    def _reason(self, headers: Headers) -> str:
        origin, method = headers["origin"], headers["access-control-request-method"]
        if not self.is_allowed_origin(origin):
            return f"pages of {origin[:80]!r} may not call this service (MCD_CORS_ORIGINS)"
        if method not in METHODS:
            return f"pages may send {' and '.join(METHODS)}, not {method[:80]!r}"
        return f"of the headers with a choice, pages may send {', '.join(SENT)} only"


def _is_preflight(scope: Scope) -> bool:
    names = ("origin", "access-control-request-method")
    return scope["method"] == "OPTIONS" and all(name in Headers(scope=scope) for name in names)
