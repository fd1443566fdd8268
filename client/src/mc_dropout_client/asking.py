"""One request: its deadline, its key, and when it is sent again."""

import json
import random
import time
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any

from mc_dropout_client.errors import (
    Busy,
    ClientError,
    TimedOut,
    UnexpectedAnswer,
    Unreachable,
    error_of,
)
from mc_dropout_client.flow import Flow, Reply, Send, send, wait

TIMEOUT_HEADER = "x-request-timeout-seconds"
LEAST_SECONDS = 0.001  # the header has three decimals, and a server refuses 0
LONGEST_ANSWER_SECONDS = 300.0  # without a deadline: longer than a server lets a request wait
SLACK_SECONDS = 1.0  # for the server's own answer that the deadline is over
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.1, 10.0
JITTER = 0.25  # share of a pause; clients that were refused together come back apart


@dataclass(frozen=True, slots=True)
class Deadline:
    """When a call must be over; None is never."""

    at: float | None = None

    @staticmethod
    def of(seconds: float | None) -> "Deadline":
        """The deadline that many seconds from now."""
        if seconds is not None and not seconds > 0:
            raise ValueError(f"timeout_seconds must be above 0, not {seconds!r}")
        return Deadline(None if seconds is None else time.monotonic() + seconds)

    def left(self) -> float | None:
        """The seconds that are left; raises TimedOut if they are too few to be told a server."""
        if self.at is None:
            return None
        seconds = self.at - time.monotonic()
        if seconds < LEAST_SECONDS:
            raise TimedOut("the deadline of the call is over", code="deadline_exceeded")
        return seconds


@dataclass(slots=True)
class Asker:
    """Sends requests again while the server is busy, restarts or has dropped the connection.

    Every route is a pure function of the request, so that a request may be sent twice.
    """

    headers: dict[str, str]
    patience_seconds: float
    has_answered: bool = field(default=False, init=False)

    def ask(self, method: str, path: str, body: Any, deadline: Deadline) -> Flow[Any]:
        """The parsed answer; raises ClientError once patience or deadline is over."""
        content = None if body is None else json.dumps(body, allow_nan=False).encode()
        given_up = time.monotonic() + self.patience_seconds
        pause = FIRST_PAUSE_SECONDS
        while True:
            reply = yield from send(self.request(method, path, content, deadline))
            if isinstance(reply, Reply):
                self.has_answered = True
                if reply.status == 200:
                    return _parsed(reply)
            error = _error(reply)
            seconds = self._pause(error, pause)
            deadline.left()
            over = time.monotonic() + seconds
            if over > given_up or (deadline.at is not None and over > deadline.at):
                raise error
            yield from wait(seconds)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    def request(self, method: str, path: str, content: bytes | None, deadline: Deadline) -> Send:
        """The request with its headers; the server gives up when the caller does."""
        left, headers = deadline.left(), dict(self.headers)
        if content is not None:
            headers["content-type"] = "application/json"
        if left is not None:
            headers[TIMEOUT_HEADER] = f"{left:.3f}"
        seconds = LONGEST_ANSWER_SECONDS if left is None else left + SLACK_SECONDS
        return Send(method, path, content, headers, seconds)

    def _pause(self, error: ClientError, usual: float) -> float:
        """The seconds until the next attempt; raises the error if there shall be none.

        A server that has answered before may be restarting. One that never has may not exist.
        """
        again = isinstance(error, Busy) or (isinstance(error, Unreachable) and self.has_answered)
        if not again:
            raise error
        least = error.retry_after_seconds or 0.0
        return max(least, usual) * (1 + random.uniform(0, JITTER))


def _parsed(reply: Reply) -> Any:
    try:
        return json.loads(reply.content)
    except ValueError:
        raise UnexpectedAnswer(
            "the answer is not JSON: is this the address of the service?",
            status=reply.status,
            code="unexpected",
        ) from None


def _error(reply: Reply | ClientError) -> ClientError:
    if isinstance(reply, ClientError):
        return reply
    return error_of(reply.status, reply.content, _retry_after(reply.headers.get("retry-after")))


def _retry_after(value: str | None) -> float | None:
    """The seconds of a `Retry-After`, which may be a date."""
    if value is None:
        return None
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
    except ValueError:
        return None
