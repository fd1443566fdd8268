"""The outermost middleware: request id, security headers, API key, errors and the access log.

It answers every exception of the inner layers with the one error body. The log gets type and place
of an unexpected exception, and no part of the request.
"""

import logging
import re
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from random import getrandbits
from time import perf_counter

from opentelemetry.trace import get_current_span
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.http.auth import Guard
from app.http.failures import failure, is_foreseen, response_to
from app.http.headers import headers_of
from app.metrics import Metrics

REQUEST_ID = "x-request-id"
LONGEST_LOGGED_PATH = 200

_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_SNIFF = (b"x-content-type-options", b"nosniff")
_OF_PAGES = (
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
_POLICY = b"content-security-policy"
_NOTHING = b"default-src 'none'; frame-ancestors 'none'"
_CLOSE = (b"connection", b"close")
_access = logging.getLogger("app.access")
_logger = logging.getLogger("app")


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The parts of the service that the outermost middleware uses."""

    guard: Guard
    metrics: Metrics
    draining: Callable[[], bool]


def route_path(scope: Scope) -> str:
    """The path without `root_path`, the prefix that a proxy in front strips."""
    path: str = scope["path"]
    rest = path.removeprefix(scope.get("root_path", ""))
    return rest if rest.startswith("/") or not rest else path


class Access:
    """The outermost middleware."""

    def __init__(self, app: ASGIApp, knowledge: Knowledge) -> None:
        self.app = app
        self._knows = knowledge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the common headers to the answer; handlers find the request id in the scope."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started, status = perf_counter(), 0
        headers = headers_of(scope)
        sent = headers.get(REQUEST_ID, "")
        scope[REQUEST_ID] = request_id = (
            sent if _SAFE_ID.fullmatch(sent) else f"{getrandbits(128):032x}"
        )
        _trace(request_id, scope)
        head = scope["method"] == "HEAD"  # the answer is that to GET, without the body

        async def send_more(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = self._completed(message["headers"], request_id)
            await send({**message, "body": b""} if head and "body" in message else message)

        try:
            scope["mcd.key"] = self._knows.guard.check(route_path(scope), headers)
            await self.app({**scope, "method": "GET"} if head else scope, receive, send_more)
        except Exception as error:
            response = self._response(error, scope)
            if not status:  # no inner layer has begun an answer
                await response(scope, receive, send_more)
        finally:
            _log(scope, status, perf_counter() - started)

    def _response(self, error: Exception, scope: Scope) -> Response:
        """The response to an error, which is counted or logged first."""
        if is_foreseen(error):
            return response_to(error, scope, self._knows.metrics)
        _report(scope[REQUEST_ID], error)
        return failure(scope[REQUEST_ID])

    def _completed(
        self, headers: list[tuple[bytes, bytes]], request_id: str
    ) -> list[tuple[bytes, bytes]]:
        """The headers and the common ones, as a new list: the same `Response` may be sent again.

        Every header costs 3 us. Browsers do not show JSON as a page, so JSON gets `_SNIFF` only.
        """
        known = dict(headers)
        more: tuple[tuple[bytes, bytes], ...] = ((b"x-request-id", request_id.encode()), _SNIFF)
        if known.get(b"content-type") != b"application/json":
            more += _OF_PAGES
            if _POLICY not in known:
                more += ((_POLICY, _NOTHING),)
        if self._knows.draining():
            more += (_CLOSE,)
        return [*headers, *more]


def _trace(request_id: str, scope: Scope) -> None:
    """Put the request id into the trace, and hide the query string."""
    span = get_current_span()
    if span.is_recording():
        span.set_attribute("request_id", request_id)
        if scope["query_string"]:
            span.set_attribute("url.query", "REDACTED")


def _report(request_id: str, error: Exception) -> None:
    """Log type and place of an error, but not its message: the message may quote the request."""
    places = [f"{f.filename}:{f.lineno}" for f in traceback.extract_tb(error.__traceback__)[-4:]]
    _logger.error(
        "request %s failed: %s at %s",
        request_id,
        type(error).__name__,
        " < ".join(reversed(places)),
        extra={"request_id": request_id},
    )


def _log(scope: Scope, status: int, seconds: float) -> None:
    if _access.isEnabledFor(logging.INFO):
        _access.info(
            "request",
            extra={
                "request_id": scope[REQUEST_ID],
                "method": scope["method"][:LONGEST_LOGGED_PATH],
                "path": scope["path"][:LONGEST_LOGGED_PATH],
                "status": status,
                "milliseconds": round(1000 * seconds, 3),
                "key": scope.get("mcd.key"),
            },
        )
