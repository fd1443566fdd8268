"""A connection: uvicorn's with httptools, and five rules for which uvicorn has no settings.

- The server refuses messages that HTTP/1.1 forbids, with the one error body. httptools accepts
  some: no Host or two, HTTP/2.0, a coding beside chunked, headers of any size.
- A request that has begun must arrive in time, in pieces that are not tiny, and a client must read
  its answer at a least rate.
- A client that closes its side after a complete request gets the answer.
- The server closes no connection on which a request has arrived, and no answer is lost because the
  client still sends.
- The server reserves file descriptors for refusals.
"""

import asyncio
import logging
import math
import re
import resource
from collections import deque
from http import HTTPStatus
from random import getrandbits
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import NotHttp, NotReady, Overloaded, ServiceError, TooSlow
from app.http import refusal
from app.server.transport import JoinedWrites

LOOKS = 4  # checks of a connection in the time within which a request must arrive
MOST_HEAD_BYTES = 65_536
PROBE_SECONDS = 1.0
LEAST_BYTES_PER_SECOND = 1_024  # that a client reads of an answer, over the time for a request
FEW_PIECES = 1_000  # of a body; more must be LEAST_PIECE_BYTES on average, as each takes 7 us
LEAST_PIECE_BYTES = 32
IDLE_SECONDS = 5.0  # without a request, before a connection makes room where too many are open
DESCRIPTORS = 65_536  # the most file descriptors that a process takes
RESERVE = 2_048  # descriptors for files, and for connections that the server refuses

_ORIGIN = re.compile(rb"https?://[^/?#]+", re.IGNORECASE)
_CODING = b"transfer-encoding"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_logger = logging.getLogger("app")


def protocol(arrival_seconds: float) -> type[asyncio.Protocol]:
    """A class of connections on which a request must arrive within `arrival_seconds`."""
    return type("TimedConnection", (Connection,), {"arrival_seconds": arrival_seconds})


def take_descriptors() -> None:
    """Raise the process's limit of file descriptors: the usual 1,024 allow too few connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _most_connections() -> int:
    """The limit of connections: without a free descriptor, a server cannot even refuse."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else max(soft // 2, soft - RESERVE)


