"""The exceptions of the client.

ClientError
  Unauthorized       401: no API key, or a wrong one
  NotFound           404: no such model, path or landscape
  RefusedRequest     400, 405, 413, 415, 422: the request is at fault; `details` says where
  Busy               429, 503: still busy or not ready when the patience was over
  TimedOut           408, 504, or the deadline of the call is over
  Unreachable        no answer: no server, or the connection broke
  UnexpectedAnswer   an answer that is not one of the service, or 5xx
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_ROW = re.compile(r"\brows\.(\d+)")
_SHOWN = 200  # characters of an answer that is not of the service


@dataclass(frozen=True, slots=True)
class Detail:
    """One fault: a dotted path such as `rows.3.bmi` or the name of an option, and what is wrong."""

    field: str
    message: str


class ClientError(Exception):
    """Base of all; `str(error)` is one sentence.

    `status` is None and `code` the client's own where no server has answered.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str = "client",
        details: Sequence[Detail] = (),
        retry_after_seconds: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.details = tuple(details)
        self.retry_after_seconds = retry_after_seconds

    def moved(self, rows: int) -> "ClientError":
        """The same error of a request whose rows are that many rows further on."""

        def further(text: str) -> str:
            return _ROW.sub(lambda match: f"rows.{int(match[1]) + rows}", text)

        return type(self)(
            further(str(self)),
            status=self.status,
            code=self.code,
            details=[Detail(further(each.field), further(each.message)) for each in self.details],
            retry_after_seconds=self.retry_after_seconds,
        )


class Unauthorized(ClientError):
    """The server has refused the API key."""


class NotFound(ClientError):
    """There is no such model, path or landscape."""


class RefusedRequest(ClientError):
    """The request is at fault; `details` says where."""


class Busy(ClientError):
    """The server is still busy, or not ready, after all attempts."""


class TimedOut(ClientError):
    """The deadline is over."""


class Unreachable(ClientError):
    """The server has not answered."""


class UnexpectedAnswer(ClientError):
    """The answer is not one of this service, or the server has failed."""


_KINDS: dict[int, type[ClientError]] = {
    400: RefusedRequest,
    401: Unauthorized,
    404: NotFound,
    405: RefusedRequest,
    408: TimedOut,
    413: RefusedRequest,
    415: RefusedRequest,
    422: RefusedRequest,
    429: Busy,
    503: Busy,
    504: TimedOut,
}


def error_of(status: int, content: bytes, retry_after_seconds: float | None) -> ClientError:
    """The exception for an answer that is no success."""
    kind = _KINDS.get(status, UnexpectedAnswer)
    message, code, details = _parts(status, content)
    return kind(
        message, status=status, code=code, details=details, retry_after_seconds=retry_after_seconds
    )


def _parts(status: int, content: bytes) -> tuple[str, str, list[Detail]]:
    """Message, code and details of a body; a proxy in front has bodies of its own."""
    try:
        body: Any = json.loads(content)
        details = [Detail(str(d["field"]), str(d["message"])) for d in body["details"]]
        return str(body["error"]), str(body["code"]), details
    except (ValueError, KeyError, TypeError):
        text = " ".join(content[:_SHOWN].decode("utf-8", "replace").split())
        return f"status {status} without an error of the service: {text!r}", "unexpected", []
