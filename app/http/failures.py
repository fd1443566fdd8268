"""Make responses from errors; all have the one error body."""

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
from app.messages import quoted
from app.metrics import Metrics
from model import Detail


def refusal(error: Exception, metrics: Metrics | None = None) -> Response:
    """The response to a refused request; `metrics` count refusals that protect the server."""
    if isinstance(error, ClientDisconnect):
        error = NotJson("the body was cut short")  # no client is left to read it
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
    """Whether the error comes from the request, a disconnect or a known state of the server."""
    kinds = (ClientDisconnect, HTTPException, RequestValidationError)
    return isinstance(error, kinds) or status_of(error) != UNEXPECTED


def response_to(error: Exception, scope: Scope, metrics: Metrics) -> Response:
    """The response to an expected error."""
    if isinstance(error, RequestValidationError):  # a path parameter has a bad value
        error = HTTPException(404)
    return (
        _of_framework(error, scope) if isinstance(error, HTTPException) else refusal(error, metrics)
    )


def failure(request_id: str) -> Response:
    """The response to an unexpected error: the server is at fault."""
    status, code = UNEXPECTED
    message = f"the server failed on this request; its log has details under the id {request_id}"
    return Response(error_body(message, code), status, media_type=JSON)


def _of_framework(error: HTTPException, scope: Scope) -> Response:
    """The response where there is no such path, or the path does not take the method."""
    path = scope["path"]  # `request.url` would fail where the query is not UTF-8
    message = {
        404: f"there is no path {quoted(path)}; /docs lists those there are",
        405: f"{quoted(path)} does not take {scope['method']:.20}; "
        "the header Allow lists what it takes",
    }.get(error.status_code, str(error.detail))
    body = error_body(message, code_of_status(error.status_code))
    headers: Any = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"
    return Response(body, error.status_code, headers, JSON)
