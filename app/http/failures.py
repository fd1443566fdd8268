"""Every failure behind the framework's routing as a response in the one error shape."""

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from app.errors import STATUS_OF, code_of_status, error_body
from app.http.access import REQUEST_ID, failure, refusal
from app.metrics import Metrics


def install(app: FastAPI, metrics: Metrics) -> None:
    """Let `app` answer every failure in the one shape."""

    async def on_refusal(_: Request, error: Exception) -> Response:
        return refusal(error, metrics)

    for kind in (*STATUS_OF, ClientDisconnect):
        app.add_exception_handler(kind, on_refusal)
    app.add_exception_handler(HTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_validation)
    app.add_exception_handler(Exception, _on_surprise)


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
    if response.headers.get("allow") == "GET":
        response.headers["allow"] = "GET, HEAD"
    return response


async def _on_validation(request: Request, _: Exception) -> Response:
    """A path parameter out of its domain: no such path."""
    return await _on_http(request, HTTPException(404))


async def _on_surprise(request: Request, _: Exception) -> Response:
    """What nobody foresaw; it is raised again, and logged by the outermost layer."""
    return failure(request.scope[REQUEST_ID])


def _response(status: int, body: bytes) -> Response:
    return Response(body, status, media_type="application/json")
