"""The last moment of a server: nobody who is connected by then is turned away."""

import asyncio
import gc
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path

import pytest

from app.metrics import Metrics
from app.server import Server
from app.server.connection import Connection
from app.service import Service
from app.settings import Settings

pytestmark = pytest.mark.anyio

BODY = b'{"rows": [[54, 2, "east"]], "passes": 5}'
REQUEST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)
ANSWERED = b"HTTP/1.1 200 OK"
CLIENTS = 20


@pytest.fixture
def process() -> Iterator[None]:
    """Puts back what a server does to the process that it has for itself."""
    signals = {number: signal.getsignal(number) for number in (1, signal.SIGINT, signal.SIGTERM)}
    threshold, seconds = gc.get_threshold(), sys.getswitchinterval()
    yield
    for number, handler in signals.items():
        signal.signal(number, handler)
    gc.unfreeze()
    gc.set_threshold(*threshold)
    sys.setswitchinterval(seconds)


@asynccontextmanager
async def started(artifact: Path) -> AsyncIterator[tuple[Server, socket.socket]]:
    """A server that serves, and its listener."""
    settings = Settings(models=(artifact,))
    server = Server(settings, Service(settings, Metrics()))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    listener = socket.create_server(("127.0.0.1", 0))
    await server.startup([listener])
    yield server, listener


@pytest.mark.usefixtures("process")
async def test_whoever_is_connected_when_the_listener_closes_is_answered(
    artifacts: dict[str, Path],
) -> None:
    async with started(artifacts["regression"]) as (server, listener):
        await all_are_answered(server, listener)


async def all_are_answered(server: Server, listener: socket.socket) -> None:
    with ExitStack() as stack:
        # The event loop has no turn in which to accept them before it closes the listener.
        clients = [
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=20))
            for _ in range(CLIENTS)
        ]
        for client in clients:
            client.sendall(REQUEST)
        address = listener.getsockname()
        await server.shutdown([listener])
        answers = [client.recv(1 << 16) for client in clients]
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
    assert {answer[:15] for answer in answers} == {ANSWERED}


@pytest.mark.usefixtures("process")
async def test_a_connection_on_which_a_request_has_arrived_is_not_closed(
    artifacts: dict[str, Path],
) -> None:
    async with started(artifacts["regression"]) as (server, listener):
        loop = asyncio.get_running_loop()
        with socket.create_connection(listener.getsockname(), timeout=20) as client:
            client.sendall(REQUEST)
            assert (await loop.run_in_executor(None, client.recv, 1 << 16))[:15] == ANSWERED
            (connection,) = server.server_state.connections
            assert isinstance(connection, Connection)
            client.sendall(REQUEST)  # the event loop has no turn in which to read it
            connection.timeout_keep_alive_handler()
            connection.shutdown()
            assert (await loop.run_in_executor(None, client.recv, 1 << 16))[:15] == ANSWERED
            connection.shutdown()
            assert await loop.run_in_executor(None, client.recv, 1) == b""
        await server.shutdown([listener])
