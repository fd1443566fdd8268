"""Every failure as a response in the one error shape."""

from typing import Any

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Scope

from app.errors import (
    OF_THE_SERVER,
    UNEXPECTED,
    NotJson,
    code_of_status,
    error_body,
    status_of,
)
from app.http.reply import JSON
from app.metrics import Metrics
from model import Detail


def refusal(error: Exception, metrics: Metrics | None = None) -> Response:
    """The response to a request that is refused; counted, where it is for the server's sake."""
    if isinstance(error, ClientDisconnect):
        error = NotJson("the body was cut short")  # and nobody reads this
    status, code = status_of(error)
    if metrics and status in OF_THE_SERVER:
        metrics.rejected.labels(code).inc()
    details: tuple[Detail, ...] = getattr(error, "details", ())
    response = Response(error_body(str(error), code, details), status, media_type=JSON)
    seconds: int | None = getattr(error, "retry_after_seconds", None)
    if seconds is not None:
        response.headers["retry-after"] = str(seconds)
    if status == 401:
        response.headers["www-authenticate"] = "Bearer"
    return response


def is_foreseen(error: Exception) -> bool:
    """Whether it is the request's fault, the client's leaving, or a state that the server has."""
    kinds = (ClientDisconnect, HTTPException, RequestValidationError)
    return isinstance(error, kinds) or status_of(error) != UNEXPECTED


def response_to(error: Exception, scope: Scope, metrics: Metrics) -> Response:
    """The response to a failure that is foreseen."""
    if isinstance(error, RequestValidationError):  # a path parameter out of its domain
        error = HTTPException(404)
    return (
        _of_framework(error, scope) if isinstance(error, HTTPException) else refusal(error, metrics)
    )


def failure(request_id: str) -> Response:
    """The response where the server itself is at fault."""
    status, code = UNEXPECTED
    message = f"the server failed on this request; its log knows more under the id {request_id}"
    return Response(error_body(message, code), status, media_type=JSON)


def _of_framework(error: HTTPException, scope: Scope) -> Response:
    """No such path, no such method."""
    path = scope["path"]  # not that of a URL, which fails where the query is no UTF-8
    message = {
        404: f"there is no path {path!r}; /docs lists those there are",
        405: f"{path!r} does not take {scope['method']}; the header Allow lists what it takes",
    }.get(error.status_code, str(error.detail))
    body = error_body(message, code_of_status(error.status_code))
    headers: Any = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    return Response(body, error.status_code, headers, JSON)
