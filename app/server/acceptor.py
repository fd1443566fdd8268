"""Accept connections one by one, so that processes which share a listener share its clients.

uvloop accepts all connections that wait in one turn of the event loop. Of 32 clients that connect
at once, one process of two often got all, and clients that keep their connections stayed with it.
"""

import asyncio
import logging
import socket
from collections.abc import Callable

RETRY_SECONDS = 1.0  # after a failure that concerns no single connection
YIELD_SECONDS = 0.003  # in which another process may take a connection

_logger = logging.getLogger("app")


class Acceptor:
    """Accepts one connection of the listener in each turn of the running event loop, until closed.

    The listener stays open. `protocol` makes the protocol of a connection. Where it `yields`, it
    waits YIELD_SECONDS before it takes the next connection, if nobody else has taken that by then.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        yields: Callable[[], bool],
    ) -> None:
        self._listener, self._protocol, self._yields = listener, protocol, yields
        listener.setblocking(False)
        self._loop = asyncio.get_running_loop()
        self._opening = set[asyncio.Task[object]]()
        self._later: asyncio.TimerHandle | None = None
        self._begin()

    def close(self) -> None:
        """Accept no more."""
        if self._later:
            self._later.cancel()
        self._loop.remove_reader(self._listener)

    async def wait_closed(self) -> None:
        """Wait until what has been accepted is open."""
        await asyncio.gather(*self._opening)

    def open(self, connection: socket.socket) -> None:
        """Serve a connection that has been accepted."""
        connection.setblocking(False)
        task = self._loop.create_task(self._opened(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    @property
    def opening(self) -> int:
        """How many connections have been accepted, and are not open yet."""
        return len(self._opening)

    def _begin(self) -> None:
        self._later = None
        self._loop.add_reader(self._listener, self._on_waiting)

    def _pause(self, seconds: float, then: Callable[[], None]) -> None:
        self._loop.remove_reader(self._listener)
        self._later = self._loop.call_later(seconds, then)

    def _on_waiting(self) -> None:
        if self._yields():
            self._pause(YIELD_SECONDS, self._take_and_begin)
        else:
            self._take()

    def _take_and_begin(self) -> None:
        self._begin()
        self._take()

    def _take(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except (BlockingIOError, InterruptedError, ConnectionAbortedError):
            return  # another process was faster, or the client has left
        except OSError as error:  # no descriptor or no memory is left
            _logger.error("no connection can be accepted: %s", error.strerror or error)
            self._pause(RETRY_SECONDS, self._begin)
            return
        self.open(connection)

    async def _opened(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, connection)
        except OSError:  # its client has left
            connection.close()