class Connection(HttpToolsProtocol):
    """One client's connection."""

    arrival_seconds = 60.0
    _room_made = -math.inf
    _awaited: object = None
    _since = 0.0
    _silent_since = 0.0
    _timer: asyncio.TimerHandle | None = None
    _probe: asyncio.TimerHandle | None = None
    _head_bytes = 0  # in the pieces of an unfinished head
    _large = False  # whether the head may have too many bytes
    _pieces = _body_bytes = 0  # of the body that arrives
    _gives_up = False  # whether the server has refused to read more
    _refused: ServiceError | None = None  # for a message that waits behind unanswered requests

    @property
    def silent_seconds(self) -> float:
        """Seconds without a request since the connection opened or got its last answer.

        Infinite while a request is unanswered: the client sends no other request before the answer.
        """
        return math.inf if self._unanswered else self.loop.time() - self._silent_since

    # The transport calls these.

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the checks of the connection; refuse it where too many are open."""
        self._joined = JoinedWrites(transport, self.loop, sends=self._client_sends)
        super().connection_made(self._joined)
        self._unanswered: deque[Any] = deque()  # uvicorn's cycles, in order
        self._since = self._silent_since = self.loop.time()
        if len(self.connections) > _most_connections() and not self._make_room():
            message = "too many connections are open; try again"
            self._refuse(Overloaded(message, retry_after_seconds=1), linger=False)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers, and tell every unanswered request that the client has left."""
        for timer in (self._timer, self._probe):
            if timer:
                timer.cancel()
        for cycle in self._unanswered:  # uvicorn itself tells only the last one
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Let httptools parse the data, and refuse what it cannot parse."""
        if self._refused or self._joined.lingers:
            return
        if self.timeout_keep_alive_task:
            self.timeout_keep_alive_task.cancel()
            self.timeout_keep_alive_task = None
        scope, cycle = self.scope, self.cycle
        in_body = cycle is not None and cycle.more_body
        self._large = self._in_head() or len(data) > MOST_HEAD_BYTES
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_again(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self.send_400_response("")
        else:
            # Data that also holds the end of the request before does not count for this head.
            alone = self.scope is scope or not (in_body or self.cycle is not cycle)
            if alone and self._in_head():
                self._head_bytes += len(data)
                if self._head_bytes > MOST_HEAD_BYTES:
                    self.send_400_response("")

    def eof_received(self) -> bool:  # type: ignore[override]
        """Keep the connection open for the answer to a complete request."""
        if self._joined.lingers:
            return False
        if self._refused or not self._unanswered or self.cycle.more_body:
            return self._refused is not None
        self.cycle.keep_alive = False
        self._probe = self.loop.call_later(PROBE_SECONDS, self._probe_client)
        return True

    # uvicorn and the server call these.

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, unless a request has arrived on it that is not read yet."""
        if not self._joined.unread_bytes():
            super().timeout_keep_alive_handler()

    def shutdown(self) -> None:
        """Close once nothing is unanswered; refuse a request that has not arrived completely.

        The stopping server calls this again until the connection is closed.
        """
        if self.transport.is_closing():
            return
        if self._missing_body() or (self._in_head() and not self._unanswered):
            self._refuse(NotReady("the server is stopping; try again with another server"))
        elif self._unanswered or not self._joined.unread_bytes():
            super().shutdown()

    # The parser calls these.

    def on_headers_complete(self) -> None:
        """Start the application; for an error raised here the connection refuses the message."""
        self._check_head()
        self._head_bytes = self._pieces = self._body_bytes = 0
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT":
                raise NotHttp("no tunnel")
            return  # `data_received` parses the request again, without Upgrade
        if not self.url.startswith(b"/") and (origin := _ORIGIN.match(self.url)):
            target = self.url[origin.end() :]
            self.url = target if target.startswith(b"/") else b"/" + target
        super().on_headers_complete()
        self._unanswered.append(self.cycle)
        self.headers = []  # trailers go here, and nothing reads them

    def on_body(self, body: bytes) -> None:
        """Pass a piece of the body to the application; refuse a body of many tiny pieces."""
        self._pieces += 1
        self._body_bytes += len(body)
        if self._pieces > FEW_PIECES and self._body_bytes < self._pieces * LEAST_PIECE_BYTES:
            raise NotHttp("too many tiny pieces")
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Tell the application that the body is complete."""
        if not self.parser.should_upgrade():
            super().on_message_complete()

    # These end an answer, or refuse a message.

    def on_response_complete(self) -> None:
        """End the answer; refuse a broken message once all requests before it have answers."""
        self._joined.flush()
        self._silent_since = self.loop.time()
        answered = self._unanswered.popleft()
        super().on_response_complete()
        if answered.more_body and self.expect_100_continue:
            self.transport.close()  # the client may or may not send the body now
        if self._refused and not self._unanswered and not self.transport.is_closing():
            self._refuse(self._refused)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Refuse a broken message, after the answers to the requests before it."""
        error = NotHttp(
            "the message is no HTTP/1.1 request, or its headers are too large, or its body comes "
            f"in more than {FEW_PIECES} pieces of less than {LEAST_PIECE_BYTES} bytes"
        )
        if len(self._unanswered) > 1 and self.cycle.more_body:
            self._unanswered.pop()  # the broken message itself
            self.pipeline.popleft()
        elif not self._unanswered or self.cycle.more_body:
            self._refuse(error)
            return
        self._refused = error

    def _check_head(self) -> None:
        """Raise NotHttp for a message that httptools accepts and an HTTP/1.1 server must refuse."""
        version, names = self.parser.get_http_version(), [name for name, _ in self.headers]
        hosts, codings = names.count(b"host"), names.count(_CODING)
        if (
            (version != "1.1" and (version != "1.0" or codings))
            or (hosts != 1 and (hosts or version == "1.1"))
            or (codings and (codings > 1 or dict(self.headers)[_CODING].lower() != b"chunked"))
            or (self._large and _size(self.headers) + len(self.url) > MOST_HEAD_BYTES)
        ):
            raise NotHttp("no request of HTTP/1.1")

    def _read_again(self, rest: bytes) -> None:
        """Parse a request again without its header Upgrade, so that httptools reads its body."""
        lines = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
        lines += [b"%b: %b" % header for header in self.headers if header[0] != b"upgrade"]
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(b"\r\n".join([*lines, b"", rest]))

    def _probe_client(self) -> None:
        """Write to a client that closed its side: if the client has left, a write fails soon.

        An HTTP/1.1 client ignores the line that is written, `100 Continue`.
        """
        waits = self._unanswered and not self._unanswered[0].response_started
        if waits and not self.transport.is_closing():
            if self._unanswered[0].scope["http_version"] == "1.1":
                self.transport.write(_CONTINUE)
            self._probe = self.loop.call_later(PROBE_SECONDS, self._probe_client)

    def _look(self) -> None:
        """Check on a timer whether the client takes too long; this costs a request nothing."""
        awaited, now = self._missing(), self.loop.time()
        if awaited is None or awaited != self._awaited:
            self._awaited, self._since = awaited, now
        if now - self._since < self.arrival_seconds:
            self._timer = self.loop.call_later(self.arrival_seconds / LOOKS, self._look)
        else:
            self._give_up()

    def _make_room(self) -> bool:
        """Close the connections that idle between requests; return whether there were any.

        The search looks at every connection, so that it takes place once per second at most.
        """
        kind, now = type(self), self.loop.time()
        if now - kind._room_made < 1:
            return False
        kind._room_made = now
        others = [each for each in self.connections if isinstance(each, Connection)]
        idle = [each for each in others if each.timeout_keep_alive_task]
        idle = [each for each in idle if each.silent_seconds >= IDLE_SECONDS]
        for each in idle:
            each.transport.close()
        return bool(idle)

    def _missing(self) -> object:
        """What the server expects from the client, None for nothing; equal until something changes.

        The server expects nothing while it computes, and between requests. Between requests uvicorn
        has its own timer, and a client would take an error for the answer to its next request.
        """
        if self._unread():
            taken = self._joined.written - self.transport.get_write_buffer_size()
            return ("reading", taken // (LEAST_BYTES_PER_SECOND * self.arrival_seconds))
        if not self._unanswered:
            return None if self.timeout_keep_alive_task else ("head", id(self.cycle))
        return ("body", id(self._unanswered[0])) if self._missing_body() else None

    def _missing_body(self) -> bool:
        """Whether the next answer waits for the body of its request."""
        first = self._unanswered[0] if self._unanswered else None
        return bool(first and first.more_body and not first.response_started)

    def _client_sends(self) -> bool:
        """Whether the client may be sending something that the server will not read."""
        in_body = self.cycle is not None and self.cycle.more_body
        return self._gives_up or self._in_head() or in_body

    def _in_head(self) -> bool:
        """Whether a part of the head of a request has arrived."""
        return self.scope is not None and "method" not in self.scope

    def _unread(self) -> bool:
        """Whether the client has left much of its answer unread."""
        return self.transport.is_closing() or self.flow.write_paused

    def _give_up(self) -> None:
        if self._unread():
            self.transport.abort()
        else:
            seconds = f"{self.arrival_seconds:g} seconds (MCD_REQUEST_TIMEOUT_SECONDS)"
            self._refuse(TooSlow(f"the request did not arrive within {seconds}"))

    def _refuse(self, error: ServiceError, *, linger: bool = True) -> None:
        self._gives_up = linger
        if not (self._unanswered and self._unanswered[0].response_started):
            self.transport.write(_response(error))
        for cycle in self._unanswered:
            cycle.disconnected = True
            cycle.message_event.set()
        (self._joined.close if linger else self._joined.close_now)()


def _size(headers: list[tuple[bytes, bytes]]) -> int:
    return sum(len(name) + len(value) for name, value in headers)


def _response(error: ServiceError) -> bytes:
    """The complete response to an error, with a request id as every error has one."""
    response, request_id = refusal(error), f"{getrandbits(128):032x}"
    _logger.info("request %s was refused: %s", request_id, error, extra={"request_id": request_id})
    headers = [
        *response.raw_headers,
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    status = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n"
    return status.encode() + lines + b"\r\n" + bytes(response.body)
