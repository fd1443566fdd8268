"""Connections are accepted one by one, and left to a freer process for a moment."""

import asyncio
import errno
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from app.server.acceptor import Acceptor

pytestmark = pytest.mark.anyio


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(b"hello")


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as made:
        yield made


async def greeted(client: socket.socket) -> bytes:
    return await asyncio.to_thread(client.recv, 99)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.005)
    raise AssertionError("it never came")


async def test_each_turn_asks_before_it_takes_a_connection(listener: socket.socket) -> None:
    """All of twelve get in, and none without the question whether another should take it."""
    asked = list[int]()

    def yields() -> bool:
        asked.append(acceptor.opening)
        return len(asked) % 2 == 0

    acceptor = Acceptor(listener, Greeter, yields)
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(listener.getsockname(), timeout=20))
            for _ in range(12)
        ]
        assert [await greeted(client) for client in clients] == [b"hello"] * 12
        acceptor.close()
        await acceptor.wait_closed()
    assert len(asked) >= 12


async def test_a_connection_is_left_to_the_other_process(listener: socket.socket) -> None:
    taken = {"fuller": 0, "freer": 0}

    def counted(name: str) -> Callable[[], asyncio.Protocol]:
        def made() -> asyncio.Protocol:
            taken[name] += 1
            return Greeter()

        return made

    with ExitStack() as stack:
        both = [
            Acceptor(listener, counted("fuller"), lambda: True),
            Acceptor(stack.enter_context(listener.dup()), counted("freer"), lambda: False),
        ]
        for _ in range(12):
            client = socket.create_connection(listener.getsockname(), timeout=20)
            stack.enter_context(client)
            assert await greeted(client) == b"hello"
        for each in both:
            each.close()
            await each.wait_closed()
    assert sum(taken.values()) == 12
    assert taken["freer"] > 8  # after its moment, the fuller one may take one that has just come


async def test_after_a_lack_of_descriptors_it_goes_on(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.server.acceptor.RETRY_SECONDS", 0.05)

    class Exhausted(socket.socket):
        failures = 2

        def accept(self) -> tuple[socket.socket, object]:
            if self.failures:
                self.failures -= 1
                raise OSError(errno.EMFILE, "Too many open files")
            return super().accept()

    with Exhausted(socket.AF_INET, socket.SOCK_STREAM) as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        acceptor = Acceptor(listener, Greeter, lambda: False)
        with socket.create_connection(listener.getsockname(), timeout=20) as client:
            assert await greeted(client) == b"hello"
        acceptor.close()
    assert [each.message for each in caplog.records] == [
        "no connection can be accepted: Too many open files"
    ] * 2


async def test_after_the_close_nothing_is_accepted(listener: socket.socket) -> None:
    acceptor = Acceptor(listener, Greeter, lambda: True)
    with socket.create_connection(listener.getsockname()) as client:
        client.settimeout(0.1)
        await asyncio.sleep(0)
        acceptor.close()
        with pytest.raises(TimeoutError):
            await greeted(client)
