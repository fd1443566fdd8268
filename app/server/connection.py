"""A connection as long as it has brought no whole request: no HTTP, what never ends, one too many.

They are refused here, for no application sees them: in the one error shape, and closed.
"""

import asyncio
import logging
import math
import resource
from http import HTTPStatus
from random import getrandbits
from typing import Any

# With h11, also where httptools is installed: that lets pass what is no HTTP/1.1 request.
from h11 import CLIENT, IDLE, SERVER
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.errors import NotHttp, Overloaded, ServiceError, TooSlow
from app.http import refusal
from app.server.exchange import Exchange, Post, read

LOOKS = 4  # at a connection, in the time that a request has to arrive
DESCRIPTORS = 65_536  # as many as we take of those that the system grants
RESERVE = 2_048  # of them, for files and for connections that are still to be refused

_IDLE = {CLIENT: IDLE, SERVER: IDLE}
_logger = logging.getLogger("app")


def protocol(arrival_seconds: float) -> type[asyncio.Protocol]:
    """uvicorn's protocol, with a time in which a request that has begun must be there."""
    return type("Connection", (Connection,), {"arrival_seconds": arrival_seconds})


def take_descriptors() -> None:
    """Let this process have as many connections as it may: 1,024 descriptors are soon used up."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _most_connections() -> int:
    """Without a descriptor left, a server can neither accept nor refuse."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return DESCRIPTORS if soft == resource.RLIM_INFINITY else max(soft // 2, soft - RESERVE)


class Connection(H11Protocol):
    """uvicorn's, with its own words for what is no request."""

    arrival_seconds = 60.0
    _awaited: object = None
    _since = 0.0
    _silent_since = 0.0
    _timer: asyncio.TimerHandle | None = None
    _held = b""  # what came before the last exchange was over

    @property
    def silent_seconds(self) -> float:
        """How long it has brought no request, since it is open or was answered last.

        It is infinite while a request is answered: the connection brings no other before that.
        """
        cycle: Any = self.cycle
        answered = cycle is None or cycle.response_complete
        return self.loop.time() - self._silent_since if answered else math.inf

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Look after the connection from now on."""
        super().connection_made(transport)
        self._since = self._silent_since = self.loop.time()
        if len(self.connections) > _most_connections():
            message = "too many connections are open; try again"
            self._refuse(Overloaded(message, retry_after_seconds=1))
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        if self._timer:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read an ordinary request; leave every other to h11."""
        cycle: Any = self.cycle
        if isinstance(cycle, Exchange) and not cycle.response_complete:
            self._held += data
            self.flow.pause_reading()
        elif self._between_requests() and (post := read(data)):
            self._unset_keepalive_if_required()
            self._answer(post)
        else:
            super().data_received(data)

    def on_response_complete(self) -> None:
        """Go on with what came in the meantime."""
        super().on_response_complete()
        self._silent_since = self.loop.time()
        if self._held and not self.transport.is_closing():
            held, self._held = self._held, b""
            self.data_received(held)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """Answer to what uvicorn could not parse."""
        self._refuse(NotHttp("this is no HTTP/1.1 request, or its headers are too large"))

    def _between_requests(self) -> bool:
        """Whether h11 has answered all that it has heard of, and has heard all that came."""
        return self.conn.states == _IDLE and not self.conn.trailing_data[0]

    def _answer(self, post: Post) -> None:
        """Let the application answer, as uvicorn does with what h11 has read."""
        self.headers = post.headers
        scope: Any = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "method": "POST",
            "root_path": self.root_path,
            "path": self.root_path + post.path.decode(),
            "raw_path": self.root_path.encode() + post.path,
            "query_string": b"",
            "headers": post.headers,
            "state": self.app_state.copy(),
        }
        self.cycle = exchange = Exchange(
            scope=scope,
            conn=self.conn,
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            on_response=self.on_response_complete,
        )
        exchange.begin(post.body)
        task = self.loop.create_task(exchange.run_asgi(self.app))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)

    def _look(self) -> None:
        """Once in a while, which costs a request nothing, see whether something takes too long."""
        awaited, now = self._missing(), self.loop.time()
        if awaited is None or awaited != self._awaited:
            self._awaited, self._since = awaited, now
        if now - self._since < self.arrival_seconds:
            self._timer = self.loop.call_later(self.arrival_seconds / LOOKS, self._look)
        else:
            self._give_up()

    def _missing(self) -> object:
        """What the client owes, the same as long as it owes the same; None where it owes nothing.

        That is while we compute, and between requests: uvicorn has a timer of its own for those,
        and an answer that nobody asked for would be taken for that to the next request.
        """
        cycle: Any = self.cycle
        if self._unread():
            return ("reading", self.transport.get_write_buffer_size())
        if cycle is None or cycle.response_complete:
            return None if self.timeout_keep_alive_task else ("headers", id(cycle))
        return ("body", id(cycle)) if cycle.more_body and not cycle.response_started else None

    def _unread(self) -> bool:
        """Whether the client has not read what it was answered."""
        return self.transport.is_closing() or self.flow.write_paused

    def _give_up(self) -> None:
        if self._unread():
            self.transport.abort()
        else:
            seconds = f"{self.arrival_seconds:g} seconds (MCD_REQUEST_TIMEOUT_SECONDS)"
            self._refuse(TooSlow(f"the request was not there after {seconds}"))

    def _refuse(self, error: ServiceError) -> None:
        cycle: Any = self.cycle
        running = cycle is not None and not cycle.response_complete
        if not (running and cycle.response_started):
            self.transport.write(_response(error))
        if running:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


def _response(error: ServiceError) -> bytes:
    """The whole response, with an id as every error has one."""
    response, request_id = refusal(error), f"{getrandbits(128):032x}"
    _logger.info("request %s is none: %s", request_id, error, extra={"request_id": request_id})
    headers = [
        *response.raw_headers,
        (b"x-request-id", request_id.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"connection", b"close"),
    ]
    lines = b"".join(b"%b: %b\r\n" % header for header in headers)
    status = f"HTTP/1.1 {response.status_code} {HTTPStatus(response.status_code).phrase}\r\n"
    return status.encode() + lines + b"\r\n" + bytes(response.body)
