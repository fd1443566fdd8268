"""Every failure that a client may see: the tree, the table of status codes, the one body.

ServiceError
|-- NotHttp         what came is no HTTP request
|-- TooSlow         the request did not arrive in time
|-- BodyError       the request's body cannot be read
|   |-- NotJson            it is not one JSON document in UTF-8
|   |-- NotFinite          it holds NaN, Infinity or a number too large for a double
|   |-- DuplicateKey       an object names a key twice
|   |-- BodyTooLarge       it has more bytes than the server reads
|   `-- WrongContentType   it says that it is something else than JSON
|-- InvalidRequest  a field of the request is unknown, missing or of the wrong type
|-- LimitExceeded   the request asks for more than one request may
|-- OutputNotFinite the model's answer holds a number that JSON has no word for
|-- UnknownModel    no model has that name
|-- Unauthorized    the request has no API key, or a wrong one
|-- RateLimited     the holder of the key asks too often
|-- Overloaded      so much waits already that more would wait too long
|-- DeadlineExceeded the time that the request had is over
`-- NotReady        the models are not loaded yet, or the server is going down

The errors of `model` join the table below. HTTP status codes appear in this module alone.
"""

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from app.json import to_json
from model import CalibrationError, Detail, InputError

MAX_DETAILS = 20
MAX_MESSAGE = 400  # characters; a client's own text may be quoted in a message


class ServiceError(Exception):
    """Base of what the service refuses; `str(error)` is one sentence for a client."""

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class NotHttp(ServiceError):
    """What came is no HTTP request."""


class TooSlow(ServiceError):
    """The request did not arrive in time."""


class BodyError(ServiceError):
    """The request's body cannot be read."""


class NotJson(BodyError):
    """The body is not one JSON document in UTF-8."""


class NotFinite(BodyError):
    """The body holds NaN, Infinity or a number too large for a double."""


class DuplicateKey(BodyError):
    """An object in the body names a key twice; `details` has the key."""


class BodyTooLarge(BodyError):
    """The body has more bytes than the server reads."""


class WrongContentType(BodyError):
    """The body says that it is something else than JSON."""


class InvalidRequest(ServiceError):
    """A field of the request is unknown, missing or of the wrong type."""


class LimitExceeded(ServiceError):
    """The request asks for more than one request may; the message names the setting."""


class OutputNotFinite(ServiceError):
    """The model's answer holds a number that is not finite; the message names the row."""


class UnknownModel(ServiceError):
    """No model has that name; the message lists the names."""


class Unauthorized(ServiceError):
    """The request has no API key, or a wrong one."""


class _Later(ServiceError):
    """Not now: the client may come back after `retry_after_seconds`."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(_Later):
    """The holder of the key asks too often."""


class Overloaded(_Later):
    """So much waits already that more would wait too long."""


class DeadlineExceeded(ServiceError):
    """The time that the request had is over."""


class NotReady(ServiceError):
    """The models are not loaded yet, or the server is going down."""


STATUS_OF: dict[type[Exception], tuple[int, str]] = {
    NotHttp: (400, "not_http"),
    NotJson: (400, "not_json"),
    NotFinite: (400, "not_finite"),
    DuplicateKey: (400, "duplicate_key"),
    Unauthorized: (401, "unauthorized"),
    UnknownModel: (404, "unknown_model"),
    TooSlow: (408, "request_timeout"),
    BodyTooLarge: (413, "body_too_large"),
    WrongContentType: (415, "unsupported_media_type"),
    InvalidRequest: (422, "invalid_request"),
    InputError: (422, "invalid_input"),
    LimitExceeded: (422, "limit_exceeded"),
    OutputNotFinite: (422, "output_not_finite"),
    CalibrationError: (422, "not_calibrated"),
    RateLimited: (429, "rate_limited"),
    Overloaded: (429, "overloaded"),
    NotReady: (503, "not_ready"),
    DeadlineExceeded: (504, "deadline_exceeded"),
}
UNEXPECTED = (500, "internal_error")
OF_THE_SERVER = (401, 413, 429, 503, 504)  # refused for the server's sake, and counted
_RETRY_AFTER_SECONDS = {503: 1}


def status_of(error: BaseException) -> tuple[int, str]:
    """The HTTP status and the code of an error; 500 for one that is not in the table."""
    for kind in type(error).__mro__:
        if kind in STATUS_OF:
            return STATUS_OF[kind]
    return UNEXPECTED


def retry_after_seconds(error: BaseException) -> int | None:
    """When a client may come back: as the error says, or as its status does; None for never."""
    default = _RETRY_AFTER_SECONDS.get(status_of(error)[0])
    return getattr(error, "retry_after_seconds", default)


def code_of_status(status: int) -> str:
    """The code of an error that has nothing but a status: 405 is `method_not_allowed`."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")


def error_body(message: str, code: str, details: Iterable[Detail] = ()) -> bytes:
    """The one error body as JSON, of bounded size."""
    shown = [
        {"field": _clip(detail.field), "message": _clip(detail.message)}
        for detail in list(details)[:MAX_DETAILS]
    ]
    return to_json({"error": _clip(message), "code": code, "details": shown})


class ErrorDetail(BaseModel):
    """One fault of several."""

    model_config = ConfigDict(extra="forbid")

    field: str = Field(
        description="Where it is: a dotted path such as `rows.3.bmi`, or an option's name.",
        examples=["rows.3.bmi"],
    )
    message: str = Field(
        description="What is wrong there, and what to do.", examples=["'high' is not a number"]
    )


class ErrorBody(BaseModel):
    """What every error answers, on every route."""

    model_config = ConfigDict(extra="forbid")

    error: str = Field(
        description="What is wrong, in one sentence.",
        examples=["rows.3.bmi: 'high' is not a number"],
    )
    code: str = Field(
        description="What is wrong, for programs: a stable name in snake_case.",
        examples=["invalid_input"],
    )
    details: list[ErrorDetail] = Field(description="The single faults, where there are any.")


_MEANING = {
    400: "The body is not JSON, names a key twice or holds a number that is not finite.",
    401: "The API key is missing or wrong.",
    404: "There is no such model; the error lists the names.",
    405: "The path does not know this method; `Allow` lists those it knows.",
    413: "The body has more bytes than the server reads.",
    415: "The body says that it is something else than JSON.",
    422: "A value is out of its domain, or above a limit of this server.",
    429: "Too much waits, or the key asks too often: try again after `Retry-After` seconds.",
    503: "Not ready, or going down: try again after `Retry-After` seconds.",
    504: "The time that the request had is over.",
}


def declared(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that fails in these ways."""
    answers: dict[int | str, dict[str, Any]] = {
        status: {"model": ErrorBody, "description": _MEANING[status]} for status in statuses
    }
    answers["default"] = {"model": ErrorBody, "description": "Any other error, in the same shape."}
    return answers


def _clip(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "..."
