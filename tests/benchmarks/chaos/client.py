"""A client that is no library: raw messages, a probe of liveness, and what the kernel knows."""

import json
import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tests.journeys.serving import Served

LIVE = b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n"
PROBE_SECONDS = 0.005
ROW = [59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87]  # that the model `diabetes` accepts


def address(server: Served) -> tuple[str, int]:
    """Host and port."""
    parts = urlsplit(server.url)
    assert parts.hostname
    assert parts.port
    return parts.hostname, parts.port


def connect(server: Served, seconds: float = 60) -> socket.socket:
    """A new connection."""
    return socket.create_connection(address(server), timeout=seconds)


def post(path: str, body: Any, *fields: str) -> bytes:
    """The request as it goes over the wire."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {len(content)}", *fields]
    return "\r\n".join([*lines, "", ""]).encode() + content


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the next answer on the connection; 0 where there is none."""
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            received += (part := connection.recv(65536))
            if not part:
                return 0, b""
        head, _, body = received.partition(b"\r\n\r\n")
        length = re.search(rb"content-length: (\d+)", head)
        while (len(body) < int(length[1])) if length else not body.endswith(b"0\r\n\r\n"):
            body += (part := connection.recv(1 << 20))
            if not part:
                return 0, b""
    except OSError:
        return 0, b""
    return int(head[9:12]), body


def ask(server: Served, message: bytes) -> tuple[int, bytes]:
    """Status and body of the answer to a message on a connection of its own."""
    with connect(server) as connection:
        with suppress(OSError):  # refused before all of it was sent: the answer may still be there
            connection.sendall(message)
        return answer(connection)


@contextmanager
def probing(server: Served) -> Iterator[list[float]]:
    """The seconds that each of many liveness probes takes while the block runs."""
    took: list[float] = []
    ended = threading.Event()

    def probe() -> None:
        with connect(server) as connection:
            while not ended.is_set():
                started = time.perf_counter()
                connection.sendall(LIVE)
                status, _ = answer(connection)
                took.append(time.perf_counter() - started if status == 200 else float("inf"))
                ended.wait(PROBE_SECONDS)

    thread = threading.Thread(target=probe)
    thread.start()
    try:
        yield took
    finally:
        ended.set()
        thread.join()


def mebibytes(server: Served, field: str = "VmRSS") -> float:
    """Memory of the server process: VmRSS now, VmHWM at its peak."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(rf"{field}:\s+(\d+)", status)
    assert found
    return int(found[1]) / 1024


def cpu_seconds(server: Served) -> float:
    """CPU time of the server process."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(server: Served, name: str) -> float:
    """The value of a metric, given with its labels; 0 where it is not there."""
    with connect(server) as connection:
        connection.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        text = answer(connection)[1].decode()
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0
