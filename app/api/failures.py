"""Every failure as a response in the one error shape, and an id on every response."""

import logging
import re
from uuid import uuid4

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.errors import (
    STATUS_OF,
    UNEXPECTED,
    code_of_status,
    error_body,
    retry_after_seconds,
    status_of,
)
from model import Detail

REQUEST_ID = "x-request-id"

_SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_logger = logging.getLogger("app")


def install(app: FastAPI) -> None:
    """Let `app` answer every failure in the one shape, with a request id."""
    app.add_middleware(RequestId)
    for kind in STATUS_OF:
        app.add_exception_handler(kind, _on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(ClientDisconnect, _on_disconnect)
    app.add_exception_handler(Exception, _on_unexpected)


class RequestId:
    """Middleware: the client's request id where it sent a sane one, or a fresh one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the id as a header; handlers find it in the scope."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        sent = Headers(scope=scope).get(REQUEST_ID, "")
        request_id = sent if _SAFE_ID.fullmatch(sent) else uuid4().hex
        scope[REQUEST_ID] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        return await self.app(scope, receive, send_with_id)


async def _on_refusal(_: Request, error: Exception) -> Response:
    status, code = status_of(error)
    details: tuple[Detail, ...] = getattr(error, "details", ())
    response = _response(status, error_body(str(error), code, details))
    seconds = retry_after_seconds(error)
    if seconds is not None:
        response.headers["retry-after"] = str(seconds)
    return response


async def _on_http(request: Request, error: Exception) -> Response:
    """Failures of the framework's own: no such path, no such method."""
    assert isinstance(error, HTTPException)
    path = request.scope["path"]  # not `request.url`: it fails where the query is no UTF-8
    message = {
        404: f"there is no path {path!r}; /docs lists those there are",
        405: f"{path!r} does not take {request.method}; the header Allow lists what it takes",
    }.get(error.status_code, str(error.detail))
    response = _response(error.status_code, error_body(message, code_of_status(error.status_code)))
    response.headers.update(error.headers or {})
    return response


async def _on_validation(request: Request, _: Exception) -> Response:
    """A path parameter out of its domain: no such path."""
    return await _on_http(request, HTTPException(404))


async def _on_disconnect(_: Request, __: Exception) -> Response:
    """The client left while it was sending; nobody reads this."""
    return _response(400, error_body("the body was cut short", "not_json"))


async def _on_unexpected(request: Request, error: Exception) -> Response:
    status, code = UNEXPECTED
    request_id = request.scope.get(REQUEST_ID, "")
    _logger.error("request %s failed: %s", request_id, type(error).__name__)
    message = f"the server failed on this request; its log knows more under the id {request_id}"
    response = _response(status, error_body(message, code))
    response.headers[REQUEST_ID] = request_id
    return response


def _response(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")
