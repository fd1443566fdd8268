"""A request as nearly all are, read in one look, and its response, sent in one piece.

h11 reads and writes whatever HTTP/1.1 allows, event by event and part by part, which was a quarter
of all the CPU time that a small request took. What is read here is a small part of HTTP, by a
grammar that leaves nothing to interpret: a POST that has come whole, with a plain path, no header
twice, a length and no other framing. Everything else, and so every fault, is h11's.
"""

import re
from typing import Any, NamedTuple

from uvicorn.protocols.http.h11_impl import STATUS_PHRASES, RequestResponseCycle

_HEAD = re.compile(
    rb"POST (?P<path>/[\w.~/-]*) HTTP/1\.1\r\n"
    rb"(?P<fields>(?:[\w-]++: ?[!-~]++(?: [!-~]++)*+\r\n)++)\r\n"
)
_FIELD = re.compile(rb"([\w-]+): ?(.*)\r\n")
_LENGTH = re.compile(rb"\d{1,18}")
# Another framing, or something to heed before the request is answered.
_SPECIAL = frozenset((b"transfer-encoding", b"expect", b"upgrade", b"te", b"trailer"))
_KEEP, _CLOSE = b"keep-alive", (b"connection", b"close")


class Post(NamedTuple):
    """What was read; the headers' names are in lower case."""

    path: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes


def read(data: bytes) -> Post | None:
    """The request; None unless `data` is one such request and no more."""
    head = _HEAD.match(data)
    if head is None:
        return None
    headers = [(name.lower(), value) for name, value in _FIELD.findall(head["fields"])]
    known, body = dict(headers), data[head.end() :]
    length = known.get(b"content-length", b"")
    ordinary = (
        len(known) == len(headers)
        and b"host" in known
        and _SPECIAL.isdisjoint(known)
        and known.get(b"connection", _KEEP).lower() == _KEEP
        and _LENGTH.fullmatch(length)
        and int(length) == len(body)
    )
    return Post(head["path"], headers, body) if ordinary else None


class Exchange(RequestResponseCycle):
    """uvicorn's, but that the whole request is there and that h11 hears of neither side."""

    def begin(self, body: bytes) -> None:
        """Let the application have the body."""
        self._whole: bytes | None = body
        self.more_body = False

    async def receive(self) -> Any:
        """The body, then what else becomes of the connection."""
        body, self._whole = self._whole, None
        if body is None or self.disconnected:
            return await super().receive()
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(self, message: Any) -> None:
        """Gather the response, and write it once that is whole."""
        if self.flow.write_paused and not self.disconnected:
            await self.flow.drain()
        if self.disconnected:
            return
        if message["type"] == "http.response.start":
            self.response_started = True
            self._start, self._content = message, b""
        else:
            self._content += message.get("body", b"")
            if not message.get("more_body"):
                self._finish()

    def _finish(self) -> None:
        status = self._start["status"]
        headers = [*self.default_headers, *self._start["headers"]]
        if not any(name == b"content-length" for name, _ in headers):
            headers.append((b"content-length", b"%d" % len(self._content)))
        lines = b"".join([b"%b: %b\r\n" % header for header in headers])
        head = b"HTTP/1.1 %d %b\r\n%b\r\n" % (status, STATUS_PHRASES[status], lines)
        self.transport.writelines((head, self._content))  # one system call, and no copy
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive or _CLOSE in headers:
            self.transport.close()
        self.on_response()
