"""HTTP traffic to a server on this machine, with as little of its own work as Python allows."""

import asyncio
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from ssl import SSLContext
from time import perf_counter
from typing import Any
from urllib.parse import urlsplit

import numpy as np

PATIENCE_SECONDS = 60
LAST_CHUNK = b"0\r\n\r\n"
CLOSE_SECONDS = 0.003  # timers of an event loop are up to a millisecond late, so it looks itself


@dataclass
class Outcome:
    """What came of the requests: seconds by status, and what ended without an answer, by reason."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lost: Counter[str] = field(default_factory=Counter)
    sent: list[float] = field(default_factory=list)  # by `offer`: when, since the start
    elapsed: float = 0.0

    def rate(self, status: int = 200) -> float:
        """Answers of that status per second."""
        return len(self.seconds.get(status, ())) / self.elapsed

    def milliseconds(self, percent: float, status: int = 200) -> float:
        """A percentile of the time until an answer of that status."""
        return 1000 * float(np.percentile(self.seconds.get(status) or [np.nan], percent))

    def statuses(self) -> dict[str, int]:
        """Answers by status, and what was lost by its reason."""
        return {str(status): len(all_) for status, all_ in self.seconds.items()} | dict(self.lost)


def request(path: str, document: Any, *, host: str = "127.0.0.1") -> bytes:
    """A POST request as it goes over the wire."""
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
    return f"{head}content-length: {len(body)}\r\n\r\n".encode() + body


class _Connection(asyncio.Protocol):
    """One connection that is kept; one request at a time."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[int, bytes]] | None = None
        self.open = True
        self._head = b""
        self._parts: list[bytes] = []
        self._missing = 0.0  # bytes of the body; infinite where it comes in chunks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self._parts:
            self._head, separator, data = (self._head + data).partition(b"\r\n\r\n")
            if not separator:
                return
            head = self._head.lower()
            length = head.partition(b"content-length: ")[2].partition(b"\r\n")[0]
            chunked = b"\r\ntransfer-encoding: chunked" in head
            self._missing = math.inf if chunked else int(length or 0)
        self._parts.append(data)
        self._missing -= len(data)
        if self._missing <= 0 or (math.isinf(self._missing) and self._ends()):
            self._answered()

    def _ends(self) -> bool:
        """Whether the last chunk has come; the body is not decoded."""
        return b"".join(self._parts[-len(LAST_CHUNK) :]).endswith(LAST_CHUNK)

    def _answered(self) -> None:
        head, body = self._head, b"".join(self._parts)
        self._head, self._parts, self._missing = b"", [], 0
        if b"connection: close" in head.lower():
            self.open = False
        if self.answer and not self.answer.done():
            self.answer.set_result((int(head[9:12]), body))

    def connection_lost(self, error: Exception | None) -> None:
        self.open = False
        if self.answer and not self.answer.done():
            self.answer.set_exception(error or ConnectionResetError("closed"))

    async def ask(self, message: bytes) -> tuple[int, bytes]:
        """The status and the body of the answer."""
        self.answer = asyncio.get_running_loop().create_future()
        self.transport.write(message)  # type: ignore[attr-defined]
        return await asyncio.wait_for(self.answer, PATIENCE_SECONDS)


async def _connect(url: str, tls: SSLContext | None = None) -> _Connection:
    address = urlsplit(url)
    loop = asyncio.get_running_loop()
    host, port = address.hostname, address.port
    assert host
    assert port
    _, connection = await loop.create_connection(_Connection, host, port, ssl=tls)
    return connection


async def _client(
    url: str,
    messages: Iterator[bytes],
    until: float,
    outcome: Outcome,
    tls: SSLContext | None,
) -> None:
    connection: _Connection | None = None
    for message in messages:
        if perf_counter() >= until:
            break
        try:
            if connection is None or not connection.open:
                connection = await _connect(url, tls)
        except OSError:
            outcome.lost["refused"] += 1
            await asyncio.sleep(0.02)
            continue
        started = perf_counter()
        try:
            status, _ = await connection.ask(message)
        except (OSError, TimeoutError) as error:
            outcome.lost[type(error).__name__] += 1
            connection.open = False
            continue
        outcome.seconds.setdefault(status, []).append(perf_counter() - started)
    if connection:
        connection.transport.close()


async def load(
    url: str,
    messages: list[bytes],
    *,
    connections: int,
    seconds: float,
    count: int | None = None,
    tls: SSLContext | None = None,
) -> Outcome:
    """Every connection asks the next message as soon as its last one is answered."""
    outcome = Outcome()
    started = perf_counter()
    turns = cycle(messages)
    supply = (next(turns) for _ in range(count)) if count else turns
    await asyncio.gather(
        *(_client(url, supply, started + seconds, outcome, tls) for _ in range(connections))
    )
    outcome.elapsed = perf_counter() - started
    return outcome


async def offer(
    url: str,
    message: bytes,
    times: Sequence[float],
    *,
    connections: int = 0,
    tls: SSLContext | None = None,
) -> Outcome:
    """Requests at these seconds after the start, whether or not the earlier ones are answered.

    Connections are kept, as clients do: each request takes one that is free, or opens another.
    So many are open at the start.
    """
    outcome, tasks = Outcome(), set()
    free = [await _connect(url, tls) for _ in range(connections)]
    started = perf_counter()
    for due in times:
        await asyncio.sleep(max(0.0, started + due - perf_counter() - CLOSE_SECONDS))
        while perf_counter() < started + due:
            await asyncio.sleep(0)
        outcome.sent.append(perf_counter() - started)
        task = asyncio.create_task(_once(url, message, free, outcome, tls))
        tasks.add(task)
        task.add_done_callback(tasks.discard)
    outcome.elapsed = perf_counter() - started
    await asyncio.gather(*tasks)
    for connection in free:
        connection.transport.close()
    return outcome


async def _once(
    url: str,
    message: bytes,
    free: list[_Connection],
    outcome: Outcome,
    tls: SSLContext | None,
) -> None:
    while free and not free[-1].open:
        free.pop()
    started = perf_counter()
    try:
        connection = free.pop() if free else await _connect(url, tls)
        status, _ = await connection.ask(message)
    except (OSError, TimeoutError) as error:
        outcome.lost[type(error).__name__] += 1
        return
    outcome.seconds.setdefault(status, []).append(perf_counter() - started)
    free.append(connection)


@contextmanager
def stopwatch(into: list[float]) -> Iterator[None]:
    """Append the seconds that the block takes."""
    started = perf_counter()
    yield
    into.append(perf_counter() - started)
