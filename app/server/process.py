"""One server process: it serves, reloads the models on SIGHUP, and stops without losing a request.

A stop has four steps.

1. The server refuses new predictions, and every answer closes its connection. The listener stays
   open for LINGER_SECONDS at least, so that clients that connect meanwhile get this refusal.
2. The server finishes the requests that it has accepted.
3. The door (app/server/door.py) lets no further connection in. The server accepts the connections
   that wait, and closes the listener.
4. The server closes each connection after its answer. It waits for a connection that opened, or got
   its last answer, less than REQUEST_SECONDS ago: a request may be on its way. When the drain time
   is over, the server refuses what still waits, and ends.
"""

import asyncio
import gc
import logging
import signal
import socket
import sys
from collections.abc import Callable
from time import monotonic
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.listener import waiting
from app.logs import configure
from app.main import create_app
from app.server.acceptor import Acceptor
from app.server.connection import Connection, protocol, take_descriptors
from app.server.door import LAST_SECONDS, Door, OwnDoor, answering_seconds
from app.server.template import let_signals_in
from app.service import Service
from app.settings import Settings, hurry_exporters

LINGER_SECONDS = 0.5
REQUEST_SECONDS = 2.0  # a client sends its request within this time after connect or answer
POLL_SECONDS = 0.02
SWITCH_SECONDS = 0.0002
GARBAGE = (20_000, 20, 20)  # thresholds of gc; the usual 700 objects cost a busy server 6 %
TICKS_PER_SECOND = 10

_logger = logging.getLogger("app")


def serve(
    settings: Settings,
    listener: socket.socket,
    service: Service,
    door: Door | None = None,
) -> int:
    """Serve until a signal stops the server; return the exit code."""
    configure(settings)
    hurry_exporters()
    take_descriptors()
    server = Server(settings, service, door)
    server.run(sockets=[listener])
    return 0 if server.started else STARTUP_FAILURE


class Server(uvicorn.Server):
    """uvicorn's server, with its own steps to stop and a reload."""

    def __init__(self, settings: Settings, service: Service, door: Door | None = None) -> None:
        super().__init__(uvicorn.Config(create_app(settings, service), **_options(settings)))
        self._settings = settings
        self._service = service
        self._door = door or OwnDoor()
        self._stopped_at: float | None = None
        self._reload: asyncio.Task[None] | None = None
        self._hung_up = False
        self._acceptors = list[Acceptor]()
        signal.signal(signal.SIGHUP, self._on_hangup)
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn sets its own handlers while it serves; these work before and after that.
            signal.signal(number, self.handle_exit)
        let_signals_in()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load and warm up the models, then accept connections."""
        await super().startup([])
        self._yields()  # tells that it takes connections
        self._acceptors = [Acceptor(each, self._protocol, self._yields) for each in sockets or []]
        # All objects of now, torch among them, stay. To search them for garbage takes 150 ms.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        # The worker releases the interpreter lock around every tensor operation. While the event
        # loop is busy, the worker would get the lock back only after 5 ms each time.
        sys.setswitchinterval(SWITCH_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, answer the requests on their way, and close all connections."""
        listeners = sockets or []
        await self._let_nobody_in(listeners)
        for acceptor, listener in zip(self._acceptors, listeners, strict=True):
            acceptor.close()
            for connection in waiting(listener):
                acceptor.open(connection)
            listener.close()
            await acceptor.wait_closed()
        await self._answer_the_last()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to stop; a second SIGINT ends everything at once."""
        if self._stopped_at is None:
            self._stopped_at = monotonic()
            self._door.takes_none()
            self._service.drain()
            if not self.started:
                self.should_exit = True
        elif sig == signal.SIGINT:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Reload or stop if that was asked for; return whether to end. Runs ten times a second."""
        if self._hung_up and (self._reload is None or self._reload.done()):
            self._hung_up = False
            self._reload = asyncio.create_task(self._service.reload())
        if counter % TICKS_PER_SECOND == 0 and not self._door.beat():
            self.handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter) or self._drained()

    async def _let_nobody_in(self, listeners: list[socket.socket]) -> None:
        """Wait until no further connection can arrive; the acceptors take those before."""
        deadline = self._deadline()
        for each in listeners:
            while not self._door.shut(each) and monotonic() < deadline and not self.force_exit:
                await asyncio.sleep(POLL_SECONDS)

    async def _answer_the_last(self) -> None:
        """Close each connection, once it has brought no request for a while, or has its answer."""
        deadline = self._deadline()
        while (left := self._connections) and monotonic() < deadline and not self.force_exit:
            for each in left:
                if each.silent_seconds >= REQUEST_SECONDS:
                    each.shutdown()
            await asyncio.sleep(POLL_SECONDS)

    def _deadline(self) -> float:
        """The end of a step: shortly before that of the drain time, or soon if that has passed."""
        now, last = monotonic(), LAST_SECONDS / 2
        return max((self._stopped_at or now) + self._settings.drain_seconds - last, now + last)

    @property
    def _connections(self) -> list[Connection]:
        return list(cast("set[Connection]", self.server_state.connections))

    def _yields(self) -> bool:
        """Whether another process should take the next connection."""
        opening = sum(each.opening for each in self._acceptors)
        return self._door.yields(len(self._connections) + opening)

    def _protocol(self) -> asyncio.Protocol:
        made: Callable[..., asyncio.Protocol] = cast(Any, self.config.http_protocol_class)
        return made(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )

    def _drained(self) -> bool:
        if self._stopped_at is None:
            return False
        limit = self._settings.drain_seconds
        gone = monotonic() - self._stopped_at
        if gone >= answering_seconds(limit):
            self._service.give_up()
            return True
        return self._service.idle and gone >= min(LINGER_SECONDS, limit / 2)

    def _on_hangup(self, _: int, __: FrameType | None) -> None:
        self._hung_up = True


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "root_path": settings.root_path,
        "timeout_keep_alive": settings.keep_alive_seconds,
        "http": protocol(settings.request_timeout_seconds),
        "log_config": None,
        "log_level": settings.log_level,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "ws": "none",
        "lifespan": "on",
        "timeout_graceful_shutdown": LAST_SECONDS / 2,
    }
