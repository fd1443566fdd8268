"""Messages that no sane client sends, and what must be true of every answer to them."""

import json
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from time import sleep

from pydantic import ValidationError

from app.errors import ErrorBody

CONNECT_SECONDS = 10.0
QUIET_SECONDS = 0.3  # without a byte, and the server is taken to wait for more
ROW = {"area": 54.0, "rooms": 2.0, "quarter": "east"}
TENSORS = [
    {"name": "area", "shape": [1], "datatype": "FP64", "data": [54.0]},
    {"name": "rooms", "shape": [1], "datatype": "FP64", "data": [2.0]},
    {"name": "quarter", "shape": [1], "datatype": "BYTES", "data": ["east"]},
]
ASKED = [
    ("POST", "/predict", json.dumps({"rows": [ROW], "passes": 5}).encode()),
    ("POST", "/models/regression/predict", json.dumps({"rows": [ROW] * 9}).encode()),
    ("POST", "/sweep", json.dumps({"row": ROW, "feature": "area", "points": 3}).encode()),
    ("POST", "/models/regression/explain", json.dumps({"row": ROW, "passes": 9}).encode()),
    ("POST", "/v2/models/regression/infer", json.dumps({"inputs": TENSORS}).encode()),
    *(
        ("GET", path, b"")
        for path in (
            *("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/regression", "/models"),
            *("/models/regression", "/metrics", "/docs", "/docs/swagger-ui.css", "/nowhere"),
        )
    ),
]
VERSIONS = [b"", b" ", b" HTTP/0.9", b" HTTP/1.0", b" HTTP/2.0", b" HTTP/9.9", b" http/1.1", b" X"]
LENGTHS = [
    b"-1",
    b"+5",
    b"0x10",
    b"1e3",
    b"",
    b"9" * 25,
    b"1, 2",
    b"\xb2",
    b"5 5",
    b"18446744073709551616",
]
CODINGS = [b"chunked", b"gzip, chunked", b"chunked, chunked", b"identity", b"", b"chunked\t", b"x"]
ODD = [
    b"Expect: 100-continue",
    b"Expect: 200-maybe",
    b"Connection: upgrade\r\nUpgrade: websocket",
    b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
    b"Connection: close, keep-alive, x",
    b"Range: bytes=0-0,5-3,-1,9999999999-",
    b"Range: furlongs=1",
    b"If-None-Match: *",
    b"Content-Encoding: gzip",
    b"Content-Encoding: br",
    b"Content-Type: multipart/form-data",
    b"Content-Type: \xff\xfe",
    b"Accept-Encoding: gzip;q=x, ,;,deflate;q=0",
    b"Inference-Header-Content-Length: 99999999999",
    b"Inference-Header-Content-Length: -1",
    b"X-Request-Timeout-Seconds: nan",
    b"X-Request-Timeout-Seconds: 1e400",
    b"X-Request-ID: \x01\x02",
    b"X-Request-ID: " + b"i" * 5000,
    b"X-API-Key: \xff" * 3,
    b"Authorization: Bearer",
    b"Origin: null",
    b"X: " + b"a" * 90_000,
    b"\r\n".join(b"X%d: y" % number for number in range(3000)),
    b" folded: yes",
    b"No colon",
    b": empty",
    b"Space : before",
    b"Nul: a\0b",
    b"Host: another",
    b"Transfer-Encoding: chunked",
    b"Content-Length: 3",
    b"traceparent: 00-zz-zz-zz",
]
PATHS = [b"*", b"//", b"/" + b"a" * 70_000, b"/models/%00%ff", b"/models/\xff", b"http://x/v2"]
PATHS += [
    b"/models/..%2f..%2fetc",
    b"/docs/../../app/main.py",
    b"/predict?\xff=%",
    b"x:80",
    b"?",
    b"",
]
METHODS = [b"HEAD", b"OPTIONS", b"TRACE", b"CONNECT", b"PUT", b"get", b"G(T", b"A" * 3000, b""]


@dataclass(frozen=True, slots=True)
class Message:
    """Bytes in the pieces that they are sent in, and how the client leaves."""

    pieces: tuple[bytes, ...]
    abrupt: bool = False  # with a reset, and without reading


def message(random: Random) -> Message:
    """One or a few requests, most of them damaged, in one piece or a few."""
    data = b"".join(_request(random) for _ in range(random.choice((1, 1, 1, 2, 4))))
    for damage in random.sample(DAMAGES, random.choice((0, 0, 1, 1, 2))):
        data = damage(random, data)
    cuts = sorted(random.randrange(len(data) + 1) for _ in range(random.choice((0, 0, 0, 1, 3))))
    edges = [0, *cuts, len(data)]
    pieces = tuple(data[a:b] for a, b in pairwise(edges))
    return Message(pieces, abrupt=random.random() < 0.05)


def answer_to(
    address: tuple[str, int], sent: Message, quiet_seconds: float = QUIET_SECONDS
) -> bytes:
    """All that the server says to a message until it closes or is quiet."""
    received = bytearray()
    with socket.create_connection(address, timeout=CONNECT_SECONDS) as connection:
        connection.settimeout(quiet_seconds)
        with suppress(OSError):  # a server that has refused reads no more
            for number, piece in enumerate(sent.pieces):
                sleep(0.01 if number else 0)
                connection.sendall(piece)
        if sent.abrupt:
            linger = (1).to_bytes(4, "little") + (0).to_bytes(4, "little")
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return b""
        with suppress(OSError):
            while part := connection.recv(1 << 16):
                received += part
    return bytes(received)


