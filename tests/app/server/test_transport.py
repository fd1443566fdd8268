"""What is written in one turn goes out at once, and nothing is lost at the end."""

import asyncio
import socket

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
