"""The errors that a client may get: each class has an HTTP status, a code and a meaning.

`error_rows` lists these errors and those of `model`. Only this module defines status codes.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from app.error_examples import ERROR_EXAMPLES, OF_READS, ErrorExample
from app.json import to_json
from model import CalibrationError, Detail, InputError

MAX_DETAILS = 20
MAX_MESSAGE = 400  # characters; a client's own text may be quoted in a message


class ErrorRow(NamedTuple):
    """An error as one row of the table of errors."""

    code: str
    status: int
    meaning: str


class ServiceError(Exception):
    """Base of the service's errors; `str(error)` is one sentence for the client."""

    status: ClassVar[int]
    code: ClassVar[str]
    retry_after_seconds: int | None = None

    def __init__(self, message: str, details: Sequence[Detail] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


class NotHttp(ServiceError):
    """The message is no request of HTTP/1.1, or its headers are too large."""

    status, code = 400, "not_http"


class NotJson(ServiceError):
    """The body is not one JSON document in UTF-8."""

    status, code = 400, "not_json"


class NotFinite(ServiceError):
    """The body holds NaN, Infinity or a number too large for a double."""

    status, code = 400, "not_finite"


class DuplicateKey(ServiceError):
    """An object in the body has a key twice."""

    status, code = 400, "duplicate_key"


class CrossOriginRefused(ServiceError):
    """A page of that origin may not send this request; a browser asked before it sent it."""

    status, code = 400, "cross_origin"


class Unauthorized(ServiceError):
    """The request has no API key, or a wrong one."""

    status, code = 401, "unauthorized"


class UnknownModel(ServiceError):
    """No model, or no version of it, has that name; the error lists the names."""

    status, code = 404, "unknown_model"


class NoLandscape(ServiceError):
    """No landscape is stored beside that model, or none that belongs to its version."""

    status, code = 404, "no_landscape"


class TooSlow(ServiceError):
    """The request did not arrive in time; the connection is closed."""

    status, code = 408, "request_timeout"


class BodyTooLarge(ServiceError):
    """The body has more bytes than the server accepts."""

    status, code = 413, "body_too_large"


class WrongContentType(ServiceError):
    """The server does not support the content type or the content encoding of the body."""

    status, code = 415, "unsupported_media_type"


class InvalidRequest(ServiceError):
    """A field of the request is unknown, missing or of the wrong type."""

    status, code = 422, "invalid_request"


class LimitExceeded(ServiceError):
    """The request exceeds a limit for one request; the error names the setting."""

    status, code = 422, "limit_exceeded"


class _Later(ServiceError):
    """Base of errors after which the client may try again in `retry_after_seconds`."""

    def __init__(self, message: str, *, retry_after_seconds: int) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class RateLimited(_Later):
    """Too many requests came with this key; try again after the seconds in `Retry-After`."""

    status, code = 429, "rate_limited"


class Overloaded(_Later):
    """Too many rows or connections wait; try again after the seconds in `Retry-After`."""

    status, code = 429, "overloaded"


class NotReady(ServiceError):
    """The server is starting or stopping; try again after the seconds in `Retry-After`."""

    status, code = 503, "not_ready"
    retry_after_seconds = 1


class DeadlineExceeded(ServiceError):
    """The time limit of the request is over."""

    status, code = 504, "deadline_exceeded"


_OF_MODEL = {
    InputError: ErrorRow("invalid_input", 422, "A value in the rows or the options is wrong."),
    CalibrationError: ErrorRow(
        "not_calibrated", 422, "The model has too few calibration rows for the request."
    ),
}
_OF_FRAMEWORK = (
    ErrorRow("not_found", 404, "There is no such path."),
    ErrorRow("method_not_allowed", 405, "The path does not take this method; see `Allow`."),
)
UNEXPECTED = (500, "internal_error")
_BEFORE_ROUTES = ("not_http", "cross_origin", "not_found", "method_not_allowed", "request_timeout")
_OF_ANY_ROUTE = (*_BEFORE_ROUTES, "unauthorized", "rate_limited", "overloaded")
_WITHOUT_BODY = ("unauthorized", "unknown_model", "invalid_request", "rate_limited", "not_ready")
_OF_ONE_ROUTE = ("no_landscape",)
OF_THE_SERVER = (401, 413, 429, 503, 504)  # these protect the server; metrics count them


def error_rows() -> list[ErrorRow]:
    """All errors that a request can get, by status; without 500, a fault of the server."""
    ours = [ErrorRow(kind.code, kind.status, _meaning(kind)) for kind in _kinds(ServiceError)]
    return sorted([*ours, *_OF_MODEL.values(), *_OF_FRAMEWORK], key=lambda row: row.status)


def status_of(error: BaseException) -> tuple[int, str]:
    """The HTTP status and the code of an error; 500 for an unexpected error."""
    if isinstance(error, ServiceError):
        return error.status, error.code
    for kind, row in _OF_MODEL.items():
        if isinstance(error, kind):
            return row.status, row.code
    return UNEXPECTED


def code_of_status(status: int) -> str:
    """The code of an error that has only a status: 405 is `method_not_allowed`."""
    return HTTPStatus(status).phrase.lower().replace(" ", "_").replace("-", "_")


def error_body(message: str, code: str, details: Iterable[Detail] = ()) -> bytes:
    """The one error body as JSON, of bounded size."""
    shown = [
        {"field": _clip(detail.field), "message": _clip(detail.message)}
        for detail in list(details)[:MAX_DETAILS]
    ]
    return to_json({"error": _clip(message), "code": code, "details": shown})


class ErrorDetail(BaseModel):
    """One fault in the request."""

    model_config = ConfigDict(extra="forbid")

    field: str = Field(
        description="Where the fault is: a dotted path such as `rows.3.bmi`, or an option's name.",
        examples=["rows.3.bmi"],
    )
    message: str = Field(
        description="What is wrong there, and what to do.", examples=["'high' is not a number"]
    )


class ErrorBody(BaseModel):
    """The body of every error, on every route."""

    model_config = ConfigDict(extra="forbid")

    error: str = Field(
        description="What is wrong, in one sentence.",
        examples=["rows.3.bmi: 'high' is not a number"],
    )
    code: str = Field(
        description="What is wrong, for programs: a stable name in snake_case.",
        examples=["invalid_input"],
    )
    details: list[ErrorDetail] = Field(description="The single faults, if there are any.")


def declared(
    *statuses: int,
    reads_body: bool = True,
    of_422: int = 422,
    examples: Mapping[str, ErrorExample] = MappingProxyType({}),
) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI `responses` of a route that fails in these ways, with an example of each error.

    `reads_body`: whether the route has a request body. `of_422`: the status that the route answers
    instead of 422. `examples`, by code: where the route words an error in its own way, or has an
    error that no other route has.
    """
    words = {**ERROR_EXAMPLES, **({} if reads_body else OF_READS), **examples}
    answers: dict[int | str, dict[str, Any]] = {}
    found = [
        row
        for row in error_rows()
        if row.code in examples
        or (
            row.code not in (*_BEFORE_ROUTES, *_OF_ONE_ROUTE)
            and (reads_body or row.code in _WITHOUT_BODY)
        )
    ]
    for status in statuses:
        rows = [row for row in found if _status(row, of_422) == status]
        answers[status] = _response(rows, words, " ".join(map(_said, rows)))
    others = [
        row for row in error_rows() if row.code in _OF_ANY_ROUTE and row.status not in statuses
    ]
    answers["default"] = _response(others, words, "Any other error, with the same body.")
    return answers


def _status(row: ErrorRow, of_422: int) -> int:
    return of_422 if row.status == 422 else row.status


def _said(row: ErrorRow) -> str:
    return f"`{row.code}`: {row.meaning}"


def _response(
    rows: Iterable[ErrorRow], words: Mapping[str, ErrorExample], description: str
) -> dict[str, Any]:
    examples = {
        row.code: {"summary": row.meaning, "value": words[row.code].body(row.code)} for row in rows
    }
    return {
        "model": ErrorBody,
        "description": description,
        "content": {"application/json": {"examples": examples}},
    }


def _kinds(kind: type[ServiceError]) -> Iterator[type[ServiceError]]:
    """The subclasses of a class that have no subclasses themselves."""
    below = kind.__subclasses__()
    for each in below:
        yield from _kinds(each)
    if not below:
        yield kind


def _meaning(kind: type[ServiceError]) -> str:
    assert kind.__doc__
    return kind.__doc__


def _clip(text: str) -> str:
    return text if len(text) <= MAX_MESSAGE else text[: MAX_MESSAGE - 3] + "..."
