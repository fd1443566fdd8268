"""What is written in one turn goes out at once, and nothing is lost at the end."""

import asyncio
import socket
import time

import pytest

from app.server.transport import JoinedWrites

pytestmark = pytest.mark.anyio


async def test_what_is_written_arrives_in_order_and_before_the_end() -> None:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    with theirs:
        theirs.settimeout(5)
        made, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transport = JoinedWrites(made, loop)
        transport.write(b"head, ")
        transport.write(b"body")
        theirs.setblocking(False)
        with pytest.raises(BlockingIOError):
            theirs.recv(100)  # both wait for the end of the turn
        await asyncio.sleep(0.01)
        assert theirs.recv(100) == b"head, body"
        transport.write(b"last")
        transport.close()
        await asyncio.sleep(0.01)
        assert transport.is_closing()
        assert theirs.recv(100) == b"last"
        assert theirs.recv(100) == b""


async def test_nothing_is_written_after_an_abort() -> None:
    ours, theirs = socket.socketpair()
    loop = asyncio.get_running_loop()
    with theirs:
        theirs.settimeout(5)
        made, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        transport = JoinedWrites(made, loop)
        transport.write(b"never")
        transport.abort()
        await asyncio.sleep(0.01)
        assert theirs.recv(100) == b""


async def test_a_client_that_still_sends_reads_what_was_written_before_the_close() -> None:
    loop = asyncio.get_running_loop()
    made: asyncio.Queue[JoinedWrites] = asyncio.Queue()

    class Server(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            made.put_nowait(JoinedWrites(transport, loop))

    def send_all_then_read(client: socket.socket) -> bytes:
        client.sendall(bytes(1 << 24))  # more than the system holds for a server that reads nothing
        return client.recv(100) + client.recv(100)

    server = await loop.create_server(Server, "127.0.0.1", 0)
    async with server:
        with socket.create_connection(server.sockets[0].getsockname(), timeout=20) as client:
            transport = await made.get()
            read = loop.run_in_executor(None, send_all_then_read, client)
            while not transport.unread_bytes():
                time.sleep(0.01)
            transport.write(b"refused")
            transport.close()
            assert transport.is_closing()
            assert await read == b"refused"