def faults(received: bytes) -> list[str]:
    """What is wrong with the answers: a failure of the server's, an error in another shape."""
    found: list[str] = []
    while received:
        head, separator, rest = received.partition(b"\r\n\r\n")
        if not separator:
            return found  # cut short by a reset
        if not head.startswith(b"HTTP/1.1 "):
            return [*found, f"no answer: {received[:200]!r}"]
        first, *lines = head.decode("latin-1").split("\r\n")
        status = int(first.split()[1])
        headers = {
            name.lower(): value for name, _, value in (each.partition(": ") for each in lines)
        }
        length = int(headers.get("content-length", 0))
        # What follows the answer to a HEAD request is the next answer.
        body = b"" if not rest or rest.startswith(b"HTTP/1.1 ") else rest[:length]
        received = rest[len(body) :]
        if status >= 200:
            found += _faults_of(status, headers, body, whole=len(body) == length)
    return found


def _faults_of(status: int, headers: dict[str, str], body: bytes, *, whole: bool) -> list[str]:
    found = []
    if status >= 500:
        found.append(f"{status}: {body[:200]!r}")
    if "x-request-id" not in headers or headers.get("x-content-type-options") != "nosniff":
        found.append(f"{status} without its headers: {headers}")
    if status >= 400 and body and whole:
        try:
            ErrorBody.model_validate_json(body)
        except ValidationError:
            found.append(f"{status} in another shape: {body[:200]!r}")
    return found


def _request(random: Random) -> bytes:
    method, path, body = random.choice(ASKED)
    target = random.choice(PATHS) if random.random() < 0.1 else path.encode()
    verb = random.choice(METHODS) if random.random() < 0.1 else method.encode()
    version = random.choice(VERSIONS) if random.random() < 0.1 else b" HTTP/1.1"
    lines = [verb + b" " + target + version, b"Host: x"]
    lines += random.sample(ODD, random.choice((0, 0, 0, 1, 2)))
    framing, content = _framed(random, body)
    random.shuffle(framing)
    return b"\r\n".join([*lines, *framing]) + b"\r\n\r\n" + content


def _framed(random: Random, body: bytes) -> tuple[list[bytes], bytes]:
    """Headers that say where the body ends, truly or not, and the body."""
    true = b"Content-Length: %d" % len(body)
    match random.randrange(10):
        case 0:
            return [b"Content-Length: " + random.choice(LENGTHS)], body
        case 1:
            wrong = max(0, len(body) + random.randint(-9, 9))
            return [b"Content-Length: %d" % wrong], body
        case 2:
            return [true, b"Content-Length: %d" % random.randrange(99)], body
        case 3:
            return [b"Transfer-Encoding: " + random.choice(CODINGS)], _chunked(random, body)
        case 4:
            return [true, b"Transfer-Encoding: chunked"], _chunked(random, body)
        case 5:
            return [b"Transfer-Encoding: chunked"], _chunked(random, body)
        case 6:
            return [], body
        case _:
            return [true] if body else [], body


def _chunked(random: Random, body: bytes) -> bytes:
    at, parts = 0, []
    while at < len(body):
        size = random.randint(1, len(body))
        part, at = body[at : at + size], at + size
        extension = random.choice((b"", b"", b";a=b", b";" + b"x" * 9000))
        parts.append(b"%x%b\r\n%b\r\n" % (len(part), extension, part))
    if random.random() < 0.3:
        parts.insert(random.randrange(len(parts) + 1), random.choice(BAD_CHUNKS))
    return b"".join(parts) + b"0\r\n" + random.choice((b"\r\n", b"Trailer: x\r\n\r\n", b""))


BAD_CHUNKS = (
    b"zz\r\n",
    b"-1\r\n\r\n",
    b"5\r\nab\r\n",
    b"ffffffffffffffffffff\r\n",
    b"\r\n\r\n",
    b"0x5\r\nabcde\r\n",
)


def _cut(random: Random, data: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def _noise(random: Random, data: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.randbytes(random.randint(1, 12)) + data[at + random.randrange(12) :]


def _flip(random: Random, data: bytes) -> bytes:
    damaged = bytearray(data or b"?")
    for _ in range(random.randint(1, 5)):
        damaged[random.randrange(len(damaged))] ^= 1 << random.randrange(8)
    return bytes(damaged)


def _line_ends(random: Random, data: bytes) -> bytes:
    return data.replace(b"\r\n", random.choice((b"\n", b"\r", b"\r\r\n", b"\r\n ")))


def _binary(random: Random, _: bytes) -> bytes:
    return random.choice(
        (b"\x16\x03\x01\x02\x00\x01", b"\0", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"")
    ) + random.randbytes(200)


DAMAGES: list[Callable[[Random, bytes], bytes]] = [
    _cut,
    _cut,
    _noise,
    _noise,
    _flip,
    _line_ends,
    _binary,
]
