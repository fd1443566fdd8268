"""In each HTTP proxy of Ray: what the proxy itself answers gets our form, and bodies get limits.

Ray's proxies load this module where the environment has
`RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH=app.ray_proxy.middleware`. Without it, Ray answers in
plain text, and with status 500 where a replica dies. A proxy must start within five seconds, so
this module imports neither torch nor what imports torch.
"""

import asyncio
from dataclasses import dataclass, replace
from random import getrandbits

from starlette.datastructures import Headers
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.json import to_json
from app.settings import read_settings

OWN_PATHS = "/-/"  # of the proxy: its health and its routes
_OURS = b"x-content-type-options"  # every answer of the application has this header
_ID = b"x-request-id"
_GONE: Message = {"type": "http.disconnect"}


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer of the proxy itself; status and code are those of `app.errors`."""

    status: int
    code: str
    message: str
    retry_after: int | None = None
    closes: bool = False  # the client may still send what nobody reads

    def messages(self, request_id: bytes) -> tuple[Message, Message]:
        """The answer in the form of every error of the service."""
        body = to_json({"error": self.message, "code": self.code, "details": []})
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (_ID, request_id),
            (_OURS, b"nosniff"),
        ]
        if self.retry_after is not None:
            headers.append((b"retry-after", str(self.retry_after).encode()))
        if self.closes:
            headers.append((b"connection", b"close"))
        start = {"type": "http.response.start", "status": self.status, "headers": headers}
        return start, {"type": "http.response.body", "body": body}


TOO_LARGE = Refusal(413, "body_too_large", "", closes=True)
TOO_SLOW = Refusal(408, "request_timeout", "", closes=True)
LOST = Refusal(503, "not_ready", "the replica has ended before its answer; try again", 1)
OF_RAY = {  # by the status that Ray answers
    404: Refusal(404, "not_found", "Ray serves nothing on this path yet"),
    408: Refusal(504, "deadline_exceeded", "the time limit of the request is over"),
    429: Refusal(429, "overloaded", "too many requests wait for a replica; try again", 1),
    503: Refusal(503, "not_ready", "no replica takes requests now; try again", 1),
}


def middleware() -> list[Middleware]:
    """What Ray puts around its proxy; the limits are those of the environment."""
    settings = read_settings()
    return [
        Middleware(
            Front,
            max_body_bytes=settings.max_body_bytes,
            arrival_seconds=settings.request_timeout_seconds,
        )
    ]


class Front:
    """Middleware around Ray's proxy."""

    def __init__(self, app: ASGIApp, max_body_bytes: int, arrival_seconds: float) -> None:
        self._app = app
        self._bytes, self._seconds = max_body_bytes, arrival_seconds
        most = f"the body has more than {max_body_bytes} bytes (MCD_MAX_BODY_BYTES)"
        self._too_large = replace(TOO_LARGE, message=f"{most}; send fewer rows at once")
        late = f"the request did not arrive within {arrival_seconds:g} seconds"
        self._too_slow = replace(TOO_SLOW, message=f"{late} (MCD_REQUEST_TIMEOUT_SECONDS)")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer by the proxy, or refuse what it would have to hold in memory."""
        if scope["type"] != "http" or scope["path"].startswith(OWN_PATHS):
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > self._bytes:
            exchange.refusal = self._too_large
        else:
            await self._app(scope, self._limited(exchange), exchange.send)
        await exchange.finish()

    def _limited(self, exchange: "_Exchange") -> Receive:
        """The request as it arrives; the client seems to leave where it exceeds a limit."""
        due, size, complete = asyncio.get_running_loop().time() + self._seconds, 0, False

        async def receive() -> Message:
            nonlocal size, complete
            if exchange.refusal:
                return _GONE
            try:
                async with asyncio.timeout_at(None if complete else due):
                    message = await exchange.receive()
            except TimeoutError:
                exchange.refusal = self._too_slow
                return _GONE
            size += len(message.get("body", b""))
            complete = not message.get("more_body", False)
            if size > self._bytes:
                exchange.refusal = self._too_large
                return _GONE
            return message

        return receive


class _Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.receive = receive
        self.refusal: Refusal | None = None
        self._scope, self._send = scope, send
        self._begun = self._of_ray = False

    async def send(self, message: Message) -> None:
        """Pass on what the application answers; keep what Ray itself answers for `finish`."""
        if message["type"] == "http.response.start":
            names = [name.lower() for name, _ in message["headers"]]
            self._of_ray = _OURS not in names
            if self._of_ray:
                self.refusal = self.refusal or OF_RAY.get(message["status"], LOST)
            else:
                message = {**message, "headers": _once(message["headers"])}
        if not self._of_ray:
            self._begun = True
            await self._send(message)

    async def finish(self) -> None:
        """Answer what the application has not answered; Ray sends nothing where a replica dies."""
        if self._begun:
            return
        sent = Headers(scope=self._scope).get(_ID.decode()) or f"{getrandbits(128):032x}"
        for message in (self.refusal or LOST).messages(sent.encode("latin-1")):
            await self._send(message)


def _once(headers: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """The headers without the second request id, which Ray adds to that of the application."""
    found = list[tuple[bytes, bytes]]()
    for name, value in headers:
        if name.lower() != _ID or all(known != _ID for known, _ in found):
            found.append((name.lower(), value))
    return found
