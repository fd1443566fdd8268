"""One server process: accepts, serves, reloads on SIGHUP, and goes down without losing anything.

A stop has four steps. The server refuses new predictions, and every answer closes its connection;
the listener stays open for a moment, so that whoever comes before the word has spread gets that
answer. The server finishes what it has accepted. It closes the listener, and waits for the requests
of connections that are so young, or were answered so recently, that one may be on its way. Then, or
when the time is over, it tells the rest so and ends.
"""

import asyncio
import gc
import logging
import multiprocessing
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from time import monotonic
from types import FrameType
from typing import Any, cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from app.logs import configure
from app.main import create_app
from app.metrics import Metrics
from app.server.connection import Connection, protocol, take_descriptors
from app.service import Service
from app.settings import Settings, hurry_exporters, shared_metrics_folder

LINGER_SECONDS = 0.5
REQUEST_SECONDS = 2.0  # within which a client that has connected, or was answered, asks
POLL_SECONDS = 0.02
SWITCH_SECONDS = 0.0002
GARBAGE = (20_000, 20, 20)  # objects, and rounds: looking after 700 costs a busy server 6 %
LAST_SECONDS = 1.0  # of the drain time, kept for telling those who still wait
PARENT_CHECK_TICKS = 10
# asyncio takes one number for both, so that a flood could use up all descriptors in one turn of the
# event loop; accepting then fails, and is logged, as often as connections wait.
ACCEPTED_AT_ONCE = 16
WAITING = 2048

_logger = logging.getLogger("app")


def serve(settings: Settings, listener: socket.socket, service: Service | None = None) -> int:
    """Serve until a signal ends it; the exit code."""
    configure(settings)
    hurry_exporters()
    take_descriptors()
    service = service or Service(settings, Metrics(shared_metrics_folder()))
    server = Server(settings, service)
    server.run(sockets=[listener])
    return 0 if server.started else STARTUP_FAILURE


class Server(uvicorn.Server):
    """uvicorn's, with another way to stop."""

    def __init__(self, settings: Settings, service: Service) -> None:
        super().__init__(uvicorn.Config(create_app(settings, service), **_options(settings)))
        self._settings = settings
        self._service = service
        self._stopped_at: float | None = None
        self._reload: asyncio.Task[None] | None = None
        self._hung_up = False
        signal.signal(signal.SIGHUP, self._on_hangup)
        for number in (signal.SIGINT, signal.SIGTERM):
            # uvicorn's own are in place while it serves; these are for before and after.
            signal.signal(number, self.handle_exit)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Load and warm up the models, then listen."""
        await super().startup(sockets)
        for each in sockets or []:
            each.listen(WAITING)
        # What is there now stays: looking for garbage in it, all of torch, takes 150 ms each time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GARBAGE)
        # The worker lets go of the interpreter around every tensor operation, and would get it back
        # 5 ms later each time while the event loop is busy.
        sys.setswitchinterval(SWITCH_SECONDS)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the listener, answer what is still on its way, and close the rest."""
        # The system would reset whoever is connected and not yet taken: nothing may come between.
        last = [connection for each in sockets or [] for connection in _waiting(each)]
        for server in self.servers:
            server.close()
        for each in sockets or []:
            each.close()
        for connection in last:
            await asyncio.get_running_loop().connect_accepted_socket(self._protocol, connection)
        await self._await_requests()
        await super().shutdown(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:  # noqa: ARG002
        """Begin to stop; a second SIGINT ends everything at once."""
        if self._stopped_at is None:
            self._stopped_at = monotonic()
            self._service.drain()
            if not self.started:
                self.should_exit = True
        elif sig == signal.SIGINT:
            self.should_exit = self.force_exit = True

    async def on_tick(self, counter: int) -> bool:
        """Called ten times a second; whether to end."""
        if self._hung_up and (self._reload is None or self._reload.done()):
            self._hung_up = False
            self._reload = asyncio.create_task(self._service.reload())
        if counter % PARENT_CHECK_TICKS == 0 and _orphaned():
            self.handle_exit(signal.SIGTERM, None)
        return await super().on_tick(counter) or self._drained()

    async def _await_requests(self) -> None:
        """Wait while a connection may bring a request: closed now, it would lose that."""
        began = self._stopped_at or monotonic()
        deadline = began + max(self._settings.drain_seconds - LAST_SECONDS, 0)
        while self._may_be_asked() and monotonic() < deadline and not self.force_exit:
            await asyncio.sleep(POLL_SECONDS)

    def _may_be_asked(self) -> bool:
        connections = cast("set[Connection]", self.server_state.connections)
        return any(each.silent_seconds < REQUEST_SECONDS for each in connections)

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
        if gone >= max(limit - LAST_SECONDS, limit / 2):
            self._service.give_up()
            return True
        return self._service.idle and gone >= min(LINGER_SECONDS, limit / 2)

    def _on_hangup(self, _: int, __: FrameType | None) -> None:
        self._hung_up = True


def _waiting(listener: socket.socket) -> Iterator[socket.socket]:
    """The connections that the system has accepted and nobody has taken."""
    with suppress(BlockingIOError):
        while True:
            yield listener.accept()[0]


def _orphaned() -> bool:
    parent = multiprocessing.parent_process()
    return parent is not None and not parent.is_alive()


def _options(settings: Settings) -> dict[str, Any]:
    return {
        "root_path": settings.root_path,
        "http": protocol(settings.request_timeout_seconds),
        "log_config": None,
        "log_level": settings.log_level,
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
        "ws": "none",
        "backlog": ACCEPTED_AT_ONCE,
        "lifespan": "on",
        "timeout_graceful_shutdown": LAST_SECONDS / 2,
    }
